"""The stress of a frame, from its own key or from that of the virial, and when it cannot be what it is said to be."""

import ase
import numpy as np

from farfield.data.config import DataConfig
from farfield.data.conversion import ASYMMETRY, LARGEST_STRESS, VOIGT, spelt_out, tensor_components
from farfield.data.keys import Numbers, find_value, numeric, refuse_not_finite
from farfield.errors import InputError

_AGREE = 1e-3
"""A stress and a virial may differ by this part of the largest component, and by what printing has cut off besides."""
_PRINTED = 1e-5
"""eV/Å³; three decimals of GPa, two of kbar, three of eV in a cell of 50 Å³ are nearer to the truth than this."""
_GPA = 160.2176634
"""One eV/Å³ in GPa."""


def read_stress(atoms: ase.Atoms, config: DataConfig, where: str) -> Numbers:
    """Stress ``(3, 3)``, eV/Å³, tension positive; nan where there is none, and of what is no crystal.

    Raises:
        InputError: not numbers, not so many, not symmetric, not finite; a stress and a virial that disagree; or, where
            no unit is given, more than ``LARGEST_STRESS``.
    """
    stress, by_virial = _from_stress(atoms, config, where), _from_virial(atoms, config, where)
    if stress is not None and by_virial is not None:
        refuse_disagreement(stress, by_virial, where)
    known = stress if stress is not None else by_virial
    return np.full((3, 3), np.nan) if known is None else known


def _from_stress(atoms: ase.Atoms, config: DataConfig, where: str) -> Numbers | None:
    where = f"{where}: stress = {config.stress!r}"
    if (stress := _tensor(atoms, config.stress, config, where)) is None:
        return None
    stress = stress * config.factors.stress
    if config.stress_unit is None and (size := too_large(stress)):
        raise InputError(
            f"{where} would be {size}: no unit is given. Say stress_unit: GPa or kbar (or eV/angstrom^3 if so), "
            "or divide it by the volume if it is in eV"
        )
    return stress


def _from_virial(atoms: ase.Atoms, config: DataConfig, where: str) -> Numbers | None:
    where = f"{where}: virial = {config.virial!r}"
    if (virial := _tensor(atoms, config.virial, config, where)) is None:
        return None
    stress: Numbers = -virial * config.factors.energy / (atoms.get_volume() * config.factors.length**3)
    if config.energy_unit is None and (size := too_large(stress)):
        raise InputError(
            f"{where} makes a stress of {size}: expected -volume × stress in eV. "
            "Say energy_unit: hartree, … (or eV if so)"
        )
    return stress


def _tensor(atoms: ase.Atoms, key: str | None, config: DataConfig, where: str) -> Numbers | None:
    """Read the tensor of a crystal under ``key``, in the file's unit; None without a finite number."""
    if key is None or not atoms.pbc.all() or (raw := find_value(atoms, "stress", key)) is None:
        return None
    # what ASE keeps as the result of a calculation is in its own order, whatever the file's was
    order = tensor_components(config.stress_order or "voigt") if key in atoms.info else VOIGT
    value = full_tensor(numeric(raw, where), order, where)
    refuse_not_finite(value, "stress", optional="stress" in config.allow_missing, where=where)
    return value if np.isfinite(value).any() else None


def full_tensor(value: Numbers, components: tuple[str, ...], where: str) -> Numbers:
    """The symmetric tensor ``(3, 3)`` of nine numbers, or of six that are these ``components``.

    Raises:
        InputError: another number of numbers, or nine that are not symmetric.
    """
    if value.size == 6:
        named = dict(zip(components, value.ravel()))
        return np.array([[named["".join(sorted(a + b))] for b in "xyz"] for a in "xyz"])
    if value.size != 9:
        raise InputError(f"{where} has shape {value.shape}, expected 9, 3 × 3 or 6 numbers ({spelt_out('voigt')})")
    full = value.reshape(3, 3)
    if np.abs(full - full.T).max() > ASYMMETRY * np.abs(full).max():
        raise InputError(f"{where} is not symmetric: {full.tolist()}")
    symmetric: Numbers = (full + full.T) / 2
    return symmetric


def refuse_disagreement(stress: Numbers, by_virial: Numbers, where: str) -> None:
    """Complain of a stress ``(3, 3)`` that is not the one, -virial/volume, that the virial makes.

    Raises:
        InputError: with the component that is farthest off.
    """
    off = np.nan_to_num(np.abs(stress - by_virial))
    if off.max() > _AGREE * np.nanmax(np.abs(stress)) + _PRINTED:
        at = np.unravel_index(int(off.argmax()), off.shape)
        component = "".join("xyz"[axis] for axis in at)
        raise InputError(
            f"{where}: stress and virial disagree: {component} is {stress[at]:.6g} eV/Å³ by the stress, "
            f"{by_virial[at]:.6g} by -virial/volume. One of them has another sign, unit or order: "
            "leave it away (virial: null, or stress: null)"
        )


def too_large(stress: Numbers) -> str:
    """The size of a stress ``(3, 3)``, eV/Å³, larger than any should be, in words; empty where it is not."""
    largest = float(np.nanmax(np.abs(stress)))
    return f"{largest:.4g} eV/Å³ = {largest * _GPA:.4g} GPa" if largest > LARGEST_STRESS else ""

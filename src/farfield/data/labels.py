"""The labels of one frame, checked and in farfield's units."""

from dataclasses import dataclass
from string import ascii_uppercase

import ase
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farfield.data.config import DataConfig, Target
from farfield.data.conversion import Factors
from farfield.data.frame import Fragments, Labels
from farfield.data.keys import PER_ATOM, Numbers, as_numbers, find_value
from farfield.errors import InputError

Integers = NDArray[np.int64]
_SYMMETRIC = 1e-3
"""A stress may differ from its transpose by this part of its largest component."""


@dataclass(frozen=True)
class LabelReader:
    """Turns what ASE read into ``Labels``."""

    config: DataConfig
    dtype: torch.dtype

    def read(self, atoms: ase.Atoms, where: str) -> Labels:
        """Labels of one frame; a target in ``allow_missing`` that the frame lacks becomes nan.

        Raises:
            InputError: a wrong shape, not numbers, nan or infinite, a dipole of periodic atoms, or a polarization of
                what is no crystal.
        """
        found = {target: self._value(atoms, target, where) for target in self.config.keys}
        return Labels(**{target: self._tensor(value, target) for target, value in found.items()})

    def _value(self, atoms: ase.Atoms, target: Target, where: str) -> Numbers:
        key, shape = self.config.keys[target], _shape(target, len(atoms))
        raw = find_value(atoms, target, key)
        optional = target in self.config.allow_missing
        if meaningless := _meaningless(target, atoms):
            if optional:
                return np.full(shape, np.nan)
            raise InputError(f"{where}: {meaningless}")
        if raw is None:  # the reader has made sure that it may be
            return np.full(shape, np.nan)
        value = _shaped(raw, target, shape, f"{where}: {target} = {key!r}")
        _check_finite(value, target, optional, f"{where}: {target} = {key!r}")
        if target == "polarization" and self.config.polarization_unit == "e*angstrom":
            value = value / (atoms.get_volume() * self.config.factors.length**3)
        return value * _factor(self.config.factors, target)

    def _tensor(self, value: Numbers, target: Target) -> Tensor:
        dtype = torch.float64 if target == "energy" else self.dtype
        tensor = torch.tensor(value, dtype=dtype)
        return tensor if target in PER_ATOM else tensor[None]


def read_fragments(atoms: ase.Atoms, energy_factor: float, where: str) -> Fragments | None:
    """Parts of a frame with their own charges and energies, if the file names them in either of two ways.

    ``arrays["fragment"]`` (0, 1, ...) with ``info["fragment_charges"]`` and ``info["fragment_energies"]`` (nan where
    the file has none); or contiguous parts A, B, ... with ``chargeA``, ``energyA``, ``chargeB``, ``energyB``,
    ``indexB`` (its first atom), ...

    Raises:
        InputError: the numbering, the charges and the energies do not fit together.
    """
    if "fragment_charges" in atoms.info and "fragment" not in atoms.arrays:
        raise InputError(
            f'{where}: info["fragment_charges"] says what fragments carry: say whose atoms are, arrays["fragment"]'
        )
    if "fragment" in atoms.arrays and "fragment_charges" in atoms.info:
        index, charges = np.asarray(atoms.arrays["fragment"]), atoms.info["fragment_charges"]
        energies = atoms.info.get("fragment_energies")
        if energies is None and (known := as_numbers(charges)) is not None:
            return _fragments(index, known, np.zeros_like(known), np.nan, where)
    elif {"energyA", "chargeA", "indexB"} <= atoms.info.keys():
        index, charges, energies = _lettered(atoms, where)
    else:
        return None
    return _fragments(index, as_numbers(charges), as_numbers(energies), energy_factor, where)


def _fragments(
    index: Integers,
    charges: Numbers | None,
    energies: Numbers | None,
    factor: float,
    where: str,
) -> Fragments:
    if charges is None or energies is None or not (np.isfinite(charges).all() and np.isfinite(energies).all()):
        raise InputError(f"{where}: the charges and energies of the fragments must be finite numbers")
    charges, energies = np.atleast_1d(charges), np.atleast_1d(energies)
    if index.dtype.kind not in "iu" or set(index.tolist()) != set(range(len(charges))) or len(charges) != len(energies):
        raise InputError(
            f"{where}: atoms belong to fragments {sorted(set(index.tolist()))}, "
            f"but there are {len(charges)} fragment charges and {len(energies)} fragment energies"
        )
    return Fragments(
        torch.tensor(index, dtype=torch.int64),
        torch.tensor(charges, dtype=torch.float64),
        torch.tensor(energies * factor, dtype=torch.float64),
    )


def _lettered(atoms: ase.Atoms, where: str) -> tuple[Integers, list[float], list[float]]:
    info = atoms.info
    letters = [c for c in ascii_uppercase if f"energy{c}" in info]
    if missing := [
        f"{name}{c}"
        for c in letters
        for name in ("charge", "index")
        if f"{name}{c}" not in info and name + c != "indexA"
    ]:
        raise InputError(f"{where}: info has energy{letters[-1]} but lacks {', '.join(missing)}")
    starts = [0, *(int(info[f"index{c}"]) for c in letters[1:])]
    if starts != sorted(set(starts)) or starts[-1] >= len(atoms):
        raise InputError(f"{where}: the fragments start at atoms {starts}, of {len(atoms)}; expected them to ascend")
    index = np.searchsorted(starts, np.arange(len(atoms)), side="right") - 1
    return index.astype(np.int64), [info[f"charge{c}"] for c in letters], [info[f"energy{c}"] for c in letters]


def _meaningless(target: Target, atoms: ase.Atoms) -> str:
    """Why there can be no such label; empty where there can."""
    if target == "dipole" and atoms.pbc.any():
        return "the dipole of periodic atoms is known only modulo e × lattice vectors: dipole: null"
    if target == "polarization" and not atoms.pbc.all():
        return "only crystals, periodic along three axes, have a polarization: polarization: null"
    return ""


def _shape(target: Target, atoms: int) -> tuple[int, ...]:
    if target in PER_ATOM:
        return {"forces": (atoms, 3), "charges": (atoms,)}.get(target, (atoms, 3, 3))
    return {"energy": (), "stress": (3, 3), "polarizability": (3, 3)}.get(target, (3,))


def _shaped(raw: object, target: Target, shape: tuple[int, ...], where: str) -> Numbers:
    value = as_numbers(raw)
    if value is None:
        raise InputError(f"{where} should hold numbers, it holds {str(raw)[:40]!r}")
    if target == "stress":
        return _full_stress(value, where)
    same = {
        "energy": value.size == 1,
        "charges": value.shape == (*shape, 1),
        "polarizability": value.shape == (9,),
        "born_charges": value.shape == (*shape[:1], 9),
    }
    if same.get(target, False):
        value = value.reshape(shape)
    if value.shape != shape:
        raise InputError(f"{where} has shape {value.shape}, expected {shape or 'one number'}")
    return value


def _full_stress(value: Numbers, where: str) -> Numbers:
    if value.size == 6:
        xx, yy, zz, yz, xz, xy = value.ravel()  # ASE's order
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if value.size != 9:
        raise InputError(f"{where} has shape {value.shape}, expected 9, 3 × 3 or 6 numbers (xx yy zz yz xz xy)")
    full = value.reshape(3, 3)
    if np.abs(full - full.T).max() > _SYMMETRIC * np.abs(full).max():
        raise InputError(f"{where} is not symmetric: {full.tolist()}")
    symmetric: Numbers = (full + full.T) / 2
    return symmetric


def _check_finite(value: Numbers, target: Target, optional: bool, where: str) -> None:
    wrong = np.isinf(value) if optional else ~np.isfinite(value)
    if not wrong.any():
        return
    place = f" of atom {int(np.argwhere(wrong)[0, 0])}" if target in PER_ATOM else ""
    hint = "" if np.isinf(value).any() else f"; where it is undefined on purpose: allow_missing: [{target}]"
    raise InputError(f"{where}{place} is {value[wrong][0]:g}{hint}")


def _factor(factors: Factors, target: Target) -> float:
    return float(getattr(factors, target, 1.0))  # charges and Born charges are in e everywhere

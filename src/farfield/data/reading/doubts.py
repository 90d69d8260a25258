"""Labels and conditions that can be read but may not be what they are taken for: said, and nobody is stopped."""

import re
from collections.abc import Iterator, Sequence

import ase
import numpy as np

from farfield.data.config import CONDITIONS, DataConfig
from farfield.data.conversion import spelt_out
from farfield.data.frame import Frame
from farfield.data.keys import Numbers, as_numbers, find_value, results
from farfield.data.reading.isolated_atoms import taken_for_crystals
from farfield.data.reading.quadrupole_origin import doubt_of_origin
from farfield.data.reading.unlabelled import has_label
from farfield.data.spellings import is_multiplicity, overlooked
from farfield.data.splitting.frame_kinds import structure_of
from farfield.notices import Notice

_SAME = 1e-6
"""eV/atom; two energies nearer than this are one."""
_PUSHED = 0.05
"""eV/Å; atoms with forces beyond this are away from where every energy, dipole, … would be as it happens to be."""
_WEAK = 0.02
"""A stress below this part of what the forces of its atoms, at random, would make."""


def doubts_of_structures(structures: Sequence[ase.Atoms], config: DataConfig) -> Iterator[Notice]:
    """Warn of what the frames of one file have besides, or in another way than it is read."""
    infos, read = [atoms.info for atoms in structures], {name: getattr(config, name) for name in CONDITIONS}
    for said in overlooked(infos, read, multiplicity=config.spin_unit == "multiplicity", configured=True):
        yield Notice("warning", said)
    if is_multiplicity(config.spin) and config.spin_unit == "unpaired":
        yield Notice(
            "warning", f'spin = "{config.spin}" is taken for 2S; if it is 2S + 1, data: spin_unit: multiplicity'
        )
    yield from taken_for_crystals(structures, config.factors.length)
    yield from _two_energies(structures, config)
    yield from _six_numbers(structures, config)


def _two_energies(structures: Sequence[ase.Atoms], config: DataConfig) -> Iterator[Notice]:
    """Note a free energy beside the energy that is read: where electrons are smeared, forces belong to it."""
    if config.energy is None or config.forces is None or _is_free(config.energy):
        return
    apart: dict[str, float] = {}
    for atoms in structures:
        chosen = _number(find_value(atoms, "energy", config.energy))
        for key in filter(_is_free, {**atoms.info, **results(atoms)}):
            gap = abs(chosen - _number(find_value(atoms, "energy", key))) * config.factors.energy / len(atoms)
            apart[key] = max(apart.get(key, 0.0), float(np.nan_to_num(gap)))
    for key, gap in apart.items():
        if gap > _SAME:
            yield Notice(
                "note",
                f'"{config.energy}" and "{key}" differ by up to {gap:.3g} eV/atom; forces are the slope of the free '
                f"energy (VASP, and whoever smears electrons): energy: {key}",
            )


def _is_free(key: str) -> bool:
    return "freeenergy" in re.sub(r"[^a-z]", "", key.lower())


def _number(raw: object) -> float:
    value = as_numbers(raw)
    return float("nan") if value is None or value.size != 1 else float(value.reshape(()))


def _six_numbers(structures: Sequence[ase.Atoms], config: DataConfig) -> Iterator[Notice]:
    """Stresses whose components nobody has named."""
    for key in config.targets.get("stress", {}).values() if config.stress_order is None else ():
        if any(np.size(atoms.info.get(key)) == 6 for atoms in structures if atoms.pbc.all()):
            yield Notice(
                "note",
                f'six numbers of "{key}": taken as {spelt_out("voigt")}; data: stress_order: vasp is '
                f"{spelt_out('vasp')}",
            )


def doubts_of_labels(frames: Sequence[Frame]) -> Iterator[Notice]:
    """Labels of one file that are one number everywhere, or too small beside others, or about another origin; spins."""
    several = [frame for frame in frames if frame.system.n_atoms > 1]
    force = max((_largest(frame) for frame in several), default=0.0)
    for target in sorted({name for frame in several for name in frame.labels.targets}):
        labelled = [frame for frame in several if has_label(frame, target)]
        if len({structure_of(frame) for frame in labelled}) > 1 and (value := _constant(labelled, target)) is not None:
            beside = f" while forces reach {force:.3g} eV/Å" if force > _PUSHED and target != "forces" else ""
            if beside or target == "forces":
                yield Notice(
                    "warning", f"{target} is {value:g} in all {len(labelled)} frames{beside}: is that a label?"
                )
    yield from _weak_stress(frames)
    yield from _undivided_spins(frames)
    yield from doubt_of_origin(frames)


def _undivided_spins(frames: Sequence[Frame]) -> Iterator[Notice]:
    """Unpaired electrons of structures in fragments, of which no fragment is said to have them."""
    parted = [frame for frame in frames if frame.fragments is not None and frame.fragments.spins is None]
    if several := sum(bool(frame.system.spin.any()) for frame in parted):
        yield Notice(
            "warning",
            f'{several} frames have a spin and fragments, and no info["fragment_spins"] says whose it is: fragments '
            "alone are taken without unpaired electrons. Write 2S of each there, below 0 where they point down",
        )


def _constant(frames: Sequence[Frame], target: str) -> float | None:
    """The energy that all frames have, or the zero that all numbers of another target are; None where they differ."""
    values = np.concatenate([getattr(frame.labels, target).numpy().ravel() for frame in frames])
    known = values[np.isfinite(values)]
    if target == "forces" and all(frame.system.periodic.all() for frame in frames):
        return None  # symmetry does that to crystals
    alike = (known == known[0]).all() and (target == "energy" or known[0] == 0)
    return float(known[0]) if alike else None


def _weak_stress(frames: Sequence[Frame]) -> Iterator[Notice]:
    """A stress of which somebody has taken the volume away twice, or that is in a larger unit than said."""
    parts = []
    for frame in frames:
        if has_label(frame, "stress") and has_label(frame, "forces") and (force := _largest(frame)) > _PUSHED:
            stress = float(np.nanmax(np.abs(_numbers(frame, "stress"))))
            expected = force * 1.0 * frame.system.n_atoms**0.5 / float(frame.system.volume())  # over 1 Å, at random
            parts.append((stress / expected, stress, force))
    ratio, stress, force = np.median(np.array(parts).reshape(-1, 3), axis=0) if parts else (1.0, 0.0, 0.0)
    if 0 < ratio < _WEAK:
        yield Notice(
            "warning",
            f"stresses of about {stress:.2g} eV/Å³ are small beside forces of {force:.2g} eV/Å: are they in another "
            "unit than said, or is what was given as a virial a stress?",
        )


def _largest(frame: Frame) -> float:
    return float(np.nan_to_num(np.abs(_numbers(frame, "forces"))).max(initial=0.0))


def _numbers(frame: Frame, target: str) -> Numbers:
    value = getattr(frame.labels, target)
    return np.zeros(0) if value is None else np.asarray(value.double().numpy())

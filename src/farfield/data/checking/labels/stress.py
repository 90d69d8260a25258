"""Keys of stress and virial, and whether unit, order and sign of their numbers are certain."""

from collections.abc import Iterator

import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.checking.keys import KeyReport
from farfield.data.checking.labels.stress_and_virial import contradiction, related
from farfield.data.conversion import ASYMMETRY, LARGEST_STRESS, STRESS, StressUnit, spelt_out
from farfield.data.keys import Numbers
from farfield.data.spellings import unit_in_name, words

_UNUSUAL = 0.1
"""eV/Å³ (16 GPa); data sets are seldom squeezed as hard."""
_USUAL = 0.02
"""eV/Å³; of a rattled or strained crystal."""


def propose_stress(draft: Draft) -> None:
    """Take a stress, or else a virial, of the frames that are crystals."""
    stresses, virials = draft.candidates("stress"), draft.candidates("virial")
    stresses = [key for key in stresses if "stress" in key.name.lower() or key not in virials]
    virials = [key for key in virials if key not in stresses]
    stresses, virials = (list(_calculated(draft, _of_crystals(draft, keys))) for keys in (stresses, virials))
    if stresses and virials:
        _with_virial(draft, stresses, virials)
    elif virials and _possible(draft, virials[0]):
        draft.take_first("virial", virials)
        _say_order(draft, virials[0], "voigt")
    elif stresses and _certain(draft, stresses[0]):
        draft.take_first("stress", stresses)


def _possible(draft: Draft, key: KeyReport) -> bool:
    """Tell whether a virial makes stresses as there can be; otherwise it is left, and said."""
    sizes = [
        float(np.abs(v).max()) / volume
        for v, volume, crystal in zip(key.values, draft.content.volumes, draft.crystals)
        if v is not None and crystal and volume > 0 and np.isfinite(v).all()
    ]
    largest = max(sizes, default=0.0)
    if largest > LARGEST_STRESS and "energy_unit" not in draft.config:
        draft.leave(key, "too large for a virial in eV")
        draft.say(
            "warning",
            f"{key.name} is not proposed: over the volume it is up to {largest:.3g} eV/Å³ "
            f"({largest / STRESS['GPa']:.0f} GPa), so it is in another unit than eV, or a stress "
            f"(stress: {key.name}, with its stress_unit)",
        )
        return False
    return True


def _of_crystals(draft: Draft, keys: list[KeyReport]) -> list[KeyReport]:
    """Keep the keys that some crystal has; the others are left, and said."""
    kept = []
    for key in keys:
        have = np.array([value is not None for value in key.values])
        if (have & draft.crystals).any():
            kept.append(key)
            continue
        draft.leave(key, "no frame is periodic along a, b and c")
        draft.say(
            "note", f"{key.name} is not proposed: no frame is periodic along three axes, and others have no stress"
        )
    if kept:
        idle = sum(v is not None and not crystal for v, crystal in zip(kept[0].values, draft.crystals))
        if idle:
            draft.say(
                "note", f"{kept[0].name} means nothing in the {idle} frames that are not periodic along three axes"
            )
    return kept


def _calculated(draft: Draft, keys: list[KeyReport]) -> Iterator[KeyReport]:
    for key in keys:
        values = [v for v, crystal in zip(key.values, draft.crystals) if v is not None and crystal]
        if any(v.size == 9 and _skew(v.reshape(3, 3)) for v in values):
            draft.leave(key, "not symmetric")
            draft.say("warning", f"{key.name} is not proposed: its nine numbers are not symmetric")
        elif any(np.any(v != 0) for v in values):
            yield key
        else:
            draft.leave(key, "0 in all frames")
            draft.say("warning", f"{key.name} is 0 in all frames: taken for never calculated, not proposed")


def _skew(tensor: Numbers) -> bool:
    return bool(np.abs(tensor - tensor.T).max() > ASYMMETRY * np.abs(tensor).max())


def _certain(draft: Draft, key: KeyReport) -> bool:
    """Tell whether unit and order of a stress are known; otherwise it is left, with what to write."""
    unit = unit_in_name(key.name, STRESS)
    size = _size(draft, key)
    order_open = _six_sheared(draft, key) and ("virial" in words(key.name) or unit == "kbar")  # habits of VASP's
    if (unit is None and size > LARGEST_STRESS) or order_open:
        _ask(draft, key, size, unit)
        return False
    if unit is not None and unit != "eV/angstrom^3":
        draft.config["stress_unit"] = unit
        draft.say("note", f"stress_unit: {unit}, because of the name {key.name}")
    elif size > _UNUSUAL:
        draft.say(
            "warning",
            f"{key.name} is beyond {size:.2g} eV/Å³ ({size / STRESS['GPa']:.0f} GPa) in half of the frames: if in GPa, "
            "stress_unit: GPa; if in kbar, stress_unit: kbar",
        )
    _say_order(draft, key, "voigt")
    return True


def _size(draft: Draft, key: KeyReport) -> float:
    """Median over the crystals of the largest component; the largest of all where that is beyond what can be."""
    peaks = [
        float(np.abs(v).max())
        for v, crystal in zip(key.values, draft.crystals)
        if v is not None and crystal and np.isfinite(v).all()
    ]
    middle, most = (float(np.median(peaks)), max(peaks)) if peaks else (0.0, 0.0)
    return most if most > LARGEST_STRESS else middle


def _six_sheared(draft: Draft, key: KeyReport) -> bool:
    """Tell whether six numbers' order matters and is open: results of ASE's are in order, whatever the file's was."""
    return any(
        v is not None and v.size == 6 and np.any(v.ravel()[3:] != 0) and key.name in atoms.info
        for v, atoms in zip(key.values, draft.content.frames)
    )


def _ask(draft: Draft, key: KeyReport, size: float, unit: str | None) -> None:
    """Say exactly what to write where unit or order of a stress are open."""
    lines = [f"stress: {key.name}"]
    reasons = []
    if unit is not None:
        lines.append(f"stress_unit: {unit}")
    elif size > LARGEST_STRESS:
        units: tuple[StressUnit, StressUnit] = ("kbar", "GPa")
        likely, other = sorted(units, key=lambda u: abs(np.log(size * STRESS[u] / _USUAL)))
        lines.append(f"stress_unit: {likely} (or {other})")
        reasons.append(f"{size:.3g} is too large for eV/Å³")
    if _six_sheared(draft, key):
        usual = ("vasp", "voigt") if size > LARGEST_STRESS or unit == "kbar" else ("voigt", "vasp")
        lines.append("stress_order: " + " or ".join(f"{order} ({spelt_out(order)})" for order in usual))
        reasons.append("the order of its six numbers is open")
    draft.leave(key, "unit and order open" if len(reasons) == 2 else reasons[0])
    draft.say(
        "warning",
        f"{key.name} looks like a stress and is not proposed: {' and '.join(reasons)}. "
        f"To use it, write {'; '.join(lines)}{_by_volume(draft, key, unit)}",
    )


def _by_volume(draft: Draft, key: KeyReport, unit: str | None) -> str:
    """Say what else a stress may be that is a usual one times the volume; empty where it is not."""
    sizes = [
        float(np.abs(v).max()) / volume
        for v, volume, crystal in zip(key.values, draft.content.volumes, draft.crystals)
        if v is not None and crystal and volume > 0 and np.isfinite(v).all()
    ]
    if unit is not None or not sizes or not _USUAL / 20 < float(np.median(sizes)) < _UNUSUAL:
        return ""
    return (
        f"; but if its numbers are volume × stress in eV, divide them by the volume in the file, or write -{key.name} "
        "under a name of its own and virial: that name"
    )


def _say_order(draft: Draft, key: KeyReport, order: str) -> None:
    """Write the order down where six numbers need one, but for results of ASE's, which are in order."""
    if _six_sheared(draft, key):
        draft.config["stress_order"] = order
        draft.say("note", f"the six numbers of {key.name} are taken for {spelt_out(order)} (stress_order: {order})")


def _with_virial(draft: Draft, stresses: list[KeyReport], virials: list[KeyReport]) -> None:
    """Both are given: what relates them tells the unit, or that one of them is wrong."""
    stress, virial = stresses[0], virials[0]
    relation = related(draft, stress, virial)
    if relation is not None and relation.unit is not None and relation.factor > 0 and not relation.without_volume:
        draft.take_first("stress", stresses)
        for other in virials:
            draft.leave(other, f"{stress.name} says the same")
        if relation.unit != "eV/angstrom^3":
            draft.config["stress_unit"] = relation.unit
            draft.say("note", f"{stress.name} is -{virial.name} / volume in {relation.unit}, so stress_unit is set")
        _say_order(draft, stress, relation.order)
        if relation.order == "vasp":
            draft.config["stress_order"] = "vasp"
        return
    for key in (stress, virial):
        draft.leave(key, "stress and virial contradict each other")
    draft.say("warning", contradiction(stress, virial, relation))

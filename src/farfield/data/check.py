"""What a file holds and what is wrong with it, whatever its keys are called."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ase
import numpy as np

from farfield.data.config import ANNOTATIONS, CONDITIONS, TARGETS
from farfield.data.files import load_structures
from farfield.data.keys import STRUCTURE, Numbers, as_numbers, results
from farfield.data.response_labels import response_findings
from farfield.data.spellings import USUAL
from farfield.data.suspicion import Closest, closest_pairs, geometry_findings, label_findings
from farfield.errors import InputError
from farfield.notices import Grade, Notice
from farfield.system import System

Place = Literal["frame", "atom"]
_IGNORED = STRUCTURE | {"initial_magmoms", "tags", "masses", "momenta"}
_SHAPES: dict[str, tuple[Place, tuple[str, ...]]] = {
    "energy": ("frame", ("number",)),
    "forces": ("atom", ("3 numbers",)),
    "stress": ("frame", ("6 numbers", "9 numbers")),
    "charges": ("atom", ("number",)),
    "dipole": ("frame", ("3 numbers",)),
    "polarization": ("frame", ("3 numbers",)),
    "born_charges": ("atom", ("9 numbers",)),
    "polarizability": ("frame", ("9 numbers",)),
    "total_charge": ("frame", ("number",)),
    "spin": ("frame", ("number",)),
    "external_field": ("frame", ("3 numbers",)),
    "group": ("frame", ("text", "number")),
    "distance": ("frame", ("number",)),
}


@dataclass(frozen=True)
class KeyReport:
    """One key of the file."""

    name: str
    place: Place  # one value per frame, or one per atom
    kind: str  # "number", "3 numbers", "text"
    frames: int  # that have it
    lowest: float | None = None  # of the finite values
    highest: float | None = None
    undefined: int = 0  # frames with a nan in it
    infinite: int = 0  # frames with an infinity in it
    values: list[Numbers | None] = field(default_factory=list, repr=False)  # by frame; None where it is absent or text


@dataclass(frozen=True)
class Report:
    """All there is to say of a file."""

    path: str
    frames: int = 0
    atoms: tuple[int, int] = (0, 0)  # fewest, most in a frame
    formulas: dict[str, int] = field(default_factory=dict)  # → frames, the commonest first
    elements: tuple[str, ...] = ()
    periodicity: dict[str, int] = field(default_factory=dict)  # "TTF" → frames
    volume: tuple[float, float] | None = None  # Å³, of the fully periodic frames
    closest: float | None = None  # Å, shortest distance in the file
    keys: tuple[KeyReport, ...] = ()
    findings: tuple[Notice, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)  # what to write under data: to read it

    @property
    def failed(self) -> bool:
        """Whether there is an error among the findings."""
        return any(finding.grade == "error" for finding in self.findings)


@np.errstate(over="ignore", invalid="ignore")  # numbers beyond all size are findings of their own
def check_file(path: Path | str) -> Report:
    """Read a file without knowing its keys and say what is in it. Never raises for what is wrong with the file."""
    try:
        frames = load_structures(path)
    except InputError as wrong:
        return Report(str(path), findings=(Notice("error", str(wrong)),))
    keys = tuple(_key_reports(frames))
    broken = list(_broken(frames))
    closest = closest_pairs([None if k in dict(broken) else atoms for k, atoms in enumerate(frames)])
    config = _config_for(path, keys, frames)
    findings = [
        *_counted(broken, len(frames)),
        *_key_findings(keys, config, len(frames)),
        *geometry_findings(frames, closest),
        *label_findings(frames, {name: _values(keys, config, name) for name in _SHAPES}),
        *_charge_sums(keys, config, frames),
        *response_findings(frames, {name: _values(keys, config, name) for name in _SHAPES}),
        *_missing_targets(config),
    ]
    return _report(str(path), frames, keys, closest, findings, config)


def _report(
    path: str,
    frames: list[ase.Atoms],
    keys: tuple[KeyReport, ...],
    closest: list[Closest | None],
    findings: list[Notice],
    config: dict[str, Any],
) -> Report:
    sizes = [len(atoms) for atoms in frames]
    volumes = [abs(float(np.linalg.det(atoms.cell.array))) for atoms in frames if atoms.pbc.all()]
    distances = [pair.distance for pair in closest if pair is not None]
    return Report(
        path=path,
        frames=len(frames),
        atoms=(min(sizes), max(sizes)),
        formulas=dict(Counter(atoms.get_chemical_formula() for atoms in frames).most_common()),
        elements=tuple(sorted({symbol for atoms in frames for symbol in atoms.symbols})),
        periodicity=dict(Counter("".join("FT"[int(axis)] for axis in atoms.pbc) for atoms in frames)),
        volume=(min(volumes), max(volumes)) if volumes else None,
        closest=min(distances, default=None),
        keys=keys,
        findings=tuple(sorted(findings, key=lambda f: ("error", "warning", "note").index(f.grade))),
        config=config,
    )


def _key_reports(frames: list[ase.Atoms]) -> Iterator[KeyReport]:
    by_atom = [_per_atom(atoms) for atoms in frames]
    by_frame = [
        {k: v for k, v in {**atoms.info, **results(atoms)}.items() if k not in own}
        for atoms, own in zip(frames, by_atom)
    ]
    for place, rows in (("frame", by_frame), ("atom", by_atom)):
        for name in dict.fromkeys(key for row in rows for key in row):
            yield _key_report(name, "atom" if place == "atom" else "frame", [row.get(name) for row in rows])


def _per_atom(atoms: ase.Atoms) -> dict[str, Any]:
    found = {name: value for name, value in atoms.arrays.items() if name not in _IGNORED}
    of_atoms = ("charges", "forces", "energies", "stresses", "magmoms", "born_effective_charges")
    return found | {name: value for name, value in results(atoms).items() if name in of_atoms}


def _key_report(name: str, place: Place, raw: list[Any]) -> KeyReport:
    values = [None if value is None else as_numbers(value) for value in raw]
    known = [value for value in values if value is not None]
    frames = sum(value is not None for value in raw)
    if not known or len(known) < frames:
        return KeyReport(name, place, "text", frames, values=[None] * len(raw))
    width = {int(np.prod(v.shape[1:])) if place == "atom" else v.size for v in known}
    kind = "number" if width == {1} else f"{' or '.join(map(str, sorted(width)))} numbers"
    finite = np.concatenate([value[np.isfinite(value)].ravel() for value in known])
    return KeyReport(
        name,
        place,
        kind,
        frames,
        lowest=float(finite.min()) if len(finite) else None,
        highest=float(finite.max()) if len(finite) else None,
        undefined=sum(bool(np.isnan(v).any()) for v in known),
        infinite=sum(bool(np.isinf(v).any()) for v in known),
        values=values,
    )


def _broken(frames: list[ase.Atoms]) -> Iterator[tuple[int, str]]:
    """Frames that make no system, and why."""
    for k, atoms in enumerate(frames):
        bare = ase.Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        try:
            System.from_ase(bare)
        except InputError as wrong:
            yield k, str(wrong)


def _counted(broken: list[tuple[int, str]], frames: int) -> Iterator[Notice]:
    if broken:
        others = f" ({len(broken)} of {frames} frames cannot be used)" if len(broken) > 1 else ""
        yield Notice("error", f"frame {broken[0][0]}: {broken[0][1]}{others}")


def _key_findings(keys: Sequence[KeyReport], config: dict[str, Any], frames: int) -> Iterator[Notice]:
    """Gaps: an error where reading stops at them, a warning in a target, a note in what is not used."""
    conditions = {config.get(name, usual) for name, usual in CONDITIONS.items()}
    targets = {config.get(name) for name in TARGETS}
    for key in keys:
        gap: Grade = "warning" if key.name in targets else "note"
        if key.frames < frames:
            stops = key.place == "frame" and key.name in conditions
            yield Notice("error" if stops else gap, f"{key.name} is in only {key.frames} of {frames} frames")
        if key.undefined:
            yield Notice(gap, f"{key.name} is nan in {key.undefined} frames")
        if key.infinite:
            yield Notice("error" if key.name in targets else gap, f"{key.name} is infinite in {key.infinite} frames")


def _config_for(path: Path | str, keys: Sequence[KeyReport], frames: list[ase.Atoms]) -> dict[str, Any]:
    """The lines to write under ``data:``; targets first, the rest only where it differs from the default."""
    config: dict[str, Any] = {"train": str(path)}
    molecules, crystals = not any(a.pbc.any() for a in frames), all(a.pbc.all() for a in frames)
    senseless = {"dipole": not molecules, "stress": not crystals, "polarization": not crystals}
    for name in _SHAPES:
        found = None if senseless.get(name) else _likeliest(name, keys)
        if found is not None and found.name != (CONDITIONS | ANNOTATIONS).get(name):
            config[name] = found.name
    config.setdefault("forces", None)
    partial = {key.name for key in keys if key.frames < len(frames) or key.undefined}
    if missing := [name for name in TARGETS if config.get(name) in partial]:
        config["allow_missing"] = missing
    return config


def _likeliest(name: str, keys: Sequence[KeyReport]) -> KeyReport | None:
    place, kinds = _SHAPES[name]
    fitting = {key.name: key for key in keys if key.place == place and key.kind in kinds}
    for usual in USUAL[name]:
        if usual in fitting:
            return fitting[usual]
    alike: Callable[[str], bool] = {
        "energy": lambda key: key.lower().endswith("energy") and "inter" not in key.lower(),
        "forces": lambda key: "force" in key.lower(),
        "charges": lambda key: "charge" in key.lower() or key.lower().startswith("q_"),
    }.get(name, lambda key: False)  # noqa: ARG005
    return next((fitting[key] for key in fitting if alike(key)), None)


def _values(keys: Sequence[KeyReport], config: dict[str, Any], name: str) -> list[Numbers | None] | None:
    wanted = config.get(name, USUAL[name][0])
    place, kinds = _SHAPES[name]
    found = next((k for k in keys if k.name == wanted and k.place == place and k.kind in kinds), None)
    return None if found is None else found.values


def _charge_sums(keys: Sequence[KeyReport], config: dict[str, Any], frames: list[ase.Atoms]) -> Iterator[Notice]:
    """Atomic charges of any name that do not add up to the total charge."""
    totals = _values(keys, config, "total_charge") or [None] * len(frames)
    for key in keys:
        if key.place != "atom" or key.kind != "number" or not _charge_like(key.name):
            continue
        off = [
            abs(float(q.sum()) - (0.0 if total is None else float(total.reshape(()))))
            for q, total in zip(key.values, totals)
            if q is not None and np.isfinite(q).all()
        ]
        if max(off, default=0.0) > 0.01:
            what = "the total charge" if any(t is not None for t in totals) else "0 (no total charge in the file)"
            worst = int(np.argmax(off))
            yield Notice("warning", f"{key.name} adds up to {what} only within {max(off):.3g} e (frame {worst})")


def _charge_like(name: str) -> bool:
    return "charge" in name.lower() or name.lower().startswith("q_") or name.lower() == "q"


def _missing_targets(config: dict[str, Any]) -> Iterator[Notice]:
    if "energy" not in config:
        yield Notice("warning", "nothing looks like an energy: give its key, data: energy: KEY")
    if config["forces"] is None:
        yield Notice("note", "nothing looks like forces: training on energies alone needs many more frames")

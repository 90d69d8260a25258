"""One HTML file with everything that a run, or several side by side, found out."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml
from ase.data import chemical_symbols

from farfield.atomic_write import write_atomically
from farfield.data.statistics import Statistics
from farfield.errors import InputError
from farfield.evaluation import Evaluation
from farfield.evaluation.errors import significant
from farfield.report import tables
from farfield.report.binding import binding_pictures
from farfield.report.charges import charge_histograms, fragment_charge_pictures
from farfield.report.laws import faults, laws
from farfield.report.learning import learning_pictures
from farfield.report.parity import PARITIES, parity_pictures
from farfield.report.result import SPLIT_NAMES, RunResult, headline_split, splits_of
from farfield.report.style import Picture, formula, looks


@dataclass(frozen=True)
class Gallery:
    """Pictures under one heading."""

    title: str
    pictures: tuple[Picture, ...]


def write_report(path: Path | str, runs: Sequence[RunResult], *, title: str) -> Path:
    """Write the page for one run, or for several side by side: a single file, no address outside, whole or not at all.

    Raises:
        InputError: no runs, two runs of one name, or a folder that cannot be written.
    """
    names = [run.name for run in runs]
    if not runs:
        raise InputError("a report needs at least one run")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two runs are called {', '.join(twice)}: give each a name of its own")
    return render(path, "page.html.j2", title=title, **_content(runs))


def render(path: Path | str, template: str, **content: Any) -> Path:
    """Write one of the pages.

    Raises:
        InputError: a folder that cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("farfield.report", ""), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template(template).render(**content)
    write_atomically(Path(path), page.encode())
    return Path(path)


def _content(runs: Sequence[RunResult]) -> dict[str, Any]:
    split = headline_split(runs)
    headline = tables.verdict(runs, split) if split else []
    return {
        "names": [run.name for run in runs],
        "looks": looks(runs),
        "subtitle": _subtitle(runs, split),
        "split": SPLIT_NAMES.get(split, split) if split else "",
        "verdict": headline,
        "sentence": tables.sentence(headline, [run.name for run in runs]),
        "warnings": list(dict.fromkeys(warning for run in runs for warning in run.warnings)),
        "notes": [(run.name, note) for run in runs for note in run.notes],
        "along_distance": _along_distance(runs),
        "physics": laws(runs),
        "faults": faults(runs),
        "by_split": tables.by_split(runs),
        "by_group": tables.by_group(runs, split) if split else [],
        "learning": learning_pictures(runs),
        "parity": _parity(runs, split) if split else [],
        "charges": charge_histograms(runs),
        "charged": [any("charges" in e.compared for e in run.evaluations.values()) for run in runs],
        "timings": tables.timings(runs, split) if split else [],
        "data": [_described(runs, name) for name in splits_of(runs)],
        "statistics": _statistics(next((run.statistics for run in runs if run.statistics is not None), None)),
        "configurations": [(run.name, as_yaml(run.config)) for run in runs if run.config],
        "versions": _versions(runs),
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def as_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as one would type it."""
    plain = json.loads(json.dumps(config, default=str))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _subtitle(runs: Sequence[RunResult], split: str | None) -> str:
    parts = [f"{len(runs)} models side by side" if len(runs) > 1 else f"{runs[0].kind or runs[0].name}"]
    for name, verb in (("train", "trained"), (split, "judged")):
        found = next((run.evaluations[name] for run in runs if name in run.evaluations), None) if name else None
        if found is not None:
            parts.append(f"{verb} on {tables.thousands(found.n_frames)} structures")
    return " · ".join(parts)


def _parity(runs: Sequence[RunResult], split: str) -> list[Gallery]:
    found = [Gallery(p.title, tuple(parity_pictures(runs, split, p))) for p in PARITIES]
    return [gallery for gallery in found if gallery.pictures]


def _along_distance(runs: Sequence[RunResult]) -> list[Picture]:
    """Draw of every group its binding curve and, beside it, the charge of its first fragment."""
    energies, charges = binding_pictures(runs), fragment_charge_pictures(runs)
    groups = dict.fromkeys([*energies, *charges])
    return [found[group] for group in groups for found in (energies, charges) if group in found]


def _described(runs: Sequence[RunResult], split: str) -> dict[str, str]:
    """Describe a split, as the first run that has it saw it."""
    e = next(run.evaluations[split] for run in runs if split in run.evaluations)
    reach = e.distance[np.isfinite(e.distance)]
    groups = zip(*np.unique(e.group, return_counts=True))
    targets = [name for name, both in e.compared.items() if np.isfinite(both.reference).any()]
    return {
        "split": SPLIT_NAMES.get(split, split),
        "frames": tables.thousands(e.n_frames),
        "atoms": tables.thousands(float(e.n_atoms.sum())),
        "elements": ", ".join(chemical_symbols[z] for z in np.unique(e.numbers)),
        "groups": ", ".join(f"{formula(str(name))} ({count})" for name, count in groups),
        "distances": f"{reach.min():.1f}–{reach.max():.1f} Å" if len(reach) else tables.NOTHING,
        "labels": ", ".join(targets) or tables.NOTHING,
        "files": ", ".join(_files(e)) or tables.NOTHING,
    }


def _files(evaluation: Evaluation) -> list[str]:
    """Names of the files the frames came from, without the position in them."""
    return sorted({re.sub(r"(\[\d+\]|[:#@, ]+(frame |structure )?\d+)$", "", str(s)) for s in evaluation.source} - {""})


def _statistics(found: Statistics | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    baseline = ", ".join(f"{chemical_symbols[z]} {float(e):.3f}" for z, e in zip(found.species, found.baseline))
    return [
        ("Baseline (eV per atom)", baseline),
        ("Energy above it, rms", f"{significant(1e3 * found.energy_scale)} meV/atom"),
        ("Force component, rms", f"{significant(1e3 * found.force_scale)} meV/Å"),
        ("Neighbours of an atom", significant(found.average_neighbors)),
    ]


def _versions(runs: Sequence[RunResult]) -> list[tuple[str, str]]:
    """Each package once; where runs differ, all their versions."""
    names = dict.fromkeys(name for run in runs for name in run.versions)
    return [
        (name, ", ".join(dict.fromkeys(str(r.versions[name]) for r in runs if name in r.versions))) for name in names
    ]

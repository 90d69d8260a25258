"""Predicted charges: how they are spread over each element, and what becomes of a fragment's as it leaves."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from ase.data import chemical_symbols
from ase.symbols import Symbols
from matplotlib.figure import Figure

from farfield.evaluation.record import Floats
from farfield.report.binding import draw_along_distance, draw_errors, shade_trained
from farfield.report.curves import curve, fragment_charge, groups_along_distance
from farfield.report.result import RunResult, headline_split, longest_trained
from farfield.report.style import FAINT, GRID, RC, Look, Picture, formula, looks, picture


def fragment_charge_pictures(runs: Sequence[RunResult]) -> dict[str, Picture]:
    """For every group with a distance: the charge of its first fragment, beside labels and its formal charge.

    Below it the errors, where there are labels.
    """
    return {group: _fragment_charge(runs, group) for group in groups_along_distance(runs, fragment_charge)}


def _fragment_charge(runs: Sequence[RunResult], group: str) -> Picture:
    curves = [(r.name, look, c) for r, look in zip(runs, looks(runs)) if (c := curve(r, group, fragment_charge))]
    labelled = any(np.isfinite(c.reference).any() for _, _, c in curves)
    formal, name = _formal_charge(runs, group), _first_fragment(runs, group)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(4.3, 4.4 if labelled else 2.8), layout="constrained")
        top, *below = np.atleast_1d(
            figure.subplots(1 + labelled, 1, sharex=True, height_ratios=(1.45, 1)[: 1 + labelled])
        )
        draw_along_distance(top, curves, reference="reference", level=formal)
        top.set_title(formula(group), pad=15)
        top.set(ylabel=f"charge of {formula(name)} (e)", xlabel="" if labelled else "distance (Å)")
        if labelled:
            draw_errors(below[0], curves, unit="me")
        for axes in (top, *below):
            shade_trained(axes, longest_trained(runs, group), named=axes is top)
    said = "; ".join(f"{run} {c.predicted[-1]:+.2f} e" for run, _, c in curves)
    formally = f", formally {formal:+g} e" if np.isfinite(formal) else ""
    return picture(figure, f"Charge of {name} in {group} against distance{formally}. At the far end: {said}.")


def charge_histograms(runs: Sequence[RunResult]) -> list[Picture]:
    """For every element: the predicted charges of each run as outlines, the labelled ones as a filled shape."""
    split = headline_split(runs)
    shown = [(r, look) for r, look in zip(runs, looks(runs)) if split in r.evaluations]
    shown = [(r, look) for r, look in shown if "charges" in r.evaluations[split or ""].compared]
    if not shown or split is None:
        return []
    elements = sorted({int(z) for run, _ in shown for z in np.unique(run.evaluations[split].numbers)})
    out = []
    for z in elements:
        labels, predicted = _charges_of(shown[0][0], split, z)[0], []
        for run, look in shown:
            predicted.append((run.name, look, _charges_of(run, split, z)[1]))
        out.append(_histogram(chemical_symbols[z], labels, predicted))
    return out


def _histogram(symbol: str, labels: Floats, predicted: list[tuple[str, Look, Floats]]) -> Picture:
    edges = _edges(np.concatenate([labels, *(values for _, _, values in predicted)]))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(2.9, 2.1), layout="constrained")
        axes = figure.subplots()
        if len(labels):
            axes.hist(labels, edges, color=GRID, edgecolor=FAINT, linewidth=0.5, label="reference")
        for name, look, values in predicted:
            axes.hist(
                values, edges, histtype="step", color=look.colour, linestyle=look.dashes, linewidth=1.5, label=name
            )
        axes.set(title=symbol, xlabel="charge (e)", ylabel="atoms")
    said = "; ".join(
        f"{name} {values.mean():+.2f} ± {values.std():.2f} e" for name, _, values in predicted if len(values)
    )
    given = f"reference {labels.mean():+.2f} ± {labels.std():.2f} e; " if len(labels) else ""
    return picture(figure, f"Charges of {symbol}: {given}{said}.")


def _edges(values: Floats) -> list[float]:
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    middle, half = (low + high) / 2, max((high - low) / 2, 0.02)
    return [float(edge) for edge in np.linspace(middle - 1.05 * half, middle + 1.05 * half, 36)]


def _charges_of(run: RunResult, split: str, z: int) -> tuple[Floats, Floats]:
    """Labelled and predicted charges of an element."""
    evaluation = run.evaluations[split]
    both, mine = evaluation.compared["charges"], evaluation.numbers == z
    reference, predicted = both.reference[mine], both.predicted[mine]
    return reference[np.isfinite(reference)], predicted[np.isfinite(predicted)]


def _formal_charge(runs: Sequence[RunResult], group: str) -> float:
    found = {float(q) for r in runs for e in r.evaluations.values() for q in e.fragment_charge[e.group == group]}
    return found.pop() if len(found) == 1 else float("nan")


def _first_fragment(runs: Sequence[RunResult], group: str) -> str:
    """Name the first fragment: as the group does, where that begins with a word of the same atoms; else by Hill."""
    for evaluation in (e for run in runs for e in run.evaluations.values()):
        frames = np.flatnonzero((evaluation.group == group) & np.isfinite(evaluation.fragment_charge))
        if len(frames):
            numbers = evaluation.numbers[(evaluation.frame == frames[0]) & (evaluation.fragment == 0)]
            word = group.split(" ")[0]
            try:
                alike = sorted(Symbols.fromsymbols(word.rstrip("+-")).numbers) == sorted(numbers)
            except (KeyError, ValueError):
                alike = False
            return word if alike else str(Symbols(numbers).get_chemical_formula())
    return "first fragment"

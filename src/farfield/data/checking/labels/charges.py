"""Keys of atomic charges, total charge and spin, and whether these fit together."""

from collections.abc import Iterator, Sequence

import numpy as np

from farfield.data.checking.content import Content
from farfield.data.checking.draft import Draft, difference
from farfield.data.checking.keys import KeyReport
from farfield.data.checking.phrases import listed_frames, signed
from farfield.data.keys import Numbers
from farfield.data.spellings import is_multiplicity, words
from farfield.notices import Notice

_UNSPECIFIC = frozenset({"charge", "charges", "q"})
"""Names that say nothing of how the charges were found."""

_WHOLE = 0.02
"""e; charges of atoms that are rounded add up to whole ones within this."""


def propose_charges(draft: Draft) -> None:
    """Take charges that are labels; name what a calculation started from; take neither where that is not certain."""
    starts = [key for key in draft.content.keys if key.place == "atom" and key.name == "initial_charges"]
    found = draft.sound("charges")
    start = next((key for key in starts if key.largest > 0), None)
    for key in starts:
        draft.leave(key, "what a calculation started from")
    if start is not None and not found:
        draft.say(
            "note",
            "initial_charges are what a calculation starts from (or a dump's q): not proposed; "
            "if they are labels, charges: initial_charges",
        )
    if start is not None and found and _open(start, found[0]):
        _say_both(draft, start, found[0])
    else:
        draft.take_first("charges", found)


def _open(start: KeyReport, labels: KeyReport) -> bool:
    return labels.name.lower() in _UNSPECIFIC and difference(start, labels) != 0


def _say_both(draft: Draft, start: KeyReport, labels: KeyReport) -> None:
    for key in (start, labels):
        draft.leave(key, "two keys could be the charges")
    draft.say(
        "warning",
        f"{start.name} and {labels.name} could both be the charges, and differ: neither is "
        f"proposed; write charges: {labels.name}, or charges: {start.name}",
    )


def propose_total_charge(draft: Draft) -> None:
    """Take a total charge under any usual name; warn of a second one that says something else."""
    found = draft.candidates("total_charge")
    if not found:
        return
    draft.take("total_charge", found[0])
    for other in found[1:]:
        draft.leave(other, f"{found[0].name} is read")
        if apart := difference(found[0], other):
            draft.say(
                "warning",
                f"{found[0].name} and {other.name} disagree about the total charge by up to {apart:.3g} e: "
                f"{found[0].name} is read",
            )


def propose_spin(draft: Draft) -> None:
    """Take a spin, as 2S or 2S + 1: by its name, unless the number of electrons leaves only the other."""
    found = draft.candidates("spin")
    if not found:
        return
    key = found[0]
    draft.take("spin", key)
    for other in found[1:]:
        draft.leave(other, f"{key.name} is read")
    values = _numbers(key, len(draft.content.frames))
    named = is_multiplicity(key.name)
    multiplicity = named
    if not named and (values >= 1).all() and _parity_fits(draft, values - 1) and not _parity_fits(draft, values):
        multiplicity = True
    if named and ((values < 1) | (values != np.round(values))).any():
        multiplicity = False
    if multiplicity:
        draft.config["spin"], draft.config["spin_unit"] = key.name, "multiplicity"
    unpaired = values - multiplicity
    shown = ", ".join(f"{s:g} in {int((unpaired == s).sum())}" for s in np.unique(unpaired)[:6])
    if multiplicity == named:
        if multiplicity:
            draft.say("note", f"{key.name} is the multiplicity 2S + 1 (2S, frames: {shown})")
        return
    taken = "the multiplicity 2S + 1" if multiplicity else "2S"
    why = "only so it fits the number of electrons" if multiplicity else "a multiplicity is 1, 2, 3, …"
    draft.say("warning", f"{key.name} is taken for {taken}: {why} (2S, frames: {shown})")


def _parity_fits(draft: Draft, unpaired: Numbers) -> bool:
    return not odd_electrons(draft.content, unpaired, total_charges(draft)).any()


def odd_electrons(content: Content, unpaired: Numbers, charges: Numbers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Frames ``(frames,)`` whose number of electrons cannot leave so many unpaired."""
    electrons = np.array([int(atoms.numbers.sum()) for atoms in content.frames]) - np.round(charges)
    odd: np.ndarray[tuple[int], np.dtype[np.bool_]] = (electrons - unpaired) % 2 != 0
    return odd


def total_charges(draft: Draft) -> Numbers:
    """Total charge of each frame ``(frames,)``; 0 where the file says none."""
    key = draft.chosen.get("total_charge")
    frames = len(draft.content.frames)
    return np.zeros(frames) if key is None else _numbers(key, frames)


def spins(draft: Draft) -> Numbers:
    """Unpaired electrons of each frame ``(frames,)``; 0 where the file says none."""
    key = draft.chosen.get("spin")
    frames = len(draft.content.frames)
    return np.zeros(frames) if key is None else _numbers(key, frames) - ("spin_unit" in draft.config)


def electron_findings(draft: Draft) -> Iterator[Notice]:
    """Report what total charges and spins tell."""
    total = total_charges(draft)
    if "total_charge" not in draft.chosen:
        yield Notice("note", "no total charge in the file: taken for 0")
    elif (fractional := np.abs(total - np.round(total)) > 1e-3).any():
        yield Notice(
            "warning", f"total charge is not an integer in {listed_frames(np.flatnonzero(fractional).tolist())}"
        )
    else:
        tally = ", ".join(f"{signed(q)} ({int((total == q).sum())})" for q in np.unique(total + 0.0))
        yield Notice("note", f"total charges (frames): {tally}")
    if "spin" in draft.chosen and len(odd := np.flatnonzero(odd_electrons(draft.content, spins(draft), total))):
        yield Notice(
            "warning", f"charge and spin (2S) do not fit the number of electrons in {listed_frames(odd.tolist())}"
        )


def charge_sum_findings(draft: Draft) -> Iterator[Notice]:
    """Atomic charges of any name that do not add up to the total charge."""
    totals, stated = total_charges(draft), "total_charge" in draft.chosen
    keys = [k for k in draft.content.keys if k.place == "atom" and k.widths == {1} and _charge_like(k.name)]
    labels = [key for key in keys if key.name != "initial_charges" and key.largest]
    for key in labels or keys:
        summed = _sums(key.values)
        off = np.nan_to_num(np.abs(summed - totals))
        if off.max(initial=0.0) <= 0.01:
            continue
        if not stated and (np.abs(off - np.round(off)) < _WHOLE).all():
            whole = np.round(summed[off > 0.5])
            tally = ", ".join(f"{signed(q)} ({int((whole == q).sum())})" for q in np.unique(whole))
            yield Notice(
                "warning",
                f"{key.name} add up to whole charges (frames): {tally}, but the file has no total charge "
                "(taken for 0): write charge=… into every frame",
            )
            continue
        what = "the total charge" if stated else "0 (no total charge in the file)"
        yield Notice(
            "warning", f"{key.name} adds up to {what} only within {off.max():.3g} e (frame {int(off.argmax())})"
        )


def _sums(values: Sequence[Numbers | None]) -> Numbers:
    return np.array([np.nan if q is None or not np.isfinite(q).all() else float(q.sum()) for q in values])


def _charge_like(name: str) -> bool:
    found = words(name)
    return bool({"charge", "charges", "chg", "q"} & set(found)) and not {"born", "nuclear", "core"} & set(found)


def _numbers(key: KeyReport, frames: int) -> Numbers:
    found = np.zeros(frames)
    for k, value in enumerate(key.values):
        if value is not None and np.isfinite(value).all():
            found[k] = float(value.reshape(-1)[0])
    return found

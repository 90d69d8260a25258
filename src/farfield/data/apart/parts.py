"""Frames whose parts nothing joins: what each part carries, by the file, or by its bonds and the total charge.

Parts whose orbitals do not overlap have whole numbers of electrons. Which, the file may say; if not, their bonds do
where shells are closed. Nothing is claimed where that leaves a choice, of an open shell, of a single atom beside
another (an ion pair far apart may be neutral atoms as well), of charges of both signs unless each is that of an ion
met as such (two radicals have an ionic Lewis structure, too), or where file and bonds contradict each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.data.apart.lewis import Molecule, prices
from farfield.data.apart.stable_ions import has_onium, is_stable_ion
from farfield.data.frame import Fragments, Frame
from farfield.geometry.molecules import Contacts, hang_together

MARGIN = 1.0
"""Price by which the best charges must beat all others."""
_WHOLE = 1e-3


@dataclass(frozen=True)
class Found:
    """Parts of one frame, as far as they are known."""

    parts: Fragments | None = None  # None where nothing is claimed
    contradiction: str = ""  # what bonds say against the file


def with_parts_apart(frames: Sequence[Frame]) -> tuple[list[Frame], list[str]]:
    """Frames that know their parts so far as these are apart, and in words where the file is contradicted."""
    found = [parts_apart(frame) for frame in frames]
    known = [replace(frame, apart=each.parts) for frame, each in zip(frames, found)]
    return known, [f"{f.source}: {each.contradiction}" for f, each in zip(frames, found) if each.contradiction]


def parts_apart(frame: Frame) -> Found:
    """Find the parts of a frame, numbered in the order of their first atoms, and what each carries."""
    system = frame.system
    if hang_together(system):
        return Found()
    contacts = Contacts.of(system)
    index = contacts.groups(system.n_atoms)
    if int(index.max()) == 0:
        return Found()
    told, bonds = _told(frame, index), _by_bonds(frame, contacts, index)
    if told is not None and bonds is not None and not torch.equal(told, bonds):
        return Found(contradiction=f"charges {_listed(told)} of its parts, where bonds say {_listed(bonds)}")
    charges = bonds if told is None else told
    return Found() if charges is None else Found(Fragments(index, charges, torch.full_like(charges, torch.nan)))


def _listed(charges: Tensor) -> str:
    return ", ".join(f"{q:+g}" if q else "0" for q in charges.tolist())


def _told(frame: Frame, index: Tensor) -> Tensor | None:
    """Read what the file says of every part ``(parts,)``; a part may be several of its fragments."""
    system = frame.system
    if system.fragment is None or system.fragment_charges is None:
        return None
    charges, size = system.fragment_charges[0].double(), len(system.fragment_charges[0])
    owner = torch.full((size,), -1).scatter(0, system.fragment, index)  # the part a fragment lies in
    if not torch.equal(owner[system.fragment], index):
        return None  # it lies in several
    mine = owner >= 0
    total = torch.zeros(int(index.max()) + 1, dtype=torch.float64).index_add(0, owner[mine], charges[mine])
    return total if bool(((total - total.round()).abs() < _WHOLE).all()) else None


def _by_bonds(frame: Frame, contacts: Contacts, index: Tensor) -> Tensor | None:
    """Derive the charge of every part from bonds ``(parts,)``, e; None where they leave a choice."""
    total = float(frame.system.charge[0])
    if float(frame.system.spin[0]) or abs(total - round(total)) > _WHOLE:
        return None
    molecules = _molecules(frame.system.numbers, contacts, index)
    options = [prices(molecule) for molecule in molecules]
    dumb = [k for k, option in enumerate(options) if not option]
    if len(dumb) > 1:
        return None
    if dumb:  # carries what the others leave
        return _with_rest(options, dumb[0], molecules, round(total))
    chosen = cheapest(options, round(total))
    if chosen is None or not _is_plausible(molecules, chosen):
        return None
    return torch.tensor(chosen, dtype=torch.float64)


def _is_plausible(molecules: Sequence[Molecule], charges: Sequence[int]) -> bool:
    """Tell whether at most one part is charged, as the total has it, or all that are, are ions by themselves.

    Beside onium ions, which are nothing else, whatever carries the rest is an anion.
    """
    ions = [(molecule, charge) for molecule, charge in zip(molecules, charges) if charge]
    if len(ions) < 2 or all(is_stable_ion(molecule, charge) for molecule, charge in ions):
        return True
    return all(has_onium(molecule) for molecule, charge in ions if charge > 0)


def _with_rest(options: list[dict[int, float]], rest: int, molecules: Sequence[Molecule], total: int) -> Tensor | None:
    """Charges of all parts where those of all but ``rest`` are certain by themselves; no anions, in doubt radicals."""
    chosen = [0 if k == rest else _certain(option) for k, option in enumerate(options)]
    if any(charge is None or charge < 0 for charge in chosen):
        return None
    left = total - sum(charge for charge in chosen if charge is not None)
    if left not in molecules[rest].closed_shells or (left and not is_stable_ion(molecules[rest], left)):
        return None  # who has the charge then is a matter of ionisation energies
    charges = [left if charge is None or k == rest else charge for k, charge in enumerate(chosen)]
    return torch.tensor(charges, dtype=torch.float64) if _is_plausible(molecules, charges) else None


def _certain(option: dict[int, float]) -> int | None:
    best, *others = sorted(option, key=lambda charge: option[charge])
    return best if not others or option[others[0]] - option[best] >= MARGIN else None


def cheapest(options: Sequence[dict[int, float]], total: int) -> tuple[int, ...] | None:
    """Choose from every part's charges and their prices; None where no sum meets ``total``, or several nearly as well.

    Of every sum so far the two cheapest ways to it are kept.
    """
    ways: dict[int, list[tuple[float, tuple[int, ...]]]] = {0: [(0.0, ())]}
    for option in options:
        longer: dict[int, list[tuple[float, tuple[int, ...]]]] = {}
        for so_far, known in ways.items():
            for charge, price in option.items():
                longer.setdefault(so_far + charge, []).extend((paid + price, (*way, charge)) for paid, way in known)
        ways = {sum_: sorted(found)[:2] for sum_, found in longer.items()}
    best, *others = ways.get(total, [(float("inf"), ())])
    clear = best[1] != () and (not others or others[0][0] - best[0] >= MARGIN)
    return best[1] if clear else None


def _molecules(numbers: Tensor, contacts: Contacts, index: Tensor) -> list[Molecule]:
    bonds = torch.stack([contacts.i, contacts.j], 1)[contacts.bonded]
    out = []
    for part in range(int(index.max()) + 1):
        atoms = (index == part).nonzero()[:, 0]
        place = torch.full_like(index, -1)
        place[atoms] = torch.arange(len(atoms))
        mine = place[bonds[index[bonds[:, 0]] == part]].tolist()
        out.append(Molecule.of(numbers[atoms].tolist(), [(i, j) for i, j in mine]))
    return out

"""A batch taken apart into what one padded sum can take: one kind of periodicity, sizes not too unlike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from farfield.coulomb.plan import Plan
from farfield.coulomb.sources import Charged
from farfield.errors import InputError
from farfield.system import System

Method = Literal["auto", "direct", "ewald", "mesh"]

SPREAD = 4
"""Sizes within this factor share a padded sum, once the batch is worth taking apart."""

WORTH_SPLITTING = 1 << 20
"""Padded entries (systems · longest²) from which waste counts more than a second pass."""


@dataclass(frozen=True)
class Part:
    """Some systems of a batch."""

    charged: Charged
    systems: Tensor  # ascending indices of its systems in the batch
    places: Tensor  # of its sources in the batch
    periodic: bool
    whole: bool  # it is the batch


def parts(charged: Charged, method: Method) -> Iterator[Part]:
    """The parts of a batch.

    Raises:
        InputError: slabs and wires; a method that the periodicity does not allow.
    """
    for systems, periodic in _kinds(charged.system, method):
        for group in _similar(charged.system, systems):
            if len(group) == charged.system.n_systems:
                places = torch.arange(charged.system.n_atoms, device=group.device)
                yield Part(charged, group, places, periodic, True)
            else:
                small, places = charged.part(group)
                yield Part(small, group, places, periodic, False)


def join(pieces: list[tuple[Part, Tensor]], rows: int, places: Callable[[Part], Tensor]) -> Tensor:
    """Put each part's rows back where they stand in the batch; differentiable."""
    if len(pieces) == 1 and pieces[0][0].whole:
        return pieces[0][1]
    first = pieces[0][1]
    out = first.new_zeros(rows, *first.shape[1:])
    for part, values in pieces:
        out = out.index_copy(0, places(part), values)
    return out


def refuse_partly_periodic(system: System) -> None:
    """Raise InputError on slabs and wires."""
    directions = system.periodic.sum(1)
    partly = ((directions > 0) & (directions < 3)).nonzero().squeeze(1)
    if len(partly):
        where = int(partly[0])
        raise InputError(
            f"structure {where} is periodic along {system.periodic[where].tolist()}: this version sums open (F F F) "
            "and fully periodic (T T T) systems, slabs and wires (one or two periodic axes) come with a later one"
        )


def periodic_systems(system: System) -> Tensor:
    """Indices of the fully periodic systems; the others are open, or an InputError."""
    refuse_partly_periodic(system)
    return system.periodic.all(1).nonzero().squeeze(1)


def _kinds(system: System, method: Method) -> Iterator[tuple[Tensor, bool]]:
    directions = system.periodic.sum(1)
    for count, periodic, wrong in ((0, False, "ewald"), (3, True, "direct")):
        chosen = (directions == count).nonzero().squeeze(1)
        if len(chosen) and method == wrong:
            kind = "periodic" if periodic else "open"
            raise InputError(f'structure {int(chosen[0])} is {kind}, which method="{wrong}" cannot sum; use "auto"')
        if len(chosen):
            yield chosen, periodic
    refuse_partly_periodic(system)


def _similar(system: System, systems: Tensor) -> Iterator[Tensor]:
    sizes = system.atoms_per_system[systems].clamp_min(1)
    longest = int(sizes.max())
    if len(systems) * longest**2 < WORTH_SPLITTING or int(sizes.min()) * SPREAD >= longest:
        yield systems
        return
    grade = torch.log(longest / sizes.double()).div(torch.log(torch.tensor(float(SPREAD)))).floor()
    for value in sorted(set(grade.tolist())):
        yield systems[grade == value]


def part_of_plan(plan: Plan | None, part: Part) -> Plan | None:
    """The rows of a plan that belong to a part."""
    return plan if plan is None or part.whole else plan.part(part.systems)

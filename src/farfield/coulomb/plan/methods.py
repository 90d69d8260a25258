"""A batch taken apart into what one padded sum can take: periodic along equally many axes, sizes not too unlike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.errors import InputError
from farfield.system import System

Method = Literal["auto", "direct", "ewald", "mesh"]

Kind = Literal["direct", "ewald", "mesh"]

SPREAD = 4
"""Sizes within this factor share a padded sum, once the batch is worth taking apart."""

MESH_FROM = 1000
"""Atoms of a periodic system from which a mesh beats structure factors of charges, whose sums are one fused pass."""

MULTIPOLE_MESH_FROM = 200
"""The same of dipoles and quadrupoles, in whose iterations waves are a matrix."""

ALIKE_MESH_FROM = 32
"""The same of multipoles that are Gaussians of one fixed width, of which a mesh leaves no pairs."""

OPEN_MESH_FROM = 5000
"""Atoms of an open system from which a mesh beats the direct sum."""

WORTH_SPLITTING = 1 << 20
"""Padded entries (systems · longest²) from which waste counts more than a second pass."""


@dataclass(frozen=True)
class Part:
    """Some systems of a batch."""

    placed: PlacedSources
    systems: Tensor  # ascending indices of its systems in the batch
    places: Tensor  # of its sources in the batch
    kind: Kind
    whole: bool  # it is the batch


def parts(
    placed: PlacedSources,
    method: Method,
    plan: Plan | None = None,
    *,
    dense: bool = False,
    points: System | None = None,
) -> Iterator[Part]:
    """The parts of a batch; a plan has settled which systems have a mesh, ``dense`` that none has.

    With ``points`` the sums are those of the sources at points of the same systems.

    Raises:
        InputError: a method that the periodicity does not allow.
    """
    system = placed.system
    meshed = torch.zeros_like(system.periodic[:, 0]) if dense else _wants_mesh(placed, method, plan, points)
    for systems, kind in _kinds(system, method, meshed):
        for group in _similar(system, systems) if kind != "mesh" else [systems]:
            if len(group) == system.n_systems:
                places = torch.arange(system.n_atoms, device=group.device)
                yield Part(placed, group, places, kind, True)
            else:
                small, places = placed.part(group)
                yield Part(small, group, places, kind, False)


def join(pieces: list[tuple[Part, Tensor]], rows: int, places: Callable[[Part], Tensor]) -> Tensor:
    """Put each part's rows back where they stand in the batch; differentiable."""
    if len(pieces) == 1 and pieces[0][0].whole:
        return pieces[0][1]
    first = pieces[0][1]
    out = first.new_zeros(rows, *first.shape[1:])
    for part, values in pieces:
        out = out.index_copy(0, places(part), values)
    return out


def _kinds(system: System, method: Method, meshed: Tensor) -> Iterator[tuple[Tensor, Kind]]:
    """Systems that are periodic along equally many axes and summed in one way."""
    dimensions = system.periodic.sum(1)
    if method == "direct" and (dimensions > 0).any():
        where = int((dimensions > 0).nonzero()[0])
        raise InputError(f'structure {where} is periodic, which method="direct" cannot sum; use "auto"')
    for count in sorted(set(dimensions.tolist()), reverse=True):
        here = dimensions == count
        rest: Kind = "ewald" if count or method == "ewald" else "direct"
        named: tuple[tuple[Kind, Tensor], ...] = (("mesh", here & meshed), (rest, here & ~meshed))
        for name, chosen in named:
            if chosen.any():
                yield chosen.nonzero().squeeze(1), name


def _wants_mesh(placed: PlacedSources, method: Method, plan: Plan | None, points: System | None) -> Tensor:
    if plan is not None:
        return plan.meshed
    system = placed.system
    if method == "auto":
        multipoles = ALIKE_MESH_FROM if placed.uniform else MULTIPOLE_MESH_FROM
        least = multipoles if placed.moments.rank else MESH_FROM
        sizes = open_sizes = system.atoms_per_system
        if points is not None:  # few points make few pairs
            open_sizes = torch.minimum(sizes, (sizes * points.atoms_per_system).double().sqrt())
        return torch.where(system.periodic.any(1), sizes >= least, open_sizes >= OPEN_MESH_FROM)
    return torch.full_like(system.atoms_per_system, method == "mesh", dtype=torch.bool)


def _similar(system: System, systems: Tensor) -> Iterator[Tensor]:
    sizes = system.atoms_per_system[systems].clamp_min(1)
    longest = int(sizes.max())
    if len(systems) * longest**2 < WORTH_SPLITTING or int(sizes.min()) * SPREAD >= longest:
        yield systems
        return
    grade = torch.log(longest / sizes.double()).div(torch.log(torch.tensor(float(SPREAD)))).floor()
    for value in sorted(set(grade.tolist())):
        yield systems[grade == value]

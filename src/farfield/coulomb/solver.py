"""A Coulomb sum of one system after the other, each a little different: what holds is kept."""

from typing import Any, NamedTuple

import torch

from farfield.coulomb.coulomb import Coulomb
from farfield.coulomb.evaluate import Electrostatics
from farfield.coulomb.plan.box import Box, box_of
from farfield.coulomb.plan.plan import Plan
from farfield.errors import InputError
from farfield.geometry.kept import KeptNeighbors, same_batch
from farfield.system import System

STRETCH = 0.01
"""Part by which a cell may have changed in any direction before its sums are planned anew."""


LEEWAY = 2.0
"""Å by which sources may have come closer together along an open axis before their sums are planned anew."""


class Solver:
    """``Coulomb`` for the steps of a simulation: plan, mesh and neighbours stay until cell or positions demand others.

    Within one plan the energy is a smooth function of positions and cell; ``plans`` and ``searches`` count how often
    either was made.

    Args:
        coulomb: what is summed, and how exactly.
        skin: Å beyond the cutoff that neighbours are listed for.
    """

    def __init__(self, coulomb: Coulomb | None = None, *, skin: float = 1.0) -> None:
        if coulomb is not None and not isinstance(coulomb, Coulomb):
            raise InputError(f"Solver takes a Coulomb, not {coulomb!r}: Solver(Coulomb(error=…))")
        self.coulomb = coulomb or Coulomb()
        self.plans = self.searches = 0
        self._kept = KeptNeighbors(skin)
        self._plan: Plan | None = None
        self._made_for: _MadeFor | None = None

    def evaluate(self, system: System, *, widths: torch.Tensor | float | None = None, **sources: Any) -> Electrostatics:
        """Evaluate as ``Coulomb.evaluate`` does, on the atoms of a system."""
        system, plan = self._prepared(system, widths, sources)
        return self.coulomb.evaluate(system, widths=widths, plan=plan, **sources)

    def energy(self, system: System, *, widths: torch.Tensor | float | None = None, **sources: Any) -> torch.Tensor:
        """Sum the energy as ``Coulomb.energy`` does, on the atoms of a system; differentiable."""
        system, plan = self._prepared(system, widths, sources)
        return self.coulomb.energy(system, widths=widths, plan=plan, **sources)

    def _prepared(
        self, system: System, widths: torch.Tensor | float | None, given: dict[str, Any]
    ) -> tuple[System, Plan]:
        if given.get("sources") is not None:
            raise InputError("Solver keeps plans for what sits on the atoms; for sources elsewhere use Coulomb")
        box, plan = box_of(system), self._plan
        rank = 2 if given.get("quadrupoles") is not None else int(given.get("dipoles") is not None)
        if plan is None or plan.rank < rank or not self._holds(system, box, widths):
            plan = self._plan = self.coulomb.plan(system, widths, rank=rank)
            self._made_for = _MadeFor(system, box, None if widths is None else torch.as_tensor(widths))
            self.plans += 1
        if plan.reach == 0:
            return system, plan
        before = self._kept.known
        system = self._kept.attach(system, plan.reach)
        self.searches += self._kept.known is not before
        return system, plan

    def _holds(self, system: System, box: Box, widths: torch.Tensor | float | None) -> bool:
        assert self._made_for is not None
        then, before, old = self._made_for
        if not same_batch(then, system) or not _alike(old, widths):
            return False
        slack = before.extents - box.extents  # of the room that the plan has
        if not ((slack >= 0) & (slack <= LEEWAY)).all():
            return False
        one, two = (torch.from_numpy(frame) for frame in (before.frame, box.frame))
        deformed = torch.linalg.solve(one, two)
        stretch = torch.linalg.svdvals(deformed) - 1
        # the boxes that stand in for open axes do not turn with the lattice
        turned = torch.from_numpy(box.open).any(1)[:, None, None] * (deformed - torch.eye(3, dtype=deformed.dtype))
        return bool((stretch.abs() <= STRETCH).all() and (turned.abs() <= STRETCH).all())


def _alike(old: torch.Tensor | None, widths: torch.Tensor | float | None) -> bool:
    if old is None or widths is None:
        return old is None and widths is None
    new = torch.as_tensor(widths)
    return new.requires_grad == old.requires_grad and torch.equal(new.detach(), old.detach())


class _MadeFor(NamedTuple):
    """Batch that a plan was made for."""

    system: System
    box: Box
    widths: torch.Tensor | None

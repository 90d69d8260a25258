"""Coulomb: the one public face of the solver. You state an accuracy; the rest follows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
from torch import Tensor

from farfield.compiled import own_threads
from farfield.coulomb import scaling
from farfield.coulomb.evaluate import Electrostatics, evaluate
from farfield.coulomb.evaluate_multipoles import evaluate_multipoles
from farfield.coulomb.interaction import Interaction, scaled_map
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import refuse_outside
from farfield.coulomb.plan.methods import Method, Part, parts
from farfield.coulomb.plan.plan import DIRECT, AnyPlan, Plan, join_plans, make_mesh_plan, make_plan
from farfield.coulomb.scaling import PairScaling
from farfield.coulomb.sources import PlacedSources, Sources, elsewhere, on_atoms
from farfield.coulomb.sums.second_derivatives import SecondDerivatives
from farfield.coulomb.terms.choice import Boundary, terms
from farfield.coulomb.terms.joined import Joined, Piece
from farfield.coulomb.terms.term import Sum
from farfield.errors import InputError
from farfield.system import System
from farfield.units import COULOMB

_Given = tuple[Tensor | None, Tensor | None, Tensor | None]

_TIGHTEST = {torch.float64: 1e-10, torch.float32: 2e-5}


@dataclass(frozen=True)
class Coulomb:
    """Electrostatics of charges, dipoles and quadrupoles, points or Gaussians, periodic along any axes or none.

    All kinds of systems in one batch. Sums over three periodic axes are tin-foil, charged cells have the point
    neutralising background. Along open axes there are no images, whatever the cell says: slabs and wires need no
    vacuum, and charged ones no background (their potential is -2π|z| and -2 ln r, r in Å, times charge per area and
    length). Points have no self-energy; a Gaussian of width σ has K [q²/(2√πσ) + μ²/(12√πσ³) + Θ:Θ/(180√πσ⁵)], which
    ``self_energy=False`` leaves out.

    Args:
        error: rms force error over K [⟨q²⟩ρ^(2/3) + ⟨μ²⟩ρ^(4/3) + ⟨Θ:Θ⟩ρ²], ρ = N/V, V the cell (along open axes the
            extent of the atoms and 2 Å on either side): 1e-2 to 1e-10 in float64, to 2e-5 in float32 (asked for more,
            float32 gives that). Multipoles much closer than ρ^(-1/3), and charges in the strong fields of long thin
            cells, feel forces far above this scale, rounded to 1e-6 of them in float32.
        method: "auto" takes the direct sum for open systems of some thousand atoms, for periodic ones structure factors
            while they are small ("ewald", exact derivatives of every order, best for batches of training), and a
            particle mesh beyond ("mesh", time linear in the atoms).
        boundary: what a sphere of periodic cells is surrounded by, "tinfoil" (a conductor) or "vacuum", which adds
            2πK M²/3V, M the dipole of a neutral cell with the atoms where they are given.

    Raises:
        InputError: an error, a method or a boundary it does not have.
    """

    error: float = 1e-5
    method: Method = "auto"
    boundary: Boundary = "tinfoil"

    def __post_init__(self) -> None:
        if not 1e-10 <= self.error <= 1e-2:
            raise InputError(f"Coulomb(error={self.error}): the error asked must lie in 1e-10 to 1e-2")
        if self.method not in get_args(Method):
            raise InputError(f'Coulomb(method={self.method!r}): there are "auto", "direct", "ewald" and "mesh"')
        if self.boundary not in get_args(Boundary):
            raise InputError(f'Coulomb(boundary={self.boundary!r}): there are "tinfoil" and "vacuum"')

    def energy(
        self,
        system: System,
        *,
        charges: Tensor | None = None,  # (atoms,) or (atoms, channels), e
        dipoles: Tensor | None = None,  # (atoms, 3) or (atoms, channels, 3), e·Å
        quadrupoles: Tensor | None = None,  # (atoms, 3, 3) or (atoms, channels, 3, 3), e·Å², symmetric and traceless
        widths: Tensor | float | None = None,  # Å, one number or (atoms,)
        self_energy: bool = True,
        sources: Sources | None = None,  # instead of charges on the atoms
        pairs: PairScaling | None = None,  # exclusions and damping
        plan: Plan | None = None,  # from ``plan``; made anew otherwise
    ) -> Tensor:  # (systems,) or (systems, channels), eV
        """Energy, differentiable to any order in positions, cell, moments and widths; by a mesh to the third at least.

        Raises:
            InputError: shapes, values that are not finite, negative widths, coincident charges, quadrupoles that are
                not symmetric and traceless, a plan of a lower rank, or made for less room along open axes.
        """
        placed, order = _take(system, (charges, dipoles, quadrupoles), widths, sources)
        energy, _ = self._summed(placed, plan, _sorted(pairs, order), self_energy=self_energy)
        return energy if _has_channels((charges, dipoles, quadrupoles), sources) else energy.squeeze(1)

    def evaluate(
        self,
        system: System,
        *,
        charges: Tensor | None = None,
        dipoles: Tensor | None = None,
        quadrupoles: Tensor | None = None,
        widths: Tensor | float | None = None,
        self_energy: bool = True,
        sources: Sources | None = None,
        pairs: PairScaling | None = None,
        plan: Plan | None = None,
    ) -> Electrostatics:
        """Energy, potential, field, forces and stress, without a graph left behind; arguments as for ``energy``.

        Charges alone take one pass; with dipoles, quadrupoles or scaled pairs these are derivatives of the energy by
        autograd.
        """
        with torch.no_grad(), own_threads():
            placed, order = _take(system, (charges, dipoles, quadrupoles), widths, sources)
            if placed.moments.rank > 0 or pairs is not None:
                summed = partial(self._summed, self_energy=self_energy)
                result = evaluate_multipoles(placed, plan, _sorted(pairs, order), summed)
            else:
                result = evaluate(self._joined(placed, plan, self_energy=self_energy))
        if order is not None:
            result = result.reordered(torch.argsort(order))
        return result if _has_channels((charges, dipoles, quadrupoles), sources) else result.single_channel()

    def potential_at(
        self,
        system: System,
        sources: Sources,
        points: Tensor,  # (points, 3), Å
        point_system_index: Tensor | None = None,  # (points,), needed with more than one system
        *,
        point_widths: Tensor | float | None = None,  # Å, one number or (points,)
    ) -> Tensor:  # (points,) or (points, channels), V
        """Potential anywhere, from all sources of the point's system and their images; differentiable.

        With ``point_widths`` it is averaged over a Gaussian of that width around each point: times a charge, the energy
        that a Gaussian charge there adds by the sources.

        Raises:
            InputError: shapes or widths that do not fit, a point on top of a point charge, or points without a system
                in a batch of several.
        """
        if not isinstance(sources, Sources):
            raise InputError(
                f"potential_at takes sources=Sources(positions, system_index, charges=…), not {type(sources).__name__}"
            )
        index = _point_index(system, points, point_system_index)
        placed, _ = elsewhere(system, sources)
        probes, order = elsewhere(system, Sources(points, index, torch.zeros_like(points[:, 0]), widths=point_widths))
        some = parts(placed, self.method, points=probes.system)
        planned = [(part, self._plan_of(part, None, probes)) for part in some]
        values = COULOMB * self._terms(placed, planned, self_energy=False).potential_at(probes)
        values = values[torch.argsort(order)]
        return values if _has_channels((None, None, None), sources) else values.squeeze(1)

    def matrix(self, system: System, widths: Tensor | float | None = None) -> list[Tensor]:
        """d²E/dqdq of each system, ``(n, n)`` in V/e, Gaussian self-energies on the diagonal; differentiable.

        Of charges alone; of dipoles there is the ``interaction``.
        """
        padded, mask = self.padded_matrix(system, widths)
        return [block[:n, :n] for block, n in zip(padded, mask.sum(1).tolist())]

    def operator(
        self, system: System, widths: Tensor | float | None = None, *, plan: Plan | None = None
    ) -> Callable[[Tensor], Tensor]:
        """The matrix (of charges alone) as a function, charges ``(atoms,)`` in e to potentials in V; differentiable.

        Prepared once and applied often it costs no more than an energy each time: the way to iterate on charges.
        """
        placed = on_atoms(system, system.positions.new_ones(system.n_atoms), widths)
        apply = self._joined(placed, plan).operator()
        return lambda charges: COULOMB * apply(charges.unsqueeze(1)).squeeze(1)

    def interaction(
        self,
        system: System,
        widths: Tensor | float | None = None,
        *,
        pairs: PairScaling | None = None,
        plan: Plan | None = None,
    ) -> Interaction:
        """Charges and dipoles on the atoms to potentials and fields; differentiable. The way to iterate on dipoles.

        Prepared once, it is called as often as wanted; Gaussian self-energies are left out. With (φ, F) of (q, μ) the
        energy is ½ Σ (qφ - μ·F).

        Raises:
            InputError: widths, a plan or scaled pairs that do not fit, two atoms on top of each other.
        """
        zero = system.positions.new_zeros(system.n_atoms, 3)
        placed = on_atoms(system, None, widths, zero)
        scaled = None if pairs is None else scaled_map(placed, pairs)
        return Interaction(self._joined(placed, plan, self_energy=False).interaction(), scaled)

    def curvature(
        self, system: System, charges: Tensor, widths: Tensor | float | None = None, *, plan: Plan | None = None
    ) -> SecondDerivatives | None:
        """First and second derivatives of the energy of charges ``(atoms,)`` at fixed cells, without a graph.

        None where the sums are not all compiled ones over pairs and waves, or the cell or widths require a gradient:
        autograd through ``energy`` gives the same, and always.
        """
        placed = on_atoms(system, charges, widths)
        pieces = self._joined(placed, plan, precise=True).pieces
        found = [term.second_derivatives() for piece in pieces for term in piece.sum.terms]
        derivatives = [one for one in found if one is not None]
        return SecondDerivatives(placed, derivatives) if len(pieces) == 1 and len(derivatives) == len(found) else None

    def padded_matrix(
        self, system: System, widths: Tensor | float | None = None, *, plan: Plan | None = None
    ) -> tuple[Tensor, Tensor]:
        """d²E/dqdq ``(systems, longest, longest)`` in V/e, zero where padded, and ``(systems, longest)`` real atoms."""
        if plan is None or bool(plan.meshed.any()):
            plan = self.plan(system, widths, dense=True)
        placed = on_atoms(system, system.positions.new_ones(system.n_atoms), widths)
        padding = Padding.of(system)
        planned = [(part, self._plan_of(part, plan)) for part in parts(placed, "auto", dense=True)]
        return COULOMB * self._terms(placed, planned, precise=True).matrix(padding), padding.mask()

    def plan(self, system: System, widths: Tensor | float | None = None, *, dense: bool = False, rank: int = 0) -> Plan:
        """Plan the periodic sums; pass it back as ``plan=`` and the energy is smooth in the cell.

        ``rank`` is what will be summed: 0 charges, 1 dipoles too, 2 quadrupoles too. With ``dense`` all by structure
        factors, so that matrix and operator agree to rounding. The rows of open systems stay empty.
        """
        like, n = system.positions, system.n_atoms
        dipoles = like.new_zeros(n, 3) if rank > 0 else None
        placed = on_atoms(system, like.new_ones(n), widths, dipoles, like.new_zeros(n, 3, 3) if rank > 1 else None)
        method = "auto" if dense else self.method
        planned = [(part, self._plan_of(part, None)) for part in parts(placed, method, dense=dense)]
        pieces = [(part.systems, plan) for part, plan in planned if isinstance(plan, Plan)]
        if len(pieces) == 1 and len(pieces[0][0]) == system.n_systems:
            return pieces[0][1]
        return join_plans(pieces, system.n_systems, system.positions)

    def reach(self, system: System, widths: Tensor | float | None = None, *, rank: int = 0) -> float:
        """Å within which ``energy`` needs pairs of this batch; attach a list that long and it searches none."""
        return self.plan(system, widths, rank=rank).reach

    def _summed(
        self, placed: PlacedSources, plan: Plan | None, pairs: PairScaling | None, *, self_energy: bool
    ) -> tuple[Tensor, Joined]:
        """Energy ``(systems, channels)`` in eV, and its terms."""
        joined = self._joined(placed, plan, self_energy=self_energy, precise=True)
        energy = COULOMB * joined.energy()
        return energy if pairs is None else energy + scaling.energy(placed, pairs), joined

    def _joined(
        self, placed: PlacedSources, plan: Plan | None, *, self_energy: bool = True, precise: bool = False
    ) -> Joined:
        planned = [(part, self._plan_of(part, plan)) for part in parts(placed, self.method, plan)]
        return self._terms(placed, planned, self_energy=self_energy, precise=precise)

    def _terms(
        self,
        placed: PlacedSources,
        planned: list[tuple[Part, AnyPlan]],
        *,
        self_energy: bool = True,
        precise: bool = False,
    ) -> Joined:
        chosen = partial(terms, boundary=self.boundary, self_energy=self_energy, precise=precise)
        return Joined(placed, [Piece(part, plan, Sum(*chosen(part, plan))) for part, plan in planned])

    def _plan_of(self, part: Part, plan: Plan | None, points: PlacedSources | None = None) -> AnyPlan:
        """The plan of a part, wide enough for ``points`` of the batch."""
        if part.kind == "direct":
            return DIRECT
        if plan is not None:
            if part.placed.moments.rank > plan.rank:
                raise InputError(f"the plan is one of rank {plan.rank}: make it with rank={part.placed.moments.rank}")
            own = plan if part.whole else plan.part(part.systems)
            refuse_outside(part.placed.system, own.wave_cell, own.extent_allowed)
            return own
        make = make_mesh_plan if part.kind == "mesh" else make_plan
        some = None if points is None else points.part(part.systems)[0]
        return make(part.placed, self._reachable(part.placed), some)

    def _reachable(self, placed: PlacedSources) -> float:
        return max(self.error, _TIGHTEST.get(placed.system.positions.dtype, 2e-5))


def _take(
    system: System, moments: _Given, widths: Tensor | float | None, sources: Sources | None
) -> tuple[PlacedSources, Tensor | None]:
    charges, dipoles, quadrupoles = moments
    if sources is None:
        return on_atoms(system, charges, widths, dipoles, quadrupoles), None
    if widths is not None or any(one is not None for one in moments):
        raise InputError("give either charges=… (and widths=…) on the atoms or sources=Sources(…), not both")
    return elsewhere(system, sources)


def _sorted(pairs: PairScaling | None, order: Tensor | None) -> PairScaling | None:
    return pairs if pairs is None or order is None else pairs.reordered(order)


def _has_channels(moments: _Given, sources: Sources | None) -> bool:
    given = moments if sources is None else (sources.charges, sources.dipoles, sources.quadrupoles)
    return any(one is not None and one.ndim == 2 + rank for rank, one in enumerate(given))


def _point_index(system: System, points: Tensor, index: Tensor | None) -> Tensor:
    if not isinstance(points, Tensor):
        raise InputError(f"points should be a torch tensor, not {type(points).__name__}: torch.as_tensor(points)")
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"points have shape {tuple(points.shape)}, expected (points, 3)")
    if index is None:
        if system.n_systems > 1:
            raise InputError(f"the batch has {system.n_systems} systems: say whose each point is, point_system_index=…")
        return torch.zeros(len(points), dtype=torch.long, device=points.device)
    if tuple(index.shape) != (len(points),):
        raise InputError(f"point_system_index has shape {tuple(index.shape)}, expected ({len(points)},)")
    return index

"""Densities that make the potential they respond to: ρ = ∂w/∂x at x = A ρ + external + μ.

ρ = (q, μ) of every atom, A what Gaussian charges and dipoles do to one another (their own included), μ (in x, a
potential alone) the chemical potential of electrons at which charges sum to the total. With w concave and A positive
there is one such density, the minimum of a convex functional, and

    E(ρ, μ) = Σ w(x) - ½ ρ·A·ρ - μ Q

is stationary there: its derivatives need no dρ/dθ. Densities carry their own by implicit differentiation
(implicit.py): (1 + S A) dρ + S dμ = ∂ρ, S = -∂²w/∂x², in the symmetric form 1 + LᵀAL of S = LLᵀ by conjugate
gradients. No step of the iteration is kept for that.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.plan.plan import Plan
from farfield.errors import ConvergenceError, InputError
from farfield.response.charges.functional import has_gradient
from farfield.response.density.atomic_response import AtomicResponse
from farfield.response.density.functional import DensityFunctional
from farfield.response.density.jacobian import Jacobian
from farfield.response.solvers.conjugate_gradient import Linear, NotPositiveDefinite
from farfield.response.solvers.fixed_point import fixed_point
from farfield.response.solvers.implicit import implicit_gradient
from farfield.response.solvers.screening_preconditioner import ScreeningPreconditioners
from farfield.system import System, per_atom, per_system

CURVED = 1e-3
"""Error of the curvature along the total charge, of which the sign is asked."""

MOST_NEWTON, MOST_HALVED = 50, 12
"""Newton's steps, and how often one is halved."""


@dataclass(frozen=True)
class Density:
    """Charges and dipoles in equilibrium with their own potential."""

    charges: Tensor  # (atoms,), e
    dipoles: Tensor  # (atoms, 3), e·Å
    potentials: Tensor  # (atoms, 4), what each atom responds to: potential with μ, V, and minus the field, V/Å
    energy: Tensor  # (systems,), eV: the functional; Ω of systems with a Fermi level
    coulomb: Tensor  # (systems,), eV: ½ ρ·A·ρ, Gaussian self-energies included
    residual: float  # largest difference, e or e·Å, from the density that its potential makes
    steps: int  # evaluations of the response


@dataclass(frozen=True)
class Iteration:
    """Search for a fixed point: its tolerance, mixing and steps."""

    tolerance: float = 1e-9  # e and e·Å, of the density that the potential makes and the one that makes it
    mixing: float = 1.0  # share of a preconditioned step that is taken
    depth: int = 15  # steps that Anderson's mixing remembers
    most: int = 30  # steps of that; Newton's follow
    steps: int | None = None  # exactly as many, without memory, and with a graph through them, instead


def self_consistent(
    system: System,
    response: AtomicResponse,
    widths: Tensor,  # (atoms,), Å, positive
    coulomb: Coulomb,
    plan: Plan,  # of rank 1
    how: Iteration = Iteration(),
    external_potential: Tensor | None = None,  # (atoms, 4), V and V/Å, besides that of a field: and its gradient
    *,
    start: Tensor | None = None,  # (atoms, 4), density to start from
) -> Density:
    """Find the density and its energy, both twice differentiable in positions, cell, charge, conditions and response.

    Raises:
        ConvergenceError: an iteration that stops short.
        InputError: a response with values that are not finite, or a Fermi level at which no total charge has the least
            energy.
    """
    if not all(torch.isfinite(x.detach()).all() for x in response.variables):
        raise InputError("the response has values that are not finite")
    functional = DensityFunctional(system, response, widths, coulomb, plan, external_potential)
    _ = functional.induced_potential, functional.external  # with their graphs
    if how.steps is not None:
        return _unrolled(functional, how.steps, how.mixing)
    with torch.no_grad():
        first = _first(functional, _preferred(functional) if start is None else start.double())
        found = fixed_point(
            lambda potentials: _next(functional, potentials), first, system,
            precondition=_preconditioner(functional, first),
            mixing=how.mixing, depth=how.depth, tolerance=how.tolerance, most=how.most,
        )  # fmt: skip
        try:
            values, residual, steps = _finished(functional, found.values, how.tolerance)
        except NotPositiveDefinite as failure:
            if functional.held.all():
                raise
            _refuse_open(int(system.system_index[failure.direction.abs().amax(1).argmax()]))
        _refuse_saddle(functional, values)
    steps += found.steps
    unknowns = values
    if has_gradient(*functional.variables):
        solve = Jacobian(functional, values, how.tolerance)
        unknowns = implicit_gradient(values, functional.residual, solve, solve.transposed)
        energy: Tensor = _Stationary.apply((functional, unknowns), *functional.variables)  # type: ignore[no-untyped-call]
    else:
        energy = functional.energy(values)
    return _density(functional, unknowns, energy, residual, steps)


def _finished(functional: DensityFunctional, potentials: Tensor, tolerance: float) -> tuple[Tensor, float, int]:
    """Go on by Newton's steps to where mixing did not get: the unknowns, what is left, and applications of A.

    A step is halved where the residual would grow. As the Jacobian is never singular, that ends at the fixed point.
    """
    values, steps = _values(functional, potentials), 1
    residual = functional.residual(values)
    for _ in range(MOST_NEWTON):
        size = float(residual.abs().max()) if residual.numel() else 0.0
        if size <= tolerance:
            return values, size, steps
        if not math.isfinite(size):
            break
        jacobian = Jacobian(functional, values, min(0.03, max(size, 0.1 * tolerance / size)))
        move, share, before = (
            jacobian(residual),
            torch.ones_like(functional.system.charge),
            _squared(functional, residual),
        )
        for _ in range(MOST_HALVED):
            trial = values - _each(functional, share) * move
            left = functional.residual(trial)
            steps += 1
            worse = _squared(functional, left) > before
            if not worse.any():
                break
            share = torch.where(worse, 0.5 * share, share)
        steps += jacobian.steps
        values, residual = trial, left
    worst = int(_squared(functional, residual).argmax())
    raise ConvergenceError(
        f"structure {worst}: the density is not self-consistent: {size:.1e} e left in {steps} steps, asked for "
        f"{tolerance:.1e}; ask for a larger tolerance, or look at positions, widths and total charge"
    )


def _refuse_saddle(functional: DensityFunctional, values: Tensor) -> None:
    """Raise where the energy of an open system does not curve upwards along its charge; A is positive across it only.

    Charged crystals have a background, charged slabs and wires no zero of the potential far away.

    Raises:
        InputError: a structure whose chemical potential rises with its charge.
    """
    if functional.held.all():
        return
    system = functional.system
    closed = replace(functional, system=replace(system, fermi_level=None))
    more = torch.cat([torch.zeros_like(values[: 4 * system.n_atoms]), torch.ones_like(system.charge)])
    _, rise = functional.parted(Jacobian(closed, values, CURVED)(more))
    if (wrong := ~functional.held & (rise >= 0)).any():
        _refuse_open(int(wrong.nonzero()[0]))


def _refuse_open(k: int) -> NoReturn:
    raise InputError(
        f"structure {k}: no total charge minimises its energy at the Fermi level, charge would run away, as it often "
        'does where what is charged is periodic: give info["charge"] instead, or train with larger hardnesses'
    )


def _squared(functional: DensityFunctional, values: Tensor) -> Tensor:
    density, chemical_potential = functional.parted(values)
    return per_system(density.square().sum(1), functional.system) + chemical_potential.square()


def _each(functional: DensityFunctional, share: Tensor) -> Tensor:
    """Repeat numbers of systems ``(systems,)`` at their unknowns."""
    atoms = per_atom(share, functional.system).expand(functional.system.n_atoms)
    return torch.cat([atoms.repeat_interleave(4), share])


class _Stationary(torch.autograd.Function):
    """The energy of unknowns that carry their graph: first derivatives at fixed unknowns, as it is stationary there.

    The unknowns are no input: a backward pass would go through their graph all the same, with zeros. Derivatives of
    higher order go through it.
    """

    @staticmethod
    def forward(ctx: Any, found: tuple[DensityFunctional, Tensor], *variables: Tensor) -> Tensor:
        ctx.functional, ctx.unknowns = found
        ctx.save_for_backward(*variables)
        energy: Tensor = ctx.functional.energy(ctx.unknowns.detach())
        return energy

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with_graph, variables, needed = torch.is_grad_enabled(), ctx.saved_tensors, ctx.needs_input_grad[1:]
        unknowns = ctx.unknowns if with_graph else ctx.unknowns.detach()
        with torch.enable_grad():
            # other names for the same, so that nothing is found by way of the unknowns
            alike = [x.view_as(x) if x.requires_grad else x for x in variables]
            energy = (grad * ctx.functional.at(alike).energy(unknowns)).sum()
            asked = [x for x, wanted in zip(alike, needed) if wanted]
            found = iter(torch.autograd.grad(energy, asked, create_graph=with_graph, allow_unused=True))
        return None, *(next(found) if wanted else None for wanted in needed)


def _density(functional: DensityFunctional, unknowns: Tensor, energy: Tensor, residual: float, steps: int) -> Density:
    density, chemical_potential = functional.parted(unknowns)
    induced = functional.induced_potential(density)
    potentials = functional.potentials(induced, functional.at_fermi_level(chemical_potential))
    coulomb = 0.5 * per_system((density * induced).sum(1), functional.system)
    return Density(density[:, 0], density[:, 1:], potentials, energy, coulomb, residual, steps)


def _first(functional: DensityFunctional, density: Tensor) -> Tensor:
    """Potentials x ``(atoms, 4)`` of a density to start from, at no chemical potential but the Fermi level."""
    none = torch.zeros_like(functional.system.charge)
    return functional.potentials(functional.induced_potential(density), functional.at_fermi_level(none))


def _preferred(functional: DensityFunctional) -> Tensor:
    """Join (q°, m°) ``(atoms, 4)``."""
    return torch.cat([functional.response.charge.unsqueeze(1), functional.response.dipole], 1)


def _conserving(functional: DensityFunctional, potentials: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bring ∂w/∂x to the total charge by softness ``(atoms,)``, given too, as is the μ ``(systems,)`` that does it."""
    density, soft = functional.response.response_to(potentials)
    excess = per_system(density[:, 0], functional.system) - functional.system.charge
    raised = torch.where(functional.held, excess / per_system(soft[:, 0], functional.system), 0.0)
    return density - soft * per_atom(raised, functional.system).reshape(-1, 1), soft[:, 0], raised


def _induced(functional: DensityFunctional, potentials: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate the density at x, A of it ``(atoms, 4)``, and μ ``(systems,)`` that bring the total charge nearer."""
    density, soft, raised = _conserving(functional, potentials)
    induced, system = functional.induced_potential(density), functional.system
    free = functional.potentials(induced, torch.zeros_like(raised))
    chemical_potential = per_system(soft * (potentials - free)[:, 0], system) / per_system(soft, system) + raised
    return density, induced, functional.at_fermi_level(chemical_potential)


def _next(functional: DensityFunctional, potentials: Tensor) -> Tensor:
    """Take x to the x that its density makes."""
    _, induced, chemical_potential = _induced(functional, potentials)
    return functional.potentials(induced, chemical_potential)


def _values(functional: DensityFunctional, potentials: Tensor) -> Tensor:
    """Join densities and chemical potentials of the fixed point."""
    density, _, chemical_potential = _induced(functional, potentials)
    return torch.cat([density.flatten(), chemical_potential])


def _self_screening(functional: DensityFunctional, potentials: Tensor) -> Linear:
    """Prepare (1 + A S)⁻¹ of each atom's own A and S, at ``potentials``."""
    matrix = functional.response.self_term.unsqueeze(2) * functional.response.susceptibility(potentials)
    inverse: Tensor = torch.linalg.inv(matrix + torch.eye(4).to(matrix))
    return lambda residual: (inverse @ residual.unsqueeze(2)).squeeze(2)


def _preconditioner(functional: DensityFunctional, potentials: Tensor) -> Linear:
    """Prepare about (1 + A S)⁻¹: each atom's own A and S, and how charges screen each other over long distances."""
    alone, soft = _self_screening(functional, potentials), functional.response.softness_of_charge(potentials)
    unit = alone(torch.nn.functional.pad(torch.ones_like(soft[:, :1]), (0, 3)))
    waves = ScreeningPreconditioners(functional.system, 1 / (soft * unit).sum(1), functional.widths.square())

    def apply(residual: Tensor) -> Tensor:
        found = alone(residual)
        return found - unit * waves.screening((soft * found).sum(1)).unsqueeze(1)

    return apply


def _unrolled(functional: DensityFunctional, steps: int, mixing: float) -> Density:
    """Take a fixed number of plain steps, differentiable through all of them."""
    potentials = _first(functional, _preferred(functional))
    precondition = _self_screening(functional, potentials)
    change = potentials
    for _ in range(steps):
        change = precondition(_next(functional, potentials) - potentials)
        potentials = potentials + mixing * change
    values = _values(functional, potentials)
    with torch.no_grad():
        left = float((_next(functional, potentials) - potentials).abs().max()) if len(potentials) else 0.0
    return _density(functional, values, functional.energy(values), left, steps)

"""Densities that make the potential they answer to: ρ = ∂w/∂x at x = A ρ + external + level.

ρ = (q, μ) of every atom, A what Gaussian charges and dipoles do to one another (their own included), the level that of
the chemical potential at which charges sum to the total. With w concave and A positive there is one such density, the
minimum of a convex functional, and

    E(ρ, level) = Σ w(x) - ½ ρ·A·ρ - level·Q

is stationary there: its derivatives need no dρ/dθ. Densities carry their own by implicit differentiation
(implicit.py): (1 + S A) dρ + S dlevel = ∂ρ, S = -∂²w/∂x², in the symmetric form 1 + LᵀAL of S = LLᵀ by conjugate
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
from farfield.response.density.functional import DensityForm
from farfield.response.density.jacobian import Jacobian
from farfield.response.solvers.conjugate_gradient import Linear, NotPositiveDefinite
from farfield.response.solvers.fixed_point import fixed_point
from farfield.response.solvers.implicit import carried
from farfield.response.solvers.screening_preconditioner import SmoothInverses
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
    felt: Tensor  # (atoms, 4), what each atom answers to: potential and level, V, and minus the field, V/Å
    energy: Tensor  # (systems,), eV: the functional; Ω of systems with a Fermi level
    coulomb: Tensor  # (systems,), eV: ½ ρ·A·ρ, Gaussian self-energies included
    residual: float  # largest difference, e or e·Å, from the density that its potential makes
    steps: int  # evaluations of the response


@dataclass(frozen=True)
class Iteration:
    """How a fixed point is sought."""

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
    start: Tensor | None = None,  # (atoms, 4), density to start from
) -> Density:
    """The density, and its energy; both twice differentiable in positions, cell, charge, field, level and response.

    Raises:
        ConvergenceError: an iteration that stops short.
        InputError: a response with values that are not finite, or a Fermi level at which no total charge has the least
            energy.
    """
    if not all(torch.isfinite(x.detach()).all() for x in response.variables):
        raise InputError("the response has values that are not finite")
    form = DensityForm(system, response, widths, coulomb, plan)
    _ = form.made, form.external  # with their graphs
    if how.steps is not None:
        return _unrolled(form, how.steps, how.mixing)
    with torch.no_grad():
        first = form.felt(
            form.made(_preferred(form) if start is None else start.double()), form.level(0 * system.charge)
        )
        found = fixed_point(
            lambda felt: _next(form, felt), first, system, precondition=_near(form, first), mixing=how.mixing,
            depth=how.depth, tolerance=how.tolerance, most=how.most,
        )  # fmt: skip
        try:
            values, residual, steps = _finished(form, found.values, how.tolerance)
        except NotPositiveDefinite as failure:
            if form.held.all():
                raise
            _refuse_open(int(system.system_index[failure.direction.abs().amax(1).argmax()]))
        _refuse_saddle(form, values)
    steps += found.steps
    density, level = form.parted(values)
    if has_gradient(*form.variables):
        solve = Jacobian(form, values, how.tolerance)
        exact = carried(values, form.residual, solve, solve.transposed)
        energy: Tensor = _Stationary.apply((form, exact), *form.variables)  # type: ignore[no-untyped-call]
        density, level = form.parted(exact)
    else:
        energy = form.energy(values)
    return _answer(form, density, level, energy, residual, steps)


def _finished(form: DensityForm, felt: Tensor, tolerance: float) -> tuple[Tensor, float, int]:
    """Newton's steps to where mixing did not get: densities and levels, what is left, and applications of A.

    A step is halved where the residual would grow. As the Jacobian is never singular, that ends at the fixed point.
    """
    values, steps = _values(form, felt), 1
    residual = form.residual(values)
    for _ in range(MOST_NEWTON):
        size = float(residual.abs().max()) if residual.numel() else 0.0
        if size <= tolerance:
            return values, size, steps
        if not math.isfinite(size):
            break
        jacobian = Jacobian(form, values, min(0.03, max(size, 0.1 * tolerance / size)))
        move, share, before = jacobian(residual), torch.ones_like(form.system.charge), _squared(form, residual)
        for _ in range(MOST_HALVED):
            trial = values - _each(form, share) * move
            left = form.residual(trial)
            steps += 1
            worse = _squared(form, left) > before
            if not worse.any():
                break
            share = torch.where(worse, 0.5 * share, share)
        steps += jacobian.steps
        values, residual = trial, left
    worst = int(_squared(form, residual).argmax())
    raise ConvergenceError(
        f"structure {worst}: the density is not self-consistent: {size:.1e} e left in {steps} steps, asked for "
        f"{tolerance:.1e}; ask for a larger tolerance, or look at positions, widths and total charge"
    )


def _refuse_saddle(form: DensityForm, values: Tensor) -> None:
    """Of an open system, the energy has to curve upwards along its charge, too; A is positive across it only.

    Charged crystals have a background, charged slabs and wires no zero of the potential far away.

    Raises:
        InputError: a structure whose level rises with its charge.
    """
    if form.held.all():
        return
    closed = replace(form, system=replace(form.system, fermi_level=None))
    more = torch.cat([torch.zeros_like(values[: 4 * form.system.n_atoms]), torch.ones_like(form.system.charge)])
    _, rise = form.parted(Jacobian(closed, values, CURVED)(more))
    if (wrong := ~form.held & (rise >= 0)).any():
        _refuse_open(int(wrong.nonzero()[0]))


def _refuse_open(k: int) -> NoReturn:
    raise InputError(
        f"structure {k}: no total charge minimises its energy at the Fermi level, charge would run away, as it often "
        'does where what is charged is periodic: give info["charge"] instead, or train with larger hardnesses'
    )


def _squared(form: DensityForm, values: Tensor) -> Tensor:
    density, level = form.parted(values)
    return per_system(density.square().sum(1), form.system) + level.square()


def _each(form: DensityForm, share: Tensor) -> Tensor:
    """Numbers of systems at their ``values``."""
    atoms = per_atom(share, form.system).expand(form.system.n_atoms)
    return torch.cat([atoms.repeat_interleave(4), share])


class _Stationary(torch.autograd.Function):
    """The energy of unknowns that carry their graph: first derivatives at fixed unknowns, as it is stationary there.

    The unknowns are no input: a backward pass would go through their graph all the same, with zeros. Derivatives of
    higher order go through it.
    """

    @staticmethod
    def forward(ctx: Any, found: tuple[DensityForm, Tensor], *variables: Tensor) -> Tensor:
        ctx.form, ctx.unknowns = found
        ctx.save_for_backward(*variables)
        energy: Tensor = ctx.form.energy(ctx.unknowns.detach())
        return energy

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with_graph, variables, needed = torch.is_grad_enabled(), ctx.saved_tensors, ctx.needs_input_grad[1:]
        unknowns = ctx.unknowns if with_graph else ctx.unknowns.detach()
        with torch.enable_grad():
            # other names for the same, so that nothing is found by way of the unknowns
            alike = [x.view_as(x) if x.requires_grad else x for x in variables]
            energy = (grad * ctx.form.at(alike).energy(unknowns)).sum()
            asked = [x for x, wanted in zip(alike, needed) if wanted]
            found = iter(torch.autograd.grad(energy, asked, create_graph=with_graph, allow_unused=True))
        return None, *(next(found) if wanted else None for wanted in needed)


def _answer(form: DensityForm, density: Tensor, level: Tensor, energy: Tensor, residual: float, steps: int) -> Density:
    made = form.made(density)
    coulomb = 0.5 * per_system((density * made).sum(1), form.system)
    return Density(density[:, 0], density[:, 1:], form.felt(made, form.level(level)), energy, coulomb, residual, steps)


def _preferred(form: DensityForm) -> Tensor:
    """(q°, m°) ``(atoms, 4)``."""
    return torch.cat([form.response.charge.unsqueeze(1), form.response.dipole], 1)


def _conserving(form: DensityForm, felt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """∂w/∂x brought to the total by softness; the softness ``(atoms,)``, and the level that does it ``(systems,)``."""
    density, soft = form.response.answer(felt)
    excess = per_system(density[:, 0], form.system) - form.system.charge
    raised = torch.where(form.held, excess / per_system(soft[:, 0], form.system), 0.0)
    return density - soft * per_atom(raised, form.system).reshape(-1, 1), soft[:, 0], raised


def _made(form: DensityForm, felt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The density at x, what it makes ``(atoms, 4)``, and levels ``(systems,)`` that bring the total charge nearer."""
    density, soft, raised = _conserving(form, felt)
    made, system = form.made(density), form.system
    free = form.felt(made, torch.zeros_like(raised))
    level = per_system(soft * (felt - free)[:, 0], system) / per_system(soft, system) + raised
    return density, made, form.level(level)


def _next(form: DensityForm, felt: Tensor) -> Tensor:
    """g: x to the x that its density makes."""
    _, made, level = _made(form, felt)
    return form.felt(made, level)


def _values(form: DensityForm, felt: Tensor) -> Tensor:
    """Densities and levels of the fixed point."""
    density, _, level = _made(form, felt)
    return torch.cat([density.flatten(), level])


def _own(form: DensityForm, felt: Tensor) -> Linear:
    """(1 + A S)⁻¹ of each atom's own A and S, at ``felt``."""
    matrix = form.response.own.unsqueeze(2) * form.response.susceptibility(felt)
    inverse: Tensor = torch.linalg.inv(matrix + torch.eye(4).to(matrix))
    return lambda residual: (inverse @ residual.unsqueeze(2)).squeeze(2)


def _near(form: DensityForm, felt: Tensor) -> Linear:
    """About (1 + A S)⁻¹: each atom's own A and S, and how charges screen each other over long distances."""
    own, soft = _own(form, felt), form.response.softness_of_charge(felt)
    unit = own(torch.nn.functional.pad(torch.ones_like(soft[:, :1]), (0, 3)))
    waves = SmoothInverses(form.system, 1 / (soft * unit).sum(1), form.widths.square())

    def apply(residual: Tensor) -> Tensor:
        found = own(residual)
        return found - unit * waves.screening((soft * found).sum(1)).unsqueeze(1)

    return apply


def _unrolled(form: DensityForm, steps: int, mixing: float) -> Density:
    """A fixed number of plain steps, differentiable through all of them."""
    felt = form.felt(form.made(_preferred(form)), form.level(torch.zeros_like(form.system.charge)))
    precondition = _own(form, felt)
    change = felt
    for _ in range(steps):
        change = precondition(_next(form, felt) - felt)
        felt = felt + mixing * change
    values = _values(form, felt)
    density, level = form.parted(values)
    with torch.no_grad():
        left = float((_next(form, felt) - felt).abs().max()) if len(felt) else 0.0
    return _answer(form, density, level, form.energy(values), left, steps)

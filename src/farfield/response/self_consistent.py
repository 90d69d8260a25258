"""Densities that make the potential they answer to: ρ = ∂w/∂x at x = A ρ + external + level.

ρ = (q, μ) of every atom, A what Gaussian charges and dipoles do to one another (their own included), the level that of
the chemical potential at which charges sum to the total. With w concave and A positive there is one such density, the
minimum of a convex functional, and

    E(ρ, level) = Σ w(x) - ½ ρ·A·ρ - level·Q

is stationary there: its derivatives need no dρ/dθ (form.py). Densities carry their own by implicit differentiation
(carried.py): (1 + S A) dρ + S dlevel = ∂ρ, S = -∂²w/∂x², in the symmetric form 1 + LᵀAL of S = LLᵀ by conjugate
gradients. No step of the iteration is kept for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.plan import Plan
from farfield.errors import ConvergenceError
from farfield.field import field_across
from farfield.response.atomic_response import AtomicResponse
from farfield.response.carried import carried
from farfield.response.conjugate import Linear, conjugate_gradient
from farfield.response.fixed_point import fixed_point
from farfield.response.form import has_gradient
from farfield.response.smooth_inverse import SmoothInverses
from farfield.system import System, per_atom, per_system

MOST = 300
"""Steps of a solve for derivatives."""

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
    residual: float  # largest change, V or V/Å, that another step would make
    steps: int  # evaluations of the response


@dataclass(frozen=True)
class DensityForm:
    """The functional of densities and levels ``values`` (4·atoms + systems,); all in double precision."""

    system: System
    response: AtomicResponse
    widths: Tensor  # (atoms,), Å; held fixed
    coulomb: Coulomb
    plan: Plan

    @property
    def conditions(self) -> tuple[str, ...]:
        """Which of those a derivative may be taken by there are."""
        return tuple(name for name in ("external_field", "fermi_level") if getattr(self.system, name) is not None)

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Positions, cell, total charge, conditions, and those of the response."""
        system = self.system
        given = (getattr(system, name) for name in self.conditions)
        return (system.positions, system.cell, system.charge, *given, *self.response.variables)

    def at(self, variables: Sequence[Tensor]) -> "DensityForm":
        """The same with other variables."""
        positions, cell, charge, *others = variables
        names = self.conditions
        given: dict[str, Any] = dict(zip(names, others))
        system = replace(self.system, positions=positions, cell=cell, charge=charge, **given)
        return replace(self, system=system, response=self.response.at(others[len(names) :]))

    @cached_property
    def made(self) -> Linear:
        """A: densities ``(atoms, 4)`` to the potentials and minus the fields they make; prepared once."""
        interaction = self.coulomb.interaction(self.system, self.widths, plan=self.plan)
        own = self.response.own  # not ``self``, which keeps what is made here
        return lambda density: interaction.slopes(density.unsqueeze(2)).squeeze(2) + own * density

    @cached_property
    def external(self) -> Tensor:
        """(-E·R, -E) ``(atoms, 4)`` of the field as far as it has a potential."""
        field = per_atom(field_across(self.system), self.system).expand(self.system.n_atoms, 3)
        return torch.cat([-(field * self.system.positions).sum(1, keepdim=True), -field], 1)

    @cached_property
    def held(self) -> Tensor:
        """Which systems ``(systems,)`` keep their total charge."""
        fermi = self.system.fermi_level
        return torch.ones_like(self.system.spin, dtype=torch.bool) if fermi is None else fermi.isnan()

    def parted(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Densities ``(atoms, 4)`` and levels ``(systems,)``."""
        atoms = 4 * self.system.n_atoms
        return values[:atoms].reshape(-1, 4), values[atoms:]

    def felt(self, made: Tensor, level: Tensor) -> Tensor:
        """What A ρ, the field and the levels come to ``(atoms, 4)``."""
        raised = per_atom(level, self.system).expand(self.system.n_atoms)
        return made + self.external + torch.nn.functional.pad(raised.unsqueeze(1), (0, 3))

    def level(self, level: Tensor) -> Tensor:
        """The Fermi level where there is one."""
        fermi = self.system.fermi_level
        return level if fermi is None else torch.where(self.held, level, fermi)

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable, stationary at the solution."""
        density, level = self.parted(unknowns)
        level, made = self.level(level), self.made(density)
        of_atoms = self.response.energy(self.felt(made, level)) - 0.5 * (density * made).sum(1)
        return per_system(of_atoms, self.system) - torch.where(self.held, level * self.system.charge, 0.0)

    def residual(self, values: Tensor) -> Tensor:
        """ρ - ∂w/∂x, and what charges miss of the total, or the level of the Fermi level; differentiable."""
        density, level = self.parted(values)
        missed = density - self.response.density(self.felt(self.made(density), level))
        excess = per_system(density[:, 0], self.system) - self.system.charge
        if self.system.fermi_level is not None:
            excess = torch.where(self.held, excess, level - self.system.fermi_level)
        return torch.cat([missed.flatten(), excess])


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
    """
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
        values, residual, steps = _finished(form, found.values, how.tolerance)
    steps += found.steps
    density, level = form.parted(values)
    if has_gradient(*form.variables):
        solve = _Jacobian(form, values, how.tolerance)
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
        jacobian = _Jacobian(form, values, min(0.03, max(size, 0.1 * tolerance / size)))
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
    raise ConvergenceError(
        f"the density is not self-consistent: {size:.1e} e left in {steps} steps, asked for {tolerance:.1e}; ask for "
        "a larger tolerance, or look at positions, widths and total charge"
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


def _next(form: DensityForm, felt: Tensor) -> Tensor:
    """g: x to the x that its density makes, at a level that brings the total charge nearer."""
    density, soft, raised = _conserving(form, felt)
    made, system = form.made(density), form.system
    free = form.felt(made, torch.zeros_like(raised))
    level = per_system(soft * (felt - free)[:, 0], system) / per_system(soft, system) + raised
    return form.felt(made, form.level(level))


def _values(form: DensityForm, felt: Tensor) -> Tensor:
    """Densities and levels of the fixed point."""
    density, soft, raised = _conserving(form, felt)
    free = form.felt(form.made(density), torch.zeros_like(raised))
    level = per_system(soft * (felt - free)[:, 0], form.system) / per_system(soft, form.system) + raised
    return torch.cat([density.flatten(), form.level(level)])


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
    left = float((_next(form, felt) - felt).detach().abs().max()) if len(felt) else 0.0
    return _answer(form, density, level, form.energy(values), left, steps)


class _Jacobian:
    """The inverse of [[1 + S A, S₀], [Σ, 0]], S₀ the column of S that a level moves; its transpose as well.

    With S = LLᵀ and c the row of L that is charge, both come down to (1 + LᵀAL) y + c level = r at given c·y. Where the
    total is fixed y is sought across c: along it, as with other charged slabs and wires, A need not be positive.
    """

    def __init__(self, form: DensityForm, values: Tensor, relative: float) -> None:
        self._form, self._system, self._relative, self._values = form, form.system, relative, values
        self._size, self.steps = 0.0, 0

    @cached_property
    def _susceptibility(self) -> Tensor:
        density, level = self._form.parted(self._values)
        return self._form.response.susceptibility(self._form.felt(self._form.made(density), level))

    @cached_property
    def _factor(self) -> Tensor:
        factor: Tensor = torch.linalg.cholesky(self._susceptibility)
        return factor

    @cached_property
    def _inverse(self) -> Tensor:
        """Of 1 + LᵀAL, atom by atom."""
        own = self._factor.transpose(1, 2) @ (self._form.response.own.unsqueeze(2) * self._factor)
        inverse: Tensor = torch.linalg.inv(own + torch.eye(4).to(own))
        return inverse

    @cached_property
    def _charge(self) -> Tensor:
        return self._factor[:, 0]

    @cached_property
    def _whole(self) -> Tensor:
        return self._sum(self._charge, self._charge)

    @cached_property
    def _turned(self) -> tuple[Tensor, Tensor]:
        turned = self._near(self._charge)
        return turned, self._sum(self._charge, turned)

    def __call__(self, right: Tensor) -> Tensor:
        form = self._form
        density, excess = form.parted(right)
        asked = torch.where(form.held, (excess - per_system(density[:, 0], self._system)) / self._whole, -excess)
        density = density + self._susceptibility[:, :, 0] * self._at(asked)
        right = -self._up(form.made(density))
        found = self._solved(right)
        level = self._sum(self._charge, right - self._image(found)) / self._whole - asked
        return torch.cat([(density + self._down(found)).flatten(), torch.where(form.held, level, excess)])

    def transposed(self, right: Tensor) -> Tensor:
        """Jᵀ⁻¹."""
        form = self._form
        density, excess = form.parted(right)
        along = self._charge * self._at(torch.where(form.held, excess / self._whole, 0.0))
        right = self._up(density)
        found = along + self._solved(right - self._image(along))
        level = torch.where(form.held, self._sum(self._charge, right - self._image(found)) / self._whole, 0.0)
        moved = self._down(found)
        density = density - form.made(moved) - torch.nn.functional.pad(self._at(level).expand(len(found), 1), (0, 3))
        free = excess - per_system(moved[:, 0], self._system)
        return torch.cat([density.flatten(), torch.where(form.held, level, free)])

    def _solved(self, right: Tensor) -> Tensor:
        """(1 + LᵀAL)⁻¹, across c where the total is fixed."""
        right = self._across(right)
        size = float(right.abs().max()) if right.numel() else 0.0
        if size > 100 * self._relative * self._size:  # else what rounding left of the one before, not to be solved anew
            self._size = size
        found = conjugate_gradient(
            self._image, right, preconditioner=self._constrained, project=self._across,
            tolerance=self._relative * self._size,
            most=MOST, dot=lambda one, two: self._at(self._sum(one, two)),
        )  # fmt: skip
        self.steps += found.steps
        return found.values

    def _image(self, values: Tensor) -> Tensor:
        return values + self._up(self._form.made(self._down(values)))

    def _across(self, values: Tensor) -> Tensor:
        share = torch.where(self._form.held, self._sum(self._charge, values) / self._whole, 0.0)
        return values - self._charge * self._at(share)

    @cached_property
    def _waves(self) -> SmoothInverses:
        softness = (self._charge * self._own(self._charge)).sum(1)  # of charges that feel their own Gaussian
        return SmoothInverses(self._system, 1 / softness, self._form.widths.square())

    def _own(self, values: Tensor) -> Tensor:
        """The inverse atom by atom."""
        return (self._inverse @ values.unsqueeze(2)).squeeze(2)

    def _near(self, values: Tensor) -> Tensor:
        """About the inverse: atom by atom, and the screening of long waves."""
        found = self._own(values)
        return found - self._own(self._charge) * self._waves.screening((self._charge * found).sum(1)).unsqueeze(1)

    def _constrained(self, values: Tensor) -> Tensor:
        found = self._near(values)
        turned, whole = self._turned
        share = torch.where(self._form.held, self._sum(self._charge, found) / whole, 0.0)
        return found - turned * self._at(share)

    def _down(self, values: Tensor) -> Tensor:
        return (self._factor @ values.unsqueeze(2)).squeeze(2)

    def _up(self, values: Tensor) -> Tensor:
        return (values.unsqueeze(1) @ self._factor).squeeze(1)

    def _sum(self, one: Tensor, two: Tensor) -> Tensor:
        return per_system((one * two).sum(1), self._system)

    def _at(self, values: Tensor) -> Tensor:
        return per_atom(values, self._system).reshape(-1, 1)

"""Checks that every paradigm passes in a uniform field; those that take none refuse it."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.model import Model
from farfield.system import System
from farfield.testing.comparison import check_equal, energy_of, given, slope_at_zero
from farfield.testing.structures import crystal, molecule, slab, wire

FIELD = torch.tensor([[0.11, -0.07, 0.05]], dtype=torch.float64)
"""V/Å."""
EVERYWHERE = (molecule, crystal, slab, wire)


def check_field_is_refused_or_taken(model: Model) -> None:
    """A field is an InputError where it would be ignored; a field of zero is none."""
    system = molecule(model)
    check_equal(model(_in(system, 0.0)).forces, model(system).forces)
    if "external_field" in model.paradigm.takes:
        return
    try:
        model(_in(system))
    except InputError:
        return
    raise AssertionError("no InputError")


def check_born_charges_are_forces_in_a_field(model: Model) -> None:
    """∂F/∂E = ∂d/∂R = Z to 1e-8, molecules, wires, slabs and crystals."""
    for system in _in_each(model):
        born = given(model(system, {"born_charges"}).born_charges)
        for axis in torch.eye(3, dtype=torch.float64):

            def forces(step: float, system: System = system, axis: Tensor = axis) -> Tensor:
                return given(model(replace(system, external_field=step * axis[None])).forces)

            check_equal(slope_at_zero(forces, 1e-2), torch.einsum("iab,a->ib", born, axis), 1e-8)


def check_born_charges_are_slopes_of_the_dipole(model: Model) -> None:
    """Z = ∂d/∂R by finite differences to 1e-6: of molecules, and of crystals with a polarization."""
    for system, want in ((molecule(model), "dipole"), (crystal(model), "polarization")):
        if not {want, "born_charges"} <= model.gives:
            continue
        size = system.volume()[0] if want == "polarization" else 1.0
        way = _way(system)

        def dipole(step: float, system: System = system, want: str = want, way: Tensor = way) -> Tensor:
            moved = model(system.with_positions(system.positions + step * way), {want})
            return given(getattr(moved, want))[0].detach()

        born = given(model(system, {"born_charges"}).born_charges)
        check_equal(torch.einsum("iab,ib->a", born, way), slope_at_zero(dipole) * size, 1e-6)


def check_sum_rule(model: Model) -> None:
    """Σ Z = Q to 1e-10: of molecules, and of crystals with a polarization."""
    for system in _in_each(model):
        if model.paradigm.dipole_is_single_valued or not system.periodic.any():
            born = given(model(system, {"born_charges"}).born_charges)
            check_equal(born.sum(0), system.charge[0] * torch.eye(3, dtype=torch.float64), 1e-10)


def check_born_charges_turn(model: Model) -> None:
    """Z → Q Z Qᵀ under a rotation Q, forces in a field that turns along likewise."""
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64))[0]
    for system in _in_each(model):
        here = model(_in(system), {"forces", "born_charges"})
        turned = replace(system, positions=system.positions @ turn.T, cell=system.cell @ turn.T)
        there = model(replace(turned, external_field=FIELD @ turn.T), {"forces", "born_charges"})
        check_equal(there.born_charges, turn @ given(here.born_charges) @ turn.T, 1e-8)
        check_equal(there.forces, given(here.forces) @ turn.T, 1e-8)


def check_wrapping_in_a_field(model: Model) -> None:
    """An atom moved by a lattice vector changes neither forces nor stress nor Born charges in a field."""
    want = {"forces", "born_charges"} | ({"stress"} if model.paradigm.dipole_is_single_valued else set())
    for system in _in_each(model):
        steps = torch.where(system.periodic[0][:, None], system.cell[0], 0.0)
        positions = system.positions.clone()
        positions[0] += steps[0] - 2 * steps[1]
        positions[2] += steps[1] + steps[2]
        here, there = (model(_in(s), want) for s in (system, system.with_positions(positions)))
        for name in want - ({"stress"} if not system.periodic.all() else set()):
            check_equal(getattr(there, name), given(getattr(here, name)), 1e-8)


def check_forces_in_a_field_are_the_slope(model: Model) -> None:
    """F = -dF/dR to 1e-6: of molecules, of slabs in a field across them, and of crystals with a polarization."""
    for system in _in_each(model):
        if not model.paradigm.dipole_is_single_valued and system.periodic.any():
            if system.periodic.sum() != 2:
                continue
            normal = torch.linalg.cross(*system.cell[0][system.periodic[0]])
            system = replace(system, external_field=0.1 * normal[None] / normal.norm())
        else:
            system = _in(system)
        way = _way(system)

        def energy(step: float, system: System = system, way: Tensor = way) -> Tensor:
            return energy_of(model, system.with_positions(system.positions + step * way)).sum()

        check_equal(-(given(model(system).forces) * way).sum(), slope_at_zero(energy), 1e-6)


def check_stress_in_a_field_is_the_slope(model: Model) -> None:
    """σ = (1/V) dF/dε at fixed E·a to 1e-6, or an InputError where there is no polarization."""
    if "external_field" not in model.paradigm.takes:
        return
    system = _in(crystal(model))
    if not model.paradigm.dipole_is_single_valued:
        try:
            model(system, {"stress"})
        except InputError:
            return
        raise AssertionError("no InputError")
    way = torch.randn(3, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    way = (way + way.T) / (2 * way.norm())

    def energy(step: float) -> Tensor:
        deform = torch.eye(3, dtype=torch.float64) + step * way
        field = torch.linalg.solve(system.cell[0] @ deform.T, system.cell[0] @ FIELD[0])  # the voltages as before
        deformed = replace(system, positions=system.positions @ deform.T, cell=system.cell @ deform.T)
        return energy_of(model, replace(deformed, external_field=field[None])).sum()

    found = (given(model(system, {"stress"}).stress)[0] * way).sum() * system.volume()[0]
    check_equal(found, slope_at_zero(energy), 1e-6)


def check_polarizability(model: Model) -> None:
    """α = ∂d/∂E by finite differences, symmetric and positive, in a field and without."""
    if "polarizability" not in model.gives:
        return
    for system in (molecule(model), _in(molecule(model))):
        found = given(model(system, {"polarizability"}).polarizability)[0]
        field = torch.zeros(1, 3, dtype=torch.float64) if system.external_field is None else system.external_field
        for axis in torch.eye(3, dtype=torch.float64):

            def dipole(step: float, system: System = system, field: Tensor = field, axis: Tensor = axis) -> Tensor:
                return given(model(replace(system, external_field=field + step * axis), {"dipole"}).dipole)[0].detach()

            check_equal(found @ axis, slope_at_zero(dipole, 1e-2), 1e-8)
        check_equal(found, found.T)
        if torch.linalg.eigvalsh(found).min() < -1e-10:
            raise AssertionError(f"polarizability {found.tolist()} is not positive")


def check_raman_tensors(model: Model) -> None:
    """∂α/∂R by finite differences to 1e-6: of molecules, and of crystals whose cells polarize."""
    if "polarizability" not in model.gives:
        return
    for system in (molecule(model), crystal(model))[: 1 + model.paradigm.cells_polarize]:
        way = _way(system)

        def polarizability(step: float, system: System = system, way: Tensor = way) -> Tensor:
            moved = model(system.with_positions(system.positions + step * way), {"polarizability"})
            return given(moved.polarizability)[0].detach()

        found = given(model(system, {"raman_tensors"}).raman_tensors)
        check_equal(torch.einsum("iabc,ic->ab", found, way), slope_at_zero(polarizability), 1e-6)


def check_training_on_born_charges(model: Model) -> None:
    """A loss on Born charges has finite gradients."""
    if "born_charges" not in model.gives:
        return
    model.train()
    try:
        for system in (molecule(model), crystal(model)):
            loss = given(model(system, {"born_charges"}).born_charges).square().sum()
            weights = [w for w in model.parameters() if w.requires_grad]
            slopes = torch.autograd.grad(loss, weights, allow_unused=True) if loss.requires_grad else ()
            if not all(torch.isfinite(slope).all() for slope in slopes if slope is not None):
                raise AssertionError("a gradient is not finite")
    finally:
        model.eval()


FIELD_CHECKS: list[Callable[[Model], None]] = [
    check_field_is_refused_or_taken,
    check_born_charges_are_forces_in_a_field,
    check_born_charges_are_slopes_of_the_dipole,
    check_sum_rule,
    check_born_charges_turn,
    check_wrapping_in_a_field,
    check_forces_in_a_field_are_the_slope,
    check_stress_in_a_field_is_the_slope,
    check_polarizability,
    check_raman_tensors,
    check_training_on_born_charges,
]


def _in_each(model: Model) -> list[System]:
    """A structure of every periodicity, or none where the model has no Born charges."""
    return [make(model) for make in EVERYWHERE] if "born_charges" in model.gives else []


def _in(system: System, strength: float = 1.0) -> System:
    return replace(system, external_field=strength * FIELD)


def _way(system: System) -> Tensor:
    way = torch.randn(system.positions.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.as_tensor(way / way.norm())

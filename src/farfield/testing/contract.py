"""Checks that every paradigm passes, whoever wrote it."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.model import Model, load, save
from farfield.system import System, concatenate
from farfield.testing.comparison import check_equal, energy_of, given, slope_at_zero
from farfield.testing.external_charges import EXTERNAL_CHARGE_CHECKS
from farfield.testing.field import FIELD_CHECKS
from farfield.testing.structures import crystal, far_apart, molecule, one_atom, slab, wire


def check_paradigm(model: Model) -> None:
    """Run every check on ``model`` (in float64); raises AssertionError naming the first that fails.

    The model need not be trained; its random weights should not all be zero. Checks that its paradigm says it
    ``breaks`` are left out.
    """
    model = model.double().eval()
    for check in CHECKS:
        if check.__name__ in model.paradigm.breaks:
            continue
        try:
            check(model)
        except AssertionError as failure:
            raise AssertionError(f"{check.__name__}: {check.__doc__}\n{failure}") from failure


def check_translation(model: Model) -> None:
    """Moving everything moves nothing."""
    for system in (molecule(model), crystal(model)):
        check_equal(energy_of(model, system.with_positions(system.positions + 0.37)), energy_of(model, system))


def check_rotation(model: Model) -> None:
    """Energies do not turn, forces do; mirror images are alike."""
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    for matrix in (turn, turn @ torch.diag(turn.new_tensor([1.0, 1.0, -1.0]))):
        for system in (molecule(model), crystal(model), slab(model), wire(model)):
            turned = replace(system, positions=system.positions @ matrix.T, cell=system.cell @ matrix.T)
            here, there = model(system), model(turned)
            check_equal(there.energy, here.energy)
            check_equal(there.forces, given(here.forces) @ matrix.T)


def check_permutation(model: Model) -> None:
    """The order of the atoms does not matter."""
    for system in (molecule(model), crystal(model)):
        order = torch.randperm(system.n_atoms, generator=torch.Generator().manual_seed(4))
        shuffled = replace(system, positions=system.positions[order], numbers=system.numbers[order])
        here, there = model(system), model(shuffled)
        check_equal(there.energy, here.energy)
        check_equal(there.forces, given(here.forces)[order])


def check_periodic_images(model: Model) -> None:
    """Wrapping an atom or repeating the cell description left-handedly changes nothing."""
    system = crystal(model)
    wrapped = system.positions.clone()
    wrapped[0] += system.cell[0, 0] - 2 * system.cell[0, 1]
    swapped = replace(system, cell=system.cell[:, [1, 0, 2]])
    for other in (system.with_positions(wrapped), swapped):
        check_equal(energy_of(model, other), energy_of(model, system), 1e-8)


def check_open_axes(model: Model) -> None:
    """There are no images along open axes, however near the cell says they are."""
    for system in (molecule(model), slab(model), wire(model)):
        cell = torch.where(system.periodic.unsqueeze(2), system.cell, 0.9 * crystal(model).cell)
        here, there = model(system), model(replace(system, cell=cell))
        check_equal(there.energy, here.energy)
        check_equal(there.forces, here.forces)


def check_forces_are_the_slope(model: Model) -> None:
    """F = -dE/dR to 1e-6."""
    for system in (molecule(model), crystal(model), slab(model), wire(model)):
        generator = torch.Generator().manual_seed(5)
        way = torch.randn(system.positions.shape, generator=generator, dtype=torch.float64)
        way = way / way.norm()
        found = -(given(model(system).forces) * way).sum()

        def energy(step: float, system: System = system, way: Tensor = way) -> Tensor:
            return energy_of(model, system.with_positions(system.positions + step * way)).sum()

        check_equal(found, slope_at_zero(energy), 1e-6)


def check_stress_is_the_slope(model: Model) -> None:
    """σ = (1/V) dE/dε by finite strain, to 1e-6."""
    system = crystal(model)
    generator = torch.Generator().manual_seed(6)
    way = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    way = (way + way.T) / (2 * way.norm())
    found = (given(model(system, {"energy", "stress"}).stress)[0] * way).sum() * system.volume()[0]

    def energy(step: float) -> Tensor:
        return energy_of(model, replace(system.strained(step * way), neighbors=None)).sum()

    check_equal(found, slope_at_zero(energy), 1e-6)


def check_batch_is_one_by_one(model: Model) -> None:
    """A batch equals its members one by one, molecules, slabs and crystals together."""
    members = [
        molecule(model),
        crystal(model),
        slab(model),
        wire(model),
        one_atom(model),
        molecule(model, atoms=4, seed=7),
    ]
    together = model(concatenate(members))
    check_equal(together.energy, torch.cat([energy_of(model, member) for member in members]))
    check_equal(together.forces, torch.cat([given(model(member).forces) for member in members]))


def check_total_charge(model: Model) -> None:
    """Charges sum to the total charge."""
    if "charges" not in model.gives:
        return
    for system in (molecule(model), crystal(model), one_atom(model)):
        check_equal(given(model(system, {"charges"}).charges).sum(), system.charge[0], 1e-8)


def check_loneliness(model: Model) -> None:
    """One atom, and atoms with no neighbours, have finite energies; forces of one atom vanish."""
    alone = model(one_atom(model))
    check_equal(alone.forces, torch.zeros(1, 3, dtype=torch.float64))
    apart = model(far_apart(model))
    if not (torch.isfinite(alone.energy).all() and torch.isfinite(given(apart.forces)).all()):
        raise AssertionError("not finite")


def check_coincident_atoms(model: Model) -> None:
    """Two atoms on top of each other are an InputError, not a number."""
    system = molecule(model)
    positions = system.positions.clone()
    positions[1] = positions[0]
    try:
        model(system.with_positions(positions))
    except InputError:
        return
    raise AssertionError("no InputError")


def check_single_precision(model: Model) -> None:
    """float32 agrees with float64 to float32's digits."""
    system = molecule(model)
    exact, single = model(system), copy.deepcopy(model).float()(system)
    check_equal(single.energy, exact.energy, 1e-4)
    check_equal(given(single.forces).double(), exact.forces, 1e-3)


def check_training_reaches_the_weights(model: Model) -> None:
    """A loss on forces has finite gradients, and not all are zero."""
    model.train()
    try:
        loss = given(model(concatenate([molecule(model), crystal(model)])).forces).square().sum()
        weights = [w for w in model.parameters() if w.requires_grad]
        slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    finally:
        model.eval()
    sizes = torch.stack([slope.abs().max() for slope in slopes if slope is not None and slope.numel()])
    if not torch.isfinite(sizes).all() or sizes.max() == 0:
        raise AssertionError(f"largest gradient {sizes.max():.1e}")


def check_saved_is_the_same(model: Model) -> None:
    """A model that was saved and loaded predicts the same to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model.pt")
        again = load(Path(folder) / "model.pt")
    check_equal(energy_of(again, crystal(model)), energy_of(model, crystal(model)), 0.0)


CHECKS: list[Callable[[Model], None]] = [
    check_translation,
    check_rotation,
    check_permutation,
    check_periodic_images,
    check_open_axes,
    check_forces_are_the_slope,
    check_stress_is_the_slope,
    check_batch_is_one_by_one,
    check_total_charge,
    check_loneliness,
    check_coincident_atoms,
    check_single_precision,
    check_training_reaches_the_weights,
    check_saved_is_the_same,
    *FIELD_CHECKS,
    *EXTERNAL_CHARGE_CHECKS,
]

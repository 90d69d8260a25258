"""Checks that every paradigm passes beside charges that are no atoms; those that take none refuse them."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.model import Model
from farfield.prediction import Prediction
from farfield.system import ExternalCharges, PotentialPoints, System, concatenate
from farfield.testing.comparison import check_equal, energy_of, given, slope_at_zero
from farfield.testing.structures import crystal, molecule, slab, wire

WANT = ("energy", "forces", "external_charge_forces")
PLACES = [[-3.0, 0.4, 1.1], [5.5, 6.0, 1.0], [2.0, 1.0, 8.5]]
"""Å; outside all the structures."""


def check_external_charges_are_refused_or_taken(model: Model) -> None:
    """External charges are an InputError where they would be ignored."""
    if "external_charges" in model.paradigm.takes:
        return
    try:
        model(_beside(molecule(model)))
    except InputError:
        return
    raise AssertionError("no InputError")


def check_forces_beside_external_charges(model: Model) -> None:
    """Forces on atoms and on external charges are slopes of the energy to 1e-6, whatever the periodicity."""
    for system in _each(model):
        found: Prediction = model(system, WANT)
        for name, moved in (("forces", _moved_atoms), ("external_charge_forces", _moved_charges)):
            force = given(getattr(found, name))
            way = torch.randn(force.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

            def energy(
                step: float,
                system: System = system,
                way: Tensor = way,
                moved: Callable[[System, Tensor], System] = moved,
            ) -> Tensor:
                return energy_of(model, moved(system, step * way))

            check_equal((force * way).sum(), -slope_at_zero(energy).sum(), 1e-6)


def check_action_is_reaction(model: Model) -> None:
    """Forces on atoms and external charges add up to nothing."""
    for system in _each(model):
        found: Prediction = model(system, WANT)
        total = given(found.forces).sum(0) + given(found.external_charge_forces).sum(0)
        check_equal(total, torch.zeros(3, dtype=torch.float64), 1e-7)


def check_stress_beside_external_charges(model: Model) -> None:
    """Stress is the slope of the energy as cell, atoms and external charges are strained."""
    if "external_charges" not in model.paradigm.takes or "stress" not in model.gives:
        return
    system = _beside(crystal(model))
    way = torch.randn(3, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    way = way + way.T

    def energy(step: float) -> Tensor:
        return energy_of(model, replace(system.strained(step * way), neighbors=None)).sum()

    stress = given(model(system, {"stress"}).stress)[0]
    check_equal((stress * way).sum() * system.volume()[0], slope_at_zero(energy, 1e-4), 1e-6)


def check_batch_with_external_charges(model: Model) -> None:
    """A batch of systems with and without external charges equals its members one by one."""
    if "external_charges" not in model.paradigm.takes:
        return
    members = [molecule(model), _beside(crystal(model)), _beside(molecule(model, atoms=4, seed=7)), slab(model)]
    together: Prediction = model(concatenate(members), WANT)
    alone: list[Prediction] = [model(member, WANT) for member in members]
    check_equal(together.energy, torch.cat([one.energy for one in alone]))
    check_equal(together.forces, torch.cat([given(one.forces) for one in alone]))
    forces = [one.external_charge_forces for one in alone]
    check_equal(together.external_charge_forces, torch.cat([x for x in forces if x is not None]))


def check_potential_is_what_a_charge_feels(model: Model) -> None:
    """The potential at a point is the slope of the energy by a point charge there, whatever the periodicity."""
    if not ("potential" in model.gives and "external_charges" in model.paradigm.takes):
        return
    for system in (make(model) for make in (molecule, slab, wire, crystal)):
        places, charges = (system.positions.new_tensor(x) for x in (PLACES, [1.0, -0.5, 0.3]))
        index = torch.zeros(3, dtype=torch.int64)
        asked = replace(system, potential_points=PotentialPoints(places, index))

        def energy(step: float, system: System = system, places: Tensor = places, charges: Tensor = charges) -> Tensor:
            outside = ExternalCharges(places, step * charges, torch.zeros(3, dtype=torch.int64))
            return energy_of(model, replace(system, external_charges=outside))

        potential = given(model(asked, {"potential"}).potential)
        check_equal((potential * charges).sum(), slope_at_zero(energy).sum(), 1e-6)


def _each(model: Model) -> list[System]:
    if "external_charges" not in model.paradigm.takes:
        return []
    return [_beside(make(model)) for make in (molecule, slab, wire, crystal)]


def _beside(system: System) -> System:
    """A point, and two Gaussians, one of them of the other sign."""
    charges, widths = (system.positions.new_tensor(x) for x in ([0.7, -0.4, 0.2], [0.0, 0.5, 0.9]))
    index = torch.zeros(3, dtype=torch.int64)
    outside = ExternalCharges(system.positions.new_tensor(PLACES), charges, index, widths)
    return replace(system, external_charges=outside)


def _moved_atoms(system: System, by: Tensor) -> System:
    return system.with_positions(system.positions + by)


def _moved_charges(system: System, by: Tensor) -> System:
    outside = system.external_charges
    assert outside is not None
    return replace(system, external_charges=outside.with_positions(outside.positions + by))


EXTERNAL_CHARGE_CHECKS: list[Callable[[Model], None]] = [
    check_external_charges_are_refused_or_taken,
    check_forces_beside_external_charges,
    check_action_is_reaction,
    check_stress_beside_external_charges,
    check_batch_with_external_charges,
    check_potential_is_what_a_charge_feels,
]

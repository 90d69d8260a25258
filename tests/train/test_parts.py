"""Terms of the loss for parts that nothing joins, by hand and by what a model of charges alone must do."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.data.apart.parts import with_parts_apart
from farfield.data.frame import Frame, Labels, collate
from farfield.prediction import Prediction
from farfield.system import System
from farfield.train.batches import prepared
from farfield.train.config import LossWeights, PartWeights
from farfield.train.loss import TrainingStep
from farfield.train.parts import CHARGES, FORCES, BatchParts, PartTerms, rigid_body

WATER = np.array([[0.0, 0.0, 0.1], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
AMMONIUM = 0.59 * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def pair(gap=8.0, charge=1.0):
    atoms = ase.Atoms("OH2NH4", np.concatenate([WATER, np.add(AMMONIUM, [gap, 0, 0])]), info={"charge": charge})
    forces = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3)))
    return Frame(System.from_ase(atoms), Labels(energy=torch.zeros(1).double(), forces=forces))


def tagged(frames, kind="latent", **keys):
    model = ff.new_model({"kind": kind, **keys}, species=["O", "H", "N"], backbone={"channels": 4})
    return prepared(with_parts_apart(frames)[0], model)


def test_net_force_and_torque_by_hand():
    (frame,) = tagged([pair()])
    found = rigid_body(frame.labels.forces, BatchParts.of(frame.system))
    positions, forces = frame.system.positions.numpy(), frame.labels.forces.numpy()
    for part, atoms in enumerate((slice(0, 3), slice(3, 8))):
        arm = positions[atoms] - positions[atoms].mean(0)
        torque = np.cross(arm, forces[atoms]).sum(0) / np.sqrt((arm**2).sum(1).mean())
        np.testing.assert_allclose(found[part, :3], forces[atoms].sum(0), atol=1e-12)
        np.testing.assert_allclose(found[part, 3:], torque, atol=1e-12)


def test_errors_of_a_batch_leave_out_systems_of_one_part():
    frames = tagged([pair(gap=3.0), pair()])
    system, labels = collate(frames)
    charges = torch.full((16,), 0.1, dtype=torch.float64)
    prediction = Prediction(torch.zeros(2).double(), forces=labels.forces, charges=charges)
    found = PartTerms(1.0, 1.0, 0.5).errors(prediction, labels, system)
    assert found[CHARGES].tolist() == pytest.approx([0.3, 0.5 - 1.0])
    assert found[FORCES].tolist() == pytest.approx([0.0] * 12)


def test_short_range_puts_neither_force_nor_torque_on_parts_out_of_reach():
    """Whatever its weights: what is left to fit of these is electrostatics."""
    model = ff.new_model({"kind": "short_range"}, species=["O", "H", "N"], backbone={"channels": 4})
    (frame,) = tagged([pair()])
    forces = model(frame.system, {"forces"}).forces
    assert forces.norm(dim=1).max() > 1e-3
    np.testing.assert_allclose(rigid_body(forces, BatchParts.of(frame.system)).detach(), 0, atol=1e-5)


def test_frames_without_parts_change_nothing():
    model = ff.new_model({"kind": "latent"}, species=["O", "H", "N"], backbone={"channels": 4}).train()
    system, labels = collate(tagged([pair(gap=3.0)]))
    plain, _ = TrainingStep(model, LossWeights(), 1.0, None)(system, labels)
    loss, totals = TrainingStep(model, LossWeights(), 1.0, None, PartTerms(10.0, 1.0, 1.0))(system, labels)
    assert loss == plain
    assert not {CHARGES, FORCES} & totals.keys()


def test_the_loss_counts_them_by_their_weights():
    model = ff.new_model({"kind": "latent"}, species=["O", "H", "N"], backbone={"channels": 4}).train()
    system, labels = collate(tagged([pair()]))
    plain, _ = TrainingStep(model, LossWeights(), 1.0, None)(system, labels)
    loss, totals = TrainingStep(model, LossWeights(), 1.0, None, PartTerms(10.0, 2.0, 0.5))(system, labels)
    of_parts = 10.0 * totals[CHARGES][1] / totals[CHARGES][2] + 2.0 * totals[FORCES][1] / totals[FORCES][2]
    assert float((loss - plain).detach()) == pytest.approx(float(of_parts))
    assert totals[CHARGES][2] == 2
    assert totals[FORCES][2] == 12


def test_scale_of_forces_is_that_of_the_labels_but_not_below_what_calculations_know():
    frames = tagged([pair(), pair(gap=3.0)])
    expected = rigid_body(frames[0].labels.forces, BatchParts.of(frames[0].system)).square().mean().sqrt()
    assert PartTerms.of(PartWeights(), frames, 1e-3).force_scale == pytest.approx(float(expected))
    assert PartTerms.of(PartWeights(), frames, 1e3).force_scale == pytest.approx(100.0)
    assert PartTerms.of(PartWeights(), frames[1:], 2.0).force_scale == pytest.approx(0.2)


def test_fragments_that_a_model_keeps_by_construction_stay():
    atoms = ase.Atoms("OH2NH4", np.concatenate([WATER, np.add(AMMONIUM, [3.0, 0, 0])]), info={"charge": 1.0})
    atoms.set_array("fragment", np.repeat([0, 1], [3, 5]))
    atoms.info["fragment_charges"] = [0.0, 1.0]
    frame = Frame(System.from_ase(atoms), Labels())
    (kept,) = tagged([frame], "qeq", transfer="fragments")
    (bare,) = tagged([frame], "qeq")
    assert kept.system.fragment_charges.tolist() == [[0, 1]]
    assert bare.system.fragment is None  # they touch


def test_a_molecule_across_the_face_of_its_box_is_whole():
    """A stretching force on a bond is no torque, wherever its atoms are wrapped to."""
    atoms = ase.Atoms("OH", [[-0.4, 5.0, 5.0], [0.5, 5.3, 5.2]], cell=[15.0, 16.0, 17.0], pbc=True)
    way = atoms.positions[1] - atoms.positions[0]
    atoms.wrap()
    whole = {"fragment": torch.zeros(2, dtype=torch.int64), "fragment_charges": torch.zeros(1, 1)}
    found = rigid_body(torch.tensor(np.stack([-way, way])), BatchParts.of(replace(System.from_ase(atoms), **whole)))
    torch.testing.assert_close(found, torch.zeros(1, 6, dtype=torch.float64), rtol=0, atol=1e-12)

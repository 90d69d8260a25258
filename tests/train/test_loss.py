import ase
import numpy as np
import pytest
import torch

from farfield.data.frame import Frame, Labels
from farfield.model import new_model
from farfield.prediction import Prediction
from farfield.system import System
from farfield.train.config import LossWeights
from farfield.train.loss import TrainingStep, misfits, weighed

NAN = float("nan")


def two():
    """Four atoms and one, with known errors in everything."""
    system = System.from_ase(
        [ase.Atoms("Ar4", np.diag([1.0, 2, 3, 4])[:, :3] * 3, cell=[9, 9, 9], pbc=True), ase.Atoms("Ar")]
    )
    prediction = Prediction(
        energy=torch.tensor([0.4, 0.1], dtype=torch.float64),
        forces=torch.full((5, 3), 0.2, dtype=torch.float64),
        stress=torch.stack([torch.full((3, 3), 1e-3), torch.full((3, 3), NAN)]).double(),
        charges=torch.full((5,), 0.5, dtype=torch.float64),
        dipole=torch.tensor([[NAN] * 3, [0.3, 0.0, 0.0]], dtype=torch.float64),
    )
    zeros = Labels(
        *(torch.zeros_like(getattr(prediction, k)) for k in ("energy", "forces", "stress", "charges", "dipole"))
    )
    return system, prediction, zeros


def test_every_term_by_hand():
    system, prediction, labels = two()
    found = misfits(prediction, labels, system, force_scale=2.0)
    scaled = {name: (misfit.error * misfit.factor).tolist() for name, misfit in found.items()}
    assert scaled["energy"] == pytest.approx([0.4 / 4 / 2.0, 0.1 / 1 / 2.0])  # ΔE/N over 2 eV/Å
    assert found["energy"].error.tolist() == pytest.approx([0.1, 0.1])  # shown as eV/atom
    assert scaled["forces"] == pytest.approx([0.1] * 15)
    assert scaled["stress"] == pytest.approx([729 * 1e-3 / 4 / 2.0] * 9)  # VΔσ/N; the molecule has none
    assert scaled["charges"] == pytest.approx([0.5] * 5)
    assert scaled["dipole"] == pytest.approx([0.3, 0, 0])  # the crystal has none


def test_missing_labels_are_left_out():
    system, prediction, labels = two()
    labels.energy[0] = NAN
    labels.forces[2, 1] = NAN
    found = misfits(prediction, labels, system, force_scale=1.0)
    assert len(found["energy"].error) == 1
    assert len(found["forces"].error) == 14
    assert all(torch.isfinite(misfit.error).all() for misfit in found.values())


def test_missing_labels_do_not_poison_the_gradient():
    model = new_model({"kind": "latent"}, species=["Ar"], backbone={"channels": 4}).train()
    system = System.from_ase([ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.0]])] * 2)
    labels = Labels(energy=torch.tensor([NAN, 1.0]).double(), forces=torch.full((4, 3), NAN).double())
    loss, _ = TrainingStep(model, LossWeights(), 1.0, None)(system, labels)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_huber_is_the_square_near_zero_and_linear_far_away():
    model = new_model({"kind": "short_range"}, species=["Ar"])
    step = TrainingStep(model, LossWeights(), 1.0, 0.5)
    sizes = step._size(torch.tensor([0.1, 2.0]))
    assert sizes.tolist() == pytest.approx([0.01, 2 * 0.5 * (2.0 - 0.25)])


def test_latent_does_not_look_at_charge_labels():
    _, _, labels = two()
    for kind, used in (("latent", False), ("charges", True), ("qeq", True)):
        step = TrainingStep(new_model({"kind": kind}, species=["Ar"]), LossWeights(), 1.0, None)
        assert ("charges" in step.targets(labels)) is used


def test_a_prediction_that_is_not_finite_is_no_good_one():
    system, prediction, labels = two()
    prediction.energy[0] = NAN
    assert not torch.isfinite(misfits(prediction, labels, system, force_scale=1.0)["energy"].error).all()


def test_validation_does_not_depend_on_the_size_of_batches(tiny, tmp_path):
    """Forces known in one frame of four only: sums and counts are added up, not means of means."""
    from dataclasses import replace

    from farfield.config import validated
    from farfield.train import fit as fitting
    from farfield.train.batches import prepared
    from farfield.train.config import RunConfig
    from farfield.train.run import prepare

    losses = []
    for size in (1, 3, 4):
        tiny["train"]["batch_size"] = size
        job = prepare(validated(RunConfig, tiny, ""))
        frames = prepared(job.splits.train[:4], job.model)
        blank = [replace(f, labels=replace(f.labels, forces=torch.full_like(f.labels.forces, NAN))) for f in frames[1:]]
        material = fitting.Material(job.model, frames, [frames[0], *blank], job.statistics.force_scale)
        run = fitting._Run(material, job.config.train, tmp_path, fitting.fabric_for(job.config.train))
        losses.append(run._validate()["valid_loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_polarizations_differ_modulo_the_quantum():
    """A label on another branch is the same label; the slope does not see the branch."""
    cell = [[5, 0, 0], [1, 6, 0], [0, -1, 7]]
    system = System.from_ase([ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3]], cell=cell, pbc=True), ase.Atoms("Ar")])
    label = torch.tensor([[0.01, 0.0, -0.02], [NAN] * 3]).double()
    quantum = torch.tensor(cell).double() / 210
    predicted = (label + 0.001).requires_grad_()
    for branch in (torch.zeros(3).double(), 3 * quantum[0] - quantum[1] + 2 * quantum[2]):
        prediction = Prediction(energy=torch.zeros(2).double(), polarization=predicted)
        found = misfits(prediction, Labels(polarization=label + branch), system, 1.0)["polarization"]
        assert found.error.tolist() == pytest.approx([0.001] * 3, abs=1e-15)
        assert (found.error * found.factor).tolist() == pytest.approx([0.001 * 210 / 2**0.5] * 3)
        (slope,) = torch.autograd.grad(found.error.sum(), predicted)
        assert slope[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("paradigm", "expected"),
    [
        ({"kind": "charges"}, {"quadrupole", "born_charges"}),
        ({"kind": "multipoles", "order": 1}, {"dipoles", "quadrupole", "born_charges"}),
        ({"kind": "multipoles", "order": 2}, {"dipoles", "quadrupoles", "quadrupole", "born_charges"}),
        ({"kind": "latent", "order": 2}, set()),
        ({"kind": "charges", "conservation": "bond"}, {"quadrupole", "born_charges", "polarization"}),
        ({"kind": "polarizable"}, {"dipoles", "quadrupole", "born_charges", "polarizability"}),
        ({"kind": "qeq"}, {"quadrupole", "born_charges", "polarizability"}),
        ({"kind": "latent"}, set()),
        ({"kind": "short_range"}, set()),
    ],
)
def test_targets_of_the_response_reach_the_weights(paradigm, expected):
    """Molecule and crystal together: every target the paradigm is trained on has a loss with a finite slope."""
    salt = ase.Atoms("NaCl", [[0, 0, 0], [0, 0.3, 2.6]], cell=[5, 5.2, 5.4], pbc=True)
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0.3, 2.6]])
    system = System.from_ase([salt, pair])
    labels = Labels(
        polarization=torch.tensor([[0.01, 0, 0.02], [NAN] * 3]),
        born_charges=torch.eye(3).expand(4, 3, 3) * torch.tensor([1.1, -1.1, 1.0, -1.0])[:, None, None],
        polarizability=0.1 * torch.eye(3).expand(2, 3, 3),
        dipoles=torch.tensor([[0.0, 0.0, 0.1]]).repeat(4, 1),
        quadrupoles=torch.diag(torch.tensor([0.1, 0.1, -0.2])).repeat(4, 1, 1),
        quadrupole=torch.diag(torch.tensor([1.0, 1.0, -2.0])).repeat(2, 1, 1),
    )
    model = new_model(paradigm, species=["Na", "Cl"], backbone={"channels": 4}, dtype=torch.float32).train()
    step = TrainingStep(model, LossWeights(), 1.0, None)
    assert step.targets(labels) == expected
    if not expected:
        return
    loss, totals = step(system, labels)
    assert expected <= totals.keys()
    assert all(torch.isfinite(total).all() for total in totals.values())
    slopes = torch.autograd.grad(loss, list(model.paradigm.parameters()), allow_unused=True)
    sizes = [float(slope.abs().max()) for slope in slopes if slope is not None]
    assert 0 < max(sizes) < float("inf")


def test_dipoles_and_polarizabilities_count_by_the_spread_of_their_labels():
    rng = np.random.default_rng(3)
    system = System.from_ase(ase.Atoms("Ar4", rng.normal(size=(4, 3)) * 5))
    frames = []
    for _ in range(2000):
        dipole = torch.tensor(rng.normal(scale=0.3 * 2, size=(1, 3)))  # per √atoms: 0.3
        response = torch.tensor(0.5 + rng.normal(scale=0.02 * 4, size=(1, 3, 3)))  # per atom: 0.02, about its mean
        frames.append(Frame(system, Labels(dipole=dipole, polarizability=response)))
    found = weighed(LossWeights(), frames)
    assert found.dipole == pytest.approx(0.3**-2, rel=0.05)
    assert found.polarizability == pytest.approx(0.02**-2, rel=0.05)
    given = weighed(LossWeights(dipole=7.0, polarizability=0.0), frames)
    assert (given.dipole, given.polarizability) == (7.0, 0.0)
    alike = weighed(LossWeights(), frames[:1])
    assert alike.dipole == pytest.approx(1 / float((frames[0].labels.dipole / 2).square().mean()))
    assert weighed(LossWeights(), [Frame(system, Labels())]).polarizability == 1.0


def test_dipoles_of_atoms_count_by_their_spread_over_all_atoms():
    rng = np.random.default_rng(3)
    frames = []
    for atoms in (3, 4) * 300:
        dipoles = torch.tensor(0.1 + rng.normal(scale=0.02, size=(atoms, 3)))
        if atoms == 4:
            dipoles[0] = torch.nan  # of that atom nothing is known
        frames.append(Frame(System.from_ase(ase.Atoms(f"Ar{atoms}", np.eye(4, 3)[:atoms])), Labels(dipoles=dipoles)))
    assert weighed(LossWeights(), frames).dipoles == pytest.approx(0.02**-2, rel=0.1)

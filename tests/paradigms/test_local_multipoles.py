"""What ``multipoles`` and ``latent`` promise of dipoles and quadrupoles beyond the contract."""

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.data.frame import Frame, Labels
from farfield.errors import InputError
from farfield.evaluation import evaluate
from farfield.system import System
from farfield.testing.structures import far_apart, molecule, one_atom
from farfield.train.config import LossWeights
from farfield.train.loss import TrainingStep
from farfield.units import COULOMB

SPECIES = ("H", "O", "Na", "Cl")


def model_of(kind="latent", order=2, **config):
    paradigm = {"kind": kind, "order": order, "coulomb_error": 1e-9, **config}
    return ff.new_model(paradigm, species=SPECIES, seed=3, backbone={"channels": 8}).eval()


def neutral(model, seed):
    system = molecule(model, seed=seed)
    return replace(system, charge=torch.zeros(1, dtype=torch.float64))


def beside(one, two, way):
    """Both in one system, ``two`` moved along ``way``."""
    atoms = ase.Atoms(np.r_[one.numbers, two.numbers], np.r_[one.positions, two.positions + way])
    return System.from_ase(atoms)


def expansion(one, two, way):
    """Dipoles and quadrupoles (d, Θ) of two molecules at the distance ``way``: Buckingham's series to R⁻⁴."""
    (mu, theta), (nu, phi) = one, two
    distance, n = np.linalg.norm(way), way / np.linalg.norm(way)
    dipoles = mu @ nu - 3 * (mu @ n) * (nu @ n)
    mixed = 5 * ((mu @ n) * (n @ phi @ n) - (nu @ n) * (n @ theta @ n)) - 2 * (mu @ phi @ n - nu @ theta @ n)
    return COULOMB * dipoles / distance**3, COULOMB * mixed / distance**4


@pytest.mark.parametrize("order", [0, 1, 2])
def test_molecules_far_apart_feel_dipoles_and_quadrupoles(order):
    """Of all that atoms carry, about the centres of mass: what is left out falls off as R⁻⁵."""
    model = model_of(order=order, conservation="bond", formal_charges=dict.fromkeys(SPECIES, 0.0))
    one, two = neutral(model, 0), neutral(model, 5)
    said = [model(s, {"dipole", "quadrupole", "energy"}) for s in (one, two)]
    moments = [(s.dipole[0].detach().numpy(), s.quadrupole[0].detach().numpy()) for s in said]
    centres = [ase.Atoms(s.numbers, s.positions).get_center_of_mass() for s in (one, two)]
    alone = sum(float(s.energy.detach()) for s in said)
    missing = []
    for distance in (100.0, 200.0):
        way = distance * np.array([2.0, -1, 2]) / 3
        with torch.no_grad():
            together = float(model(beside(one, two, way - centres[1] + centres[0])).energy)
        first, second = expansion(*moments, way)
        missing.append(together - alone - first - second)
        assert abs(missing[-1]) < 0.2 * abs(second)
    assert missing[0] / missing[1] == pytest.approx(32, rel=0.2)


def test_multipoles_turn_with_the_molecule():
    model = model_of()
    system = molecule(model)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)).double())[0]
    here, there = (
        model(s, {"dipoles", "quadrupoles"}) for s in (system, system.with_positions(system.positions @ turn.T))
    )
    torch.testing.assert_close(there.dipoles, here.dipoles @ turn.T)
    torch.testing.assert_close(there.quadrupoles, turn @ here.quadrupoles @ turn.T)
    assert here.dipoles.norm() > 1e-2
    assert here.quadrupoles.norm() > 1e-2


def test_an_atom_alone_is_a_charge():
    model = model_of()
    for system in (one_atom(model), far_apart(model)):
        found = model(system, {"dipoles", "quadrupoles"})
        assert not found.dipoles.any()
        assert not found.quadrupoles.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_symmetry_leaves_no_multipoles_and_stops_nobody(dtype):
    """Where channels cancel, rounding is all there is: it must not be taken for a quadrupole with a trace."""
    model = model_of().to(dtype)
    salt = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = model(System.from_ase(salt.repeat(2)), {"energy", "dipoles", "quadrupoles"})
    assert found.energy.isfinite().all()
    assert found.dipoles.abs().max() < 1e-4
    assert found.quadrupoles.abs().max() < 1e-4


def test_every_order_gives_what_it_has():
    said = {order: model_of(order=order).gives & {"charges", "dipoles", "quadrupoles"} for order in (0, 1, 2)}
    assert said == {0: {"charges"}, 1: {"charges", "dipoles"}, 2: {"charges", "dipoles", "quadrupoles"}}
    low = ff.new_model({"kind": "latent", "order": 2}, species=["O"], backbone={"l_max": 1})
    assert low.backbone.widths.tensors > 0  # the last layer sees as much of its neighbours as it has to give
    with pytest.raises(InputError, match="order"):
        ff.new_model({"kind": "latent", "order": 3}, species=["O"])


def test_labels_of_atoms_are_learned():
    """A few steps bring dipoles and quadrupoles of one molecule to those of another model."""
    teacher, pupil = model_of("multipoles"), model_of("multipoles").train()
    with torch.no_grad():
        for weight in (*pupil.paradigm.dipoles.parameters(), *pupil.paradigm.quadrupoles.parameters()):
            weight.mul_(-0.5)
    system = molecule(teacher)
    said = teacher(system, {"charges", "dipoles", "quadrupoles"})
    labels = Labels(**{n: getattr(said, n).detach() for n in ("charges", "dipoles", "quadrupoles")})
    step = TrainingStep(pupil, LossWeights(dipoles=1.0, quadrupoles=1.0), 1.0, None)
    optimizer, losses = torch.optim.Adam(pupil.paradigm.parameters(), 0.02), []
    for _ in range(40):
        optimizer.zero_grad()
        loss, totals = step(system, labels)
        loss.backward(inputs=list(pupil.paradigm.parameters()))
        optimizer.step()
        losses.append(float(loss.detach()))
    assert {"charges", "dipoles", "quadrupoles"} <= totals.keys()
    assert losses[-1] < 0.05 * losses[0]
    found = evaluate(pupil.eval(), [Frame(system, labels)])
    assert found.compared["quadrupoles"].predicted.shape == (system.n_atoms, 3, 3)

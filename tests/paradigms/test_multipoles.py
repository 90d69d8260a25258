"""What ``multipoles`` promises of its labels, and of the potential outside."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.data.frame import Frame, Labels, collate
from farfield.errors import InputError
from farfield.evaluation import evaluate
from farfield.evaluation.errors import errors
from farfield.model import contents, from_contents
from farfield.paradigms.shared.local_multipoles import LocalMultipoles
from farfield.system import PotentialPoints, System, concatenate
from farfield.testing import check_paradigm
from farfield.testing.structures import crystal, molecule
from farfield.train.config import LossWeights
from farfield.train.loss import TrainingStep, weighed
from farfield.units import COULOMB

SPECIES = ("H", "O", "Na", "Cl")
EVERYTHING = (
    "energy",
    "forces",
    "charges",
    "dipoles",
    "quadrupoles",
    "dipole",
    "quadrupole",
    "born_charges",
    "potential",
)


def model_of(kind="multipoles", seed=3, **config):
    paradigm = {"kind": kind, "coulomb_error": 1e-9, **config}
    return ff.new_model(paradigm, species=SPECIES, seed=seed, backbone={"channels": 8}).eval()


def asked(system, points):
    index = torch.zeros(len(points), dtype=torch.int64)
    return replace(system, potential_points=PotentialPoints(torch.as_tensor(points).double(), index))


def around(system, count=20):
    """Points 4 Å outside the farthest atom."""
    ways = torch.from_numpy(np.random.default_rng(2).normal(size=(count, 3)))
    middle = system.positions.mean(0)
    reach = (system.positions - middle).norm(dim=1).max() + 4
    return asked(system, middle + reach * ways / ways.norm(dim=1, keepdim=True))


def turned(prediction, turn):
    """Every answer, as it is after everything was turned."""

    def of(name):
        value = getattr(prediction, name)
        if name in ("forces", "dipoles", "dipole"):
            return value @ turn.T
        return turn @ value @ turn.T if name in ("quadrupoles", "quadrupole", "born_charges") else value

    return {name: of(name).detach() for name in EVERYTHING}


def test_everything_turns_with_the_molecule():
    model = model_of()
    system = around(molecule(model))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)).double())[0]
    there = asked(system.with_positions(system.positions @ turn.T), system.potential_points.positions @ turn.T)
    expected = turned(model(system, EVERYTHING), turn)
    for name, value in turned(model(there, EVERYTHING), torch.eye(3).double()).items():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-10 * max(scale, 1.0), msg=name)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_potential_far_away_is_that_of_the_molecule(order):
    """Q/R + d·n/R² + n·Θ·n/R³: what is left out falls off as R⁻⁴."""
    model = model_of(order=order)
    system = molecule(model)
    centre = torch.from_numpy(ase.Atoms(system.numbers, system.positions).get_center_of_mass())
    ways = torch.from_numpy(np.random.default_rng(4).normal(size=(12, 3)))
    ways, missing = ways / ways.norm(dim=1, keepdim=True), []
    for distance in (100.0, 200.0):
        said = model(asked(system, centre + distance * ways), {"potential", "dipole", "quadrupole"})
        dipole, theta = said.dipole[0] - system.charge * centre, (ways @ said.quadrupole[0] * ways).sum(1)
        series = system.charge / distance + ways @ dipole / distance**2 + theta / distance**3
        missing.append(float((said.potential - COULOMB * series).norm().detach()))
        assert missing[-1] < 0.2 * COULOMB * float(theta.norm().detach()) / distance**3
    assert missing[0] / missing[1] == pytest.approx(16, rel=0.2)


def test_points_of_a_batch_are_those_of_its_members():
    model = model_of()
    one, two, three = around(molecule(model)), molecule(model, atoms=4, seed=7), around(molecule(model, seed=5), 3)
    together = model(concatenate([one, two, three]), {"potential"}).potential
    alone = [model(s, {"potential"}).potential for s in (one, three)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert model(two, {"potential"}).potential is None  # nothing was asked of it
    some, _ = concatenate([one, two, three]).select(torch.tensor([1, 2]))
    torch.testing.assert_close(model(some, {"potential"}).potential, alone[1])


def test_single_precision_far_from_the_origin():
    model = model_of()
    system = around(molecule(model))
    exact = model(system, {"potential"}).potential
    away = asked(system.with_positions(system.positions + 1500), system.potential_points.positions + 1500)
    torch.testing.assert_close(model.float()(away, {"potential"}).potential.double(), exact, rtol=1e-4, atol=1e-4)


def test_a_potential_without_quadrupoles_is_caught(monkeypatch):
    honest = LocalMultipoles._potential
    monkeypatch.setattr(LocalMultipoles, "_potential", lambda self, s, q, mu, theta: honest(self, s, q, mu, None))
    with pytest.raises(AssertionError, match="check_potential"):
        check_paradigm(model_of())


LABELS = [
    ("charges", "dipoles", "quadrupoles"),
    ("dipole", "quadrupole"),
    ("potential",),
    ("charges", "dipole", "potential"),
]


@pytest.mark.parametrize("names", LABELS, ids="-".join)
def test_whatever_is_labelled_is_learned(names):
    """A few steps bring a model's multipoles to those of another, weights left to the labels' spread."""
    teacher, pupil = model_of(seed=1), model_of(seed=2).train()
    frames = []
    for seed in range(3):
        system = around(molecule(teacher, seed=seed), 60)
        said = teacher(system, names)
        frames.append(Frame(system, Labels(**{name: getattr(said, name).detach() for name in names})))
    step = TrainingStep(pupil, weighed(LossWeights(energy=0, forces=0), frames), 1.0, None)
    optimizer, losses = torch.optim.Adam(pupil.paradigm.parameters(), 0.02), []
    system = concatenate([frame.system for frame in frames])
    labels = Labels(**{name: torch.cat([getattr(frame.labels, name) for frame in frames]) for name in names})
    assert step.targets(labels) == set(names)
    for _ in range(60):
        optimizer.zero_grad()
        loss, totals = step(system, labels)
        loss.backward(inputs=[w for w in pupil.paradigm.parameters() if w.requires_grad])
        optimizer.step()
        losses.append(sum(float(t[1] / t[2]) for name, t in totals.items() if name in names))
    assert losses[-1] < 0.2 * losses[0]


def test_errors_of_potentials_count_points():
    model = model_of()
    some, none = around(molecule(model), 5), molecule(model, seed=4)
    label = model(some, {"potential"}).potential.detach() + 0.01
    frames = [
        Frame(none, Labels(potential=torch.zeros(0)), group="none"),
        Frame(some, Labels(potential=label), group="some"),
    ]
    rows = {(row.measure, row.group): row for row in errors(evaluate(model, frames, batch_size=1))}
    assert rows["potential", None].count == rows["potential", "some"].count == 5
    assert rows["potential", None].rmse == pytest.approx(10.0)
    assert ("potential", "none") not in rows


def test_potentials_are_learned_where_some_frames_have_none():
    model = model_of().train()
    some, none = around(molecule(model), 5), molecule(model, seed=4)
    values = torch.linspace(-1, 1, 5).double()
    frames = [Frame(none, Labels(potential=torch.zeros(0))), Frame(some, Labels(potential=values))]
    weights = weighed(LossWeights(), frames)
    assert weights.potential == pytest.approx(1 / float(values.square().mean()))
    loss, totals = TrainingStep(model, weights, 1.0, None)(*collate(frames))
    assert int(totals["potential"][2]) == 5
    assert loss.isfinite()


def test_a_crystal_has_a_potential_between_its_atoms():
    """Of all images: the same a lattice vector further."""
    model = model_of()
    system, point = crystal(model), torch.tensor([[0.1, 0.2, 0.3]]).double()
    shifted = point + system.cell[0, 1] - 2 * system.cell[0, 0]
    here, there = (model(asked(system, p), {"potential"}).potential for p in (point, shifted))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-7)


def test_models_of_charges_with_an_order_are_multipoles_now():
    model = model_of(order=1)
    found = contents(model)
    found["config"]["paradigm"]["kind"] = "charges"
    again = from_contents(found)
    assert (again.config.paradigm.kind, again.config.paradigm.order) == ("multipoles", 1)
    system = molecule(model)
    torch.testing.assert_close(again(system).energy, model(system).energy)
    plain = contents(model_of("charges"))
    plain["config"]["paradigm"]["order"] = 0
    assert from_contents(plain).config.paradigm.kind == "charges"
    with pytest.raises(InputError, match=r"order: unknown key; .* kind: multipoles or latent"):
        model_of("charges", order=1)


def test_points_are_refused_that_are_none():
    for rows in ([[0.0, 0.0]], [[0.0, 0.0, np.nan]], "here"):
        with pytest.raises(InputError, match="potential_points"):
            System.from_ase(ase.Atoms("He", info={"potential_points": rows}))
    with pytest.raises(InputError, match="ascend"):
        PotentialPoints(torch.zeros(2, 3), torch.tensor([1, 0]))
    with pytest.raises(InputError, match="shape"):
        PotentialPoints(torch.zeros(2, 2), torch.tensor([0, 0]))

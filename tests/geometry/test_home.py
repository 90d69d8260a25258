"""Atoms far from the origin, in single precision, as those at home in double."""

from dataclasses import replace

import ase.units
import numpy as np
import pytest
import torch
from ase.md.verlet import VelocityVerlet

import farfield as ff
from farfield.data.frame import Frame, Labels, collate
from farfield.deploy.ase import FarfieldCalculator
from farfield.geometry.home import Home
from farfield.geometry.neighbors import pairs_within, with_neighbors
from farfield.paradigms.registry import PARADIGMS
from farfield.system import concatenate, per_system
from farfield.testing.structures import crystal, molecule, slab, wire
from farfield.train.batches import prepared
from farfield.train.config import LossWeights
from farfield.train.loss import TrainingStep

CASES = {
    "short_range": {"kind": "short_range"},
    **{f"charges-{way}": {"kind": "charges", "conservation": way} for way in ("shift", "bond", "fixed")},
    **{f"multipoles-{way}": {"kind": "multipoles", "conservation": way} for way in ("shift", "bond", "fixed")},
    **{f"latent-{way}": {"kind": "latent", "conservation": way} for way in ("shift", "bond", "fixed")},
    **{f"polarizable-{way}": {"kind": "polarizable", "conservation": way} for way in ("shift", "bond", "fixed")},
    "polarization": {"kind": "polarization"},
    "wannier": {"kind": "wannier"},
    "qeq": {"kind": "qeq"},
    "qeq-4g": {"kind": "qeq", "scheme": "4g"},
    "qeq-split-charge": {"kind": "qeq", "transfer": "split_charge"},
    "qeq-split-charge-4g": {"kind": "qeq", "transfer": "split_charge", "scheme": "4g"},
    **{f"lode-{sources}": {"kind": "lode", "sources": sources} for sources in ("learned", "elements")},
    "ewald_mp": {"kind": "ewald_mp", "order": 1},
    "attention": {"kind": "attention", "order": 1},
    "scf": {"kind": "scf"},
    "scf-readout": {"kind": "scf", "scheme": "readout"},
}
FEW = (
    "short_range",
    "latent-shift",
    "latent-bond",
    "polarizable-fixed",
    "polarization",
    "qeq",
    "qeq-split-charge",
    "scf",
)

MADE = {"crystal": crystal, "slab": slab, "wire": wire, "molecule": molecule}
FIELD = torch.tensor([[0.04, -0.03, 0.05]], dtype=torch.float64)


def models(name):
    """The same in double and in single precision."""
    made = [ff.new_model(CASES[name], species=["H", "O", "Na", "Cl"], seed=1, backbone={"channels": 8}) for _ in "ab"]
    return made[0].eval(), made[1].float().eval()


def far_away(system, seed=0):
    """Every atom by whole lattice vectors of its own, up to 300, and along open axes all by 1,700 Å."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(-300, 301, system.positions.shape, generator=generator) * system.periodic
    along = torch.where(system.periodic.unsqueeze(2), system.cell, 0.0)[0]
    way = torch.tensor([0.6, -0.64, 0.48], dtype=torch.float64)
    across = way - way @ torch.linalg.pinv(along) @ along
    return system.with_positions(system.positions + whole.double() @ along + 1700.0 * across)


def test_every_registered_paradigm_is_tried():
    assert {case["kind"] for case in CASES.values()} == set(PARADIGMS)


# every paradigm, and every way charges are conserved; all of their pairs with the slow tests
EACH = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.mark.parametrize("name", EACH)
def test_far_away_in_single_precision_as_at_home_in_double(name):
    exact, rounded = models(name)
    for make in MADE.values():
        here = make(exact)
        there = far_away(here)
        for field in (None, FIELD) if "external_field" in exact.paradigm.takes else (None,):
            home, far = (replace(system, external_field=field) for system in (here, there))
            want = {"energy", "forces"} | ({"stress"} if here.periodic.all() and field is None else set())
            found, expected = rounded(far, want), exact(home, want)
            np.testing.assert_allclose(found.forces, expected.forces, atol=1e-4, rtol=2e-5)
            torch.testing.assert_close(found.energy, exact(far, {"energy"}).energy, atol=3e-4, rtol=1e-6)
            if expected.stress is not None:
                np.testing.assert_allclose(found.stress, expected.stress, atol=1e-5)


@pytest.mark.parametrize("name", EACH)
def test_dipoles_are_those_of_where_the_atoms_are(name):
    """About the origin, on the branch of the unwrapped positions; their slopes are nowhere else."""
    exact, rounded = models(name)
    want = {"dipole", "polarization", "born_charges", "polarizability", "charges"} & exact.gives
    for make in MADE.values():
        here = make(exact)
        found, home, there = rounded(far_away(here), want), exact(here, want), exact(far_away(here), want)
        for label in want:
            placed = label in ("dipole", "polarization")
            scale = here.volume() if label == "polarization" else 1.0
            one, two = (scale * getattr(given, label).double() for given in (found, there if placed else home))
            torch.testing.assert_close(one, two, atol=2e-3 if placed else 2e-4, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", ["qeq", "scf"])
def test_a_fermi_level_counts_from_the_origin(name):
    exact, rounded = models(name)
    here = replace(molecule(exact), fermi_level=torch.tensor([0.3], dtype=torch.float64))
    for field in (None, 0.01 * FIELD):
        system = replace(far_away(here), external_field=field)
        want = {"energy", "forces", "charges", "dipole", "born_charges"}
        for wanted in (want, want - {"born_charges"}):
            expected, found = exact(system, wanted), rounded(system, wanted)
            origin = 100 if "born_charges" in wanted else 1  # whose slopes depend on it: nothing is brought home
            np.testing.assert_allclose(found.forces, expected.forces, atol=1e-4 * origin, rtol=2e-5)
            np.testing.assert_allclose(found.charges, expected.charges, atol=1e-4 * origin)
            torch.testing.assert_close(found.energy, expected.energy, atol=1e-3 * origin, rtol=1e-5)
            torch.testing.assert_close(found.dipole, expected.dipole, atol=1e-2 * origin, rtol=1e-4)


def test_a_batch_is_brought_home_one_by_one():
    exact, rounded = models("latent-bond")
    members = [far_away(replace(make(exact), external_field=FIELD), seed) for seed, make in enumerate(MADE.values())]
    together = rounded(concatenate(members), {"energy", "forces"})
    alone = [rounded(member, {"energy", "forces"}) for member in members]
    torch.testing.assert_close(together.energy, torch.cat([one.energy for one in alone]), atol=1e-5, rtol=1e-7)
    torch.testing.assert_close(together.forces, torch.cat([one.forces for one in alone]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", MADE)
def test_pairs_are_the_same_and_positions_small(kind):
    exact, _ = models("short_range")
    far = with_neighbors(far_away(MADE[kind](exact)), 6.0)
    home = Home.of(far, torch.float32)
    assert home.system.positions.abs().max() < 12
    before, after = pairs_within(far, 5.0), pairs_within(home.system, 5.0)
    assert torch.equal(before.i, after.i)
    assert torch.equal(before.j, after.j)
    np.testing.assert_allclose(after.vector, before.vector, atol=1e-5)
    back = home.system.positions.double() + home.wrapped + home.centre[far.system_index]
    np.testing.assert_allclose(back, far.positions, atol=1e-5)


def test_nothing_moves_where_nothing_is_rounded():
    exact, _ = models("short_range")
    system = far_away(crystal(exact))
    assert Home.of(system, torch.float64).system is system
    narrow = system.to(dtype=torch.float32)
    assert torch.equal(Home.of(narrow, torch.float64).system.positions, narrow.positions.double())


@pytest.mark.parametrize("name", ["latent-bond", "latent-shift", "polarizable-bond", "qeq", "scf"])
def test_positions_and_fields_that_ask_for_a_gradient_get_that_of_where_the_atoms_are(name):
    """dF/dE = -d and dF/dR of F = E - d·E, also where charges between the cells leave it many-valued."""
    exact, rounded = models(name)
    for make in (crystal, molecule):
        slopes = []
        for model in (exact, rounded):
            far = far_away(make(model), seed=3)
            leaves = [far.positions.clone().requires_grad_(), 0.1 * FIELD.clone().requires_grad_()]
            system = replace(far, positions=leaves[0], external_field=leaves[1])
            slopes.append(torch.autograd.grad(model(system, {"energy"}).energy.sum(), leaves))
        torch.testing.assert_close(slopes[1][0], slopes[0][0], atol=3e-4, rtol=1e-4)
        torch.testing.assert_close(slopes[1][1], slopes[0][1], atol=3e-3, rtol=1e-5)


def test_training_frames_far_away_give_the_loss_and_the_gradients_of_those_at_home():
    _, model = models("latent-bond")
    made = [replace(MADE[kind](model), external_field=FIELD) for kind in MADE]
    losses, slopes = [], []
    for move in (lambda system: system, far_away):
        frames = []
        for system in map(move, made):
            labels = Labels(
                energy=torch.full((1,), -3.0, dtype=torch.float64) - _pulled(model, system),
                forces=torch.full_like(system.positions, 0.1),
            )
            frames.append(Frame(system, labels))
        step = TrainingStep(model.train(), LossWeights(), 1.0, None)
        loss, _ = step(*collate(prepared(frames, model)))
        losses.append(loss.item())
        slopes.append(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for here, there in zip(*slopes):
        if here is not None:
            torch.testing.assert_close(there, here, atol=1e-4 * float(here.abs().max()) + 1e-6, rtol=1e-3)


def _pulled(model, system):
    """Σ z R·E of the formal charges: what the field makes of where atoms are."""
    ions = model.paradigm.charges.element_charge[system.numbers].double()
    return per_system(ions[:, None] * system.positions, system) @ FIELD[0]


def test_energy_in_a_field_is_conserved_as_atoms_cross_a_cell_far_from_the_origin():
    """300 cells away, in single precision, as at home in double: F = E - d·E knows no cell."""
    config = {"kind": "latent", "conservation": "bond"}
    model = ff.new_model(config, species=["Na", "Cl"], seed=1, backbone={"channels": 8})
    runs = []
    for dtype, away in (("float64", 0), ("float32", 300)):
        cells = away * np.array([[1, -1, 1], [1, 0, 0], [0, -1, 1], [1, 1, 1]])
        positions = [[0.1, 0, 1.0], [2.79, 0.2, 0], [0, 2.79, 5.59], [2.7, 2.9, 2.79]] + 5.6 * cells
        atoms = ase.Atoms("NaClNaCl", positions, cell=[5.6, 5.6, 5.6], pbc=True)
        atoms.calc = FarfieldCalculator(model, dtype=dtype, external_field=[0.03, 0.0, 0.08])
        atoms.set_velocities(np.full((4, 3), 0.1))
        motion, first, run, lists = VelocityVerlet(atoms, 0.5 * ase.units.fs), atoms.positions.copy(), [], set()
        for _ in range(16):
            run.append([atoms.get_total_energy(), *(atoms.positions - 5.6 * cells).flat])
            motion.run(1)
            lists.add(id(atoms.calc.kept.known))
        assert len(lists) == 1  # an atom that crosses makes no new list
        crossed = np.round(atoms.positions / 5.6) - np.round(first / 5.6)
        assert np.abs(crossed).sum() >= 2
        runs.append(np.array(run))
    np.testing.assert_allclose(runs[1][:, 1:], runs[0][:, 1:], atol=1e-5)
    energies = [run[:, 0] - run[0, 0] for run in runs]
    np.testing.assert_allclose(energies[1], energies[0], atol=5e-5)
    assert np.ptp(energies[0]) < 2e-3

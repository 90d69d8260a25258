"""What a model must survive: any arrangement, the edge of the cutoff, single precision."""

import ase
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from farfield.model import new_model
from farfield.system import System


def random_structures(count, seed=0):
    """From gas to far too dense, molecules and crystals, atoms at any distance above 10⁻² Å."""
    rng = np.random.default_rng(seed)
    frames = []
    while len(frames) < count:
        atoms, edge = int(rng.integers(1, 9)), 10 ** rng.uniform(-0.3, 1.5)
        periodic = bool(rng.integers(2)) and edge > 2
        positions = rng.uniform(0, edge, (atoms, 3))
        frame = ase.Atoms(rng.choice([1, 8, 11, 17], atoms), positions, cell=edge * np.eye(3) * periodic, pbc=periodic)
        distances = frame.get_all_distances(mic=periodic)
        if atoms == 1 or distances[np.triu_indices(atoms, 1)].min() > 1e-2:
            frames.append(frame)
    return frames


@pytest.mark.parametrize("kind", ["short_range", "latent"])
@pytest.mark.parametrize("repulsion", ["none", "zbl"])
def test_a_thousand_random_structures_give_finite_energies_and_forces(kind, repulsion):
    model = new_model(
        {"kind": kind}, species=["H", "O", "Na", "Cl"], backbone={"channels": 8, "repulsion": repulsion},
        dtype=torch.float32,
    ).eval()  # fmt: skip
    frames = random_structures(250, seed=["short_range", "latent"].index(kind) * 2 + (repulsion == "zbl"))
    for start in range(0, len(frames), 50):
        found = model(System.from_ase(frames[start : start + 50]))
        assert torch.isfinite(found.energy).all()
        assert torch.isfinite(found.forces).all()


@pytest.mark.parametrize("kind", ["short_range", "latent"])
def test_curvature_is_continuous_as_a_neighbour_leaves(kind):
    """E'' = -dF/dr, extrapolated from inside and from outside, meets at the cutoff."""
    model = new_model({"kind": kind}, species=["Na", "Cl"], cutoff=4.0).eval()

    def curvature(r, h=1e-5):
        frames = [ase.Atoms("NaClNa", [[0, 0, 0], [1.5, 1.5, 0], [0, 0, x]]) for x in (r - h, r + h)]
        forces = model(System.from_ase(frames)).forces.reshape(2, 3, 3)[:, 2, 2]
        return float((forces[0] - forces[1]) / (2 * h))

    def at_the_cutoff(side, step=1e-3):
        return 2 * curvature(4.0 + side * step) - curvature(4.0 + 2 * side * step)

    jump = abs(at_the_cutoff(-1) - at_the_cutoff(+1))
    assert jump < 1e-4 * max(abs(curvature(r)) for r in (3.0, 3.5, 3.8))


def test_a_look_in_inference_mode_leaves_nothing_behind():
    """What is kept between calls must serve those who differentiate, too."""
    model = new_model({"kind": "latent"}, species=["Na", "Cl"], backbone={"channels": 5, "l_max": 1}).eval()
    system = System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [2.5, 0, 0]], cell=[5.1, 5.2, 5.3], pbc=True))
    with torch.inference_mode():
        energy = model(system, ("energy",)).energy.item()
    found = model.train()(system, ("energy", "forces", "stress"))
    assert found.energy.item() == pytest.approx(energy, rel=1e-12)
    found.forces.square().sum().backward()


def test_stress_is_trained_on_beside_molecules_that_have_none():
    model = new_model({"kind": "latent"}, species=["Na", "Cl"], backbone={"channels": 5}).train()
    crystal = ase.Atoms("NaCl", [[0, 0, 0], [2.5, 0, 0]], cell=[5.1, 5.2, 5.3], pbc=True)
    molecule = ase.Atoms("NaCl", [[0, 0, 0], [2.4, 0, 0]])
    found = model(System.from_ase([crystal, molecule]), ("energy", "forces", "stress"))
    assert found.stress[1].isnan().all()
    found.stress[0].square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
@pytest.mark.parametrize("l_max", [2, 3])
def test_symmetry_to_rounding(dtype, tolerance, l_max):
    """Rotated, reflected, moved, permuted: energies and forces follow, relative to their size."""
    rng = np.random.default_rng(3)
    model = new_model({"kind": "latent"}, species=["H", "O", "Na", "Cl"], backbone={"l_max": l_max}, dtype=dtype).eval()
    frame = ase.Atoms(rng.choice([1, 8, 11, 17], 12), 2.5 * rng.permutation(np.argwhere(np.ones((3, 3, 3))))[:12])
    frame.positions += rng.uniform(-0.3, 0.3, (12, 3))
    here = model(System.from_ase(frame).to(dtype=dtype))
    for k in range(4):
        turn = Rotation.random(random_state=k).as_matrix() * (-1) ** k
        order = rng.permutation(12)
        moved = ase.Atoms(frame.numbers[order], (frame.positions @ turn.T + rng.uniform(-3, 3, 3))[order])
        there = model(System.from_ase(moved).to(dtype=dtype))
        energy_scale = here.energy.abs().clamp_min(1.0)
        assert ((there.energy - here.energy).abs() / energy_scale).max() < tolerance
        turned = (here.forces.double() @ torch.tensor(turn).T)[order]
        assert (there.forces - turned).norm() / turned.norm() < tolerance

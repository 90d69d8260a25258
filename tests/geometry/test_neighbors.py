"""The search against a double loop over atoms and images."""

import itertools

import ase
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farfield.errors import InputError
from farfield.geometry.neighbors import find_neighbors, pairs_within, with_neighbors
from farfield.system import System, concatenate

CELLS = {
    "cubic": np.eye(3) * 5.0,
    "orthorhombic": np.diag([4.0, 5.5, 7.0]),
    "triclinic": np.array([[5.0, 0, 0], [1.3, 4.6, 0], [-0.9, 1.7, 5.2]]),
    "left-handed": np.array([[0, 5.0, 0], [4.0, 0, 0], [0, 0, 6.0]]),
    "skewed": np.array([[4.0, 0, 0], [9.5, 3.0, 0], [-7.0, 8.0, 3.5]]),
    "tiny": np.diag([1.1, 1.3, 1.2]),
    "tiny and skewed": np.array([[1.5, 0, 0], [2.9, 1.4, 0], [1.0, -2.0, 1.6]]),
    "flat": np.diag([20.0, 1.4, 20.0]),
    "rotated": np.array([[3.0, 3.0, 1.0], [-2.0, 3.5, 0.5], [1.0, -1.5, 4.5]]),
}
PERIODICITIES = list(itertools.product([False, True], repeat=3))


def structure(cell, periodic, *, atoms=4, seed=0, spread=1.0):
    """Random atoms; ``spread`` above 1 leaves them outside the cell, unwrapped."""
    rng = np.random.default_rng(seed)
    while True:
        positions = (spread * (rng.random((atoms, 3)) - 0.3)) @ cell
        found = ase.Atoms("He" * atoms, positions=positions, cell=cell, pbc=periodic)
        distances = brute_force(found, 0.2)
        if not distances:
            return found


def brute_force(atoms, cutoff):
    """Sorted (i, j, distance) by looping over every image that could matter."""
    cell, periodic = atoms.cell.array, atoms.pbc
    reach = cutoff + np.ptp(atoms.positions, axis=0).sum()
    heights = 1 / np.linalg.norm(np.linalg.pinv(np.where(periodic[:, None], cell, 0.0)), axis=0).clip(1e-12)
    ranges = [range(-n, n + 1) for n in (int(np.ceil(reach / h)) if p else 0 for h, p in zip(heights, periodic))]
    shifts = np.array(list(itertools.product(*ranges)))
    vectors = atoms.positions[None, :, None] - atoms.positions[:, None, None] + (shifts @ cell)[None, None]
    distances = np.linalg.norm(vectors, axis=-1)
    distances[np.arange(len(atoms)), np.arange(len(atoms)), (shifts == 0).all(1)] = np.inf
    i, j, s = np.nonzero(distances < cutoff)
    return sorted(zip(i.tolist(), j.tolist(), distances[i, j, s].tolist()))


def assert_same(pairs, expected):
    found = sorted(zip(pairs.i.tolist(), pairs.j.tolist(), pairs.distance.tolist()))
    assert [pair[:2] for pair in found] == [pair[:2] for pair in expected]
    np.testing.assert_allclose([p[2] for p in found], [p[2] for p in expected], atol=1e-9)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("periodic", PERIODICITIES, ids=lambda p: "".join("FT"[axis] for axis in p))
@pytest.mark.parametrize("spread", [1.0, 2.0], ids=["wrapped", "unwrapped"])
def test_any_cell_and_periodicity(name, periodic, spread):
    cell = CELLS[name]
    atoms = structure(cell, periodic, atoms=1 if "tiny" in name else 4, spread=spread)
    cutoff = 2.63 if name in ("tiny", "tiny and skewed", "flat") else 4.0
    pairs = pairs_within(System.from_ase(atoms), cutoff)
    assert_same(pairs, brute_force(atoms, cutoff))
    torch.testing.assert_close(pairs.vector.norm(dim=-1), pairs.distance)


@given(
    cell=st.lists(st.floats(-6, 6), min_size=9, max_size=9),
    periodic=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    cutoff=st.floats(0.5, 5.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_random_cells(cell, periodic, cutoff, seed):
    cell = np.array(cell).reshape(3, 3)
    if np.abs(np.linalg.det(cell)) < 12.0:
        cell = cell + 5 * np.eye(3)
    if np.abs(np.linalg.det(cell)) < 12.0:
        return
    atoms = structure(cell, periodic, atoms=3, seed=seed, spread=2.0)
    expected = brute_force(atoms, cutoff)
    if any(abs(distance - cutoff) < 1e-9 for *_, distance in expected):
        return
    assert_same(pairs_within(System.from_ase(atoms), cutoff), expected)


@pytest.mark.parametrize("missing", [(0, 0, 0), (3.0, 0, 0), (0, 0, 4.0)])
def test_open_axis_may_have_any_lattice_vector(missing):
    """Along an open axis the cell means nothing: absent, oblique, even within the plane of the others."""
    cell = np.array([[3.0, 0, 0], [0.5, 4.0, 0], missing])
    atoms = ase.Atoms("He3", [[0, 0, 0], [1, 2, 30.0], [0.5, 0.5, -9]], cell=cell, pbc=(True, True, False))
    assert_same(pairs_within(System.from_ase(atoms), 5.0), brute_force(atoms, 5.0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_wire_without_other_lattice_vectors(axis):
    cell = np.zeros((3, 3))
    cell[axis] = [1.0, 2.0, -0.5]
    periodic = np.arange(3) == axis
    atoms = ase.Atoms("He2", [[0, 0, 0], [7.3, 10, -5]], cell=cell, pbc=periodic)
    assert_same(pairs_within(System.from_ase(atoms), 6.0), brute_force(atoms, 6.0))


def test_coordination_of_rock_salt():
    """6 neighbours at a/2, 12 at a/√2, 8 at a√3/2, 6 at a."""
    positions = np.array([p for p in itertools.product(range(2), repeat=3)]) * 2.82
    system = System.from_ase(ase.Atoms("He8", positions, cell=np.eye(3) * 5.64, pbc=True))
    for cutoff, count in ((2.83, 6), (4.0, 18), (4.9, 26), (5.65, 32)):
        assert len(pairs_within(system, cutoff).i) == 8 * count


def test_every_pair_comes_both_ways():
    system = System.from_ase(structure(CELLS["triclinic"], True))
    known = find_neighbors(system, 4.0)
    forward = set(zip(known.i.tolist(), known.j.tolist(), map(tuple, known.shift.tolist())))
    backward = set(zip(known.j.tolist(), known.i.tolist(), map(tuple, (-known.shift).tolist())))
    assert forward == backward
    assert len(forward) == len(known.i)


def test_no_pairs():
    for atoms in (ase.Atoms("He"), ase.Atoms("He2", [[0, 0, 0], [50, 0, 0]])):
        pairs = pairs_within(System.from_ase(atoms), 3.0)
        assert pairs.i.shape == (0,)
        assert pairs.vector.shape == (0, 3)
        assert pairs.distance.shape == (0,)


def test_batch_is_one_by_one():
    batch = [structure(cell, periodic) for cell in (CELLS["cubic"], CELLS["skewed"]) for periodic in PERIODICITIES]
    pairs = pairs_within(System.from_ase(batch), 3.5)
    expected = [
        (i + 4 * k, j + 4 * k, distance) for k, atoms in enumerate(batch) for i, j, distance in brute_force(atoms, 3.5)
    ]
    assert_same(pairs, expected)


def test_attached_neighbours_are_used_and_trimmed():
    atoms = structure(CELLS["triclinic"], True)
    system = with_neighbors(System.from_ase(atoms), 5.0)
    for cutoff in (2.0, 3.5, 5.0, 6.0):
        assert_same(pairs_within(system, cutoff), brute_force(atoms, cutoff))


def test_attached_neighbours_of_unequal_reach():
    """Joined to one batch, none of them brings more than was asked for."""
    atoms = structure(CELLS["triclinic"], True)
    near, far = (with_neighbors(System.from_ase(atoms), reach) for reach in (3.0, 5.0))
    pairs = pairs_within(concatenate([near, far]), 3.0)
    expected = brute_force(atoms, 3.0)
    assert_same(pairs, expected + [(i + 4, j + 4, d) for i, j, d in expected])


def test_attached_neighbours_keep_up_with_moving_atoms():
    """Within a skin, attached neighbours give the pairs of the new positions, not of the old."""
    atoms = structure(CELLS["cubic"], True)
    system = with_neighbors(System.from_ase(atoms), 5.0)
    strain = 0.02 * torch.tensor([[1.0, 0.3, 0], [0.3, -1.0, 0], [0, 0, 0.5]], dtype=torch.float64)
    moved = system.strained(strain)
    deformed = ase.Atoms("He4", moved.positions.numpy(), cell=moved.cell[0].numpy(), pbc=True)
    assert moved.neighbors is system.neighbors
    assert_same(pairs_within(moved, 4.0), brute_force(deformed, 4.0))


def test_distances_are_differentiable_in_positions():
    system = System.from_ase(structure(CELLS["skewed"], True, atoms=3))
    positions = system.positions.clone().requires_grad_()

    def distances(moved):
        return pairs_within(system.with_positions(moved), 4.0).distance

    assert torch.autograd.gradcheck(distances, positions)
    assert torch.autograd.gradgradcheck(distances, positions)


@pytest.mark.parametrize("periodic", [(True,) * 3, (True, True, False), (False,) * 3])
def test_strain_derivative_of_distances(periodic):
    """d|r|/dε_ab = r_a r_b / |r| for every pair, images included."""
    system = with_neighbors(System.from_ase(structure(CELLS["triclinic"], periodic)), 4.0)
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    pairs = pairs_within(system.strained(strain), 4.0)
    weight = torch.linspace(0.5, 1.5, len(pairs.i), dtype=torch.float64)
    (found,) = torch.autograd.grad((weight * pairs.distance).sum(), strain)
    vector = pairs.vector.detach()
    expected = torch.einsum("p,pa,pb->ab", weight / vector.norm(dim=1), vector, vector)
    torch.testing.assert_close(found[0], expected)


def test_zero_distance_gradient_never_appears():
    """A cell with one atom: images of itself have no force but a stress."""
    system = System.from_ase(ase.Atoms("He", cell=np.eye(3) * 2.0, pbc=True))
    positions = system.positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pairs_within(system.with_positions(positions), 3.0).distance.sum(), positions)
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_follow_the_positions(dtype):
    system = System.from_ase(structure(CELLS["cubic"], True), dtype)
    pairs = pairs_within(system, 4.0)
    assert pairs.vector.dtype == pairs.distance.dtype == dtype
    assert pairs.i.dtype == pairs.j.dtype == torch.int64


def test_coincident_atoms_are_named_within_their_structure():
    good = ase.Atoms("He2", [[0, 0, 0], [1, 0, 0]])
    bad = ase.Atoms("He3", [[0, 0, 0], [1, 0, 0], [1, 0, 1e-4]])
    with pytest.raises(InputError, match=r"structure 1: atoms 1 and 2 are 1.0e-04 Å apart"):
        find_neighbors(System.from_ase([good, bad]), 3.0)
    with pytest.raises(InputError, match=r"^atoms 1 and 2"):
        find_neighbors(System.from_ase(bad), 3.0)


def test_coincident_through_an_image():
    atoms = ase.Atoms("He2", [[0.1, 0, 0], [5.1, 10.0, -5.0]], cell=np.eye(3) * 5, pbc=True)
    with pytest.raises(InputError, match="atoms 0 and 1"):
        find_neighbors(System.from_ase(atoms), 3.0)


def test_positions_that_are_not_finite():
    system = System.from_ase(ase.Atoms("He2", [[0, 0, 0], [1, 0, 0]]))
    with pytest.raises(InputError, match="atom 1 of the batch is at"):
        find_neighbors(system.with_positions(system.positions / torch.tensor([[1.0], [0.0]])), 3.0)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf")])
def test_cutoff_must_be_a_length(cutoff):
    with pytest.raises(InputError, match="cutoff"):
        find_neighbors(System.from_ase(ase.Atoms("He")), cutoff)

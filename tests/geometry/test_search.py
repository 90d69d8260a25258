"""The list itself: against vesin, its order, its halves, and systems that are hard on bins."""

import itertools

import ase
import numpy as np
import pytest
import torch
import vesin
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from farfield.errors import InputError
from farfield.geometry.neighbors import find_neighbors, pairs_within, reverse
from farfield.system import NeighborList, System

NUMBER = st.floats(-6, 6)
AXES = st.tuples(st.booleans(), st.booleans(), st.booleans())


def as_set(i, j, shift, keep=slice(None)):
    return set(map(tuple, np.column_stack([i, j, shift])[keep].astype(int).tolist()))


def lengths(system, known):
    shifts = (known.shift.unsqueeze(1) @ system.cell[system.system_index[known.i]]).squeeze(1)
    return (system.positions[known.j] - system.positions[known.i] + shifts).norm(dim=1)


def assert_as_vesin(atoms, known, reach):
    """The same pairs and shifts but for those that rounding may put on either side of the cutoff."""
    search = vesin.NeighborList(cutoff=reach, full_list=True, sorted=True)
    box = atoms.cell.complete().array if atoms.pbc.any() else np.zeros((3, 3))
    i, j, shift, distance = search.compute(atoms.positions, box, atoms.pbc, "ijSd")
    expected, certain = as_set(i, j, shift), as_set(i, j, shift, distance < reach - 1e-8)
    found = as_set(known.i, known.j, known.shift)
    assert len(found) == len(known.i)
    assert certain <= found
    system = System.from_ase(atoms)
    sure = lengths(system, known) < reach - 1e-8
    assert as_set(known.i[sure], known.j[sure], known.shift[sure]) <= expected
    assert not len(known.i) or lengths(system, known).max() < reach + 1e-8


def assert_consistent(known: NeighborList, atoms: int):
    """Sorted by i, j and shift; rows where offsets say; every pair both ways, found by ``reverse``; halves add up."""
    rows = torch.column_stack([known.i, known.j, known.shift.long()])
    assert sorted(rows.tolist()) == rows.tolist()
    assert torch.equal(known.offsets, torch.searchsorted(known.i, torch.arange(atoms + 1)))
    back = reverse(known)
    assert torch.equal(back[back], torch.arange(len(back)))
    assert torch.equal(rows[back], torch.column_stack([known.j, known.i, -known.shift.long()]))


@given(
    cell=st.lists(NUMBER, min_size=9, max_size=9),
    periodic=AXES,
    reach=st.tuples(st.floats(0.5, 8.0), st.sampled_from([0.0, 0.3, 1.0])),
    atoms=st.integers(1, 12),
    spread=st.sampled_from([1.0, 3.0]),  # vesin dies of open systems much larger than their cell
    seed=st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None)
def test_random_systems_as_vesin_finds_them(cell, periodic, reach, atoms, spread, seed):
    cell, rng = np.array(cell).reshape(3, 3), np.random.default_rng(seed)
    assume(abs(np.linalg.det(cell)) > 12)
    structure = ase.Atoms("He" * atoms, (spread * (rng.random((atoms, 3)) - 0.5)) @ cell, cell=cell, pbc=periodic)
    system, (cutoff, skin) = System.from_ase(structure), reach
    known = find_neighbors(system, cutoff, skin=skin, may_touch=True)
    assert_as_vesin(structure, known, cutoff + skin)
    assert_consistent(known, atoms)
    half = find_neighbors(system, cutoff, skin=skin, half=True, may_touch=True)
    ahead = [
        i < j or (i == j and tuple(s) > (0, 0, 0))
        for i, j, s in zip(*(c.tolist() for c in (known.i, known.j, known.shift)))
    ]
    for name in ("i", "j", "shift"):
        assert torch.equal(getattr(half, name), getattr(known, name)[torch.tensor(ahead, dtype=torch.bool)])
    assert half.half
    assert torch.equal(half.offsets, torch.searchsorted(half.i, torch.arange(atoms + 1)))


@pytest.mark.parametrize("periodic", [(True,) * 3, (True, False, True), (False,) * 3])
@pytest.mark.parametrize("order", ["by place", "at random"])
def test_many_atoms_as_vesin_finds_them(periodic, order):
    rng = np.random.default_rng(0)
    cell = np.array([[30.0, 0, 0], [9, 28, 0], [-7, 12, 33]])
    grid = np.array(list(itertools.product(range(13), repeat=3))) / 13 + rng.uniform(-0.02, 0.02, (13**3, 3))
    places = (grid if order == "by place" else rng.permutation(grid)) @ cell
    atoms = ase.Atoms("He" * len(places), places, cell=cell, pbc=periodic)
    known = find_neighbors(System.from_ase(atoms), 4.2)
    assert_as_vesin(atoms, known, 4.2)
    assert_consistent(known, len(atoms))


def test_any_number_of_threads_gives_the_same_list():
    rng = np.random.default_rng(1)
    atoms = ase.Atoms("He4000", rng.random((4000, 3)) * 50, cell=np.eye(3) * 50, pbc=(True, True, False))
    system, before = System.from_ase([atoms, atoms[:30]]), torch.get_num_threads()
    lists = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            lists.append(find_neighbors(system, 4.0, may_touch=True))
    finally:
        torch.set_num_threads(before)
    for other in lists[1:]:
        for name in ("i", "j", "shift", "offsets"):
            assert torch.equal(getattr(lists[0], name), getattr(other, name))


@pytest.mark.parametrize("skew", [10, -300, 700])
def test_extreme_skew_is_the_same_crystal(skew):
    """A cubic crystal in a unimodular cell, whose pairs are as many and as long as those of the cube."""
    rng = np.random.default_rng(2)
    places, cube = rng.random((300, 3)) * 18, np.eye(3) * 18.0
    unimodular = np.array([[1, 0, 0], [skew, 1, 0], [3, skew, 1]])
    straight, skewed = (
        pairs_within(System.from_ase(ase.Atoms("He300", places, cell=cell, pbc=True)), 5.0)
        for cell in (cube, unimodular @ cube)
    )
    assert torch.equal(straight.i, skewed.i)
    assert torch.equal(straight.j, skewed.j)
    torch.testing.assert_close(straight.distance, skewed.distance, atol=1e-5, rtol=0)


def test_atoms_millions_of_cells_away():
    """Shifts are relative to the positions as given."""
    rng = np.random.default_rng(3)
    cell = np.array([[8.0, 0, 0], [2, 7, 0], [-1, 3, 9]])
    near = System.from_ase(ase.Atoms("He20", rng.random((20, 3)) @ cell, cell=cell, pbc=True))
    steps = torch.from_numpy(rng.integers(-(10**6), 10**6, (20, 3)).astype(float))
    far = near.with_positions(near.positions + steps @ near.cell[0])
    here, there = (find_neighbors(s, 6.0, may_touch=True) for s in (near, far))
    assert torch.equal(here.i, there.i)
    moved = as_set(here.i, here.j, here.shift + steps[here.i] - steps[here.j])
    assert moved == as_set(there.i, there.j, there.shift)


@pytest.mark.parametrize("periodic", [(False,) * 3, (False, True, False)])
def test_no_void_costs_anything(periodic):
    """Clusters ten thousand kilometres apart, and a thin gas."""
    rng = np.random.default_rng(4)
    cluster = rng.random((200, 3)) * 12
    places = np.concatenate([cluster, cluster + np.array([1e7, 0, -3e6]), rng.random((200, 3)) * [1e6, 1, 1e6]])
    atoms = ase.Atoms("He600", places, cell=np.eye(3) * 12, pbc=periodic)
    known = find_neighbors(System.from_ase(atoms), 4.0, may_touch=True)
    difference = places[:, None] - places[None]
    images = np.arange(-2, 3) if periodic[1] else np.zeros(1)
    expected = 0
    for image in images:
        squared = ((difference + np.array([0, 12.0 * image, 0])) ** 2).sum(-1)
        expected += (squared < 16).sum() - 600 * (image == 0)
    assert len(known.i) == expected


@pytest.mark.parametrize("periodic", list(itertools.product([False, True], repeat=3)))
def test_cutoff_of_many_cells(periodic):
    """One atom sees its images on every lattice vector within the cutoff."""
    cell = np.array([[1.1, 0, 0], [0.4, 1.3, 0], [-0.3, 0.5, 0.9]])
    known = find_neighbors(System.from_ase(ase.Atoms("He", cell=cell, pbc=periodic)), 9.0)
    ranges = [range(-30, 31) if axis else range(1) for axis in periodic]
    vectors = np.array(list(itertools.product(*ranges))) @ cell
    assert len(known.i) == (np.linalg.norm(vectors, axis=1) < 9.0).sum() - 1
    assert_consistent(known, 1)


def test_pairs_at_the_cutoff_are_seen_from_both_ends_or_from_none():
    """Rock salt with neighbours exactly at the cutoff, at places that no float represents."""
    places = np.array(list(itertools.product(range(6), repeat=3))) * 2.82 + 0.1
    atoms = ase.Atoms("He216", places, cell=np.eye(3) * 6 * 2.82, pbc=True)
    atoms.positions += np.random.default_rng(5).integers(-3, 4, (216, 3)) * 16.92
    for factor in (1, np.sqrt(2), 2, np.sqrt(5), 3):
        assert_consistent(find_neighbors(System.from_ase(atoms), 2.82 * factor), 216)


def test_batch_of_all_kinds_is_one_by_one():
    rng = np.random.default_rng(6)
    frames = [
        ase.Atoms("He" * n, rng.random((n, 3)) * 9, cell=rng.normal(size=(3, 3)) + 6 * np.eye(3), pbc=axes)
        for n, axes in zip((1, 40, 3, 17, 90, 2, 8, 1), itertools.product([True, False], repeat=3))
    ]
    whole, first = find_neighbors(System.from_ase(frames), 5.0, may_touch=True), 0
    for frame in frames:
        own = find_neighbors(System.from_ase(frame), 5.0, may_touch=True)
        here = (whole.i >= first) & (whole.i < first + len(frame))
        assert torch.equal(whole.i[here] - first, own.i)
        assert torch.equal(whole.j[here] - first, own.j)
        assert torch.equal(whole.shift[here], own.shift)
        first += len(frame)
    assert_consistent(whole, first)


def test_a_half_list_is_no_list_for_pairs_within():
    system = System.from_ase(ase.Atoms("He2", [[0, 0, 0], [1, 0, 0]]))
    half = find_neighbors(system, 3.0, half=True)
    assert half.i.tolist() == [0]
    attached = System(**{**vars(system), "neighbors": half})
    assert pairs_within(attached, 3.0).i.tolist() == [0, 1]
    with pytest.raises(InputError, match="reverse needs every pair both ways"):
        reverse(half)


def test_atoms_may_touch_where_that_is_said():
    system = System.from_ase(ase.Atoms("He2", [[1, 2, 3], [1, 2, 3]], cell=np.eye(3) * 9, pbc=True))
    assert find_neighbors(system, 3.0, may_touch=True).i.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("cell", "periodic", "message"),
    [
        (np.diag([5.0, 0, 5.0]), (True, True, False), "periodic along b but the cell has no such lattice vector"),
        (np.zeros((3, 3)), (True, True, True), "periodic along a, b, c but"),
        ([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]], (True, True, True), "span no volume"),
        ([[1.0, 0, 0], [3, 0, 0], [0, 0, 1]], (True, True, False), "span no volume"),
        (np.diag([5.0, np.nan, 5.0]), (True, True, True), "cell is not finite"),
        (np.eye(3) * 1e-3, (True, True, True), "the lattice has a vector of 0.001 Å"),
        (np.diag([5.0, 5.0, 1e200]), (True, True, True), "the cell has no such lengths"),
    ],
)
def test_cells_that_are_none(cell, periodic, message):
    """Of a system that was not made from ASE, which looks at it first."""
    good = System.from_ase([ase.Atoms("He"), ase.Atoms("He")])
    cells = torch.stack([torch.zeros(3, 3, dtype=torch.float64), torch.as_tensor(np.array(cell))])
    bad = System(**{**vars(good), "cell": cells, "periodic": torch.tensor([(False,) * 3, periodic])})
    with pytest.raises(InputError, match=f"structure 1: .*{message}"):
        find_neighbors(bad, 3.0)


@pytest.mark.parametrize("skin", [-0.1, float("nan"), float("inf")])
def test_skin_must_be_a_length(skin):
    with pytest.raises(InputError, match="skin"):
        find_neighbors(System.from_ase(ase.Atoms("He")), 3.0, skin=skin)

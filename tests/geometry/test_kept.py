"""Neighbours that are kept: never a missed pair, and no search that is not needed."""

import ase
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farfield.geometry.kept import KeptNeighbors, still_complete
from farfield.geometry.neighbors import find_neighbors, pairs_within
from farfield.system import System


def gas(atoms=12, edge=6.0, periodic=True, cell=None, seed=0):
    cell = np.eye(3) * edge if cell is None else np.array(cell)
    places = np.random.default_rng(seed).random((atoms, 3)) @ (np.eye(3) * edge)
    return System.from_ase(ase.Atoms("He" * atoms, places, cell=cell, pbc=periodic))


def changed(system, positions=None, cell=None):
    given = {"positions": positions, "cell": cell}
    return System(**{**vars(system), "neighbors": None, **{k: v for k, v in given.items() if v is not None}})


@given(
    periodic=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    skin=st.floats(0.1, 2.0),
    move=st.floats(0.0, 1.2),
    strain=st.sampled_from([0.0, 0.005, 0.03]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_what_is_said_to_be_complete_misses_no_pair(periodic, skin, move, strain, seed):
    """Random moves of up to 1.2 half skins besides a strain, a rotation and a drift."""
    rng = np.random.default_rng(seed)
    then = gas(periodic=periodic, seed=seed)
    known = find_neighbors(then, 3.5, skin=skin, may_touch=True)
    deform = np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))
    if all(periodic):
        deform = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ deform
    directions = rng.normal(size=(12, 3))
    moves = move * skin / 2 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    positions = then.positions @ torch.from_numpy(deform) + torch.from_numpy(moves + rng.normal(scale=50, size=3))
    now = changed(then, positions, then.cell @ torch.from_numpy(deform))
    if not still_complete(known, then, now):
        return
    expected = find_neighbors(now, 3.5, may_touch=True)
    shift = torch.einsum("pa,pab->pb", known.shift, now.cell[now.system_index[known.i]])
    near = (now.positions[known.j] - now.positions[known.i] + shift).norm(dim=1) < 3.5
    assert torch.equal(expected.i, known.i[near])
    assert torch.equal(expected.j, known.j[near])
    assert torch.equal(expected.shift, known.shift[near])


def test_half_the_skin_is_the_limit():
    """Two atoms that approach each other by a little less than the skin, and by a little more."""
    then = System.from_ase(ase.Atoms("He2", [[0, 0, 0], [5.0, 0, 0]]))
    known = find_neighbors(then, 4.0, skin=1.0)
    for step, complete in ((0.499, True), (0.501, False)):
        moved = then.positions + torch.tensor([[step, 0, 0], [-step, 0, 0]], dtype=torch.float64)
        assert still_complete(known, then, changed(then, moved)) is complete


def test_compression_eats_the_skin():
    """A cell that shrinks by s brings pairs from cutoff + skin to (1 - s)(cutoff + skin)."""
    then = gas()
    known = find_neighbors(then, 4.0, skin=1.0, may_touch=True)
    for strain, complete in ((-0.199, True), (-0.201, False), (0.5, True)):
        assert still_complete(known, then, then.strained(strain * torch.eye(3, dtype=torch.float64))) is complete


def test_a_drift_of_all_atoms_is_no_move():
    then = gas()
    known = find_neighbors(then, 4.0, skin=0.5, may_touch=True)
    assert still_complete(known, then, changed(then, then.positions + 100.0))


def test_a_slab_may_have_any_vector_across():
    then = gas(periodic=(True, True, False))
    known = find_neighbors(then, 4.0, skin=0.5, may_touch=True)
    taller = then.cell.clone()
    taller[0, 2] = torch.tensor([3.0, 4.0, 50.0])
    assert still_complete(known, then, changed(then, cell=taller))
    narrow = then.cell.clone()
    narrow[0, 1, 1] = 5.0
    assert not still_complete(known, then, changed(then, cell=narrow))


@pytest.mark.parametrize("what", ["wrapped", "periodicity", "fewer atoms", "type", "not finite", "other batch"])
def test_other_systems_need_a_search(what):
    then = gas()
    known = find_neighbors(then, 4.0, skin=1.0, may_touch=True)
    wrapped = then.positions.clone()
    wrapped[3] += then.cell[0, 1]
    now = {
        "wrapped": changed(then, wrapped),
        "periodicity": System(**{**vars(then), "periodic": ~then.periodic}),
        "fewer atoms": gas(atoms=11),
        "type": then.to(dtype=torch.float32),
        "not finite": changed(then, cell=then.cell * float("nan")),
        "other batch": System.from_ase([ase.Atoms("He6"), ase.Atoms("He6")]),
    }[what]
    assert not still_complete(known, then, now)


def test_one_system_of_a_batch_that_moved_is_enough():
    frames = [ase.Atoms("He2", [[0, 0, 0], [2.0, 0, 0]]) for _ in range(3)]
    then = System.from_ase(frames)
    known = find_neighbors(then, 3.0, skin=1.0)
    moved = then.positions.clone()
    moved[5, 0] += 1.1
    assert still_complete(known, then, changed(then, then.positions * 1.01))
    assert not still_complete(known, then, changed(then, moved))


@pytest.mark.parametrize("skin", [0.0, 0.8])
def test_a_walk_with_kept_neighbours(skin):
    rng, system, kept, lists = np.random.default_rng(7), gas(seed=7), KeptNeighbors(skin), []
    for _ in range(30):
        system = changed(system, system.positions + torch.from_numpy(rng.normal(scale=0.03, size=(12, 3))))
        attached = kept.attach(system, 3.0)
        found, expected = (pairs_within(s, 3.0) for s in (attached, system))
        assert torch.equal(found.j, expected.j)
        lists.append(attached.neighbors)
    searches = len(set(map(id, lists)))
    assert searches == 30 if skin == 0 else 1 < searches < 20
    assert kept.attach(system, 3.5).neighbors is not lists[-1]

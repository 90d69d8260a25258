"""Rows of neighbours against the sorted half list, which has a reference of its own."""

import ase
import numpy as np
import pytest
import torch

from farfield.geometry import rows
from farfield.geometry.neighbors import find_neighbors, search_rows
from farfield.system import System


def pairs_of(found):
    """i, j and the shift between them as they stand in the list of neighbours."""
    i = np.repeat(found.atom, np.diff(found.first))
    row = found.other[: found.pairs]
    return sorted(zip(i, found.source[row], map(tuple, (found.shift[row] - found.shift[i]).astype(int).tolist())))


def listed(system, cutoff):
    known = find_neighbors(system, cutoff, half=True)
    return sorted(zip(known.i.tolist(), known.j.tolist(), map(tuple, known.shift.int().tolist())))


def scattered(rng, atoms, cell, pbc):
    places = rng.uniform(-1.5, 2.5, (atoms, 3)) @ cell  # far outside the cell, too
    return ase.Atoms(f"H{atoms}", positions=places, cell=cell, pbc=pbc)


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 1, 0), (0, 0, 0)])
@pytest.mark.parametrize("cutoff", [1.5, 4.0, 11.0])
def test_rows_hold_the_pairs_of_the_half_list(pbc, cutoff):
    rng = np.random.default_rng(0)
    cell = np.diag([5.0, 6.0, 7.0]) + rng.normal(0, 1.2, (3, 3))
    system = System.from_ase(scattered(rng, 30, cell, pbc))
    assert pairs_of(search_rows(system, cutoff)) == listed(system, cutoff)


def test_batches_of_unlike_systems_and_lattices_written_in_other_vectors():
    rng = np.random.default_rng(1)
    skewed = np.diag([4.0, 5.0, 9.0]) @ np.array([[1.0, 3.0, 0.0], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]])
    kinds = [((1, 1, 1), skewed, 9), ((0, 0, 0), np.eye(3), 5), ((1, 0, 1), np.diag([3.0, 8.0, 4.0]), 12)]
    system = System.from_ase([scattered(rng, n, cell, pbc) for pbc, cell, n in kinds])
    found = search_rows(system, 6.0)
    assert pairs_of(found) == listed(system, 6.0)
    assert len(found.other) == found.pairs + rows.SPARE


def test_threads_find_the_same_pairs(monkeypatch):
    rng, count = np.random.default_rng(2), torch.get_num_threads()
    system = System.from_ase(scattered(rng, 300, np.diag([12.0, 14.0, 16.0]), True))
    monkeypatch.setattr(rows, "LEAST", 16)
    torch.set_num_threads(3)
    try:
        assert pairs_of(search_rows(system, 5.0)) == listed(system, 5.0)
    finally:
        torch.set_num_threads(count)


def test_cells_too_thin_to_keep_account_of_are_left_to_the_list(monkeypatch):
    monkeypatch.setattr(rows, "MOST", 100)
    system = System.from_ase(scattered(np.random.default_rng(3), 20, np.eye(3) * 6, True))
    assert search_rows(system, 5.0) is None

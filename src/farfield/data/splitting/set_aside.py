"""Frames that a seed sets aside: by a random permutation, mended where it would do harm."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from farfield.data.frame import Frame
from farfield.data.splitting.frame_kinds import shown_circumstances, shown_elements, structure_of
from farfield.geometry.isolation import is_isolated

Bundle = list[int]
"""Frames, by their place in the pool, that go to one side together."""


@dataclass(frozen=True)
class Parts:
    """Places in the pool, ascending."""

    valid: list[int]
    test: list[int]
    train: list[int]


@dataclass(frozen=True)
class Pool:
    """The frames there are, and what is to be kept together and in training."""

    frames: Sequence[Frame]
    seed: int
    by_group: bool
    part_repeats: bool = False  # whether frames of one structure may stand on both sides

    def permuted(self) -> list[int]:
        """All places in the pool, in the order of the seed."""
        return [int(k) for k in np.random.default_rng(self.seed).permutation(len(self.frames))]

    def bundles(self) -> list[Bundle]:
        """Bundle the frames of one structure, or one group, in the order of the seed."""
        if self.part_repeats:
            return [[k] for k in self.permuted()]
        names: list[list[Hashable]] = [[structure_of(frame) for frame in self.frames]]
        if self.by_group:
            names.append([frame.group for frame in self.frames])
        member = _joined(names)
        found: dict[int, Bundle] = {}
        for k in self.permuted():
            found.setdefault(member[k], []).append(k)
        bundles = list(found.values())
        if not self.by_group:
            return bundles
        # large groups would come first more often than small ones
        return [bundles[k] for k in np.random.default_rng(self.seed).permutation(len(bundles))]


def set_aside(pool: Pool, valid: int, test: int) -> Parts:
    """Choose about so many frames for validation and test; the rest trains.

    Training keeps every isolated atom, and of all others some frame with every element; with every total charge,
    condition and kind of label, too, where that leaves enough to set aside. Where there is nothing to mend, the first
    frames of the permutation validate, and the next are the test.
    """
    # what is too large to be set aside comes last, and so trains before what is small
    bundles = sorted(pool.bundles(), key=lambda bundle: len(bundle) if len(bundle) > max(valid, test) else 0)
    elements = _last([[shown_elements(pool.frames[k]) for k in bundle] for bundle in bundles])
    others = _last([[shown_circumstances(pool.frames[k]) for k in bundle] for bundle in bundles])
    single = {n for n, bundle in enumerate(bundles) if any(is_isolated(pool.frames[k].system) for k in bundle)}
    parts = _dealt(bundles, single | elements | others, (valid, test))
    if (len(parts.valid), len(parts.test)) != (valid, test):
        parts = max(parts, _dealt(bundles, single | elements, (valid, test)), key=_filled)
    return parts


def _filled(parts: Parts) -> tuple[bool, bool, int]:
    return bool(parts.valid), bool(parts.test), len(parts.valid) + len(parts.test)


def _joined(names: Sequence[Sequence[Hashable]]) -> list[int]:
    """A number for every frame, the same for all that share a name directly or through others."""
    edges = []
    for column in names:
        first: dict[Hashable, int] = {}
        edges += [(first.setdefault(name, k), k) for k, name in enumerate(column)]
    i, j = np.array(edges).T
    frames = len(names[0])
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(frames, frames))
    return [int(k) for k in connected_components(graph, directed=False)[1]]


def _last(kinds: Sequence[Sequence[set[str]]]) -> set[int]:
    """The last bundle of each kind: those that the permutation sets aside last, if at all."""
    return set({kind: n for n, bundle in enumerate(kinds) for frame in bundle for kind in frame}.values())


def _dealt(bundles: Sequence[Bundle], pinned: set[int], sizes: tuple[int, int]) -> Parts:
    """Bundles one after the other where they fit; the smallest of all where none does."""
    sides: tuple[list[int], list[int]] = ([], [])  # numbers of bundles
    filled, free = [0, 0], []
    for n, bundle in enumerate(bundles):
        side = next((s for s in (0, 1) if n not in pinned and filled[s] + len(bundle) <= sizes[s]), None)
        if side is not None:
            sides[side].append(n)
            filled[side] += len(bundle)
        elif n not in pinned:
            free.append(n)
    for numbers, size in zip(sides, sizes):
        if size and not numbers and len(bundles) - len(sides[0]) - len(sides[1]) > 1 and free:
            numbers.append(free.pop(free.index(min(free, key=lambda n: len(bundles[n])))))
    taken = {*sides[0], *sides[1]}
    rest = [n for n in range(len(bundles)) if n not in taken]
    return Parts(*(sorted(k for n in numbers for k in bundles[n]) for numbers in (sides[0], sides[1], rest)))

"""Charge of a molecule, by its bonds: that whose Lewis structure asks for least.

Every atom has its valence, or one more or less at the price of a formal charge; where bonds leave valences open, they
close to double and triple bonds. C-N(H₂)₂ of guanidinium closes with nitrogen at +1, C-O₂ of an acetate leaves one
oxygen at -1. The cheapest assignment is an integer linear program, solved for every total charge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase.data import atomic_numbers
from scipy.optimize import Bounds, LinearConstraint, milp

MOST = 3
"""e; whole charges from minus to plus this are considered."""
NET = 1.0
"""Price of a charge of the whole, each."""
_LONGEST_CHAIN = 400
"""Atoms; larger molecules are not looked into."""


@dataclass(frozen=True)
class State:
    """One way for an atom to be: so many bonds, at a formal charge, for a price."""

    bonds: int
    charge: int
    price: float


def _states(*rows: tuple[int, int, float]) -> tuple[State, ...]:
    return tuple(State(*row) for row in rows)


_PNICTOGEN = ((3, 0, 0.0), (5, 0, 0.2), (4, +1, 1.0), (6, -1, 1.0))
_CHALCOGEN = ((2, 0, 0.0), (4, 0, 0.2), (6, 0, 0.4), (1, -1, 1.0), (3, +1, 1.5))
_HALOGEN = ((1, 0, 0.0), (3, 0, 0.4), (5, 0, 0.6), (7, 0, 0.8), (0, -1, 1.0), (2, +1, 2.5), (2, -1, 1.5))
_STATES = {
    "H": _states((1, 0, 0.0)),
    "B": _states((3, 0, 0.0), (4, -1, 1.0)),
    "C": _states((4, 0, 0.0), (2, 0, 5.0)),  # charged with three bonds it could be of either sign, or a radical
    "N": _states((3, 0, 0.0), (4, +1, 1.0), (2, -1, 1.5)),
    "O": _states((2, 0, 0.0), (1, -1, 1.0), (3, +1, 2.0)),
    "F": _states((1, 0, 0.0)),
    "Al": _states((3, 0, 0.0), (4, -1, 1.0), (6, -3, 3.0)),
    "Si": _states((4, 0, 0.0), (6, -2, 2.0)),
    "P": _states(*_PNICTOGEN),
    "As": _states(*_PNICTOGEN),
    "S": _states(*_CHALCOGEN),
    "Se": _states(*_CHALCOGEN),
    "Cl": _states(*_HALOGEN),
    "Br": _states(*_HALOGEN),
    "I": _states(*_HALOGEN),
}
_OF = {atomic_numbers[symbol]: states for symbol, states in _STATES.items()}


@dataclass(frozen=True)
class Molecule:
    """Elements and bonds."""

    numbers: tuple[int, ...]
    bonds: tuple[tuple[int, int], ...]  # i < j, each once

    @classmethod
    def of(cls, numbers: Sequence[int], pairs: Sequence[tuple[int, int]]) -> "Molecule":
        """Sort atoms by element and surroundings, so that most drawings of one molecule are equal."""
        around: list[list[int]] = [[] for _ in numbers]
        for i, j in pairs:
            around[i].append(j)
        name: list[tuple[int, ...]] = [(z,) for z in numbers]
        for _ in range(3):  # as far as a formal charge matters
            name = [(z, *sorted(hash(name[j]) for j in near)) for z, near in zip(numbers, around)]
        order = sorted(range(len(numbers)), key=lambda k: name[k])
        place = {k: n for n, k in enumerate(order)}
        bonds = sorted({(min(place[i], place[j]), max(place[i], place[j])) for i, j in pairs if i != j})
        return cls(tuple(numbers[k] for k in order), tuple(bonds))

    @property
    def closed_shells(self) -> range:
        """Whole charges that leave no electron unpaired."""
        odd = sum(self.numbers) % 2
        return range(-MOST + (MOST - odd) % 2, MOST + 1, 2)


@lru_cache(maxsize=4096)
def prices(molecule: Molecule) -> dict[int, float]:
    """Price of the best Lewis structure at every whole charge that has one; empty where elements are unknown.

    Single atoms have none: an atom far from all others may be an ion as well as neutral.
    """
    size = len(molecule.numbers)
    if not 1 < size <= _LONGEST_CHAIN or not set(molecule.numbers) <= _OF.keys():
        return {}
    found = {charge: _price(molecule, charge) for charge in molecule.closed_shells}
    return {charge: price + NET * abs(charge) for charge, price in found.items() if price is not None}


def _price(molecule: Molecule, charge: int) -> float | None:
    """Least price at one total charge; None where no structure is possible."""
    states = [(atom, state) for atom, z in enumerate(molecule.numbers) for state in _OF[z]]
    atoms, bonds, chosen = len(molecule.numbers), np.array(molecule.bonds, dtype=int).reshape(-1, 2), len(states)
    owner = np.array([atom for atom, _ in states])
    one = np.zeros((atoms, chosen + len(bonds)))  # every atom is in one state
    one[owner, np.arange(chosen)] = 1
    full = np.zeros_like(one)  # its bonds and what they are more than single make up its valence
    full[owner, np.arange(chosen)] = [state.bonds for _, state in states]
    full[bonds[:, 0], chosen + np.arange(len(bonds))] -= 1
    full[bonds[:, 1], chosen + np.arange(len(bonds))] -= 1
    single = np.bincount(bonds.ravel(), minlength=atoms)
    total = np.concatenate([[state.charge for _, state in states], np.zeros(len(bonds))])
    found = milp(
        np.concatenate([[state.price for _, state in states], np.zeros(len(bonds))]),
        integrality=np.ones(chosen + len(bonds)),
        bounds=Bounds(0, np.concatenate([np.ones(chosen), np.full(len(bonds), 2)])),
        constraints=[LinearConstraint(one, 1, 1), LinearConstraint(full, single, single),
                     LinearConstraint(total[None], charge, charge)],
    )  # fmt: skip
    return float(found.fun) if found.success else None

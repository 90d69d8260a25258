"""Rock salt of two of a model's elements, at the lattice constant that the model itself prefers."""

from dataclasses import dataclass
from itertools import product

import ase
import numpy as np
from ase.data import atomic_masses, chemical_symbols, covalent_radii

from farfield.chemistry import COVALENT, USUAL
from farfield.probe.subject import Floats, Refused, Subject

_OCCUPIED = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2


@dataclass(frozen=True)
class Salt:
    """Two elements of opposite formal charge and a lattice constant."""

    cation: int
    anion: int
    formal: float  # e, of the cation
    constant: float  # Å, of the cubic cell of four pairs
    relaxed: bool  # whether the model has a minimum there, else the radii say so

    @property
    def formula(self) -> str:
        """NaCl."""
        return f"{chemical_symbols[self.cation]}{chemical_symbols[self.anion]}"

    @property
    def bond(self) -> float:
        """Å between neighbours."""
        return self.constant / 2

    @property
    def reduced_mass(self) -> float:
        """Compute the reduced mass of both ions, u."""
        first, second = atomic_masses[[self.cation, self.anion]]
        return float(first * second / (first + second))

    def conventional(self, constant: float | None = None) -> ase.Atoms:
        """The cubic cell, 8 atoms."""
        edge = constant or self.constant
        places = np.concatenate([_OCCUPIED, _OCCUPIED + np.array([0.5, 0, 0])])
        return ase.Atoms([self.cation] * 4 + [self.anion] * 4, edge * places, cell=[edge] * 3, pbc=True)

    def along(self, cells: int) -> ase.Atoms:
        """``cells`` cubic cells long along x, as narrow as the lattice allows along the face diagonals y and z."""
        side, edge = self.constant / np.sqrt(2), self.constant
        layer = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0, 0]])  # cation, anion, cation, anion
        unit = ase.Atoms([self.cation, self.anion] * 2, layer * [edge, side, side], cell=[edge, side, side], pbc=True)
        return unit.repeat((cells, 1, 1))

    def slab(self, layers: int) -> ase.Atoms:
        """(100) layers stacked along z, open along z, two atoms in the cell of a layer."""
        side = self.constant / np.sqrt(2)
        spots = np.array([[0, 0], [side / 2, side / 2]])
        rows = [[*spots[(site + k) % 2], k * self.bond] for k in range(layers) for site in (0, 1)]
        numbers = [self.cation, self.anion] * layers
        cell = [side, side, layers * self.bond + 20]
        return ase.Atoms(numbers, np.array(rows), cell=cell, pbc=[True, True, False])


def find_salt(subject: Subject) -> Salt | None:
    """The salt of the most ionic pair of elements: metals with halogens first, then with oxygen and its like.

    The lattice constant is where the model's own energy is lowest in a bracket around the sum of the covalent radii;
    without a minimum inside it, or where the model refuses, that sum (times 1.05) stands.
    """
    pairs = [
        (cation, anion)
        for cation, anion in product(subject.species, repeat=2)
        if USUAL.get(cation, 0) > 0 and USUAL.get(anion, 0) == -USUAL[cation] and cation not in COVALENT and cation != 1
    ]
    if not pairs:
        return None
    cation, anion = min(pairs, key=lambda pair: (USUAL[pair[0]], -pair[0]))
    guess = 2.1 * float(covalent_radii[cation] + covalent_radii[anion])
    first = Salt(cation, anion, USUAL[cation], guess, relaxed=False)
    found = _minimum(subject, first)
    return first if found is None else Salt(cation, anion, first.formal, found, relaxed=True)


def _minimum(subject: Subject, salt: Salt) -> float | None:
    """Å, of the energy's lowest point in the bracket; None at its ends."""
    edges = salt.constant * np.linspace(0.84, 1.24, 21)
    energies = _energies(subject, salt, edges)
    for _ in range(2):
        lowest = int(np.argmin(energies)) if len(energies) else 0
        if not 0 < lowest < len(energies) - 1:
            return None
        edges = np.linspace(edges[lowest - 1], edges[lowest + 1], 9)
        energies = _energies(subject, salt, edges)
    return _vertex(edges, energies)


def _energies(subject: Subject, salt: Salt, edges: Floats) -> Floats:
    """eV; none where the model refuses, or gives what is no number."""
    try:
        found = np.array([s.energy for s in subject([salt.conventional(e) for e in edges], frozenset({"energy"}))])
    except Refused:
        return np.empty(0)
    return found if np.isfinite(found).all() else np.empty(0)


def _vertex(x: Floats, y: Floats) -> float:
    """Find where the parabola through the values is lowest."""
    middle = x.mean()
    curvature, slope, _ = np.polyfit(x - middle, y - y.mean(), 2)
    return float(np.clip(middle - slope / (2 * curvature), x[0], x[-1])) if curvature > 0 else float(x[y.argmin()])

"""The velocities a run begins with."""

import ase
import ase.units
import numpy as np


def give_velocities(atoms: ase.Atoms, temperature: float, seed: int) -> None:
    """Draw Maxwell-Boltzmann velocities at a temperature in K, without motion of the whole.

    ASE's own function changes its name between releases. Where constraints hold some of it, nothing of what they do not
    let move is left, and the rest has the temperature over the degrees of freedom that are left.
    """
    rng = np.random.default_rng(seed)
    masses = atoms.get_masses()[:, None]
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * ase.units.kB * temperature)
    atoms.set_momenta(momenta - masses * momenta.sum(0) / masses.sum())
    if atoms.constraints and (drawn := atoms.get_temperature()) > 0:
        atoms.set_momenta(atoms.get_momenta() * np.sqrt(temperature / drawn))


def temperature_of(atoms: ase.Atoms) -> float:
    """K, of what may move; 0 where nothing does, or no velocities are given."""
    moving = atoms.copy()
    moving.set_momenta(moving.get_momenta())
    return float(moving.get_temperature())

"""The velocities a run begins with."""

import re

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


def unread_velocities(atoms: ase.Atoms) -> str:
    """Complain, in words, of velocities in columns that say nothing of their unit; empty where nothing is to be said.

    ASE's own column is ``momenta``, in its own units.
    """
    if atoms.get_momenta().any():
        return ""
    name = next((name for name, array in atoms.arrays.items() if _means_velocities(name, array)), None)
    if name is None:
        return ""
    return (
        f'the velocities in the column "{name}" are not read, because nothing says their unit: a run begins with new '
        f'ones. If they are in Å/fs, in Python: atoms.set_velocities(atoms.arrays["{name}"] / ase.units.fs), and write '
        "the file again: ASE then calls them momenta"
    )


def _means_velocities(name: str, array: np.ndarray) -> bool:
    spelt = re.fullmatch(r"(?:atomic_?)?(?:v|velo|vel|vels|velocity|velocities)", name.lower())
    return (
        spelt is not None
        and array.ndim == 2
        and array.shape[1] == 3
        and array.dtype.kind in "iuf"
        and bool(array.any())
    )

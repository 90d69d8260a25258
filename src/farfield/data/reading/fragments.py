"""Parts of a frame that a file knows apart: whose atoms they are, what each carries, what each would be alone."""

from dataclasses import replace
from string import ascii_uppercase

import ase
import numpy as np
import torch
from numpy.typing import NDArray

from farfield.data.frame import Fragments
from farfield.data.keys import Numbers, as_numbers
from farfield.errors import InputError

Integers = NDArray[np.int64]


def read_fragments(atoms: ase.Atoms, energy_factor: float, where: str) -> Fragments | None:
    """Parts of a frame with their own charges, energies and spins, if the file names them in either of two ways.

    ``arrays["fragment"]`` (0, 1, ...) with ``info["fragment_charges"]`` and ``info["fragment_energies"]`` (nan where
    the file has none); or contiguous parts A, B, ... with ``chargeA``, ``energyA``, ``chargeB``, ``energyB``,
    ``indexB`` (its first atom), ... Spins are ``info["fragment_spins"]``, 2S, below 0 where they point down.

    Raises:
        InputError: the numbering, the charges, the energies and the spins do not fit together.
    """
    found = _charged(atoms, energy_factor, where)
    return found if found is None else replace(found, spins=_spins(atoms, len(found.charges), where))


def _spins(atoms: ase.Atoms, fragments: int, where: str) -> torch.Tensor | None:
    if (raw := atoms.info.get("fragment_spins")) is None:
        return None
    spins = as_numbers(raw)
    if spins is None or spins.size != fragments or not np.isfinite(spins).all():
        raise InputError(f'{where}: info["fragment_spins"] should be {fragments} finite numbers, it is {raw!r}')
    return torch.tensor(spins.reshape(-1), dtype=torch.float64)


def _charged(atoms: ase.Atoms, energy_factor: float, where: str) -> Fragments | None:
    """Read fragments as the file names them, spins aside."""
    if "fragment_charges" in atoms.info and "fragment" not in atoms.arrays:
        raise InputError(
            f'{where}: info["fragment_charges"] says what fragments carry: say whose atoms are, arrays["fragment"]'
        )
    if "fragment" in atoms.arrays and "fragment_charges" in atoms.info:
        index, charges = np.asarray(atoms.arrays["fragment"]), atoms.info["fragment_charges"]
        energies = atoms.info.get("fragment_energies")
        if energies is None and (known := as_numbers(charges)) is not None:
            return _fragments(index, known, np.zeros_like(known), np.nan, where)
    elif {"energyA", "chargeA", "indexB"} <= atoms.info.keys():
        index, charges, energies = _lettered(atoms, where)
    else:
        return None
    return _fragments(index, as_numbers(charges), as_numbers(energies), energy_factor, where)


def _fragments(
    index: Integers,
    charges: Numbers | None,
    energies: Numbers | None,
    factor: float,
    where: str,
) -> Fragments:
    if charges is None or energies is None or not (np.isfinite(charges).all() and np.isfinite(energies).all()):
        raise InputError(f"{where}: the charges and energies of the fragments must be finite numbers")
    charges, energies = np.atleast_1d(charges), np.atleast_1d(energies)
    if index.dtype.kind not in "iu" or set(index.tolist()) != set(range(len(charges))) or len(charges) != len(energies):
        raise InputError(
            f"{where}: atoms belong to fragments {sorted(set(index.tolist()))}, "
            f"but there are {len(charges)} fragment charges and {len(energies)} fragment energies"
        )
    return Fragments(
        torch.tensor(index, dtype=torch.int64),
        torch.tensor(charges, dtype=torch.float64),
        torch.tensor(energies * factor, dtype=torch.float64),
    )


def _lettered(atoms: ase.Atoms, where: str) -> tuple[Integers, list[float], list[float]]:
    info = atoms.info
    letters = [c for c in ascii_uppercase if f"energy{c}" in info]
    if missing := [
        f"{name}{c}"
        for c in letters
        for name in ("charge", "index")
        if f"{name}{c}" not in info and name + c != "indexA"
    ]:
        raise InputError(f"{where}: info has energy{letters[-1]} but lacks {', '.join(missing)}")
    starts = [0, *(int(info[f"index{c}"]) for c in letters[1:])]
    if starts != sorted(set(starts)) or starts[-1] >= len(atoms):
        raise InputError(f"{where}: the fragments start at atoms {starts}, of {len(atoms)}; expected them to ascend")
    index = np.searchsorted(starts, np.arange(len(atoms)), side="right") - 1
    return index.astype(np.int64), [info[f"charge{c}"] for c in letters], [info[f"energy{c}"] for c in letters]

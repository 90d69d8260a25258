"""Gaussian widths of elements, as users give them."""

import torch
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from torch import Tensor

from farfield.errors import InputError


def widths_of_elements(width: float | str | dict[str, float], species: tuple[int, ...]) -> Tensor:
    """Tabulate the widths of all elements ``(119,)``, Å.

    Raises:
        InputError: a table of widths that lacks an element, or names one that is not there.
    """
    if width == "covalent":
        return torch.tensor(covalent_radii[:119])
    if not isinstance(width, dict):
        return torch.full((119,), float(width))
    found, expected = set(width), {chemical_symbols[z] for z in species}
    if found != expected:
        raise InputError(f"width should name {sorted(expected)}, the elements of the data; it names {sorted(found)}")
    table = torch.ones(119, dtype=torch.float64)
    table[[atomic_numbers[symbol] for symbol in width]] = torch.tensor(list(width.values()), dtype=torch.float64)
    return table

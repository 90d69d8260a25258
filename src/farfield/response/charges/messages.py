"""Messages where no charges minimise the energy, or some value is no number."""

from typing import NoReturn

import torch
from ase.data import chemical_symbols
from torch import Tensor

from farfield.errors import InputError
from farfield.system import System


def refuse_no_minimum(system: System, k: int, direction: Tensor) -> NoReturn:
    """Name the atoms of structure ``k`` that charge would run to, along a ``direction`` (its atoms,).

    Raises:
        InputError: always.
    """
    first = int((system.system_index == k).nonzero()[0])
    worst = direction.abs().nan_to_num(posinf=0.0).argsort(descending=True)[:2].sort().values
    names = [f"{int(a)} ({chemical_symbols[int(system.numbers[first + int(a)])]})" for a in worst]
    apart = ""
    if len(worst) == 2:
        one, two = system.positions.detach()[first + worst]
        apart = f", {float(torch.linalg.vector_norm(one - two)):.2f} Å apart"
    said = f"structure {k}: no charges minimise the energy: hardness + Coulomb matrix is not positive definite, charge"
    if _from_reservoir(system, k, direction):
        raise InputError(
            f"{said} of one sign would run from the reservoir to all atoms: along open axes nothing stands against the "
            "net charge of a slab or a wire. Leave its fermi_level away"
        )
    raise InputError(
        f"{said} would run between atoms {' and '.join(names)}{apart}. They are too close for their hardness: raise "
        "the hardness, or give the charges Gaussian widths"
    )


def _from_reservoir(system: System, k: int, direction: Tensor) -> bool:
    """Tell whether a slab or a wire that is open to a reservoir charges as a whole."""
    if system.fermi_level is None or bool(system.fermi_level[k].isnan()):
        return False
    periodic = system.periodic[k]
    one_sign = float(direction.sum().abs()) > 0.5 * float(direction.abs().sum())
    return one_sign and bool(periodic.any()) and not bool(periodic.all())


def refuse_infinite(name: str, values: Tensor, of: str = "atom") -> None:
    """Name the first of ``values`` (atoms,), or of whatever they are ``of``, that is not finite.

    Raises:
        InputError: there is one.
    """
    wrong = ~torch.isfinite(values.detach())
    if wrong.any():
        first = int(wrong.reshape(-1).nonzero()[0])
        raise InputError(f"{name} has values that are not finite: that of {of} {first} of the batch")

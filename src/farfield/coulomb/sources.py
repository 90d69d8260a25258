"""What carries charge, and where: on the atoms, or anywhere."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.system import NeighborList, System


@dataclass(frozen=True)
class Sources:
    """Charges anywhere, any number per system.

    Args:
        positions: ``(sources, 3)``, Å.
        system_index: ``(sources,)`` int64, the system each belongs to, in any order.
        charges: ``(sources,)`` or ``(sources, channels)``, e; channels do not see each other.
        dipoles: ``(sources, 3)``, e·Å; not in this version.
        quadrupoles: ``(sources, 3, 3)``, e·Å²; not in this version.
        widths: Gaussian widths σ in Å, one number or ``(sources,)``; None or 0 for points.

    Raises:
        InputError: a shape that does not fit, a value that is not finite, a negative width, or multipoles.
    """

    positions: Tensor
    system_index: Tensor
    charges: Tensor | None = None
    dipoles: Tensor | None = None
    quadrupoles: Tensor | None = None
    widths: Tensor | float | None = None

    def __post_init__(self) -> None:
        refuse_multipoles(self.dipoles, self.quadrupoles)
        count = len(self.positions)
        if tuple(self.positions.shape) != (count, 3):
            raise InputError(f"Sources.positions has shape {tuple(self.positions.shape)}, expected (sources, 3)")
        if tuple(self.system_index.shape) != (count,):
            raise InputError(f"Sources.system_index has shape {tuple(self.system_index.shape)}, expected ({count},)")
        if not torch.isfinite(self.positions.detach()).all():
            raise InputError("Sources.positions has values that are not finite")
        if self.charges is None:
            raise InputError("Sources need charges=… (charges only so far)")
        check_charges(self.charges, count)
        check_widths(self.widths, count)


@dataclass(frozen=True)
class Charged:
    """Charges ready for the sums: ``system`` places them (its atoms are the sources), values and widths beside it."""

    system: System
    charges: Tensor  # (sources, channels), e
    widths: Tensor | None  # (sources,) Å, None if all are points
    uniform: bool = False  # one width per system that nobody differentiates
    atoms: bool = True  # the sources are the atoms

    def part(self, systems: Tensor) -> "tuple[Charged, Tensor]":
        """The charges of some systems (ascending indices), and their places among all."""
        small, places = part(self.system, systems)
        widths = None if self.widths is None else self.widths[places]
        return replace(self, system=small, charges=self.charges[places], widths=widths), places


def on_atoms(system: System, charges: Tensor | None, widths: Tensor | float | None) -> Charged:
    """Charges that sit on the atoms."""
    if charges is None:
        raise InputError("give charges=… (atoms,) in e, or sources=Sources(…)")
    check_charges(charges, system.n_atoms)
    check_widths(widths, system.n_atoms)
    return _charged(system, charges, widths, atoms=True)


def elsewhere(system: System, sources: Sources) -> tuple[Charged, Tensor]:
    """Charges at places of their own, sorted by system, and the order ``(sources,)`` that sorted them."""
    placed, order = place(system, sources.positions, sources.system_index)
    assert sources.charges is not None
    widths = sources.widths
    if isinstance(widths, Tensor) and widths.ndim:
        widths = widths[order]
    return _charged(placed, sources.charges[order], widths, atoms=False), order


def place(system: System, positions: Tensor, index: Tensor) -> tuple[System, Tensor]:
    """The cells of ``system`` with other things in them, sorted by system, and the order that sorted them."""
    if len(index) and (int(index.min()) < 0 or int(index.max()) >= system.n_systems):
        raise InputError(
            f"system_index must lie in 0 to {system.n_systems - 1}, got {int(index.min())} to {int(index.max())}"
        )
    order = torch.argsort(index, stable=True)
    placed = replace(
        system,
        numbers=torch.ones_like(order),
        positions=positions[order],
        cell=system.cell.to(positions.dtype),
        system_index=index[order],
        neighbors=None,
    )
    return placed, order


def check_charges(charges: Tensor, count: int) -> None:
    """Raise unless charges are finite and ``(count,)`` or ``(count, channels)``."""
    if not isinstance(charges, Tensor):
        raise InputError(f"charges should be a torch tensor, not {type(charges).__name__}: torch.as_tensor(charges)")
    if charges.ndim not in (1, 2) or len(charges) != count:
        raise InputError(f"charges have shape {tuple(charges.shape)}, expected ({count},) or ({count}, channels)")
    finite = torch.isfinite(charges.detach())
    if not finite.all():
        where = int((~finite).reshape(count, -1).any(1).nonzero()[0])
        raise InputError(f"the charge of source {where} is {charges[where].tolist()}; charges must be finite")


def check_widths(widths: Tensor | float | None, count: int) -> None:
    """Raise unless widths are one number or ``(count,)``, finite and not negative."""
    if widths is None:
        return
    values = torch.as_tensor(widths).detach()
    if tuple(values.shape) not in ((), (count,)):
        raise InputError(f"widths have shape {tuple(values.shape)}, expected one number or ({count},)")
    wrong = ~(torch.isfinite(values) & (values >= 0))
    if wrong.any():
        value = float(values[wrong].reshape(-1)[0])
        raise InputError(f"a Gaussian width is {value} Å; widths must be finite and not negative (0 is a point)")


def refuse_multipoles(dipoles: Tensor | None, quadrupoles: Tensor | None) -> None:
    """Raise if dipoles or quadrupoles were given."""
    for name, value in (("dipoles", dipoles), ("quadrupoles", quadrupoles)):
        if value is not None:
            raise InputError(f"{name} were given, but this version sums charges only so far; leave {name} out")


def _charged(system: System, charges: Tensor, widths: Tensor | float | None, *, atoms: bool) -> Charged:
    dtype, device = system.positions.dtype, system.positions.device
    values = charges.to(device, dtype)
    values = values.unsqueeze(1) if values.ndim == 1 else values
    sigma, uniform = None, False
    if widths is not None:
        sigma = torch.as_tensor(widths, dtype=dtype, device=device).expand(system.n_atoms)
        uniform = not sigma.requires_grad and (sigma.numel() == 0 or bool((sigma == sigma[0]).all()))
        if not sigma.requires_grad and not bool((sigma > 0).any()):
            sigma = None
    return Charged(system, values, sigma, uniform and sigma is not None, atoms)


def part(system: System, systems: Tensor) -> tuple[System, Tensor]:
    """Some systems of a batch (ascending indices), and the places of their atoms among all."""
    number = torch.full((system.n_systems,), -1, dtype=torch.long, device=systems.device)
    number[systems] = torch.arange(len(systems), device=systems.device)
    places = (number[system.system_index] >= 0).nonzero().squeeze(1)
    small = replace(
        system,
        numbers=system.numbers[places],
        positions=system.positions[places],
        cell=system.cell[systems],
        periodic=system.periodic[systems],
        system_index=number[system.system_index[places]],
        charge=system.charge[systems],
        spin=system.spin[systems],
        neighbors=_subset_neighbors(system, places),
    )
    return small, places


def _subset_neighbors(system: System, places: Tensor) -> NeighborList | None:
    known = system.neighbors
    if known is None:
        return None
    number = torch.full((system.n_atoms,), -1, dtype=torch.long, device=places.device)
    number[places] = torch.arange(len(places), device=places.device)
    kept = number[known.i] >= 0
    return NeighborList(
        number[known.i[kept]], number[known.j[kept]], known.shift[kept], known.cutoff, known.skin, known.half
    )

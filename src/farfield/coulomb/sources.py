"""Sources of charges, dipoles and quadrupoles: on the atoms, or anywhere."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.coulomb.functions.multipoles import (
    Moments,
    refuse_unlike_channels,
    refuse_wrong_dipoles,
    refuse_wrong_quadrupoles,
    traceless,
)
from farfield.errors import InputError
from farfield.system import System


@dataclass(frozen=True)
class Sources:
    """Charges, dipoles and quadrupoles anywhere, any number per system; give at least one of the three.

    All of one source sit at its place. Those left out are zero; a width is that of all three.

    Args:
        positions: ``(sources, 3)``, Å.
        system_index: ``(sources,)`` int64, the system each belongs to, in any order.
        charges: ``(sources,)`` or ``(sources, channels)``, e; channels do not see each other.
        dipoles: ``(sources, 3)`` or ``(sources, channels, 3)``, e·Å.
        quadrupoles: ``(sources, 3, 3)`` or ``(sources, channels, 3, 3)``, e·Å², symmetric and traceless:
            Buckingham's ½ Σ q (3 r⊗r - r²).
        widths: Gaussian widths σ in Å, one number or ``(sources,)``; None or 0 for points.

    Raises:
        InputError: a shape that does not fit, a value that is not finite, a negative width, a quadrupole that is not
            symmetric and traceless.
    """

    positions: Tensor
    system_index: Tensor
    charges: Tensor | None = None
    dipoles: Tensor | None = None
    quadrupoles: Tensor | None = None
    widths: Tensor | float | None = None

    def __post_init__(self) -> None:
        count = len(self.positions)
        if tuple(self.positions.shape) != (count, 3):
            raise InputError(f"Sources.positions has shape {tuple(self.positions.shape)}, expected (sources, 3)")
        if tuple(self.system_index.shape) != (count,):
            raise InputError(f"Sources.system_index has shape {tuple(self.system_index.shape)}, expected ({count},)")
        if not torch.isfinite(self.positions.detach()).all():
            raise InputError("Sources.positions has values that are not finite")
        if self.charges is None and self.dipoles is None and self.quadrupoles is None:
            raise InputError("Sources need charges=…, dipoles=… or quadrupoles=…")
        _check_moments(self.charges, self.dipoles, self.quadrupoles, count)
        check_widths(self.widths, count)


@dataclass(frozen=True)
class PlacedSources:
    """Sources ready for the sums: ``system`` places them (its atoms are the sources), moments and widths beside it."""

    system: System
    charges: Tensor  # (sources, channels), e
    widths: Tensor | None  # (sources,) Å, None if all are points
    uniform: bool = False  # one width per system that nobody differentiates
    atoms: bool = True  # the sources are the atoms
    dipoles: Tensor | None = None  # (sources, channels, 3), e·Å; there where quadrupoles are
    quadrupoles: Tensor | None = None  # (sources, channels, 3, 3), Θ/3, e·Å²

    @property
    def moments(self) -> Moments:
        """Charges, dipoles and quadrupoles."""
        return Moments(self.charges, self.dipoles, self.quadrupoles)

    def double(self) -> "PlacedSources":
        """Convert to double precision; differentiable. Neighbours stay as they are."""
        if self.charges.dtype == torch.float64:
            return self
        system = replace(self.system, positions=self.system.positions.double(), cell=self.system.cell.double())
        widths, dipoles, quadrupoles = (
            None if x is None else x.double() for x in (self.widths, self.dipoles, self.quadrupoles)
        )
        charges = self.charges.double()
        return replace(self, system=system, charges=charges, widths=widths, dipoles=dipoles, quadrupoles=quadrupoles)

    def part(self, systems: Tensor) -> "tuple[PlacedSources, Tensor]":
        """Take the sources of some systems (ascending indices), and their places among all."""
        small, places = self.system.select(systems)
        widths, dipoles, quadrupoles = (
            None if x is None else x[places] for x in (self.widths, self.dipoles, self.quadrupoles)
        )
        charges = self.charges[places]
        kept = replace(self, system=small, charges=charges, widths=widths, dipoles=dipoles, quadrupoles=quadrupoles)
        return kept, places


def on_atoms(
    system: System,
    charges: Tensor | None,
    widths: Tensor | float | None,
    dipoles: Tensor | None = None,
    quadrupoles: Tensor | None = None,
) -> PlacedSources:
    """Place charges, dipoles and quadrupoles on the atoms."""
    if not isinstance(system, System):
        raise InputError(f"system should be a farfield System, not {type(system).__name__}: System.from_ase(atoms)")
    if charges is None and dipoles is None and quadrupoles is None:
        raise InputError("give charges=… (atoms,) in e, dipoles=…, quadrupoles=…, or sources=Sources(…)")
    _check_moments(charges, dipoles, quadrupoles, system.n_atoms)
    check_widths(widths, system.n_atoms)
    return _placed(system, (charges, dipoles, quadrupoles), widths, atoms=True)


def elsewhere(system: System, sources: Sources) -> tuple[PlacedSources, Tensor]:
    """Place sources where they say, sorted by system, and the order ``(sources,)`` that sorted them."""
    placed, order = system.with_sites(sources.positions, sources.system_index)
    widths = sources.widths
    if isinstance(widths, Tensor) and widths.ndim:
        widths = widths[order]
    charges, dipoles, quadrupoles = (
        None if x is None else x[order] for x in (sources.charges, sources.dipoles, sources.quadrupoles)
    )
    return _placed(placed, (charges, dipoles, quadrupoles), widths, atoms=False), order


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


def _check_moments(charges: Tensor | None, dipoles: Tensor | None, quadrupoles: Tensor | None, count: int) -> None:
    if charges is not None:
        check_charges(charges, count)
    if dipoles is not None or quadrupoles is not None:
        refuse_wrong_dipoles(dipoles, count)
        refuse_wrong_quadrupoles(quadrupoles, count)
        refuse_unlike_channels(charges, dipoles, quadrupoles)


def _placed(
    system: System,
    given: tuple[Tensor | None, Tensor | None, Tensor | None],
    widths: Tensor | float | None,
    *,
    atoms: bool,
) -> PlacedSources:
    dtype, device = system.positions.dtype, system.positions.device
    charges, dipoles, quadrupoles = (None if x is None else x.to(device, dtype) for x in given)
    # an axis of channels for those that have none, zeros for lower moments that were not given
    if quadrupoles is not None:
        quadrupoles = traceless(quadrupoles if quadrupoles.ndim == 4 else quadrupoles.unsqueeze(1))
        dipoles = quadrupoles.new_zeros(quadrupoles.shape[:3]) if dipoles is None else dipoles
    if dipoles is not None:
        dipoles = dipoles if dipoles.ndim == 3 else dipoles.unsqueeze(1)
        charges = dipoles.new_zeros(dipoles.shape[:2]) if charges is None else charges
    assert charges is not None
    charges = charges.unsqueeze(1) if charges.ndim == 1 else charges
    sigma, uniform = None, False
    if widths is not None:
        sigma = torch.as_tensor(widths, dtype=dtype, device=device).expand(system.n_atoms)
        uniform = not sigma.requires_grad and (sigma.numel() == 0 or bool((sigma == sigma[0]).all()))
        if not sigma.requires_grad and not bool((sigma > 0).any()):
            sigma = None
    return PlacedSources(system, charges, sigma, uniform and sigma is not None, atoms, dipoles, quadrupoles)

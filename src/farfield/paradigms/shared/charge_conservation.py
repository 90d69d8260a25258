"""Charges of atoms whose sum is the charge of the system: three ways, none right for all data.

``shift``
    Every atom's charge is free and local, then what is missing from the total is spread over the system by learned
    positive weights. Fragments far apart can carry any charge; but the shift is nonlocal: it breaks the Born-charge
    sum rule under strain and size consistency, the more so the larger the residual, which is therefore reported.
``bond``
    An element's formal charge plus what neighbours hand over to one another. Strictly local, conserving by
    construction; wrong where one element stands in separated fragments of different charge per formula.
``fixed``
    An element's formal charge.

Where a system is of one element alone (an isolated atom, a metal, Cl₂), formal charges are equal shares of its total.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicScalar
from farfield.backbone.linear import UnitLinear
from farfield.backbone.radial import envelope
from farfield.chemistry import ElementCharges, formal_charges, likely_charges, only_total, share_of_elements
from farfield.data.statistics import Statistics
from farfield.errors import InputError
from farfield.field import dipole_of_charges, dipole_of_transfers
from farfield.system import System, per_system

Conservation = Literal["shift", "bond", "fixed"]


@dataclass(frozen=True)
class Conserved:
    """Charges that add up, and the dipole they make."""

    charges: Tensor  # (atoms,), e
    residual: Tensor  # (systems,), e, of the total, that had to be shifted away
    dipole: Tensor  # (systems, 3), e·Å about the origin; of a crystal single-valued (but for e·a) with bond and fixed
    ions: Tensor | None = None  # (atoms,), e, formal charges, by which that dipole grows as atoms are wrapped


def mean_square_shift(residual: Tensor, system: System) -> Tensor:
    """Average the squared share of each atom in the total's residual ``(systems,)`` in e: (e/atom)²."""
    return (residual / system.atoms_per_system).square().mean()


class ConservedCharges(nn.Module):
    """Atomic charges that sum to ``system.charge``, by one of the three ways."""

    element_charge: Tensor
    paces: ClassVar = {"element_charge": 0.02}
    """What an atom carries far from all others is told by few data, and by little in them: it starts where it is likely
    and leaves slowly; what surroundings change is learned beside it at full pace."""

    def __init__(
        self, widths: Widths, species: tuple[int, ...], *, conservation: Conservation, given: dict[str, float] | None
    ) -> None:
        super().__init__()
        self.conservation, self.species, self.given = conservation, species, given
        start = torch.zeros(119)
        start[list(species)] = formal_charges(species, given=given).to(start)
        if conservation == "shift":
            # half of the formal charge: covalent atoms carry less, and a charge of zero would never learn its sign
            self.element_charge = nn.Parameter(0.5 * start)
            self.local = AtomicScalar(widths, start=CHARGE_START)
            self.share = AtomicScalar(widths)
        else:
            self.register_buffer("element_charge", start)
        if conservation == "bond":
            self.transfer = BondTransfer(widths)

    def prepare(self, statistics: Statistics) -> None:
        """Fit the elements' charges to the compositions and total charges of the training set.

        Raises:
            InputError: ``bond`` or ``fixed`` and no charge per element adds up to the totals.
        """
        counts, charge = statistics.piece_counts, statistics.piece_charge
        if self.conservation == "shift":
            fitted = likely_charges(self.species, counts, charge, given=self.given, ions=statistics.ion_charge)
        else:
            fitted = formal_charges(self.species, given=self.given, counts=counts, charge=charge, exact=True)
        with torch.no_grad():
            self.element_charge[list(self.species)] = fitted.to(self.element_charge)

    def element_charges(self, statistics: Statistics) -> ElementCharges:
        """Say what the elements start from, or stand at; after ``prepare``."""
        started = self.element_charge.detach()[list(statistics.species)].double()
        return ElementCharges.of(
            statistics.species, started, given=self.given, ions=statistics.ion_charge,
            stay=self.conservation != "shift",
        )  # fmt: skip

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges where nothing else is possible (``bond``, ``fixed``)."""
        return None if self.conservation == "shift" else only_total(self.element_charge, numbers)

    def forward(self, system: System, features: Features) -> Conserved:
        """Charges of every atom, and the dipole of every system."""
        if self.conservation == "shift":
            return self._shifted(self.element_charge[system.numbers] + self.local(features), system, features)
        charges = ions = share_of_elements(self.element_charge, system)
        dipole = dipole_of_charges(charges, system)
        if self.conservation == "bond":
            handed, pairs = self.transfer(features), features.pairs
            charges = charges.index_add(0, pairs.j, handed).index_add(0, pairs.i, -handed)
            dipole = dipole + dipole_of_transfers(handed, pairs.vector, pairs.i, system)
        residual = system.charge - per_system(charges, system)
        self._check(system, residual.detach())
        return Conserved(charges, residual, dipole, ions)

    def _shifted(self, charges: Tensor, system: System, features: Features) -> Conserved:
        residual = system.charge - per_system(charges, system)
        weight = 0.05 + torch.sigmoid(self.share(features))  # bounded: nobody takes all of it
        weight = weight / per_system(weight, system)[system.system_index]
        charges = charges + weight * residual[system.system_index]
        return Conserved(charges, residual, dipole_of_charges(charges, system))

    def _check(self, system: System, residual: Tensor) -> None:
        if (wrong := residual.abs() > 1e-3).any():
            first = int(wrong.nonzero()[0])
            found, asked = (system.charge - residual)[first].item(), system.charge[first].item()
            raise InputError(
                f"conservation={self.conservation!r} gives structure {first} the charge {found:+.3f} e, the sum of its "
                f"formal charges, but its total charge is {asked:+g} e: use conservation: shift"
            )


class BondTransfer(nn.Module):
    """Charge handed from i to j within the cutoff: what i loses j gains, so the sum never changes."""

    def __init__(self, widths: Widths, hidden: int = 32) -> None:
        super().__init__()
        self.giver = UnitLinear(widths.scalars, hidden)
        self.taker = UnitLinear(widths.scalars, hidden)
        self.length = nn.Linear(1, hidden)
        self.out = UnitLinear(hidden, 1, gain=0.1, start=0.1)  # many neighbours of one kind add up

    def forward(self, features: Features) -> Tensor:
        """Charge that the first atom of every pair hands to the second ``(pairs,)``, e."""
        pairs, scalars = features.pairs, features.scalars
        x = pairs.distance[:, None] / features.cutoff
        hidden = self.giver(scalars)[pairs.i] + self.taker(scalars)[pairs.j] + self.length(x)
        return torch.as_tensor((self.out(nn.functional.silu(hidden)) * envelope(x))[:, 0])

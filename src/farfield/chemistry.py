"""Formal charges: one number per element that adds up to the charge of everything of more than one element.

What is made of one element alone (an isolated atom, a metal, Cl₂) says nothing of the charge the element carries in a
compound: there every atom has an equal share of the total, and so it is where charges are made (``share_of_elements``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor

from farfield.errors import InputError
from farfield.system import System, per_system

# The usual oxidation state in ionic solids, melts, electrolytes and water. Elements without one stand at 0.
_USUAL = {
    +1: "H Li Na K Rb Cs Ag Cu",
    +2: "Be Mg Ca Sr Ba Zn Cd Fe Co Ni Mn Pb Sn",
    +3: "Al Ga In Sc Y La Ce B Cr Bi",
    +4: "Si Ti Zr Hf Ge",
    +5: "Nb Ta P V",
    -1: "F Cl Br I",
    -2: "O S Se Te",
    -3: "N",
}
USUAL = {atomic_numbers[symbol]: float(charge) for charge, symbols in _USUAL.items() for symbol in symbols.split()}
"""Atomic number → usual formal charge in e."""


COVALENT = frozenset(atomic_numbers[symbol] for symbol in ["H", "B", "C", "N", "O", "Si", "P", "S", "Ge", "As", "Se"])
"""Elements whose formal charge says little of the charge they carry."""

RIDGE = 0.05
"""How firmly charges to start from stay where they are usual, against the totals (mean charges per atom)."""


_CLOSE = 1e-3
"""e; sums that are this near are met."""


@dataclass(frozen=True)
class ElementCharges:
    """The charge of every element, and where it is from."""

    charges: Mapping[str, float]  # symbol → e
    origins: Mapping[str, str]  # symbol → given, usual, …
    stay: bool  # atoms far from all others carry them; or learning only starts there

    @classmethod
    def of(
        cls,
        species: tuple[int, ...],
        charges: Tensor,  # (species,), e
        *,
        given: Mapping[str, float] | None,
        ions: Tensor,  # (species,), e, nan where there is none
        stay: bool,
        zero: str = "no compound tells",
    ) -> "ElementCharges":
        """Tell by comparison where each charge is from; ``zero`` says why one is 0 that usually is not."""
        symbols = [chemical_symbols[z] for z in species]
        origins = {}
        for symbol, z, charge, ion in zip(symbols, species, charges.tolist(), ions.tolist()):
            if given and symbol in given:
                origins[symbol] = "given"
            elif abs(charge - ion) < _CLOSE:
                origins[symbol] = "its single ion"
            elif abs(charge - USUAL.get(z, 0.0)) < _CLOSE:
                origins[symbol] = "usual" if z in USUAL else "none is usual"
            elif charge == 0:
                origins[symbol] = zero
            else:
                origins[symbol] = "fitted to total charges"
        return cls(dict(zip(symbols, charges.tolist())), origins, stay)

    def __str__(self) -> str:
        """``Na +1 (usual), Cl -0.98 (fitted to total charges)``."""
        signed = {symbol: f"{q:+.3g}" if abs(q) > _CLOSE else "0" for symbol, q in self.charges.items()}
        return ", ".join(f"{symbol} {signed[symbol]} ({origin})" for symbol, origin in self.origins.items())

    @property
    def all_zero(self) -> bool:
        """Tell whether no element carries anything."""
        return all(abs(charge) <= _CLOSE for charge in self.charges.values())


def valence_electrons(number: int) -> int:
    """Count the electrons outside the noble-gas core and closed d and f shells: 6 of O, 8 of Fe, 4 of Pb."""
    outside = number - max(core for core in (0, 2, 10, 18, 36, 54, 86) if core < number)
    outside -= 14 if number > 54 and outside > 17 else 0
    return outside - 10 if outside > 12 else outside


def likely_charges(
    species: tuple[int, ...],
    counts: Tensor,  # (rows, species), float64
    charge: Tensor,  # (rows,), float64, e
    *,
    given: Mapping[str, float] | None = None,
    ions: Tensor | None = None,  # (species,), e: charges of single ions; nan where the data has none
) -> Tensor:  # (species,) float64, e
    """Choose charges to start learning from: formal for ions, small for covalent atoms, moved towards the totals.

    ``given`` charges stay as they are, those of single ``ions`` come next; elements that stand in no row carry nothing
    as far as is known. A start in the wrong direction (carbon at +2
    in a cyanide) can take longer to leave than the training lasts.
    """
    usual = formal_charges(species, given=given)
    told = _are_given(species, given)
    covalent = torch.tensor([z in COVALENT for z in species]) & ~told
    unseen = ~(counts > 0).any(0) & ~told
    start = torch.where(covalent | unseen, torch.zeros_like(usual), usual)
    if len(counts) and not told.all():
        sizes = counts.sum(1, keepdim=True)
        share, missing = counts[:, ~told] / sizes, charge / sizes[:, 0] - counts / sizes @ start
        normal = share.T @ share / len(share) + RIDGE * torch.eye(share.shape[1], dtype=torch.float64)
        start[~told] += torch.linalg.solve(normal, share.T @ missing / len(share))
    return start if ions is None else torch.where(ions.isnan() | told, start, ions)


def formal_charges(
    species: tuple[int, ...],
    *,
    given: Mapping[str, float] | None = None,
    counts: Tensor | None = None,  # (rows, species), float64
    charge: Tensor | None = None,  # (rows,), float64, e
    exact: bool = False,
) -> Tensor:  # (species,) float64, e
    """Find the charges nearest to ``given`` (or the usual ones) that reproduce the total charges of all rows.

    Only what the totals determine is moved: the minimum-norm correction. ``given`` charges are never moved. Rows of one
    element alone are followed where they contradict no other.

    Raises:
        InputError: ``exact`` and the total of some row of several elements cannot be met, or ``given`` names an element
            that is not there.
    """
    start = torch.tensor([_start(z, given) for z in species], dtype=torch.float64)
    if given and (strangers := sorted(set(given) - {chemical_symbols[z] for z in species})):
        raise InputError(f"formal_charges names {strangers}, which the data does not hold")
    if counts is None or charge is None:
        return start
    free = ~_are_given(species, given)
    compounds = (counts > 0).sum(1) > 1
    fitted = _fitted(start, free, counts, charge)
    if not _of_compounds_met(fitted, counts, charge):
        fitted = _fitted(start, free, counts[compounds], charge[compounds])
    if exact:
        _check(species, fitted, counts[compounds], charge[compounds])
    return fitted


def whole_charges(
    species: tuple[int, ...],
    *,
    given: Mapping[str, int] | None = None,
    counts: Tensor | None = None,  # (rows, species), float64
    charge: Tensor | None = None,  # (rows,), float64, e
) -> Tensor:  # (species,) float64, e
    """Find whole charges that reproduce the total charges of all rows, as near to the usual ones as ``formal_charges``.

    Where these are no whole numbers, or miss a total: the ``given``, and 0 for all others.

    Raises:
        InputError: ``given`` names an element that is not there.
    """
    fitted = formal_charges(species, given=given, counts=counts, charge=charge)
    if bool(((fitted - fitted.round()).abs() < _CLOSE).all()) and _of_compounds_met(fitted, counts, charge):
        return fitted.round()
    return torch.tensor([float((given or {}).get(chemical_symbols[z], 0)) for z in species], dtype=torch.float64)


def share_of_elements(element_charge: Tensor, system: System) -> Tensor:
    """Give every atom ``(atoms,)`` the charge of its element ``(119,)``, e, or its share where all are of one element.

    A system of one element alone has its total charge evenly on its atoms, whatever the element carries elsewhere.
    """
    numbers, index = system.numbers, system.system_index
    first = numbers[system.atoms_per_system.cumsum(0) - system.atoms_per_system]
    mixed = per_system((numbers != first[index]).to(element_charge), system) > 0
    charges = element_charge[numbers]
    if bool(mixed.all()):
        return charges
    share = (system.charge / system.atoms_per_system).to(charges)
    return torch.where(mixed[index], charges, share[index])


def only_total(element_charge: Tensor, numbers: Tensor) -> float | None:
    """Sum the charges ``(119,)`` of these atoms, e; None for one element alone, which takes any total."""
    return float(element_charge[numbers].sum()) if len(torch.unique(numbers)) > 1 else None


def _are_given(species: tuple[int, ...], given: Mapping[str, float] | None) -> Tensor:
    return torch.tensor([bool(given) and chemical_symbols[z] in (given or {}) for z in species])


def _start(number: int, given: Mapping[str, float] | None) -> float:
    symbol = chemical_symbols[number]
    return given[symbol] if given and symbol in given else USUAL.get(number, 0.0)


def _fitted(start: Tensor, free: Tensor, counts: Tensor, charge: Tensor) -> Tensor:
    fitted = start.clone()
    fitted[free] += torch.linalg.pinv(counts[:, free], rtol=1e-8) @ (charge - counts @ start)
    return torch.where((fitted - fitted.round()).abs() < 1e-6, fitted.round(), fitted)


def _met(fitted: Tensor, counts: Tensor, charge: Tensor) -> bool:
    return bool(((counts @ fitted - charge).abs() < _CLOSE).all())


def _of_compounds_met(fitted: Tensor, counts: Tensor | None, charge: Tensor | None) -> bool:
    """Tell whether the totals of what has several elements are met, if there are any."""
    if counts is None or charge is None:
        return True
    compounds = (counts > 0).sum(1) > 1
    return _met(fitted, counts[compounds], charge[compounds])


def _check(species: tuple[int, ...], fitted: Tensor, counts: Tensor, charge: Tensor) -> None:
    if _met(fitted, counts, charge):
        return
    wrong = counts @ fitted - charge
    worst = int(wrong.abs().argmax())
    formula = " ".join(f"{chemical_symbols[z]}{int(n)}" for z, n in zip(species, counts[worst]) if n)
    best = ", ".join(f"{chemical_symbols[z]} {q:+.2f}" for z, q in zip(species, fitted.tolist()))
    raise InputError(
        f"no charge per element adds up to the charges in this data (best: {best}); {formula} should carry "
        f"{charge[worst]:+g} e and gets {charge[worst] + wrong[worst]:+.2f} e. One element stands in fragments "
        "of different charge here: use conservation: shift (charges, latent)"
    )

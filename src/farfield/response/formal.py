"""Formal charges: one number per element that adds up to the charge of everything."""

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor

from farfield.errors import InputError

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


def likely_charges(
    species: tuple[int, ...],
    counts: Tensor,  # (rows, species), float64
    charge: Tensor,  # (rows,), float64, e
    *,
    given: dict[str, float] | None = None,
) -> Tensor:  # (species,) float64, e
    """Charges to start learning from: formal for ions, small for covalent atoms, moved towards the total charges.

    A start in the wrong direction (carbon at +2 in a cyanide) can take longer to leave than the training lasts.
    """
    usual = formal_charges(species, given=given)
    covalent = torch.tensor([z in COVALENT and chemical_symbols[z] not in (given or {}) for z in species])
    start = torch.where(covalent, torch.zeros_like(usual), usual)
    sizes = counts.sum(1, keepdim=True)
    share, missing = counts / sizes, charge / sizes[:, 0] - counts / sizes @ start
    normal = share.T @ share / len(share) + RIDGE * torch.eye(len(species), dtype=torch.float64)
    moved: Tensor = torch.linalg.solve(normal, share.T @ missing / len(share))
    return start + moved


def formal_charges(
    species: tuple[int, ...],
    *,
    given: dict[str, float] | None = None,
    counts: Tensor | None = None,  # (rows, species), float64
    charge: Tensor | None = None,  # (rows,), float64, e
    exact: bool = False,
) -> Tensor:  # (species,) float64, e
    """The charges nearest to ``given`` (or the usual ones) that reproduce the total charges of all rows.

    Only what the totals determine is moved: the minimum-norm correction. ``given`` charges are never moved.

    Raises:
        InputError: ``exact`` and some row's total cannot be met, or ``given`` names an element that is not there.
    """
    start = torch.tensor([_start(z, given) for z in species], dtype=torch.float64)
    if given and (strangers := sorted(set(given) - {chemical_symbols[z] for z in species})):
        raise InputError(f"formal_charges names {strangers}, which the data does not hold")
    if counts is None or charge is None:
        return start
    free = torch.tensor([not given or chemical_symbols[z] not in given for z in species])
    missing = charge - counts @ start
    fitted = start.clone()
    fitted[free] += torch.linalg.pinv(counts[:, free], rtol=1e-8) @ missing
    fitted = torch.where((fitted - fitted.round()).abs() < 1e-6, fitted.round(), fitted)
    if exact:
        _check(species, fitted, counts, charge)
    return fitted


def _start(number: int, given: dict[str, float] | None) -> float:
    symbol = chemical_symbols[number]
    return given[symbol] if given and symbol in given else USUAL.get(number, 0.0)


def _check(species: tuple[int, ...], fitted: Tensor, counts: Tensor, charge: Tensor) -> None:
    wrong = counts @ fitted - charge
    if wrong.abs().max() < 1e-3:
        return
    worst = int(wrong.abs().argmax())
    formula = " ".join(f"{chemical_symbols[z]}{int(n)}" for z, n in zip(species, counts[worst]) if n)
    best = ", ".join(f"{chemical_symbols[z]} {q:+.2f}" for z, q in zip(species, fitted.tolist()))
    raise InputError(
        f"no charge per element adds up to the charges in this data (best: {best}); {formula} should carry "
        f"{charge[worst]:+g} e and gets {charge[worst] + wrong[worst]:+.2f} e. One element stands in fragments "
        "of different charge here: use conservation: shift"
    )

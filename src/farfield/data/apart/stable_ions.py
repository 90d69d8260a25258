"""Ions that stay ions beside an ion of the other sign: what bonds alone may claim of both sides of a pair.

Two radicals have an ionic Lewis structure, too (HCO and OH, CH₃ and Cl): charges of both signs are claimed only of ions
that are met as such.
"""

from farfield.data.apart.lewis import Molecule

_ALKALI, _HALOGEN = {3, 11, 19, 37, 55}, {9, 17, 35, 53}
_ONIUM, _CHALCOGEN = {7, 15, 33}, {8, 16}
_CENTRE = {6: 3, 7: 3, 15: 4, 16: 3, 17: 4}
"""Centre of an oxyanion → its neighbours at least: carboxylate, nitrate, phosphate, sulfite, perchlorate."""
_COMPLEX = {5: 4, 13: 4, 15: 6, 33: 6}
"""Centre of a complex anion → its neighbours: BF₄⁻, AlCl₄⁻, PF₆⁻."""


def is_stable_ion(molecule: Molecule, charge: int) -> bool:
    """Tell whether atoms of these bonds are known to carry this charge (e), and not its opposite or none."""
    numbers = molecule.numbers
    if len(numbers) == 1:
        return (charge == 1 and numbers[0] in _ALKALI) or (charge == -1 and numbers[0] in _HALOGEN)
    around = _neighbours(molecule)
    if charge > 0:
        return any(_is_cationic(k, numbers, around) for k in range(len(numbers)))
    return any(_is_anionic(k, numbers, around) for k in range(len(numbers)))


def has_onium(molecule: Molecule) -> bool:
    """Tell whether nitrogen or phosphorus has four neighbours: a cation whatever is beside it."""
    return any(z in _ONIUM and len(near) == 4 for z, near in zip(molecule.numbers, _neighbours(molecule)))


def _neighbours(molecule: Molecule) -> list[list[int]]:
    around: list[list[int]] = [[] for _ in molecule.numbers]
    for i, j in molecule.bonds:
        around[i].append(j)
        around[j].append(i)
    return around


def _is_cationic(k: int, numbers: tuple[int, ...], around: list[list[int]]) -> bool:
    """Ammonium, phosphonium, oxonium of hydrogens; nitrogen in an amidinium, guanidinium, iminium or ring."""
    if numbers[k] in _ONIUM and len(around[k]) == 4:
        return True
    if numbers[k] == 8:
        return len(around[k]) == 3 and all(numbers[j] == 1 for j in around[k])
    trigonal = (j for j in around[k] if numbers[j] == 6 and len(around[j]) == 3)
    return numbers[k] == 7 and len(around[k]) == 3 and any(_has_no_oxygen(j, numbers, around) for j in trigonal)


def _has_no_oxygen(k: int, numbers: tuple[int, ...], around: list[list[int]]) -> bool:
    return not any(numbers[j] in _CHALCOGEN for j in around[k])


def _is_anionic(k: int, numbers: tuple[int, ...], around: list[list[int]]) -> bool:
    """Oxyanions, with two oxygens that have nothing else, and complex anions."""
    ends = sum(numbers[j] in _CHALCOGEN and len(around[j]) == 1 for j in around[k])
    if ends >= 2 and len(around[k]) >= _CENTRE.get(numbers[k], 99):
        return True
    return len(around[k]) == _COMPLEX.get(numbers[k], 99)

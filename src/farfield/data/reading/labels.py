"""The labels of one frame, checked and in farfield's units."""

import math
from dataclasses import dataclass

import ase
import numpy as np
import torch
from torch import Tensor

from farfield.data.config import DataConfig, Target
from farfield.data.conversion import Factors
from farfield.data.frame import Labels
from farfield.data.keys import Numbers, find_value, numeric, refuse_not_finite, with_decimal_comma
from farfield.data.reading.potential import potential_rows
from farfield.data.reading.quadrupoles import buckingham, to_centre_of_mass
from farfield.data.reading.stress import read_stress
from farfield.errors import InputError
from farfield.quantities import PER_ATOM, QUANTITIES


@dataclass(frozen=True)
class LabelReader:
    """Turns what ASE read into ``Labels``."""

    config: DataConfig
    dtype: torch.dtype

    def read(self, atoms: ase.Atoms, where: str) -> Labels:
        """Labels of one frame; nan where it lacks a target in ``allow_missing``, or is no crystal and has no stress.

        Raises:
            InputError: as ``read_stress`` and ``buckingham``; a wrong shape, not numbers, nan or infinite, a dipole or
                quadrupole of periodic atoms, or a polarization of what is no crystal.
        """
        found = {
            target: read_stress(atoms, self.config, where) if target == "stress" else self._value(atoms, target, where)
            for target in self.config.targets
        }
        return Labels(**{target: self._tensor(value, target) for target, value in found.items()})

    def _value(self, atoms: ase.Atoms, target: Target, where: str) -> Numbers:
        key, shape = self.config.targets[target][target], _shape(target, len(atoms))
        raw = find_value(atoms, target, key)
        if target == "potential":
            return potential_rows(raw, self.config, f"{where}: potential = {key!r}")[:, 3]
        some, optional = QUANTITIES[target].some_elements, target in self.config.allow_missing
        if meaningless := _meaningless(target, atoms):
            if optional:
                return np.full(shape, np.nan)
            raise InputError(f"{where}: {meaningless}")
        if raw is None:  # the reader has made sure that it may be
            return np.full(shape, np.nan)
        where = f"{where}: {target} = {key!r}"
        value = _shaped(raw, target, shape, where)
        refuse_not_finite(value, target, optional=optional or some, where=where)
        if QUANTITIES[target].measured_as == "quadrupole" or target == "quadrupole":
            value = buckingham(value, self.config, where)
        if target == "polarization" and self.config.polarization_unit == "e*angstrom":
            value = value / (atoms.get_volume() * self.config.factors.length**3)
        if some:
            value = _without_empty_elements(value, atoms.numbers)
        value = value * _factor(self.config.factors, target)
        if target == "quadrupole" and self.config.quadrupole_origin == "positions":
            value = self._about_mass(atoms, value, where)
        return value

    def _about_mass(self, atoms: ase.Atoms, quadrupole: Numbers, where: str) -> Numbers:
        """The quadrupole e·Å² about the centre of mass, of that where the positions are zero."""
        if "dipole" not in self.config.targets:
            raise InputError(
                f"{where} is moved from the origin of the positions by the dipole: give its key, dipole: …"
            )
        charge = float(np.sum(atoms.info.get(self.config.total_charge, 0.0)))
        centre = atoms.get_center_of_mass() * self.config.factors.length
        return to_centre_of_mass(quadrupole, self._value(atoms, "dipole", where), charge, centre)

    def _tensor(self, value: Numbers, target: Target) -> Tensor:
        dtype = torch.float64 if target == "energy" else self.dtype
        tensor = torch.tensor(value, dtype=dtype)
        return tensor if target in PER_ATOM or QUANTITIES[target].per_point else tensor[None]


def _meaningless(target: Target, atoms: ase.Atoms) -> str:
    """Say why there can be no such label; empty where there can."""
    if target in ("dipole", "quadrupole") and atoms.pbc.any():
        known = "is known only modulo e × lattice vectors" if target == "dipole" else "depends on the choice of a cell"
        return (
            f"the {target} of periodic atoms {known}. If these are molecules in a box, "
            f'data: pbc: "F F F" says so; if not, {target}: null'
        )
    if target == "polarization" and not atoms.pbc.all():
        return "only crystals, periodic along three axes, have a polarization: polarization: null"
    return ""


def _shape(target: Target, atoms: int) -> tuple[int, ...]:
    row = QUANTITIES[target].shape
    return (atoms, *row) if target in PER_ATOM else row


def _shaped(raw: object, target: Target, shape: tuple[int, ...], where: str) -> Numbers:
    """The numbers in the shape ``(…)`` that a target has, or with six in a row where it is symmetric."""
    value, row = numeric(raw, where), QUANTITIES[target].shape
    lead = shape[: len(shape) - len(row)]
    if value.shape == (*lead, math.prod(row)) or (not shape and value.size == 1):
        value = value.reshape(shape)
    six = QUANTITIES[target].symmetric and value.shape == (*lead, 6)
    if value.shape != shape and not six:
        comma = f" ({said})" if not shape and (said := with_decimal_comma(value)) else ""
        raise InputError(f"{where} has shape {value.shape}, expected {shape or 'one number'}{comma}")
    return value


def _without_empty_elements(value: Numbers, numbers: Numbers) -> Numbers:
    """Put nan in the rows ``(atoms, …)`` of elements whose atoms all have zeros: so files write what is not there."""
    empty = [z for z in np.unique(numbers) if not value[numbers == z].any()]
    return np.where(np.isin(numbers, empty)[:, None], np.nan, value)


def _factor(factors: Factors, target: Target) -> float:
    # charges and Born charges are in e everywhere
    return float(getattr(factors, QUANTITIES[target].measured_as or target, 1.0))

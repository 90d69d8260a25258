"""Configuration of an energy that depends on a field."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class PolarizationConfig:
    """One energy of positions and field: dipole, Born charges and polarizability are its derivatives."""

    kind: Literal["polarization"] = "polarization"
    """The paradigm."""
    formal_charges: dict[str, int] | None = None
    """Whole charge of each element, by which a dipole grows per Å that its atoms are carried; the usual ones where they
    add up to the data's total charges, else 0."""
    start: Positive | dict[str, Positive] = 1.0
    """Where polarizabilities start, Å³: of all elements, or by element (1 for the others); they are learned."""

"""Configuration of charge equilibration."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class QEqConfig:
    """Charges that minimise electronegativity, hardness and Coulomb energy at fixed total charge."""

    kind: Literal["qeq"] = "qeq"
    """The paradigm."""
    width: Annotated[float, Field(gt=0)] | Literal["covalent"] = "covalent"
    """Gaussian width of each charge, Å; or each element's covalent radius."""
    hardness: Annotated[float, Field(gt=0)] = 15.0
    """Where every element's hardness starts, eV/e²; it is learned, and stays positive."""
    formal_charges: dict[str, FiniteFloat] | None = None
    """Charge of each element that the electronegativities start from; fitted to the data where absent."""
    residual_weight: Annotated[float, Field(ge=0)] = 30.0
    """Weight in the loss of what the preferred charges miss of the total charge, squared, (e/atom)²."""
    coulomb_error: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""

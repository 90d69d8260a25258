"""Keys that several rooms have in common."""

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ConservationConfig:
    """Keys of every room whose charges are local."""

    conservation: Literal["shift", "bond", "fixed"] = "shift"
    """How the charges are made to sum to the total charge."""
    formal_charges: dict[str, FiniteFloat] | None = None
    """Charge of each element where charges start (shift) or stand (bond, fixed); fitted to the data where absent."""
    coulomb_error: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""
    residual_weight: Annotated[float, Field(ge=0)] = 30.0
    """Weight in the loss of the squared charge per atom, (e/atom)², that conservation has to shift away."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LocalChargesConfig(ConservationConfig):
    """Keys of every room whose charges answer to nothing but their surroundings."""

    width: Annotated[float, Field(ge=0)] = 1 / math.sqrt(2)
    """Gaussian width of each multipole, Å; the default is what the LES papers call σ = 1 Å; 0 for points."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LocalMultipolesConfig(LocalChargesConfig):
    """Keys of every room whose multipoles do."""

    order: Literal[0, 1, 2] = 0
    """Of the multipoles of atoms: 0 charges, 1 dipoles too, 2 quadrupoles too."""

"""Configuration of latent charges."""

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LatentConfig:
    """Charges that nobody labelled, learned from energies and forces."""

    kind: Literal["latent"] = "latent"
    """The paradigm."""
    conservation: Literal["shift", "bond", "fixed"] = "shift"
    """How the charges are made to sum to the total charge."""
    formal_charges: dict[str, float] | None = None
    """Charge of each element where charges start (shift) or stand (bond, fixed); fitted to the data where absent."""
    width: Annotated[float, Field(ge=0)] = 1 / math.sqrt(2)
    """Gaussian width of each charge, Å; the default is what the papers call σ = 1 Å."""
    coulomb_error: Annotated[float, Field(gt=0)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""
    residual_weight: Annotated[float, Field(ge=0)] = 20.0
    """Weight in the loss of the squared charge (e²) that conservation has to shift away."""

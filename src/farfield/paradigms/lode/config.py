"""Configuration of long-distance equivariants."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import ConservationConfig, Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LodeConfig(ConservationConfig):
    """Projections of a potential around every atom, read by the energy beside the surroundings."""

    kind: Literal["lode"] = "lode"
    """The paradigm."""
    sources: Literal["learned", "elements"] = "learned"
    """What makes the potential: charges learned from the surroundings, the first of them conserved; or a unit charge
    on every atom, each element in a channel of its own."""
    channels: Annotated[int, Field(ge=1, le=16)] = 2
    """Learned charges an atom has; each makes a potential of its own."""
    potential: Literal["coulomb", "density", "dispersion"] = "coulomb"
    """What is projected: 1/r; the density of the smeared charges; or 1/r⁶ (crystals and molecules only)."""
    order: Literal[0, 1, 2, 3] = 2
    """Highest angular momentum of the projections."""
    width: Positive = 1.0
    """Gaussian width of the charges, Å."""
    widths: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=8)] = (1.0, 2.0, 4.0)
    """Gaussian widths of the radial functions, Å; what is further than three of them looks alike to all."""
    mixed: Annotated[int, Field(ge=1, le=64)] = 8
    """Learned combinations of channels and radial functions that products are made of."""
    near: Literal["kept", "removed"] = "kept"
    """Whether the potential keeps what charges within the backbone's cutoff make, or loses it smoothly."""
    every_layer: bool = False
    """Whether projections also enter the features between the backbone's layers, of charges learned there."""

    @model_validator(mode="after")
    def _conserved_where_there_is_a_charge(self) -> "LodeConfig":
        conserves = self.sources == "learned" and self.potential == "coulomb"
        if not conserves and (self.conservation != "shift" or self.formal_charges is not None):
            raise ValueError("conservation and formal_charges are of sources: learned with potential: coulomb")
        return self

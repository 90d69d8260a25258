"""Configuration of latent charges."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import LocalMultipolesConfig


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LatentConfig(LocalMultipolesConfig):
    """Charges, dipoles and quadrupoles that nobody labelled, learned from energies and forces."""

    kind: Literal["latent"] = "latent"
    """The paradigm."""

"""Configuration of latent charges."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import LocalChargesConfig


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LatentConfig(LocalChargesConfig):
    """Charges that nobody labelled, learned from energies and forces."""

    kind: Literal["latent"] = "latent"
    """The paradigm."""

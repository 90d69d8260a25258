"""Configuration of explicit charges."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import LocalChargesConfig


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ChargesConfig(LocalChargesConfig):
    """Atomic charges, formal or learned from labels, with their Coulomb energy."""

    kind: Literal["charges"] = "charges"
    """The paradigm."""

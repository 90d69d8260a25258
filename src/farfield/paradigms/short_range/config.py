"""Configuration of the short-range control."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ShortRangeConfig:
    """No electrostatics: the control in every comparison."""

    kind: Literal["short_range"] = "short_range"
    """The paradigm."""

"""Configuration of labelled multipoles."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import LocalMultipolesConfig


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class MultipolesConfig(LocalMultipolesConfig):
    """Atomic charges, dipoles and quadrupoles learned from labels, with their Coulomb energy."""

    kind: Literal["multipoles"] = "multipoles"
    """The paradigm."""
    order: Literal[0, 1, 2] = 2
    """Of the multipoles of atoms: 0 charges, 1 dipoles too, 2 quadrupoles too."""

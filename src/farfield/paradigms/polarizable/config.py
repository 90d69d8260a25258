"""Configuration of charges and dipoles that polarize one another."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import ConservationConfig, Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class PolarizableConfig(ConservationConfig):
    """Conserved charges, permanent dipoles, and dipoles that all of them induce, self-consistently."""

    kind: Literal["polarizable"] = "polarizable"
    """The paradigm."""
    polarizability: Literal["isotropic", "anisotropic"] = "isotropic"
    """Of the atoms: a number, or a tensor that follows their surroundings."""
    start: Positive | dict[str, Positive] = 1.0
    """Where polarizabilities start, Å³: of all elements, or by element (1 for the others); they are learned."""
    permanent_dipoles: bool = True
    """Whether atoms have dipoles that are there without a field."""
    damping: Literal["gaussian", "thole", "none"] = "gaussian"
    """gaussian: sources of the atoms' own size, no catastrophe; thole: points, damped when close; none: points."""
    thole: Positive = 0.39
    """Strength a of Thole's damping, Ren and Ponder's where absent; smaller damps more."""
    solver: Literal["auto", "dense", "cg"] = "auto"
    """Of the induced dipoles: a factored matrix, conjugate gradients, or what is faster."""

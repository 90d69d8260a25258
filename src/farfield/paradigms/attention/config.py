"""Configuration of attention between all atoms."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class AttentionConfig:
    """Attention that knows distances: all atoms of a system learn what each knows."""

    kind: Literal["attention"] = "attention"
    """The paradigm."""
    heads: Annotated[int, Field(ge=1)] = 8
    """Heads of the attention, each with its own learned function of distance."""
    keys: Annotated[int, Field(ge=1)] = 2
    """Entries of the queries and keys of a head."""
    values: Annotated[int, Field(ge=1)] = 4
    """Features that a head carries."""
    order: Annotated[int, Field(ge=0, le=3)] = 0
    """Highest order l of the values before the readout: 0 carries scalars; 1 vectors and 2 tensors besides, so that
    atoms feel how the surroundings of far ones are turned. It costs 4 and 9 times the sums."""
    frequencies: Annotated[int, Field(ge=1, le=64)] = 8
    """Waves of which the functions of distance are made: the n-th has n half-periods within the range."""
    range: Positive | None = None
    """Å that the longest wave spans, and over which all of them fade; the largest distance in the data's molecules
    where absent, 16 Å at least."""
    nodes: Annotated[int, Field(ge=0)] = 0
    """Learned nodes without a place that attend to all atoms, and all atoms to them; energies of separated molecules
    then no longer add up."""

"""Configuration of Ewald message passing."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class EwaldMPConfig:
    """Messages between all atoms and all their images, through a learned filter of the wave vector."""

    kind: Literal["ewald_mp"] = "ewald_mp"
    """The paradigm."""
    order: Literal[0, 1] = 0
    """Of what atoms send and receive: 0 scalars, 1 vectors too, through the gradient of the filter."""
    channels: Annotated[int, Field(ge=1, le=64)] = 8
    """Messages, each through a filter of its own."""
    shells: Annotated[int, Field(ge=1, le=32)] = 6
    """Shells of k that a filter is made of, 1.5/range apart from k = 0 on; finer structure takes more."""
    range: Positive = 8.0
    """Å: width of the Gaussian by which the shells decay in space, and 1/width of each in k."""
    coulomb: bool = False
    """Whether filters have the kernel 4π/k² besides, which no range ends."""
    width: Positive = 3.0
    """Å: of the Gaussian that smears it."""
    filter: Literal["radial", "per_wave"] = "radial"
    """Of crystals: a function of |k|; or, as in the paper, a weight for each of the whole numbers n of k = n·B, which
    belong to a cell: more cells, or other lattice vectors, of the same crystal have another energy then."""
    index_cutoff: Annotated[int, Field(ge=1, le=8)] = 3
    """|n| up to which there are weights per wave."""
    every_layer: bool = True
    """Whether messages are passed between the layers of the backbone, too, or before the readout alone."""
    error: Annotated[float, Field(ge=1e-10, le=1e-3)] = 1e-6
    """Part of a shell, in k and in space, that sums over waves leave out."""

    @model_validator(mode="after")
    def _vectors_have_a_radial_filter(self) -> "EwaldMPConfig":
        if self.order and self.filter == "per_wave":
            raise ValueError("weights per wave are of scalars: filter: radial, or order: 0")
        return self

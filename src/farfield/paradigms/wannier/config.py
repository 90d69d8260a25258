"""Configuration of ions and the centroids of their electrons."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import Positive

Electrons = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class WannierConfig:
    """Ions on the atoms, and on some elements electrons at centroids displaced by learned vectors."""

    kind: Literal["wannier"] = "wannier"
    """The paradigm."""
    electrons: dict[str, Electrons] | None = None
    """How many electrons sit at the centroid of each element that has one, {O: 8}; where absent, of the elements with
    displacements in the data, or else the anions: a closed shell."""
    ions: dict[str, int] | None = None
    """Charge of elements without the electrons of their centroids, e, {O: 6, H: 1}; where absent, that of the valence
    electrons, or the formal charge where there is no centroid."""
    width: Positive = 1.25
    """Gaussian width of ions and electrons, Å; the default is what DPLR papers call β = 0.4/Å."""
    coulomb_error: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""

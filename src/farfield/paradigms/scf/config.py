"""Configuration of self-consistent densities."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ScfConfig:
    """Charges and dipoles that answer, atom by atom and not only linearly, to the potential they all make."""

    kind: Literal["scf"] = "scf"
    """The paradigm."""
    scheme: Literal["energy", "readout"] = "energy"
    """The energy: that of the functional whose minimum the density is; or a short-range energy that reads the density
    and the potential, and the Coulomb energy of the density, best with charge labels."""
    channels: Annotated[int, Field(ge=0, le=64)] = 8
    """Bounded steps in the response of an atom, beside the linear one; 0 for linear response."""
    hardness: Positive = 15.0
    """Where every element's hardness starts, eV/e²; learned, and changed by the surroundings."""
    polarizability: Positive = 0.5
    """Where every element's polarizability starts, Å³; learned, and changed by the surroundings."""
    width: Positive | Literal["covalent"] | dict[str, Positive] = 1.0
    """Gaussian width of charges and dipoles, Å; or each element's covalent radius; or a width for each element."""
    formal_charges: dict[str, FiniteFloat] | None = None
    """Charge of each element that atoms start from; fitted to the data where absent."""
    residual_weight: Annotated[float, Field(ge=0)] = 30.0
    """Weight in the loss of what the charges of undisturbed atoms miss of the total charge, squared, (e/atom)²."""
    tolerance: Annotated[float, Field(ge=1e-12, le=1e-2)] = 1e-6
    """e and e·Å, of the density that the potential makes and the one that makes it. Energies err by its square, with
    ``readout`` and forces in proportion."""
    mixing: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of each new density that is taken."""
    memory: Annotated[int, Field(ge=0, le=30)] = 15
    """Steps that Anderson's mixing looks back on; 0 for plain mixing."""
    steps: Annotated[int, Field(ge=1, le=100)] | None = None
    """A fixed number of plain steps instead of convergence; what is learned then belongs to this number."""
    coulomb_error: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""

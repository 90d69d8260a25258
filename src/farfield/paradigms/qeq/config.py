"""Configuration of charge equilibration."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass

from farfield.paradigms.shared.config import Positive


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class QEqConfig:
    """Charges that minimise electronegativity, hardness and Coulomb energy at fixed total charge."""

    kind: Literal["qeq"] = "qeq"
    """The paradigm."""
    scheme: Literal["energy", "4g"] = "energy"
    """The energy: the minimised functional itself; or, as in 4G networks, the Coulomb energy of its charges and a
    short-range energy that reads them, best with charge labels."""
    transfer: Literal["free", "split_charge", "fragments"] = "free"
    """Charge flows over any distance; or along bonds within the cutoff only, from formal charges, to which separated
    fragments return: crystals then have a polarization; or over any distance, but only within the fragments that the
    data name, each of which keeps its charge."""
    hardness_from: Literal["element", "environment"] = "element"
    """Each element has one hardness; or the surroundings change it, by a factor of e² at most."""
    hardness: Positive = 15.0
    """Where every element's hardness starts, eV/e²; it is learned, and stays positive."""
    width: Positive | Literal["covalent"] | dict[str, Positive] = "covalent"
    """Gaussian width of each charge, Å; or each element's covalent radius; or a width for each element."""
    formal_charges: dict[str, FiniteFloat] | None = None
    """Charge of each element that the electronegativities start from (free) or bonds hand on from (split_charge);
    fitted to the data where absent."""
    residual_weight: Annotated[float, Field(ge=0)] = 30.0
    """Weight in the loss of what the preferred charges miss of the total charge, squared, (e/atom)²."""
    coulomb_error: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""

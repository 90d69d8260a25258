"""Configuration of our own backbone, and the three sizes that have a name."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"channels": 16, "radial_hidden": 16},
    "default": {},
    "large": {"channels": 64, "l_max": 3, "radial_hidden": 64},
}
"""What each differs in from the defaults; time and accuracy of each are in the README."""


def expanded(backbone: Any) -> Any:
    """``"fast"`` or ``{"preset": "fast", …}`` as the keys it stands for; anything else as it is.

    Raises:
        ValueError: no preset of that name.
    """
    name = backbone.get("preset", "default") if isinstance(backbone, dict) else backbone
    if not isinstance(name, str):
        return backbone
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r} ({', '.join(PRESETS)})")
    rest = {key: value for key, value in backbone.items() if key != "preset"} if isinstance(backbone, dict) else {}
    return {**PRESETS[name], **rest}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class BackboneConfig:
    """The short-range equivariant network that every paradigm stands on."""

    cutoff: Annotated[float, Field(gt=0)] = 5.0
    """Å within which an atom sees its neighbours; each layer reaches that much further."""
    channels: Annotated[int, Field(ge=1)] = 32
    """Features of each kind."""
    layers: Annotated[int, Field(ge=1, le=4)] = 2
    """Message-passing layers."""
    l_max: Annotated[int, Field(ge=1, le=3)] = 2
    """Highest order of the spherical harmonics in the atomic densities."""
    correlation: Annotated[int, Field(ge=2, le=3)] = 3
    """Highest power of the density in the products: 3 gives four-body features in each layer."""
    radial: Annotated[int, Field(ge=1)] = 8
    """Radial waves."""
    radial_hidden: Annotated[int, Field(ge=1)] = 32
    """Width of the network that mixes them."""
    repulsion: Literal["none", "zbl"] = "none"
    """zbl: the screened repulsion of nuclei within touching covalent radii, for dynamics that may leave the data."""
    embed_charge: bool = False
    """Tell every atom the total charge of its system (a control: short range, but knowing Q)."""
    embed_spin: bool = False
    """Tell every atom the total spin of its system."""

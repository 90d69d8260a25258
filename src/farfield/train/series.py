"""Series of paradigms that answer one question together, by name."""

from typing import Any

_REACHES = [
    {"paradigm": {"kind": "short_range"}, "backbone": {"cutoff": cutoff, "layers": layers}}
    for cutoff in (6.0, 9.0)
    for layers in (1, 2, 3)
]

SERIES: dict[str, list[dict[str, Any]]] = {
    "nonlocality": [*_REACHES, *({"kind": k} for k in ("latent", "qeq", "lode", "ewald_mp", "attention"))],
}
"""nonlocality: how far messages reach that cutoffs and layers carry, against charges and learned nonlocality."""


def in_full(compare: Any) -> Any:
    """The name of a series as its entries; anything else as it is.

    Raises:
        ValueError: no series of that name.
    """
    if not isinstance(compare, str):
        return compare
    if compare not in SERIES:
        raise ValueError(f"expected a list of paradigms or the name of a series ({', '.join(SERIES)})")
    return SERIES[compare]

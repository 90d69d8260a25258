"""Versions of everything that a number was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """Versions of farfield, Python and the packages results depend on."""
    out = {"python": platform.python_version()}
    for package in ("farfield", "torch", "numpy", "ase", "numba", "lightning-fabric"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            continue
    return out

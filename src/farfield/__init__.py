"""farfield: long-range electrostatics in atomistic machine learning, every paradigm on one footing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from farfield.errors import ConvergenceError, FarfieldError, InputError

if TYPE_CHECKING:
    from farfield.coulomb import Coulomb, Sources
    from farfield.model import Model, load, new_model
    from farfield.prediction import Prediction
    from farfield.system import System

    __version__: str

__all__ = [
    "ConvergenceError", "Coulomb", "FarfieldError", "InputError", "Model", "Prediction", "Sources", "System",
    "load", "new_model",
]  # fmt: skip

_HOMES = {
    "Coulomb": "coulomb",
    "Sources": "coulomb",
    "Model": "model",
    "load": "model",
    "new_model": "model",
    "Prediction": "prediction",
    "System": "system",
}
"""Name → module that it is imported from when first asked for: the command line answers most questions without."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"farfield.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("farfield")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0.1.0"

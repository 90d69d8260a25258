"""farfield: long-range electrostatics in atomistic machine learning, every paradigm on one footing."""

from importlib.metadata import PackageNotFoundError, version

from farfield.coulomb import Coulomb, Sources
from farfield.errors import ConvergenceError, FarfieldError, InputError
from farfield.model import Model, load, new_model
from farfield.prediction import Prediction
from farfield.system import System

try:
    __version__ = version("farfield")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0.1.0"

__all__ = [
    "ConvergenceError", "Coulomb", "FarfieldError", "InputError", "Model", "Prediction", "Sources", "System",
    "load", "new_model",
]  # fmt: skip

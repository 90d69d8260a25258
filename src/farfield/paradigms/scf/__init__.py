"""Room ``scf``."""

from farfield.paradigms.scf.config import ScfConfig
from farfield.paradigms.scf.model import Scf

__all__ = ["Scf", "ScfConfig"]

"""Room ``polarizable``."""

from farfield.paradigms.polarizable.config import PolarizableConfig
from farfield.paradigms.polarizable.model import Polarizable

__all__ = ["Polarizable", "PolarizableConfig"]

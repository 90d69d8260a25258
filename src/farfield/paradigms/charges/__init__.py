"""Room ``charges``."""

from farfield.paradigms.charges.config import ChargesConfig
from farfield.paradigms.charges.model import Charges

__all__ = ["Charges", "ChargesConfig"]

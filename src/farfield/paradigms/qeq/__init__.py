"""Room ``qeq``."""

from farfield.paradigms.qeq.config import QEqConfig
from farfield.paradigms.qeq.model import QEq

__all__ = ["QEq", "QEqConfig"]

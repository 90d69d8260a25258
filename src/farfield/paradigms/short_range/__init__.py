"""Room ``short_range``."""

from farfield.paradigms.short_range.config import ShortRangeConfig
from farfield.paradigms.short_range.model import ShortRange

__all__ = ["ShortRange", "ShortRangeConfig"]

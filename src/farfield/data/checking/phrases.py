"""How findings name frames and charges."""

from collections.abc import Sequence


def listed_frames(which: Sequence[int]) -> str:
    """``frame 3`` or ``frames 0, 1, 2, 3, 4, …``."""
    shown = ", ".join(map(str, which[:5]))
    return f"frame{'s' * (len(which) > 1)} {shown}{', …' * (len(which) > 5)}"


def signed(charge: float) -> str:
    """``+1``, ``-1``, or ``0``."""
    return f"{charge:+g}" if charge else "0"

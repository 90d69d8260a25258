"""Phrases in which findings name frames and charges."""

from collections.abc import Sequence


def listed_frames(which: Sequence[int]) -> str:
    """``frame 3`` or ``frames 0, 1, 2, 3, 4, …``."""
    shown = ", ".join(map(str, which[:5]))
    return f"frame{'s' * (len(which) > 1)} {shown}{', …' * (len(which) > 5)}"


def counted_frames(count: int) -> str:
    """``1 frame`` or ``3 frames``."""
    return f"{count} frame{'s' * (count != 1)}"


def signed(charge: float) -> str:
    """``+1``, ``-1``, or ``0``."""
    return f"{charge:+g}" if charge else "0"

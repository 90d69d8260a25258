"""Kinds of frames, as far as a split must know: which structure, and what a model learns to know from it."""

import numpy as np
from ase.data import chemical_symbols

from farfield.conditions import under
from farfield.data.frame import Frame
from farfield.data.reading.unlabelled import has_label
from farfield.geometry.isolation import is_isolated

_DECIMALS = 6
"""Of Å, e, …: structures that agree in so many are one."""


def structure_of(frame: Frame) -> bytes:
    """Identify a structure: its atoms and their places, cell and conditions, whatever its labels."""
    system = frame.system
    named = [value for _, value in sorted(system.conditions.items())]
    exact = [part.numpy() for part in (system.numbers, system.periodic)]
    floats = (system.positions, system.cell, system.charge, system.spin, *named)
    rounded = [np.round(part.numpy(), _DECIMALS) + 0.0 for part in floats]  # adding 0 makes zeros of both signs one
    return repr(sorted(system.conditions)).encode() + b"".join(part.tobytes() for part in (*exact, *rounded))


def elements_of(frame: Frame) -> set[str]:
    """Symbols of its elements."""
    return {chemical_symbols[z] for z in frame.system.numbers.tolist()}


def circumstances_of(frame: Frame) -> set[str]:
    """Name what else a model should have seen: charge and spin, conditions a frame is under, labels.

    Charges and spins that are no integers are many, and none of them is a kind of its own.
    """
    system, targets = frame.system, frame.labels.targets
    charge, spin = float(system.charge[0]), float(system.spin[0])
    found = {f"total charge {charge:+g}"} if charge == round(charge) else set()
    found |= {f"{spin:g} unpaired electrons"} if spin == round(spin) else set()
    found |= {name.replace("_", " ") for name, value in system.conditions.items() if bool(under(name, value).any())}
    return found | {f"{target.replace('_', ' ')} labels" for target in targets if has_label(frame, target)}


def shown_elements(frame: Frame) -> set[str]:
    """Elements that a model sees among others there: none in an isolated atom."""
    return set() if is_isolated(frame.system) else elements_of(frame)


def shown_circumstances(frame: Frame) -> set[str]:
    """Circumstances that a model sees there: none in an isolated atom, whose charge is that of no compound."""
    return set() if is_isolated(frame.system) else circumstances_of(frame)

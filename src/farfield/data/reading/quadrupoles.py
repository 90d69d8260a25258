"""Quadrupoles as files have them, to Buckingham's Θ = ½ Σ q (3 r⊗r - r²), symmetric and traceless, e·Å²."""

import numpy as np

from farfield.data.config import DataConfig
from farfield.data.conversion import ASYMMETRY, QuadrupoleForm, tensor_components
from farfield.data.keys import Numbers
from farfield.errors import InputError

_OF_TRACELESS: dict[QuadrupoleForm, float] = {"buckingham": 1.0, "jackson": 0.5, "second_moment": 1.5}
"""Θ over the traceless part of what each form is."""
_TRACE = 0.01
"""A traceless tensor's trace may be this part of the largest component in the frame: what printing has cut off."""


def buckingham(value: Numbers, config: DataConfig, where: str) -> Numbers:
    """Θ ``(…, 3, 3)``, in the file's unit, of nine or six numbers in the form that ``config`` says.

    Raises:
        InputError: six numbers in no stated order, a tensor that is not symmetric, or one with a trace that should
            have none.
    """
    full = _of_six(value, config.quadrupole_order, where) if value.shape[-1] == 6 else value
    transposed = np.swapaxes(full, -1, -2)
    if np.abs(full - transposed).max() > ASYMMETRY * np.abs(full).max():
        raise InputError(f"{where} is not symmetric: {full.tolist()}")
    if config.quadrupole_form != "second_moment" and has_trace(full):
        raise InputError(
            f"{where} has a trace, where ½ Σ q (3 r⊗r - r²) has none: if it is Σ q r⊗r, quadrupole_form: second_moment"
        )
    trace = np.trace(full, axis1=-2, axis2=-1)
    traceless = (full + transposed) / 2 - trace[..., None, None] / 3 * np.eye(3)
    return np.asarray(_OF_TRACELESS[config.quadrupole_form] * traceless)


def to_centre_of_mass(
    quadrupole: Numbers,  # (3, 3), e·Å², about the origin
    dipole: Numbers,  # (3,), e·Å, about the origin
    charge: float,  # e
    centre: Numbers,  # (3,), Å
) -> Numbers:
    """Move a quadrupole ``(3, 3)``: Θ - 3/2 (c⊗d + d⊗c) + c·d + Q/2 (3 c⊗c - c²)."""
    shift = np.outer(centre, 0.5 * charge * centre - dipole)
    moved = 1.5 * (shift + shift.T)
    return np.asarray(quadrupole + moved - np.trace(moved) / 3 * np.eye(3))


def has_trace(tensors: Numbers) -> bool:
    """Tell whether any of a frame's tensors ``(…, 3, 3)`` has a trace beyond what printing has cut off."""
    return bool(np.abs(np.trace(tensors, axis1=-2, axis2=-1)).max() > _TRACE * np.abs(tensors).max())


def _of_six(value: Numbers, order: str | None, where: str) -> Numbers:
    if order is None:
        raise InputError(
            f'{where} has six numbers; say which: quadrupole_order: "xx yy zz xy xz yz" (ORCA, Gaussian), '
            '"xx xy xz yy yz zz" (Psi4), …'
        )
    place = tensor_components(order).index
    return value[..., [[place("".join(sorted(a + b))) for b in "xyz"] for a in "xyz"]]

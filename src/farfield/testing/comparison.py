"""Comparisons that the checks make."""

from collections.abc import Callable

import torch
from torch import Tensor

from farfield.model import Model
from farfield.prediction import Prediction
from farfield.system import System


def energy_of(model: Model, system: System) -> Tensor:
    """``(systems,)`` eV, without a graph."""
    prediction: Prediction = model(system, {"energy"})
    return prediction.energy.detach()


def slope_at_zero(value: Callable[[float], Tensor], step: float = 1e-3) -> Tensor:
    """Fourth-order central difference of a value of any shape."""
    near, far = value(step) - value(-step), value(2 * step) - value(-2 * step)
    return (8 * near - far) / (12 * step)


def given(value: Tensor | None) -> Tensor:
    """Return what a model said it gives.

    Raises:
        AssertionError: it gave nothing.
    """
    if value is None:
        raise AssertionError("the model did not give what it promised")
    return value


def check_equal(found: Tensor | None, expected: Tensor | None, tolerance: float = 1e-9) -> None:
    """Relative to the size of what is expected, with an absolute floor of the same number."""
    a, b = given(found).detach(), given(expected).detach()
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(b.abs().max())))

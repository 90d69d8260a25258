"""Third derivatives of sums whose first and second are compiled: autograd over the same sum in plain torch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def hessian_vector(
    energy: Callable[..., Tensor],  # of the inputs, (systems, channels)
    weight: Tensor,  # (systems, channels), of each energy
    inputs: Sequence[Tensor],
    along: Sequence[Tensor],  # a direction, one for each input
    needed: Sequence[bool],  # of the weight and of each input, whether its gradient is asked
) -> list[Tensor | None]:
    """Gradient, by the weight and by the inputs, of the derivative of Σ weight·E along a direction; differentiable.

    The derivatives are those at fixed other inputs, of which autograd makes whole ones outside: one input may depend on
    another, so that each gets a node of its own here.
    """
    known = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in (weight, *inputs)]
    gradient = torch.autograd.grad((known[0] * energy(*known[1:])).sum(), known[1:], create_graph=True)
    directional_derivative = torch.stack([(grad * v).sum() for grad, v in zip(gradient, along)]).sum()
    asked = [x for x, wanted in zip(known, needed) if wanted]
    found = iter(torch.autograd.grad(directional_derivative, asked, create_graph=True, allow_unused=True))
    return [next(found) if wanted else None for wanted in needed]

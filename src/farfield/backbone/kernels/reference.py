"""The sums in plain torch: what they mean, on any device and in any precision."""

import torch
from torch import Tensor

from farfield.backbone.coupling import Terms


def gather(radial: Tensor, harmonics: Tensor, sent: Tensor, ends: Tensor) -> Tensor:
    """``farfield.backbone.kernels.gather``: all terms of the sum at once, then added up atom by atom."""
    order = torch.arange(harmonics.shape[1], device=ends.device).sqrt().long()  # of harmonic m: 0, 1, 1, 1, 2, …
    edges = radial[:, order] * harmonics[:, :, None]
    parity = (1 - 2 * (order % 2)).to(edges)[:, None]
    first, second = ends.unbind(1)
    density = sent.new_zeros(len(sent), *edges.shape[1:])
    density = density.index_add(0, first, edges * sent[second, None])
    return density.index_add(0, second, parity * edges * sent[first, None])


def couple(weights: Tensor, a: Tensor, b: Tensor, element: Tensor, terms: Terms) -> Tensor:
    """``farfield.backbone.kernels.couple``: all products at once, then one matrix product to sum them."""
    path, left, right, out = terms.table
    products = (
        a.transpose(0, 1)[left] * b.transpose(0, 1)[right] * weights[path][:, element]
    )  # (terms, atoms, channels)
    matrix = a.new_zeros(terms.rows, len(out))
    matrix[out, torch.arange(len(out), device=out.device)] = terms.coefficients
    return (matrix @ products.flatten(1)).view(-1, *products.shape[1:]).transpose(0, 1)

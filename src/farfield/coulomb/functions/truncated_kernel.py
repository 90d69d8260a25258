"""Coulomb's kernel in k-space where space is open along some axes: 1/r cut off beyond a radius across them.

A lattice of boxes replaces the open axes; sources that fit into a box, and a kernel that ends before the next one,
know nothing of the images. With R the radius, k∥ along the periodic axes and k⊥ across them,

    3D   4π/k²
    2D   4π/k² [1 + e^(-k∥R) (k⊥/k∥ sin k⊥R - cos k⊥R)],  for k∥ = 0  4π/k⊥² [1 - cos k⊥R]
    1D   4π/k² [1 + k⊥R J₁(k⊥R) K₀(k∥R) - k∥R J₀(k⊥R) K₁(k∥R)],  for k∥ = 0  4π/k⊥² [1 - J₀(k⊥R)]
    0D   4π/k² [1 - cos kR]

(Rozzi et al., Phys. Rev. B 73, 205119 (2006)). The terms at k∥ = 0 are those of 2π(R - |z|) and of 2 ln(R/r), which
end without a step: the waves of a step of that height would fall off slowly, and drown the others in their rounding.
The constants that are missing to -2π|z| and -2 ln r (r in Å) stand at k = 0: exact for charged slabs and wires too, for
which no background is needed. Everything is a smooth function of squares, closed
under differentiation, as the box is only a device: energies do not depend on it.
"""

import math
from typing import Any

import torch
from scipy import special
from torch import Tensor

SERIES_BELOW = 1e-2
"""(k⊥R)² under which Bessel functions over powers are summed as a series."""


def kernel(indices: Tensor, cell: Tensor, periodic: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Kernel of waves in Å² and their k² in 1/Å², both ``(systems, waves)``; in 3D it is zero at k = 0.

    Args:
        indices: ``(systems, waves, 3)``, whole numbers.
        cell: ``(systems, 3, 3)``, of the waves: lattice vectors along periodic axes, those of a box along open ones, Å.
        periodic: ``(systems, 3)``, along equally many axes in every row.
        radius: ``(systems,)``, where 1/r ends, Å.
    """
    dimensions = int(periodic[0].sum()) if len(periodic) else 3
    waves = indices @ (2 * math.pi * torch.linalg.inv(cell).transpose(1, 2))
    squared = waves.square().sum(-1)
    reach = radius.unsqueeze(1)
    if dimensions == 3:
        zero = squared == 0
        return torch.where(zero, 0.0, 4 * math.pi / torch.where(zero, 1.0, squared)), squared
    if dimensions == 0:
        return 4 * math.pi * reach.square() * _one_minus_cos(squared * reach.square()), squared
    upright = ~((indices != 0) & periodic.unsqueeze(1)).any(-1)  # k∥ = 0, for every cell
    total = torch.where(upright, 1.0, squared)
    axes = cell[periodic].reshape(len(cell), dimensions, 3)
    if dimensions == 2:
        normal = torch.linalg.cross(axes[:, 0], axes[:, 1])
        along, across = _parts(waves, normal)
        slanted, upright_kernel = _slab(across, along, upright, reach)
        missing = -0.5 * radius / torch.linalg.vector_norm(normal, dim=1)
    else:
        across, along = _parts(waves, axes[:, 0])
        slanted, upright_kernel = _wire(across, along, upright, reach)
        missing = -torch.log(radius) / (2 * math.pi * torch.linalg.vector_norm(axes[:, 0], dim=1))
    constant = (missing * torch.linalg.det(cell).abs()).unsqueeze(1)
    upright_kernel = upright_kernel + torch.where((indices == 0).all(-1), constant, 0.0)
    return 4 * math.pi * torch.where(upright, upright_kernel, slanted / total), squared


def _parts(waves: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of the parts of waves across a direction and along it."""
    unit = (direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)).unsqueeze(1)
    along = (waves * unit).sum(-1, keepdim=True)
    return (waves - along * unit).square().sum(-1), along.squeeze(-1).square()


def _slab(across: Tensor, along: Tensor, upright: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """k²/4π times the kernel, and the kernel/4π where k∥ = 0, a constant left out; from k⊥² and k∥²."""
    parallel = torch.where(upright, 1.0, along).sqrt()
    s = across * reach.square()
    cosine = 1 - s * _one_minus_cos(s)
    slanted = 1 + torch.exp(-parallel * reach) * (across * reach * _sine(s) / parallel - cosine)
    return slanted, reach.square() * _one_minus_cos(s)


def _wire(across: Tensor, along: Tensor, upright: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate what ``_slab`` does, for one periodic axis."""
    s, u = across * reach.square(), torch.where(upright, 1.0, along) * reach.square()
    zeroth, first = bessel_j(s, 0), bessel_j(s, 1)
    slanted = 1 + s * first * bessel_k(u, 0) - zeroth * bessel_k(u, 1)
    return slanted, reach.square() * _one_minus_j(s)


def _one_minus_cos(s: Tensor) -> Tensor:
    """(1 - cos √s)/s = ½ (sin(√s/2)/(√s/2))²."""
    return 0.5 * _sine(s / 4).square()


def _sine(s: Tensor) -> Tensor:
    """Sin √s / √s, which is √(π/2) J_½(√s)/√√s."""
    return math.sqrt(math.pi / 2) * bessel_j(s, 0.5)


def _one_minus_j(s: Tensor) -> Tensor:
    """(1 - J₀(√s))/s."""
    small = s < SERIES_BELOW
    series = 0.25 * (1 - s / 16 * (1 - s / 36 * (1 - s / 64 * (1 - s / 100))))
    return torch.where(small, series, (1 - bessel_j(s, 0)) / torch.where(small, 1.0, s))


def bessel_j(s: Tensor, order: float) -> Tensor:
    """J_n(√s)/√s^n, smooth at zero; its derivative is -½ that of the next order."""
    value: Tensor = _BesselJ.apply(s, order)  # type: ignore[no-untyped-call]
    return value


def bessel_k(s: Tensor, order: float) -> Tensor:
    """√s^n K_n(√s), s > 0; its derivative is -½ that of the order below."""
    value: Tensor = _BesselK.apply(s, order)  # type: ignore[no-untyped-call]
    return value


class _BesselJ(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, order: float) -> Tensor:
        ctx.save_for_backward(s)
        ctx.order = order
        x = s.detach().cpu().double().sqrt()
        small = x.square() < SERIES_BELOW
        term, series = torch.full_like(x, 1 / (2**order * special.gamma(order + 1))), torch.zeros_like(x)
        for k in range(1, 8):
            series, term = series + term, term * (-x.square() / (4 * k * (order + k)))
        far = torch.where(small, 1.0, x)
        if order == 0.5:  # the one that whole meshes want
            value = math.sqrt(2 / math.pi) * torch.sin(far) / far
        else:
            value = torch.from_numpy(special.jv(order, far.numpy())) / far**order
        return torch.where(small, series, value).to(s)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (s,) = ctx.saved_tensors
        return -0.5 * grad * bessel_j(s, ctx.order + 1), None


class _BesselK(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, order: float) -> Tensor:
        ctx.save_for_backward(s)
        ctx.order = order
        x = s.detach().cpu().double().sqrt()
        # K_(-n) = K_n
        return (torch.from_numpy(special.kv(abs(order), x.numpy())) * x**order).to(s)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (s,) = ctx.saved_tensors
        return -0.5 * grad * bessel_k(s, ctx.order - 1), None

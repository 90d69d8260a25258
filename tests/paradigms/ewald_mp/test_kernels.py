"""Kernels are one function, in space and in k."""

import math

import pytest
import torch

from farfield.paradigms.ewald_mp.kernels import Kernels

KERNELS = Kernels(shells=4, range=2.5, width=1.2)


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("k", [0.0, 0.3, 0.9])
def test_transforms_are_fourier_integrals(k):
    distance = torch.linspace(1e-5, 40, 40_001)
    shells = KERNELS.in_space(distance.square(), 0)[0][:, :4]
    weight = 4 * math.pi * distance.square() * torch.sinc(k * distance / math.pi)
    integral = torch.trapezoid(weight[:, None] * shells, distance, dim=0)
    cell, radius = 2 * math.pi * torch.eye(3)[None], torch.zeros(1)
    found = KERNELS.in_waves(torch.tensor([[[0.0, k, 0.0]]]), cell, torch.ones(1, 3, dtype=torch.bool), radius)
    torch.testing.assert_close(found[0, 0, :4], integral, rtol=1e-8, atol=1e-8)
    smeared = 0.0 if k == 0 else 1.2 * math.sqrt(math.pi / 2) * 4 * math.pi / k**2 * math.exp(-((1.2 * k) ** 2) / 2)
    torch.testing.assert_close(found[0, 0, 4], torch.tensor(smeared))


@pytest.mark.parametrize("order", [0, 1])
def test_orders_are_derivatives_of_one_another(order):
    distance = torch.tensor([0.4, 1.7, 6.0], requires_grad=True)
    found = KERNELS.in_space(distance.square(), 2)
    for kernel in range(KERNELS.count):
        (slope,) = torch.autograd.grad(found[order][:, kernel].sum(), distance, retain_graph=True)
        torch.testing.assert_close(slope / distance, found[order + 1][:, kernel])


def test_all_begin_at_one():
    near = torch.tensor(1e-6)
    value, slope = KERNELS.in_space(torch.tensor(1e-4), 1)
    torch.testing.assert_close(KERNELS.in_space(near, 0)[0], torch.ones(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(slope, KERNELS.at_origin(value), rtol=1e-3, atol=0)


@pytest.mark.parametrize("error", [1e-4, 1e-9])
def test_little_is_left_beyond_the_last_wave_and_the_tail(error):
    end = KERNELS.longest_wave(error)
    beyond, closed = torch.tensor([[[end * 1.0001, 0, 0], [1e-4, 0, 0]]]), torch.ones(1, 3, dtype=torch.bool)
    found = KERNELS.in_waves(beyond, 2 * math.pi * torch.eye(3)[None], closed, torch.zeros(1))[0, :, :4]
    assert (found[0] < error * (2 * math.pi) ** 1.5 * 2.5**3).all()
    far = torch.tensor((2 * KERNELS.tail(error)) ** 2)
    assert (KERNELS.in_space(far, 0)[0][:4].abs() < 1.001 * error).all()

"""Sums over waves are sums over images, whatever axes are periodic."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

import farfield as ff
from farfield.paradigms.ewald_mp import sums
from farfield.paradigms.ewald_mp.kernels import Kernels
from farfield.paradigms.ewald_mp.sums import Filters, arriving
from farfield.system import System, concatenate
from farfield.testing.structures import crystal, molecule, slab, wire

MODEL = ff.new_model({"kind": "short_range"}, species=["H", "O"], backbone={"channels": 4})
EVERYWHERE = [molecule, wire, slab, crystal]


def sent_by(system: System, rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(system.n_atoms, rows, 3, generator=generator, dtype=torch.float64)


def filters_of(kernels: Kernels, error: float = 1e-10) -> Filters:
    generator = torch.Generator().manual_seed(1)
    return Filters(kernels, torch.randn(kernels.count, 3, generator=generator, dtype=torch.float64), error)


def potential_of(system: System, sent: torch.Tensor, filters: Filters, points: torch.Tensor) -> torch.Tensor:
    """Σ_j (v_j + p_j·∇_j) K over all images, by autograd, at points ``(atoms, 3)``, each but its own atom."""
    ranges = [range(-7, 8) if periodic else [0] for periodic in system.periodic[0].tolist()]
    shifts = torch.tensor(list(itertools.product(*ranges)), dtype=torch.float64) @ system.cell[0]
    moved = torch.zeros(system.n_atoms, 3, dtype=torch.float64, requires_grad=True)
    vector = (system.positions + moved)[None, :, None] + shifts - points[:, None, None]
    own = torch.eye(system.n_atoms, dtype=torch.bool)[:, :, None] & (shifts == 0).all(1)
    squared = torch.where(own, 100.0, vector.square().sum(-1))
    kernel = torch.where(own[..., None], 0.0, filters.kernels.in_space(squared, 0)[0]).sum(2) @ filters.weights
    total = torch.einsum("ijc,jc->ic", kernel, sent[:, 0])
    if sent.shape[1] == 1:
        return total
    rows = []
    for i, c in itertools.product(range(system.n_atoms), range(3)):
        slopes = torch.autograd.grad((kernel[i, :, c]).sum(), moved, create_graph=True)[0]
        rows.append((slopes * sent[:, 1:, c]).sum())
    return total + torch.stack(rows).reshape(total.shape)


@pytest.mark.parametrize("make", EVERYWHERE)
@pytest.mark.parametrize("rows", [1, 4])
def test_sums_over_images(make, rows):
    system, filters = make(MODEL), filters_of(Kernels(4, 1.2, None))
    sent = sent_by(system, rows)
    points = system.positions.clone().requires_grad_()
    potential = potential_of(system, sent, filters, points)
    found = arriving(system, sent, filters)
    torch.testing.assert_close(found[:, 0], potential.detach(), rtol=1e-8, atol=1e-8)
    if rows == 4:
        for c in range(3):
            (gradient,) = torch.autograd.grad(potential[:, c].sum(), points, retain_graph=True)
            torch.testing.assert_close(found[:, 1:, c], gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("make", EVERYWHERE)
def test_the_long_kernel_is_coulombs(make):
    """Gaussian charges of width σ/√2 feel each other as its erf; the solver sums them independently."""
    system, width = make(MODEL), 1.5
    charges = sent_by(system, 1)[:, 0, 0]
    charges = charges - charges.mean()
    filters = Filters(Kernels(1, 2.0, width), torch.tensor([[0.0], [1.0]], dtype=torch.float64), 1e-10)
    found = arriving(system, charges[:, None, None], filters)[:, 0, 0]
    solver = ff.Coulomb(error=1e-9)
    exact = solver.evaluate(system, charges=charges, widths=width / math.sqrt(2), self_energy=False).potential
    torch.testing.assert_close(found * 14.399645478425668 / (width * math.sqrt(math.pi / 2)), exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_batch_is_one_by_one(rows):
    members = [make(MODEL) for make in (crystal, molecule, slab, wire, molecule)]
    filters, together = filters_of(Kernels(3, 2.0, 1.5), 1e-9), concatenate(members)
    sent = sent_by(together, rows)
    parts = sent.split([member.n_atoms for member in members])
    alone = torch.cat([arriving(member, part, filters) for member, part in zip(members, parts)])
    torch.testing.assert_close(arriving(together, sent, filters), alone, rtol=0, atol=1e-9)


def test_rows_summed_again_have_the_same_gradient(monkeypatch):
    system, filters, found = molecule(MODEL, atoms=9), filters_of(Kernels(3, 2.0, 1.5)), []
    for block in (sums.BLOCK, 100):
        monkeypatch.setattr(sums, "BLOCK", block)
        moved = system.with_positions(system.positions.clone().requires_grad_())
        arrived = arriving(moved, sent_by(system, 4), filters)
        found.append((arrived, *torch.autograd.grad(arrived.square().sum(), moved.positions)))
    for at_once, by_rows in zip(*found):
        torch.testing.assert_close(by_rows, at_once)


@pytest.mark.parametrize("make", [wire, slab, crystal])
def test_a_large_box_is_open_space(make):
    """Periodic along fewer axes is what larger and larger cells tend to: shells end, so one cell is enough."""
    system, filters = make(MODEL), filters_of(Kernels(4, 1.5, None), 1e-9)
    wide = torch.where(system.periodic[0][:, None], 40 * torch.eye(3, dtype=torch.float64), system.cell[0])
    sent = sent_by(system, 4)
    boxed = arriving(replace(system, cell=wide[None]), sent, filters)
    free = arriving(replace(system, periodic=torch.zeros_like(system.periodic)), sent, filters)
    torch.testing.assert_close(boxed, free, rtol=0, atol=1e-7)


def test_boxes_lack_what_coulombs_kernel_has_at_no_wave():
    """Sources that add up to Q are told some Q/L less; what adds up to nothing is told what it is in open space."""
    system, filters = (
        molecule(MODEL),
        Filters(Kernels(1, 2.0, 1.5), torch.tensor([[0.0], [1.0]], dtype=torch.float64), 1e-9),
    )

    def missed(sent, edge):
        box = edge * torch.eye(3, dtype=torch.float64)[None]
        boxed = replace(system, cell=box, periodic=torch.ones_like(system.periodic))
        return (arriving(boxed, sent, filters) - arriving(system, sent, filters)).abs().max().item()

    sent = sent_by(system, 1)[:, :, :1].abs()
    neutral = sent - sent.mean(0)
    assert missed(sent, 40.0) / missed(sent, 80.0) == pytest.approx(2.0, abs=0.05)
    assert missed(neutral, 40.0) / missed(neutral, 80.0) > 6.0


@pytest.mark.parametrize("taper", [0.1, 1e-6])
def test_sums_are_smooth_as_waves_come_and_go(taper, monkeypatch):
    """Strained in small steps, no third difference stands out though waves cross the end; with a step there, some."""
    monkeypatch.setattr(sums, "TAPER", taper)
    system = crystal(MODEL)
    filters, sent = filters_of(Kernels(4, 2.0, 1.5), 1e-3), sent_by(system, 1)
    found, counts = [], set()
    for strain in torch.linspace(-0.02, 0.02, 161, dtype=torch.float64):
        strained = system.strained(strain * torch.eye(3, dtype=torch.float64))
        found.append(arriving(strained, sent, filters).flatten())
        counts.add(sums._spectrum(strained, filters)[1].shape[1])
    steps = torch.stack(found).diff(n=3, dim=0).abs().amax(1)
    assert len(counts) > 3
    assert (steps.max() < 20 * steps.median()) == (taper == 0.1)

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from farfield.backbone.angular import spherical_harmonics
from farfield.backbone.config import BackboneConfig
from farfield.backbone.network import DensityNetwork
from farfield.backbone.radial import envelope
from farfield.backbone.unit_size import UnitSize
from farfield.system import System, per_system


def network(**keys):
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return DensityNetwork(BackboneConfig(**keys), (1, 8, 11), 2)
    finally:
        torch.set_default_dtype(before)


def box(atoms=9, seed=0):
    rng = np.random.default_rng(seed)
    frame = ase.Atoms(rng.choice([1, 8, 11], atoms), rng.uniform(0, 5, (atoms, 3)), cell=5.5 * np.eye(3), pbc=True)
    return System.from_ase(frame)


@pytest.mark.parametrize("l_max", [1, 2, 3])
@pytest.mark.parametrize("correlation", [2, 3])
@pytest.mark.parametrize("layers", [1, 3])
def test_features_turn_with_the_atoms(l_max, correlation, layers):
    backbone, system = network(l_max=l_max, correlation=correlation, layers=layers, channels=8), box()
    improper = torch.tensor(-Rotation.random(random_state=1).as_matrix())  # rotation and inversion
    turned = replace(system, positions=system.positions @ improper.T, cell=system.cell @ improper.T)
    here, there = backbone(system), backbone(turned)
    assert here.scalars.shape[1] == backbone.widths.scalars
    assert here.vectors.shape[1] == backbone.widths.vectors
    assert here.tensors.shape[1] == backbone.widths.tensors
    torch.testing.assert_close(there.scalars, here.scalars)
    torch.testing.assert_close(there.vectors, here.vectors @ improper.T)
    torch.testing.assert_close(there.tensors, improper @ here.tensors @ improper.T)
    torch.testing.assert_close(here.tensors, here.tensors.transpose(2, 3))


def test_vectors_point_along_the_bond():
    """Two atoms on a line: every vector lies on it, every tensor is uniaxial about it."""
    axis = np.array([1.0, 2.0, -0.5]) / np.linalg.norm([1.0, 2.0, -0.5])
    features = network(channels=4)(System.from_ase(ase.Atoms("OH", [[0, 0, 0], 1.3 * axis])))
    along = torch.tensor(axis)
    across = features.vectors - (features.vectors @ along)[..., None] * along
    assert across.abs().max() < 1e-12 < features.vectors.abs().max()
    uniaxial = torch.einsum("a,b->ab", along, along) - torch.eye(3) / 3
    size = 1.5 * torch.einsum("ncab,a,b->nc", features.tensors, along, along)
    torch.testing.assert_close(features.tensors, size[..., None, None] * uniaxial)


def test_any_order_that_is_asked_for():
    """Of two atoms on a line every order is a multiple of the harmonics of the line; of more, their norms stay."""
    torch.manual_seed(0)
    backbone = DensityNetwork(BackboneConfig(channels=4, l_max=1), (1, 8, 11), 5).double()
    axis = torch.tensor([[1.0, 2.0, -0.5]], dtype=torch.float64)
    axis = axis / axis.norm()
    pair = backbone(System.from_ase(ase.Atoms("OH", [[0, 0, 0], (1.3 * axis[0]).numpy()])))
    harmonics = spherical_harmonics(axis, 5)[0]
    here, there = backbone(box()), backbone(rotated(box()))
    for order in range(1, 6):
        own = harmonics[order**2 : (order + 1) ** 2]
        along = pair.of(order) @ own / (2 * order + 1)
        torch.testing.assert_close(pair.of(order), along[..., None] * own)
        assert along.abs().max() > 1e-3
        assert here.of(order).shape == (9, 4, 2 * order + 1)
        torch.testing.assert_close(here.of(order).norm(dim=2), there.of(order).norm(dim=2))
    torch.testing.assert_close(here.of(0)[..., 0], here.scalars)


def rotated(system):
    turn = torch.tensor(Rotation.random(random_state=2).as_matrix())
    return replace(system, positions=system.positions @ turn.T, cell=system.cell @ turn.T)


def mean_of_others(called):
    """What every atom learns: the mean of the scalars of its whole system, less what atoms have alone."""

    def mix(layer, system, features):
        called.append((layer, features.vectors.shape[1]))
        changed = features.scalars - features.alone[features.element]
        return (per_system(changed, system) / system.atoms_per_system[:, None])[system.system_index]

    return mix


def test_layers_between_which_all_atoms_exchange():
    torch.manual_seed(0)
    backbone = DensityNetwork(BackboneConfig(channels=4, layers=3, cutoff=3.0), (1, 8, 11), 0, 1).double()
    water = ase.build.molecule("H2O")
    far, closer = ase.Atoms("OH", [[0, 0, 50], [0, 0, 51.0]]), ase.Atoms("OH", [[0, 0, 50], [0, 0, 50.8]])
    systems = [System.from_ase(water + other) for other in (far, closer)]
    called = []
    alike = [backbone(system).scalars[:3] for system in systems]
    torch.testing.assert_close(alike[0], alike[1])
    told = [backbone(system, mean_of_others(called)).scalars[:3] for system in systems]
    assert called == [(0, 4), (1, 4)] * 2
    assert (told[0] - told[1]).abs().max() > 1e-3
    atom = backbone(System.from_ase(ase.Atoms("O")), mean_of_others(called))
    torch.testing.assert_close(atom.scalars, atom.alone[atom.element])


def test_smooth_through_the_cutoff():
    """Value, slope and curvature of every feature vanish as a neighbour leaves."""
    backbone = network(channels=4, cutoff=4.0)

    def scalars(distance):
        return backbone(System.from_ase(ase.Atoms("OH", [[0, 0, 0], [0, 0, distance]]))).scalars

    alone, h = scalars(6.0), 1e-3
    at = [scalars(4.0 - k * h) - alone for k in range(4)]
    assert at[0].abs().max() == 0
    assert (at[1] / h).abs().max() < 1e-4
    assert ((at[2] - 2 * at[1] + at[0]) / h**2).abs().max() < 0.2  # ∝ h
    assert ((at[2] - 2 * at[1] + at[0]) / h**2).abs().max() < 0.6 * ((at[3] - 2 * at[2] + at[1]) / h**2).abs().max()


def test_envelope_has_two_derivatives_at_the_cutoff():
    x = torch.tensor([1 - 1e-6], dtype=torch.float64, requires_grad=True)
    value = envelope(x)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    assert value.abs().item() < 1e-14
    assert slope.abs().item() < 1e-9
    assert curvature.abs().item() < 1e-3


def test_every_stage_has_unit_size_after_calibration():
    frame = ase.build.bulk("NaH", "rocksalt", a=5.0, cubic=True).repeat(2)
    frame.rattle(0.2, seed=0)
    system, backbone = System.from_ase(frame), network(channels=16)
    backbone.calibrate(system)
    sizes = []
    for stage in backbone.modules():
        if isinstance(stage, UnitSize):
            stage.register_forward_hook(lambda _stage, _in, out: sizes.append(out.square().mean().sqrt().item()))
    backbone(system)
    assert len(sizes) == 10  # density, inner, quadratic, cubic, out of two layers
    assert sizes == pytest.approx([1.0] * 10)


@pytest.mark.parametrize("key", ["embed_charge", "embed_spin"])
def test_total_charge_and_spin_enter_only_when_asked(key):
    system = box()
    changed = replace(system, charge=torch.ones(1, dtype=torch.float64), spin=torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(network()(system).scalars, network()(changed).scalars, rtol=0, atol=0)
    told = network(**{key: True})
    assert (told(system).scalars - told(changed).scalars).abs().max() > 1e-2


def test_second_derivatives():
    backbone, system = network(channels=3, cutoff=3.0, layers=1), box(4)

    def energy(positions):
        return backbone(system.with_positions(positions)).scalars.square().sum()

    positions = system.positions.clone().requires_grad_()
    assert torch.autograd.gradcheck(energy, positions)
    assert torch.autograd.gradgradcheck(energy, positions)


def test_close_contacts_stay_finite():
    for distance in (0.002, 0.05, 0.3):
        assert torch.isfinite(network()(System.from_ase(ase.Atoms("OH", [[0, 0, 0], [0, 0, distance]]))).scalars).all()


def test_an_atom_alone_has_the_features_it_is_told():
    features = network(channels=6)(System.from_ase([ase.Atoms("O"), ase.Atoms("OH", [[0, 0, 0], [0, 0, 1.0]])]))
    alone = features.alone[features.element]
    torch.testing.assert_close(features.scalars[0], alone[0])
    torch.testing.assert_close(alone[0], alone[1])
    assert (features.scalars[1] - alone[1]).abs().max() > 1e-3

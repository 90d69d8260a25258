"""The quadrupole of a molecule is that of everything its atoms carry, wherever it stands."""

import numpy as np
import pytest
import torch

import farfield as ff
from farfield.field import dipole_of_charges, quadrupole_of
from farfield.system import concatenate, per_system
from farfield.testing.structures import crystal, molecule

RNG = np.random.default_rng(2)


def cloud():
    """Point charges close to three centres, and the multipoles of each about its centre."""
    import ase

    centres, steps = RNG.normal(scale=3, size=(3, 3)), RNG.normal(size=(3, 6, 3))
    charges = RNG.normal(size=(3, 6))
    places = centres[:, None] + steps
    own = torch.tensor(charges.sum(1)), torch.tensor(np.einsum("ik,ika->ia", charges, steps)), theta(charges, steps)
    system = ff.System.from_ase(ase.Atoms("Ar3", centres))
    whole = places.reshape(1, -1, 3) - centres.mean(0)  # of three atoms of one kind
    return system, own, theta(charges.reshape(1, -1), whole)


def theta(charges, places):
    square = (places**2).sum(-1)[..., None, None] * np.eye(3)
    return torch.tensor(
        0.5 * ((3 * places[..., :, None] * places[..., None, :] - square) * charges[..., None, None]).sum(1)
    )


def test_multipoles_of_parts_make_that_of_the_whole():
    system, own, whole = cloud()
    torch.testing.assert_close(quadrupole_of(system, *own), whole)


def test_two_charges_are_the_dipole_they_make():
    system, (charges, _, _), _ = cloud()
    dipoles = torch.tensor(RNG.normal(size=(3, 3)))
    away = 1e-5 * dipoles
    plus, minus = (system.with_positions(system.positions + sign * away) for sign in (0.5, -0.5))
    pulled = quadrupole_of(plus, charges + 1e5) + quadrupole_of(minus, charges * 0 - 1e5)
    torch.testing.assert_close(quadrupole_of(system, charges, dipoles), pulled, rtol=1e-7, atol=1e-4)


def test_moving_a_molecule_moves_no_quadrupole():
    system, own, whole = cloud()
    torch.testing.assert_close(quadrupole_of(system.with_positions(system.positions + 7.0), *own), whole)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["charges", "qeq", "scf", "polarizable"])
def test_models_give_it_of_molecules(kind, dtype):
    model = ff.new_model({"kind": kind}, species=["O", "Na"], seed=1, backbone={"channels": 4}).eval().to(dtype)
    system = concatenate([molecule(model), crystal(model)])
    far = torch.tensor([30.0, -20.0, 10.0], dtype=torch.float64)
    for where in (system, system.with_positions(system.positions + far)):
        found = model(where, {"quadrupole", "dipole"})
        assert found.quadrupole[1].isnan().all()
        torch.testing.assert_close(found.quadrupole[0], found.quadrupole[0].T)
        assert found.quadrupole[0].trace().abs() < 1e-9
        expected = quadrupole_of(where, found.charges, found.dipoles)
        torch.testing.assert_close(found.quadrupole, expected, equal_nan=True)
        dipole = dipole_of_charges(found.charges.double(), where)
        if found.dipoles is not None:
            dipole = dipole + per_system(found.dipoles.double(), where)
        torch.testing.assert_close(found.dipole[0].double(), dipole[0], rtol=1e-4, atol=1e-4)

"""Charge along bonds: closed forms, whole numbers on dissociation, dense against iterated, derivatives."""

import ase
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.errors import InputError
from farfield.response import Bonds, charges_apart, split_charges
from farfield.response.charges.functional import ChargeFunctional
from farfield.system import System
from farfield.units import COULOMB


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


CHI, HARDNESS, FORMAL = tensor([1.0, -2.0, 0.5]), tensor([9.0, 11.0, 8.0]), tensor([1.0, -1.0, 0.0])


def triple(distance, root, positions=None, dense=True, chi=CHI, hardness=HARDNESS):
    atoms = ase.Atoms("NaClNa", [[0, 0, 0], [0, 0, distance], [0, 0, 30 + distance]])
    system = System.from_ase(atoms)
    if positions is not None:
        system = system.with_positions(positions)
    functional = ChargeFunctional.of(system, chi, hardness, 0.7, Coulomb(), dense=dense)
    bonds = Bonds(torch.tensor([0]), torch.tensor([1]), root, torch.zeros(1).double())
    return split_charges(functional, FORMAL, bonds, dense=dense, tolerance=1e-12)


def test_one_bond_is_a_closed_form():
    softness = 0.05
    found = triple(3.0, tensor([softness**0.5]))
    matrix = Coulomb(error=1e-9).matrix(
        System.from_ase(ase.Atoms("NaClNa", [[0, 0, 0], [0, 0, 3.0], [0, 0, 33.0]])), 0.7
    )[0] + torch.diag(HARDNESS)
    level = CHI + matrix @ FORMAL
    way = tensor([-1.0, 1.0, 0.0])
    handed = -(way @ level) / (way @ matrix @ way + 1 / softness)
    assert float(found.handed) == pytest.approx(float(handed), rel=1e-10)
    torch.testing.assert_close(found.charges, FORMAL + handed * way)


def test_a_bond_without_softness_keeps_the_formal_charges():
    assert triple(6.0, tensor([0.0])).charges.tolist() == FORMAL.tolist()


def test_iterated_is_the_same():
    dense, iterated = (triple(2.5, tensor([0.3]), dense=d) for d in (True, False))
    torch.testing.assert_close(iterated.charges, dense.charges, atol=1e-10, rtol=0)
    assert iterated.steps > 0 == dense.steps


@pytest.mark.parametrize("dense", [True, False])
def test_charge_that_would_run_away_is_refused(dense):
    with pytest.raises(InputError, match=r"structure 0: .* atoms 0 \(Na\) and 1 \(Cl\), 2.50 Å apart"):
        triple(2.5, tensor([0.5]), dense=dense, hardness=tensor([-40.0, 11.0, 8.0]))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"chi": tensor([1.0, torch.nan, 0.5])}, "electronegativity .* that of atom 1 "),
        ({"hardness": tensor([1.0, 1.0, torch.inf])}, "hardness .* that of atom 2 "),
        ({"root": tensor([torch.nan])}, "softness or field .* that of bond 0 "),
    ],
)
def test_no_number_is_refused(dense, wrong, message):
    with pytest.raises(InputError, match=message):
        triple(2.5, **{"root": tensor([0.3]), "dense": dense, **wrong})


@pytest.mark.parametrize("dense", [True, False])
def test_differentiable_twice(dense):
    def found(positions, root, chi):
        answer = triple(2.5, root, positions, dense, chi)
        return answer.charges, answer.handed, answer.energy

    inputs = [tensor([[0, 0, 0], [0.3, 0, 2.5], [0, 1, 5.0]]), tensor([0.3]), CHI.clone()]
    inputs = [x.requires_grad_() for x in inputs]
    assert gradcheck(found, inputs, eps=1e-5, atol=1e-6)
    assert gradgradcheck(found, inputs, eps=1e-5, atol=1e-5)


def test_plain_equilibration_leaves_fractions():
    """Numbers of Rappé and Goddard's form in atomic units: 0.2143 e at any distance."""
    chi, hardness = tensor([0.2, 0.5]) * COULOMB, tensor([0.6, 0.8]) * COULOMB
    assert charges_apart(chi, hardness).tolist() == pytest.approx([0.3 / 1.4, -0.3 / 1.4])
    assert float(charges_apart(chi, hardness, total=1.0).sum()) == pytest.approx(1.0)

"""What the polarizable room promises beyond the contract."""

import math
from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.coulomb import Coulomb
from farfield.data.frame import Frame, Labels
from farfield.deploy.ase import FarfieldCalculator
from farfield.errors import ConvergenceError, InputError
from farfield.evaluation import errors, evaluate
from farfield.field import dielectric_tensor
from farfield.response import gaussian_widths
from farfield.system import System
from farfield.testing.comparison import slope_at_zero
from farfield.testing.structures import crystal, molecule, slab, wire
from farfield.train.loss import misfits
from farfield.units import COULOMB

EVERYWHERE = (molecule, crystal, slab, wire)
EYE = torch.eye(3, dtype=torch.float64)


def model_of(species=("H", "O", "Na", "Cl"), **config):
    paradigm = {"kind": "polarizable", "coulomb_error": 1e-8, **config}
    return ff.new_model(paradigm, species=species, seed=3, backbone={"channels": 8}).eval()


@pytest.mark.parametrize("make", EVERYWHERE)
def test_induced_dipoles_minimise_the_functional(make):
    """½ K μ²/α and the electrostatic energy of charges and dipoles in the field: any other dipoles cost more."""
    model = model_of()
    room, system = model.paradigm, replace(make(model), external_field=torch.tensor([[0.1, 0.2, -0.1]]).double())
    features = model.backbone(system)
    found = room(system, features)
    response, permanent = room.polarizability(system, features), room.permanent(features)
    induced = (found.dipoles - permanent).detach().requires_grad_()
    charged = {"charges": found.charges.detach(), "dipoles": permanent.detach() + induced}
    coulomb = Coulomb(error=1e-8).energy(
        system, **charged, widths=gaussian_widths(response.mean.detach()), self_energy=False
    )
    total = coulomb.sum() + (0.5 * COULOMB * induced.square().sum(1) / response.mean.detach()).sum()
    assert float(total.detach()) == pytest.approx(float(found.energy_coulomb.detach()), abs=1e-6)
    (slope,) = torch.autograd.grad(total - (induced.sum(0) * system.external_field[0]).sum(), induced)
    assert slope.abs().max() < 1e-5
    assert induced.abs().max() > 1e-3


def test_an_atom_alone_has_the_polarizability_of_its_element():
    model = model_of(start={"O": 0.8, "Na": 0.15})
    for symbol, expected in (("O", 0.8), ("Na", 0.15), ("H", 1.0)):
        system = System.from_ase(ase.Atoms(symbol))
        found = COULOMB * model(system, {"polarizability"}).polarizability[0]
        torch.testing.assert_close(found, expected * EYE)


def test_anisotropic_polarizabilities_are_positive_and_bounded():
    model = model_of(polarizability="anisotropic")
    with torch.no_grad():
        for weight in model.paradigm.polarizability.anisotropy.parameters():
            weight.mul_(30.0)  # far beyond what bounds them
    system = molecule(model)
    response = model.paradigm.polarizability(system, model.backbone(system))
    eigenvalues = torch.linalg.eigvalsh(response.tensor)
    assert eigenvalues.min() > 0
    assert (eigenvalues[:, 2] <= response.largest).all()
    assert (response.largest <= model.paradigm.polarizability.bound(system)).all()
    assert (eigenvalues[:, 2] / eigenvalues[:, 0]).max() > 3
    torch.testing.assert_close(eigenvalues.mean(1), response.mean)


@pytest.mark.parametrize("conservation", ["shift", "bond"])
@pytest.mark.parametrize("make", EVERYWHERE)
def test_polarizability_is_the_curvature_in_the_field(make, conservation):
    """∂d/∂E = -∂²F/∂E², of cells in the macroscopic field too; in crystals it makes ε∞."""
    model = model_of(conservation=conservation)
    system = make(model)
    found = model(system, {"polarizability"}).polarizability[0]
    for axis in EYE:

        def energy(step, axis=axis):
            return model(replace(system, external_field=step * axis[None]), {"energy"}).energy

        curvature = -(energy(0.05) + energy(-0.05) - 2 * energy(0.0)).detach() / 0.05**2
        assert float(axis @ found @ axis) == pytest.approx(float(curvature), abs=1e-8)
    torch.testing.assert_close(found, found.T)
    assert torch.linalg.eigvalsh(found).min() > 0
    if system.periodic.all():
        assert torch.linalg.eigvalsh(dielectric_tensor(found[None], system)[0]).min() > 1


def test_polarizabilities_of_cells_are_learned_and_judged():
    """Where the model gives them; those of molecules alone, where it gives no others."""
    crystals = {
        kind: ff.new_model({"kind": kind}, species=["H", "O", "Na", "Cl"]).eval() for kind in ("polarizable", "qeq")
    }
    for kind, expected in (("polarizable", 9), ("qeq", 0)):
        model = crystals[kind]
        labels = Labels(energy=torch.zeros(1).double(), polarizability=EYE[None])
        frame = Frame(crystal(model), labels)
        found = misfits(model(frame.system, {"energy", "polarizability"}), labels, frame.system, 1.0)
        assert len(found["polarizability"].error) == expected
        rows = [row for row in errors(evaluate(model, [frame])) if row.measure == "polarizability"]
        assert sum(row.count for row in rows) == expected


def test_a_crystal_of_one_element_is_clausius_mossottis():
    """α of all atoms alike by symmetry, ε from the model, points; both ways round, and the calculator's."""
    model = model_of(("Ne",), damping="none", start=1.2, permanent_dipoles=False)
    atoms = ase.Atoms("Ne", cell=[3.6] * 3, pbc=True)
    system = System.from_ase(atoms)
    polarizability = model.paradigm.polarizability(system, model.backbone(system)).mean
    x = 4 * math.pi * float(polarizability.detach()) / (3 * 3.6**3)
    expected = (1 + 2 * x) / (1 - x) * np.eye(3)
    atoms.calc = FarfieldCalculator(model)
    np.testing.assert_allclose(atoms.calc.get_property("dielectric_tensor", atoms), expected, atol=1e-6)
    assert x > 0.05


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_training_on_everything_at_once_has_the_right_gradient(solver):
    """Forces, dipoles, Born charges and polarizabilities: second derivatives through the solve, however small."""
    model = model_of(conservation="bond", polarizability="anisotropic", solver=solver).train()
    systems = [molecule(model, atoms=4), crystal(model, atoms=4)]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    generator = torch.Generator().manual_seed(2)
    way = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
    start = [w.detach().clone() for w in weights]

    def loss():
        total = torch.zeros((), dtype=torch.float64)
        for system in systems:
            names = {"forces", "born_charges", "polarizability"} | (
                {"polarization"} if system.periodic.any() else {"dipole"}
            )
            out = model(system, names)
            total = total + 1e-6 * sum(getattr(out, name).square().sum() for name in sorted(names))
        return total

    def moved(step):
        with torch.no_grad():
            for weight, first, direction in zip(weights, start, way):
                weight.copy_(first + step * direction)
        return loss().detach()

    slopes = torch.autograd.grad(loss(), weights, allow_unused=True)
    found = sum(float((s * d).sum()) for s, d in zip(slopes, way) if s is not None)
    assert found == pytest.approx(float(slope_at_zero(moved, 1e-4)), rel=1e-6)


def test_a_batch_of_several_sizes_in_a_field():
    model = model_of(conservation="bond")
    atoms = [ase.build.molecule("H2O"), ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.3]])]
    atoms[1].info["external_field"] = [0.0, 0.1, 0.1]
    want = {"forces", "polarizability", "dipoles", "born_charges"}
    together = model(System.from_ase(atoms), want)
    alone = [model(System.from_ase(a), want) for a in atoms]
    for name in want:
        expected = torch.cat([getattr(out, name) for out in alone])
        torch.testing.assert_close(getattr(together, name), expected, rtol=1e-9, atol=1e-10)


def test_points_that_are_too_polarizable_are_said():
    model = model_of(damping="none", start=20.0)
    with pytest.raises(ConvergenceError, match=r"run away.*damping: gaussian"):
        model(molecule(model))


@pytest.mark.parametrize(
    ("config", "backbone", "said"),
    [
        ({"start": {"K": 1.0}}, {}, r"start names \['K'\]"),
        ({"start": -1.0}, {}, "start"),
    ],
)
def test_what_cannot_be_configured_is_said(config, backbone, said):
    with pytest.raises(InputError, match=said):
        ff.new_model({"kind": "polarizable", **config}, species=["H", "O"], backbone=backbone)

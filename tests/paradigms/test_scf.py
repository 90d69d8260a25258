"""The room as a whole: it finds its density also where it has never been."""

import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.response import self_consistent


@pytest.mark.parametrize("pbc", [True, False, (True, True, False)])
@pytest.mark.parametrize("length", [6.0, 4.4, 3.2])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_structures_far_from_any_learned_from_have_a_density(scale, length, pbc, monkeypatch):
    model = ff.new_model({"kind": "scf"}, species=["C", "H"], seed=1, backbone={"channels": 8}).eval()
    with torch.no_grad():
        for name, weight in model.paradigm.response.named_parameters():
            weight.mul_(1.0 if name.startswith("log") else scale)
    crystal = ase.build.bulk("CH", "rocksalt", a=length, cubic=True)
    crystal.rattle(0.1, seed=1)
    crystal.pbc = pbc
    found = []

    def watched(*given):
        found.append(self_consistent(*given))
        return found[-1]

    monkeypatch.setattr("farfield.paradigms.scf.model.self_consistent", watched)
    model(ff.System.from_ase(crystal), {"charges"})
    assert found[0].residual <= 1e-6
    assert found[0].steps < 150
    assert found[0].charges.sum().abs() < 1e-8


def test_an_ion_by_itself_has_the_energy_of_the_baseline():
    model = ff.new_model({"kind": "scf"}, species=["Na", "Cl"], seed=1, backbone={"channels": 8}).eval()
    with torch.no_grad():
        model.paradigm.response.element_charge[11] = 1.0
    model.baseline = [3.0, 5.0]
    out = model(ff.System.from_ase(ase.Atoms("Na", info={"charge": 1.0})))
    torch.testing.assert_close(out.energy, torch.tensor([3.0], dtype=torch.float64), rtol=0, atol=1e-9)


def test_steps_and_fields_do_not_go_together():
    model = ff.new_model({"kind": "scf", "steps": 3}, species=["Na", "Cl"], backbone={"channels": 8})
    assert "born_charges" not in model.gives
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.5]], info={"external_field": [0.1, 0, 0]})
    with pytest.raises(ff.InputError, match="scf with steps: 3 takes no external_field"):
        model(ff.System.from_ase(pair))


def test_the_readout_takes_no_fermi_level():
    model = ff.new_model({"kind": "scf", "scheme": "readout"}, species=["Na", "Cl"], backbone={"channels": 8})
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.5]], info={"fermi_level": 1.0})
    with pytest.raises(ff.InputError, match="scheme: readout takes no fermi_level"):
        model(ff.System.from_ase(pair))


def jumble():
    """A charged molecule in a field, a slab, a crystal, an ion."""
    rng = np.random.default_rng(2)
    places = 1.9 * np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3) + rng.normal(scale=0.15, size=(8, 3))
    kinds = [
        {"info": {"external_field": [0.2, -0.1, 0.15], "charge": 1.0}},
        {"cell": [4.1, 4.3, 9.0], "pbc": (1, 1, 0), "info": {"external_field": [0.1, 0, 0.2]}},
        {"cell": [4.1, 4.3, 4.2], "pbc": True},
    ]
    frames = [ase.Atoms("C2HO2H3", places, **kind) for kind in kinds]
    return ff.System.from_ase([*frames, ase.Atoms("O", info={"charge": -1.0})])


@pytest.mark.parametrize("scheme", ["energy", "readout"])
def test_gradients_of_a_loss_by_the_weights(scheme):
    given = {"kind": "scf", "scheme": scheme, "tolerance": 1e-11, "coulomb_error": 1e-8}
    model = ff.new_model(given, species=["C", "H", "O"], seed=3, backbone={"channels": 6}).train()
    system, weights = jumble(), [w for w in model.parameters() if w.requires_grad]
    generator = torch.Generator().manual_seed(1)
    way = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
    before = [w.detach().clone() for w in weights]

    def loss():
        out = model(system, {"energy", "forces", "charges", "dipole"})
        dipole = out.dipole[~out.dipole.isnan()].square().sum()
        return out.forces.square().sum() + 10 * out.charges.square().sum() + dipole + 0.01 * out.energy.sum()

    def at(step):
        with torch.no_grad():
            for weight, start, along in zip(weights, before, way):
                weight.copy_(start + step * along)
        return loss().detach()

    slopes = torch.autograd.grad(loss(), weights, allow_unused=True)
    found = sum(float((a * b).sum()) for a, b in zip(slopes, way) if a is not None)
    step = 3e-5
    expected = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    assert found == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("scheme", ["energy", "readout"])
@pytest.mark.parametrize("charge", [0.0, 1.0])
def test_a_supercell_is_so_many_cells(scheme, charge):
    given = {"kind": "scf", "scheme": scheme, "tolerance": 1e-10, "coulomb_error": 1e-9}
    model = ff.new_model(given, species=["Na", "Cl"], seed=3, backbone={"channels": 8}).eval()
    cell = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    cell.rattle(0.2, seed=1)
    many = cell.repeat((3, 1, 2))
    cell.info["charge"], many.info["charge"] = charge, 6 * charge
    one, six = (model(ff.System.from_ase(atoms), {"energy", "forces", "charges"}) for atoms in (cell, many))
    torch.testing.assert_close(six.energy, 6 * one.energy, rtol=0, atol=1e-6)
    torch.testing.assert_close(six.charges, one.charges.repeat(6), rtol=0, atol=1e-7)
    torch.testing.assert_close(six.forces, one.forces.repeat(6, 1), rtol=0, atol=1e-6)

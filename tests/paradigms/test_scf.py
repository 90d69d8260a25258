"""The room as a whole: it finds its density also where it has never been."""

import ase.build
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
    assert not model.paradigm.takes
    assert "born_charges" not in model.gives
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.5]], info={"external_field": [0.1, 0, 0]})
    with pytest.raises(ff.InputError, match="scf takes no external_field"):
        model(ff.System.from_ase(pair))


def test_the_readout_takes_no_fermi_level():
    model = ff.new_model({"kind": "scf", "scheme": "readout"}, species=["Na", "Cl"], backbone={"channels": 8})
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.5]], info={"fermi_level": 1.0})
    with pytest.raises(ff.InputError, match="scheme: readout takes no fermi_level"):
        model(ff.System.from_ase(pair))

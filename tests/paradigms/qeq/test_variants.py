"""What the keys of ``qeq`` promise beside the contract."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.errors import InputError
from farfield.system import System


def model_of(**keys):
    return ff.new_model({"kind": "qeq", **keys}, species=["Na", "Cl"], seed=2, backbone={"channels": 8})


def pair(distance, **info):
    return System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, distance]], info=info))


def cluster():
    return System.from_ase(ase.Atoms("Na2Cl2", [[0, 0, 0], [0, 2.5, 0.1], [0.2, 0, 2.6], [2.4, 0.3, 0]]))


def test_fragments_return_to_whole_numbers():
    """Along bonds exactly, at any distance beyond the cutoff; over any distance, Δχ/ΣJ remains, and is said."""
    model = model_of(transfer="split_charge")
    assert model(pair(9.0), {"charges"}).charges.tolist() == [1.0, -1.0]
    assert (model(pair(2.4), {"charges"}).charges - torch.tensor([1.0, -1.0])).abs().max() > 1e-3
    free = model_of()
    free.paradigm._start_from(torch.tensor([0.9, -0.4]).double())
    kept = free(pair(1e4), {"charges"}).charges.detach()
    assert float((kept - kept.round()).abs().min()) > 0.05
    assert any(f"keeps {float(kept[0]):+.2f} e on Na" in remark for remark in free.paradigm.remarks())


def test_charge_beyond_formal_is_refused():
    with pytest.raises(InputError, match="use transfer: free"):
        model_of(transfer="split_charge")(pair(3.0, charge=1.0))


def test_polarization_of_a_crystal_answers_to_the_field():
    model = model_of(transfer="split_charge").eval()
    atoms = ase.Atoms("NaCl", [[0.1, 0, 0], [2.1, 2.0, 2.2]], cell=[4.1, 4.2, 4.3], pbc=True)
    still, pulled = (
        model(System.from_ase(atoms if field is None else _in(atoms, field)), {"polarization"}).polarization
        for field in (None, [0.0, 0.0, 0.05])
    )
    assert float((pulled - still)[0, 2].detach()) > 1e-6


def _in(atoms, field):
    atoms = atoms.copy()
    atoms.info["external_field"] = field
    return atoms


def test_forces_of_the_4g_scheme_are_trained_by_the_right_slopes():
    """d|F|²/dw by finite differences: an adjoint of second order."""
    model = model_of(scheme="4g").train()
    system = cluster()

    def loss():
        return model(system, {"energy", "forces"}).forces.square().sum()

    for weight in (model.paradigm.log_hardness, model.paradigm.preference.linear.weight):
        place = (11,) if weight.ndim == 1 else (3, 0)
        (slope,) = torch.autograd.grad(loss(), weight)
        values = []
        for step in (1e-4, -1e-4):
            with torch.no_grad():
                weight[place] += step
            values.append(float(loss().detach()))
            with torch.no_grad():
                weight[place] -= step
        assert float(slope[place]) == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-6, abs=1e-8)


def test_a_reservoir_gives_and_takes():
    """At a Fermi level charge is free, and the slope of Ω by it is the charge."""
    model = model_of().eval()
    low, high, less = (at_level(model, level) for level in (-2.0, -1.0, -1.001))
    charge = [float(found.charges.sum()) for found in (low, high, less)]
    assert charge[0] > charge[1]  # a higher level brings more electrons
    assert float(high.energy - less.energy) / 1e-3 == pytest.approx(0.5 * (charge[1] + charge[2]), abs=1e-7)
    with pytest.raises(InputError, match="takes no fermi_level"):
        at_level(model_of(scheme="4g"), -1.0)


def at_level(model, level):
    system = replace(cluster(), fermi_level=torch.tensor([level], dtype=torch.float64))
    return model(system, {"energy", "forces", "charges"})


def test_widths_for_each_element():
    model = model_of(width={"Na": 1.2, "Cl": 0.9})
    assert model.paradigm.widths[[11, 17]].tolist() == [1.2, 0.9]
    with pytest.raises(InputError, match="width should name"):
        model_of(width={"Na": 1.2})


def test_hardness_from_the_surroundings_stays_positive():
    model = model_of(hardness_from="environment")
    with torch.no_grad():
        for parameter in model.paradigm.hardening.parameters():
            parameter.mul_(1e3)
    hardness, _ = model.paradigm._hardness(cluster(), model.backbone(cluster()))
    assert bool((hardness >= 15 / 7.4).all())
    assert bool((hardness <= 15 * 7.4).all())


def named(distance):
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, distance]])
    atoms.set_array("fragment", np.array([0, 1]))
    atoms.info["fragment_charges"] = [1.0, -1.0]
    return atoms


def test_named_fragments_keep_their_charges():
    model = model_of(transfer="fragments").eval()
    found = model(System.from_ase([named(15.0), named(2.4)]), {"charges", "forces"})
    torch.testing.assert_close(found.charges.detach(), torch.tensor([1.0, -1.0] * 2).double())
    bare = model(pair(2.4), {"charges"}).charges.detach()  # nothing named: the whole keeps its charge
    assert float(bare.sum()) == pytest.approx(0, abs=1e-9)
    assert float((bare - torch.tensor([1.0, -1.0])).abs().max()) > 1e-3
    wrong = named(3.0)
    wrong.info["charge"] = 1.0
    with pytest.raises(InputError, match="add up to"):
        model(System.from_ase(wrong))


def test_the_data_name_fragments(tmp_path):
    from farfield.data.config import DataConfig
    from farfield.data.read import read_frames

    frames = [named(3.0), named(4.0)]
    for atoms in frames:
        atoms.info["energy"] = 1.0
    ase.io.write(tmp_path / "pairs.xyz", frames)
    read = read_frames([tmp_path / "pairs.xyz"], DataConfig(train=tmp_path / "pairs.xyz", forces=None))
    assert all(frame.system.fragment_charges.tolist() == [[1.0, -1.0]] for frame in read)

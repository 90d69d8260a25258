import itertools
import tempfile
from pathlib import Path

import ase
import ase.build
import ase.calculators.fd
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.deploy.ase import FarfieldCalculator
from farfield.errors import InputError
from farfield.model import load, save
from farfield.system import System
from farfield.units import COULOMB


def calculator(kind="latent", **options):
    model = ff.new_model({"kind": kind}, species=["Na", "Cl"], seed=1, backbone={"channels": 8})
    return FarfieldCalculator(model, **options)


def crystal(rattle=0.05):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(rattle, seed=1)
    return atoms


@pytest.mark.parametrize("kind", ["short_range", "latent", "qeq"])
def test_ase_agrees_that_forces_and_stress_are_slopes(kind):
    atoms = crystal()
    atoms.calc = calculator(kind)
    numeric = ase.calculators.fd.calculate_numerical_forces(atoms, eps=1e-3, iatoms=[2])
    np.testing.assert_allclose(atoms.get_forces()[2], numeric[0], rtol=1e-4, atol=1e-4)
    stress = ase.calculators.fd.calculate_numerical_stress(atoms, eps=1e-4)
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=1e-3, atol=1e-4)


def test_reused_neighbours_change_nothing():
    """A walk with a skin against a fresh search at every step, through a breathing cell."""
    rng = np.random.default_rng(0)
    atoms, fresh = crystal(), crystal()
    atoms.calc, fresh.calc = calculator(skin=1.0), calculator(skin=0.0)
    lists = []
    for _ in range(25):
        atoms.positions += rng.normal(scale=0.06, size=atoms.positions.shape)
        atoms.set_cell(atoms.cell * (1 + rng.normal(scale=0.005)), scale_atoms=True)
        fresh.positions, fresh.cell = atoms.positions, atoms.cell
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-8)
        lists.append(atoms.calc.kept.known)
    searches = 1 + sum(now is not before for before, now in itertools.pairwise(lists))
    assert 1 < searches < 20  # it did reuse, and it did search again


def test_an_atom_that_wraps_keeps_the_energy():
    atoms = crystal()
    atoms.calc = calculator()
    before = atoms.get_potential_energy()
    atoms.positions[0] += atoms.cell[0] - atoms.cell[2]
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-8)


def test_a_new_total_charge_is_a_new_system():
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]], info={"charge": 0})
    atoms.calc = calculator()
    neutral = atoms.get_potential_energy()
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-10)
    atoms.info["charge"] = 1
    assert atoms.get_charges().sum() == pytest.approx(1)
    assert atoms.get_potential_energy() != neutral


def test_ase_names():
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]])
    pair.calc = calculator()
    charges = pair.get_charges()
    np.testing.assert_allclose(pair.get_dipole_moment(), charges @ pair.positions, atol=1e-12)
    assert pair.get_potential_energy(force_consistent=True) == pair.get_potential_energy()
    single = crystal()
    single.calc = calculator(dtype="float32")
    double = crystal()
    double.calc = calculator(dtype="float64")
    np.testing.assert_allclose(single.get_forces(), double.get_forces(), atol=2e-4)
    assert "charges" not in calculator("short_range").implemented_properties


@pytest.mark.parametrize("kind", ["latent", "qeq", "polarizable", "scf"])
def test_the_electrostatic_part_of_the_energy_is_a_result(kind):
    """Ions out of each other's sight: what their distance changes of it is what it changes of the energy."""
    found = []
    for distance in (20.0, 40.0):
        pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, distance]])
        pair.calc = calculator(kind)
        found.append((pair.get_potential_energy(), pair.calc.results["energy_coulomb"]))
        assert "charges" in pair.calc.export_properties()  # ASE's own names alone
    (near, coulomb_near), (far, coulomb_far) = found
    assert near - far == pytest.approx(coulomb_near - coulomb_far, abs=1e-8)
    if kind == "latent":
        first, second = pair.get_charges()
        assert near - far == pytest.approx(COULOMB * first * second * (1 / 20 - 1 / 40), rel=1e-5)


def test_a_model_without_electrostatics_says_nothing_of_it():
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]])
    pair.calc = calculator("short_range")
    pair.get_potential_energy()
    assert "energy_coulomb" not in pair.calc.results


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: calculator(dtype="half"), "float32"),
        (lambda: calculator(external_field=[0, 0.1]), "external_field.*three finite numbers"),
        (lambda: calculator(electrodes=object()), "electrodes"),
        (lambda: FarfieldCalculator("nowhere.pt"), "no model at nowhere.pt"),
    ],
)
def test_what_it_cannot_do_is_said(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_unknown_element():
    atoms = ase.Atoms("KCl", [[0, 0, 0], [0, 0, 3]])
    atoms.calc = calculator()
    with pytest.raises(InputError, match="knows Na, Cl; it was not trained on K"):
        atoms.get_potential_energy()


def test_no_model_in_the_file(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a farfield model"):
        FarfieldCalculator(tmp_path / "model.pt")


def test_a_model_that_is_handed_over_stays_as_it_was():
    model = ff.new_model({"kind": "latent"}, species=["Na", "Cl"], backbone={"channels": 8}).train()
    calc = FarfieldCalculator(model, dtype="float32")
    assert (calc.model.dtype, model.dtype) == (torch.float32, torch.float64)
    assert model.training
    same = FarfieldCalculator(model)
    assert same.model.dtype == torch.float64
    atoms, system = crystal(), System.from_ase(crystal())
    atoms.calc = same
    assert atoms.get_potential_energy() == pytest.approx(model(system).energy.item(), abs=1e-12)
    assert same.identity == identity_of_its_file(model)


def identity_of_its_file(model):
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model.pt")
        return FarfieldCalculator(Path(folder) / "model.pt").identity


def test_another_model_is_another_identity():
    models = [ff.new_model({"kind": "latent"}, species=["Na"], seed=s, backbone={"channels": 8}) for s in (0, 0, 1)]
    first, same, other = (FarfieldCalculator(model).identity for model in models)
    assert first == same
    assert first != other
    assert first != FarfieldCalculator(models[0], dtype="float32").identity


def test_constants_are_exact_in_float64(tmp_path):
    """A model kept in float32 and used in float64 gets constants that never were float32: buffers outside its file."""
    single = ff.new_model({"kind": "latent"}, species=["Na", "Cl"], backbone={"channels": 8}, dtype=torch.float32)
    save(single, tmp_path / "model.pt")
    exact = load(tmp_path / "model.pt", dtype=torch.float64)
    for calc in (
        FarfieldCalculator(tmp_path / "model.pt", dtype="float64"),
        FarfieldCalculator(single, dtype="float64"),
    ):
        for name, buffer in calc.model.named_buffers():
            assert torch.equal(buffer, dict(exact.named_buffers())[name]), name


def test_toggled_periodicity_is_a_new_search():
    atoms, fresh = crystal(), crystal()
    atoms.calc = calculator(skin=2.0)
    atoms.get_potential_energy()
    for periodic in (False, True):
        atoms.pbc = fresh.pbc = periodic
        before = atoms.calc.kept.known
        fresh.calc = calculator(skin=0.0)
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-8)
        assert atoms.calc.kept.known is not before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtpye": "float32"}, "did you mean dtype"),
        ({"colour": 1}, "it takes device, dtype"),
        ({"skin": -0.1}, "skin must be"),
        ({"skin": float("nan")}, "skin must be"),
        ({"device": "gpu"}, "no device 'gpu' here"),
    ],
)
def test_options_that_there_are_not(options, said):
    with pytest.raises(InputError, match=said):
        calculator(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_graphics_card_here():
    with pytest.raises(InputError, match="no device 'cuda' here"):
        calculator(device="cuda")


FIELD = [0.05, 0.0, -0.08]


def bonds(kind="latent", **options):
    model = ff.new_model({"kind": kind, "conservation": "bond"}, species=["Na", "Cl"], seed=1, backbone={"channels": 8})
    return FarfieldCalculator(model, **options)


def test_a_field_of_the_calculator_or_of_the_atoms():
    atoms, other, free = crystal(), crystal(), crystal()
    atoms.calc, other.calc, free.calc = bonds(external_field=FIELD), bonds(), bonds()
    other.info["external_field"] = FIELD
    for get in ("get_potential_energy", "get_forces", "get_stress"):
        np.testing.assert_array_equal(getattr(atoms, get)(), getattr(other, get)())
    born = free.calc.get_property("born_effective_charges", free)
    np.testing.assert_allclose(atoms.get_forces() - free.get_forces(), np.einsum("iab,a->ib", born, FIELD), atol=1e-10)
    np.testing.assert_allclose(born.sum(0), 0, atol=1e-10)
    assert "[0.05, 0.0, -0.08]" in atoms.calc.identity
    atoms.info["external_field"] = FIELD
    with pytest.raises(InputError, match="given twice"):
        atoms.get_potential_energy()


def test_a_new_field_is_a_new_system():
    atoms = crystal()
    atoms.calc = bonds()
    before = atoms.get_potential_energy()
    atoms.info["external_field"] = np.array(FIELD)
    inside = atoms.get_potential_energy()
    assert inside != before
    atoms.info["external_field"][0] = 0.2  # the same array, changed in place
    assert atoms.get_potential_energy() != inside
    del atoms.info["external_field"]
    assert atoms.get_potential_energy() == before


def test_ase_agrees_that_forces_in_a_field_are_slopes():
    atoms = crystal()
    atoms.calc = bonds(external_field=FIELD)
    numeric = ase.calculators.fd.calculate_numerical_forces(atoms, eps=1e-3, iatoms=[2])
    np.testing.assert_allclose(atoms.get_forces()[2], numeric[0], rtol=1e-4, atol=1e-4)


def test_polarization_and_dielectric_tensor_with_ases_names():
    atoms, rigid = crystal(), crystal()
    atoms.calc, rigid.calc = bonds(), calculator()
    before = atoms.calc.get_property("polarization", atoms)
    atoms.positions[0] += atoms.cell[1]  # sodium
    moved = atoms.calc.get_property("polarization", atoms) - before
    np.testing.assert_allclose(moved * atoms.get_volume(), atoms.cell[1], atol=1e-10)
    np.testing.assert_array_equal(atoms.calc.get_property("dielectric_tensor", atoms), np.eye(3))
    assert "polarization" not in rigid.calc.implemented_properties
    assert "dielectric_tensor" not in calculator("qeq").implemented_properties


def test_a_crystal_in_a_field_whose_stress_is_not_defined_has_forces():
    atoms = crystal()
    atoms.calc = calculator(external_field=FIELD)
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(InputError, match="conservation: bond or fixed"):
        atoms.get_stress()


def test_a_field_given_as_an_array_is_the_calculators_own():
    field = np.array([0.0, 0.0, 0.05])
    calculator = FarfieldCalculator(ff.new_model({"kind": "latent"}, species=["H", "O"]), external_field=field)
    atoms = ase.Atoms("OH", [[0, 0, 0], [0, 0.3, 0.9]], info={"charge": 0})
    before = calculator.get_potential_energy(atoms)
    field[:] = 7.0
    moved = atoms.copy()
    moved.rattle(0.01, seed=0)
    calculator.get_potential_energy(moved)
    assert calculator.get_potential_energy(atoms) == before

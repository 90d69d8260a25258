"""Stress and virial: sign, units, order of six numbers, agreement, and frames that can have none."""

from itertools import count

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.errors import InputError

STRESS = 1e-2 * np.array([[1.0, 0.1, 0.2], [0.1, -2.0, 0.3], [0.2, 0.3, 3.0]])
VOIGT = STRESS[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
VASP = STRESS[[0, 1, 2, 0, 1, 0], [0, 1, 2, 1, 2, 2]]
VOLUME = 80.0
GPA = 160.21766
ENERGIES = count()  # another one for every frame
SHEARED = np.array([[4.0, 0, 0], [1, 4, 0], [0, 0, 5]])


def salt(pbc=True, **info):
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]], cell=SHEARED, pbc=pbc)
    atoms.info |= {"energy": float(next(ENERGIES))} | info
    atoms.arrays["forces"] = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    return atoms


def read(tmp_path, frames, **config):
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    heard = []
    found = read_frames(tmp_path / "a.xyz", DataConfig(train="x", **config), on_notice=heard.append)
    return found, [f"{notice.grade}: {notice.message}" for notice in heard]


def stress_of(tmp_path, atoms, **config):
    (frame,), _ = read(tmp_path, [atoms], **config)
    return frame.labels.stress[0].numpy()


@pytest.mark.parametrize("shape", [(9,), (3, 3)])
def test_a_virial_is_minus_volume_times_stress(tmp_path, shape):
    found = stress_of(tmp_path, salt(W=-VOLUME * STRESS.reshape(shape)), virial="W")
    np.testing.assert_allclose(found, STRESS)


def test_a_virial_is_in_the_unit_of_the_energy(tmp_path):
    found = stress_of(tmp_path, salt(W=-VOLUME * STRESS / 27.211386), virial="W", energy_unit="hartree")
    np.testing.assert_allclose(found, STRESS, rtol=1e-7)
    nm = salt(W=-VOLUME * STRESS)
    nm.set_cell(nm.cell / 10)
    nm.positions /= 10
    np.testing.assert_allclose(stress_of(tmp_path, nm, virial="W", length_unit="nm"), STRESS)


@pytest.mark.parametrize(
    "order, six", [("voigt", VOIGT), ("vasp", VASP), ("XX YY ZZ XY XZ ZY", VASP[[0, 1, 2, 3, 5, 4]])]
)
def test_six_numbers_in_any_order(tmp_path, order, six):
    found, heard = read(tmp_path, [salt(S=six)], stress="S", stress_order=order)
    np.testing.assert_allclose(found[0].labels.stress[0], STRESS)
    assert not heard
    found, heard = read(tmp_path, [salt(W=-VOLUME * six)], virial="W", stress_order=order)
    np.testing.assert_allclose(found[0].labels.stress[0], STRESS)


def test_six_numbers_without_an_order_are_said_once(tmp_path):
    found, heard = read(tmp_path, [salt(S=VOIGT), salt(S=VOIGT)], stress="S")
    np.testing.assert_allclose(found[0].labels.stress[0], STRESS)
    (said,) = heard
    assert 'six numbers of "S": taken as xx yy zz yz xz xy' in said


def test_what_ase_keeps_as_a_result_is_in_the_order_of_ase(tmp_path):
    atoms = salt()
    atoms.calc = SinglePointCalculator(atoms, stress=VOIGT)
    found, heard = read(tmp_path, [atoms], stress="stress", stress_order="vasp")
    np.testing.assert_allclose(found[0].labels.stress[0], STRESS)
    assert not heard


@pytest.mark.parametrize("order", ["lammps", "xx yy zz", "xx yy zz xy xy xz"])
def test_an_order_that_is_none(order):
    with pytest.raises(ValueError, match="expected voigt, vasp, or the six components"):
        DataConfig(train="x", stress="S", stress_order=order)


@pytest.mark.parametrize("unit, factor", [("GPa", GPA), ("kbar", 10 * GPA)])
def test_a_stress_too_large_for_its_unit(tmp_path, unit, factor):
    atoms = salt(S=factor * STRESS)
    with pytest.raises(InputError, match=r"frame 0: stress = 'S' would be .* GPa: no unit is given. Say stress_unit"):
        read(tmp_path, [atoms], stress="S")
    np.testing.assert_allclose(stress_of(tmp_path, atoms, stress="S", stress_unit=unit), STRESS, rtol=1e-6)


def test_a_large_stress_whose_unit_is_stated(tmp_path):
    atoms = salt(S=100 * STRESS, W=-100 * VOLUME * STRESS)
    config = {"stress": "S", "stress_unit": "eV/angstrom^3"}
    np.testing.assert_allclose(stress_of(tmp_path, atoms, **config), 100 * STRESS)
    with pytest.raises(InputError, match=r"virial = 'W' makes a stress of 3 eV/Å³ = 480.7 GPa.*energy_unit"):
        read(tmp_path, [atoms], virial="W")
    np.testing.assert_allclose(stress_of(tmp_path, atoms, virial="W", energy_unit="eV"), 100 * STRESS)


def test_stress_and_virial_agree_to_the_digits_printed(tmp_path):
    both = salt(S=STRESS.round(5), W=(-VOLUME * STRESS).round(3))
    np.testing.assert_allclose(stress_of(tmp_path, both, stress="S", virial="W"), STRESS.round(5))
    wrong = salt(S=STRESS, W=VOLUME * STRESS)
    with pytest.raises(InputError, match=r"frame 1: stress and virial disagree: zz is 0.03 .* -0.03 by -virial/volume"):
        read(tmp_path, [both, wrong], stress="S", virial="W")


def test_a_frame_that_has_only_one_of_them_uses_it(tmp_path):
    frames = [salt(S=STRESS), salt(W=-VOLUME * STRESS), salt(S=STRESS, W=-VOLUME * STRESS)]
    found, _ = read(tmp_path, frames, stress="S", virial="W")
    for frame in found:
        np.testing.assert_allclose(frame.labels.stress[0], STRESS)
    with pytest.raises(InputError, match=r"stress = 'S' or virial = 'W' is in 3 of 4 frames \(not in frame 3\)"):
        read(tmp_path, [*frames, salt()], stress="S", virial="W")
    with pytest.raises(InputError, match=r'has no info "virail".*virial: null'):
        read(tmp_path, frames[:1], stress="S", virial="virail")


def test_a_stress_by_the_name_of_virial_stress(tmp_path):
    np.testing.assert_allclose(stress_of(tmp_path, salt(virial_stress=STRESS), stress="virial_stress"), STRESS)


def test_a_virial_that_is_a_stress(tmp_path):
    _, heard = read(tmp_path, [salt(W=-STRESS / 10) for _ in range(3)], virial="W")
    assert any(said.startswith("warning") and "is what was given as a virial a stress?" in said for said in heard)
    _, heard = read(tmp_path, [salt(W=-VOLUME * STRESS / 10) for _ in range(3)], virial="W")
    assert not heard


@pytest.mark.parametrize("config", [{"stress": "S"}, {"virial": "W"}])
def test_stress_of_what_is_no_crystal_is_left_out(tmp_path, config):
    slab, crystal = (salt(pbc=pbc, S=STRESS, W=-VOLUME * STRESS) for pbc in ((True, True, False), True))
    found, heard = read(tmp_path, [slab, slab, crystal], **config)
    assert heard == ["note: stress of 2 of 3 frames left out: not periodic along three axes"]
    assert found[0].labels.stress.isnan().all()
    np.testing.assert_allclose(found[2].labels.stress[0], STRESS)


def test_a_stress_that_no_frame_has_is_no_target(tmp_path):
    molecule = salt(pbc=False, S=np.zeros(6))
    found, heard = read(tmp_path, [molecule] * 2, stress="S")
    assert [frame.labels.targets for frame in found] == [{"energy", "forces"}] * 2
    assert heard == ["warning: stress of 2 of 2 frames left out: not periodic along three axes; none is left"]

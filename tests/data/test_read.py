"""Labels are found wherever ASE puts them, in whatever units, and land where they belong."""

import ase
import ase.db
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from farfield.data.config import DataConfig
from farfield.data.frame import collate
from farfield.data.read import read_frames
from farfield.errors import InputError

FORCES = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0], [0.0, -2.5, -3.0]])
CHARGES = np.array([-0.8, 0.3, 0.5])
STRESS = np.array([[0.1, 0.01, 0.02], [0.01, 0.2, 0.03], [0.02, 0.03, 0.3]])
DIPOLE = np.array([0.1, 0.2, -0.7])


def water(periodic=False):
    atoms = ase.Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    if periodic:
        atoms.cell, atoms.pbc = np.array([[5, 0, 0], [1, 5, 0], [0, 2, 6.0]]), True
    return atoms


def read(path, **config):
    return read_frames(path, DataConfig(train=path, **config))


def in_info(atoms):
    atoms.info |= {"E": -7.0, "d": DIPOLE, "S": STRESS.ravel()}
    atoms.arrays |= {"F": FORCES, "q": CHARGES}
    return {"energy": "E", "forces": "F", "stress": "S", "charges": "q", "dipole": "d"}


def in_results(atoms):
    voigt = STRESS[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    atoms.calc = SinglePointCalculator(atoms, energy=-7.0, forces=FORCES, stress=voigt, charges=CHARGES, dipole=DIPOLE)
    return {name: name for name in ("energy", "forces", "stress", "charges", "dipole")}


@pytest.mark.parametrize(
    "put, suffix",
    [(in_info, "extxyz"), (in_info, "xyz"), *((in_results, s) for s in ("extxyz", "xyz", "traj", "db", "json"))],
)
@pytest.mark.parametrize("periodic", [False, True])
def test_labels_come_back_from_every_place_and_format(tmp_path, put, periodic, suffix):
    atoms, path = water(periodic), tmp_path / f"water.{suffix}"
    keys = put(atoms)
    del keys["dipole" if periodic else "stress"]
    ase.io.write(path, [atoms, atoms])
    frame = read(path, **keys)[1]
    assert frame.labels.targets == set(keys)
    torch.testing.assert_close(frame.labels.energy, torch.tensor([-7.0], dtype=torch.float64))
    torch.testing.assert_close(frame.labels.forces, torch.from_numpy(FORCES))
    torch.testing.assert_close(frame.labels.charges, torch.from_numpy(CHARGES))
    if periodic:
        torch.testing.assert_close(frame.labels.stress, torch.from_numpy(STRESS)[None])
    else:
        torch.testing.assert_close(frame.labels.dipole, torch.from_numpy(DIPOLE)[None])
    np.testing.assert_allclose(frame.system.cell[0], atoms.cell.array)
    assert frame.source == f"{path} frame 1"


def test_database_key_value_pairs_and_data(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(water(), E=-7.0, total=1, data={"F": FORCES, "q": CHARGES})
    (frame,) = read(tmp_path / "a.db", energy="E", forces="F", charges="q", total_charge="total")
    assert frame.labels.energy.item() == -7.0
    assert frame.system.charge.item() == 1
    torch.testing.assert_close(frame.labels.forces, torch.from_numpy(FORCES))
    torch.testing.assert_close(frame.labels.charges, torch.from_numpy(CHARGES))


def test_column_named_charge_is_not_the_total_charge(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nProperties=species:S:1:pos:R:3:charge:R:1 energy=0 charge=1\nNa 0 0 0 0.9\nCl 2 0 0 0.1\n")
    for key in ("charge", "charges"):  # ASE renames the column; both names find it
        (frame,) = read(path, forces=None, charges=key)
        assert frame.labels.charges.tolist() == [0.9, 0.1]
        assert frame.system.charge.item() == 1


def test_column_named_charge_leaves_the_total_charge_zero(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("2\nProperties=species:S:1:pos:R:3:charge:R:1 energy=0\nNa 0 0 0 0.9\nCl 2 0 0 0.1\n")
    assert read(path, forces=None)[0].system.charge.item() == 0


def test_single_atom_keeps_its_shapes(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("1\nProperties=species:S:1:pos:R:3:q:R:1:forces:R:3 energy=-3 charge=1\nNa 0 0 0 1 0 0 0\n")
    labels = read(path, charges="q")[0].labels
    assert (labels.energy.shape, labels.charges.shape, labels.forces.shape) == ((1,), (1,), (1, 3))


def test_free_energy_and_polarization_are_found_where_ase_hides_them(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text('1\nenergy=-3 free_energy=-4 polarization="1 2 3"\nH 0 0 0\n')
    (frame,) = read(path, energy="free_energy", forces=None, dipole="polarization")
    assert frame.labels.energy.item() == -4
    assert frame.labels.dipole.tolist() == [[1, 2, 3]]


def test_six_numbers_are_in_ase_order(tmp_path):
    atoms = water(periodic=True)
    atoms.info |= {"energy": 0.0, "S": np.array([0.1, 0.2, 0.3, 0.03, 0.02, 0.01])}
    ase.io.write(tmp_path / "a.xyz", atoms)
    (frame,) = read(tmp_path / "a.xyz", forces=None, stress="S")
    torch.testing.assert_close(frame.labels.stress[0], torch.from_numpy(STRESS))


def test_units_of_another_code(tmp_path):
    """Known values: 1 hartree = 27.2114 eV, 1 hartree/bohr = 51.4221 eV/Å, 1 a.u. of dipole = 2.541746 D, 1 GPa."""
    atoms = water(periodic=False)
    in_info(atoms)
    atoms.info |= {"E": 1.0, "d": np.array([1.0, 0, 0]), "distance": 2.0}
    ase.io.write(tmp_path / "a.xyz", atoms)
    config = {"energy": "E", "forces": "F", "dipole": "d"}
    (au,) = read(tmp_path / "a.xyz", energy_unit="hartree", length_unit="bohr", dipole_unit="au", **config)
    assert au.labels.energy.item() == pytest.approx(27.211386, rel=1e-7)
    np.testing.assert_allclose(au.labels.forces, FORCES * 51.422067, rtol=1e-7)
    np.testing.assert_allclose(au.system.positions, atoms.positions * 0.529177211, rtol=1e-8)
    assert au.distance == pytest.approx(2 * 0.529177211, rel=1e-8)
    (debye,) = read(tmp_path / "a.xyz", dipole_unit="debye", **config)
    assert (au.labels.dipole / debye.labels.dipole)[0, 0].item() == pytest.approx(2.541746, rel=1e-6)


@pytest.mark.parametrize(
    "unit, value",
    [("meV", 1e-3), ("rydberg", 13.605693), ("kcal/mol", 0.0433641), ("kJ/mol", 0.01036427)],
)
def test_energy_units(tmp_path, unit, value):
    (tmp_path / "a.xyz").write_text("1\nenergy=1\nH 0 0 0\n")
    (frame,) = read(tmp_path / "a.xyz", forces=None, energy_unit=unit)
    assert frame.labels.energy.item() == pytest.approx(value, rel=1e-6)


def test_cell_is_converted_too(tmp_path):
    (tmp_path / "a.xyz").write_text('1\nenergy=1 Lattice="0.5 0 0 0 0.6 0 0 0 0.7"\nH 0.1 0 0\n')
    (frame,) = read(tmp_path / "a.xyz", forces=None, length_unit="nm")
    assert frame.system.volume().item() == pytest.approx(210.0)
    assert frame.system.positions[0, 0].item() == pytest.approx(1.0)


def test_left_handed_cell_stays_periodic(tmp_path):
    (tmp_path / "a.xyz").write_text('1\nenergy=1 Lattice="0 5 0 5 0 0 0 0 5"\nH 0 0 0\n')
    (frame,) = read(tmp_path / "a.xyz", forces=None)
    assert torch.linalg.det(frame.system.cell).item() == pytest.approx(-125.0)
    assert frame.system.periodic.all()


def test_fractional_total_charge_is_allowed(tmp_path):
    (tmp_path / "a.xyz").write_text("1\nenergy=1 charge=0.25 spin=1\nH 0 0 0\n")
    system = read(tmp_path / "a.xyz", forces=None)[0].system
    assert (system.charge.item(), system.spin.item()) == (0.25, 1.0)


def test_allowed_gaps_become_nan(tmp_path):
    known, unknown = water(), water()
    keys = in_info(known)
    del keys["stress"]  # of a crystal only
    ase.io.write(tmp_path / "a.xyz", [known, unknown])
    targets = tuple(keys)
    frames = read(tmp_path / "a.xyz", allow_missing=targets, **keys)
    _, labels = collate(frames)
    for name in targets:
        value = getattr(labels, name)
        first, second = value.chunk(2)
        assert first.isfinite().all()
        assert second.isnan().all()


def test_a_file_without_the_label_beside_one_with_it(tmp_path):
    known, unknown = water(), water()
    known.info |= {"energy": 1.0}
    known.arrays["q"] = CHARGES
    unknown.info |= {"energy": 1.0}
    ase.io.write(tmp_path / "a.xyz", known)
    ase.io.write(tmp_path / "b.xyz", unknown)
    paths, config = [tmp_path / "a.xyz", tmp_path / "b.xyz"], {"forces": None, "charges": "q"}
    assert len(read_frames(paths, DataConfig(train=paths, allow_missing=("charges",), **config))) == 2
    with pytest.raises(InputError, match=r'b.xyz has no array "q"'):
        read_frames(paths, DataConfig(train=paths, **config))
    with pytest.raises(InputError, match=r'b.xyz has no array "q"'):  # nowhere at all
        read_frames(paths[1], DataConfig(train=paths[1], allow_missing=("charges",), **config))


def test_fragments_by_number(tmp_path):
    (tmp_path / "a.xyz").write_text(
        "3\nProperties=species:S:1:pos:R:3:fragment:I:1 energy=-5 group=pair distance=3 "
        'fragment_charges="1 -1" fragment_energies="-2 -1"\nK 0 0 0 0\nC 3 0 0 1\nN 4.2 0 0 1\n'
    )
    (frame,) = read(tmp_path / "a.xyz", forces=None, energy_unit="meV")
    assert frame.fragments.index.tolist() == [0, 1, 1]
    assert frame.fragments.charges.tolist() == [1, -1]
    assert frame.fragments.energies.tolist() == [-0.002, -0.001]
    assert (frame.group, frame.distance) == ("pair", 3.0)


PARTED = """2
Properties=species:S:1:pos:R:3:fragment:I:1 energy=-5 spin={} fragment_charges="0 0" {}
H 0 0 0 0
H 3 0 0 1
"""


def test_spins_of_fragments(tmp_path):
    path, heard = tmp_path / "a.xyz", []
    path.write_text(PARTED.format(0, 'fragment_spins="1 -1"'))
    (frame,) = read_frames(path, DataConfig(train=path, forces=None), on_notice=heard.append)
    assert frame.fragments.spins.tolist() == [1, -1]
    path.write_text(PARTED.format(2, ""))
    assert not heard
    (frame,) = read_frames(path, DataConfig(train=path, forces=None), on_notice=heard.append)
    assert frame.fragments.spins is None
    assert 'no info["fragment_spins"] says whose it is' in heard[0].message
    path.write_text(PARTED.format(2, 'fragment_spins="1 1 0"'))
    with pytest.raises(InputError, match="should be 2 finite numbers"):
        read_frames(path, DataConfig(train=path, forces=None))


def test_fragments_whose_energies_nobody_knows(tmp_path):
    text = (
        "2\nProperties=species:S:1:pos:R:3:fragment:I:1 energy=-5 group=pair distance=3 "
        'fragment_charges="1 -1"\nK 0 0 0 0\nCl 3 0 0 1\n'
    )
    (tmp_path / "pair.xyz").write_text(text)
    (frame,) = read(tmp_path / "pair.xyz", forces=None)
    assert frame.fragments.charges.tolist() == [1, -1]
    assert frame.fragments.energies.isnan().all()


def test_fragments_by_letter(tmp_path):
    (tmp_path / "a.xyz").write_text(
        "3\nenergy=-5 chargeA=1 energyA=-1 chargeB=0 energyB=-2 indexB=1 chargeC=-1 energyC=-3 indexC=2\n"
        "K 0 0 0\nHe 3 0 0\nCl 6 0 0\n"
    )
    (frame,) = read(tmp_path / "a.xyz", forces=None)
    assert frame.fragments.index.tolist() == [0, 1, 2]
    assert frame.fragments.charges.tolist() == [1, 0, -1]
    assert frame.fragments.energies.tolist() == [-1, -2, -3]
    assert frame.group == "all"
    assert frame.distance is None


def test_single_precision_keeps_the_energy_double(tmp_path):
    (tmp_path / "a.xyz").write_text("1\nenergy=-123456.789012345\nH 0.1 0 0\n")
    config = DataConfig(train=tmp_path / "a.xyz", forces=None)
    (frame,) = read_frames(tmp_path / "a.xyz", config, dtype=torch.float32)
    assert frame.system.positions.dtype == torch.float32
    assert frame.labels.energy.item() == -123456.789012345


def test_compressed_file(tmp_path):
    atoms = water()
    atoms.info["energy"] = -1.0
    ase.io.write(tmp_path / "a.xyz.gz", [atoms] * 3)
    assert len(read(tmp_path / "a.xyz.gz", forces=None)) == 3


CELL = np.array([[4.0, 0, 0], [1, 4, 0], [0, 0, 5]])
P, ALPHA = np.array([0.01, -0.02, 0.03]), np.diag([1.0, 2, 3])
Z = np.arange(18.0).reshape(2, 3, 3)


def responding(path, pbc=True, flat=True, **info):
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]], cell=CELL, pbc=pbc)
    atoms.info |= {"energy": 1.0, "P": P, "alpha": ALPHA.ravel() if flat else ALPHA} | info
    atoms.arrays["apt"] = Z.reshape(2, 9)
    ase.io.write(path, atoms, format="extxyz")
    return {"forces": None, "polarization": "P", "born_charges": "apt", "polarizability": "alpha"}


def test_response_labels_are_read(tmp_path):
    keys = responding(tmp_path / "a.xyz")
    (frame,) = read(tmp_path / "a.xyz", **keys)
    np.testing.assert_allclose(frame.labels.polarization, P[None])
    np.testing.assert_allclose(frame.labels.born_charges, Z)  # [atom, dipole axis, displacement axis]
    np.testing.assert_allclose(frame.labels.polarizability, ALPHA[None])


def test_units_of_the_response(tmp_path):
    """1 e/Å² = 16.0218 C/m²; 1 e²Å²/V = 14.39964 Å³; 1 a.u. of field = 51.4221 V/Å."""
    keys = responding(tmp_path / "a.xyz", external_field=np.array([0, 0, 0.01]), fermi_level=1.0)
    keys |= {"polarizability_unit": "angstrom^3", "field_unit": "au", "energy_unit": "hartree"}
    (si,) = read(tmp_path / "a.xyz", polarization_unit="C/m^2", **keys)
    (cell,) = read(tmp_path / "a.xyz", polarization_unit="e*angstrom", **keys)
    np.testing.assert_allclose(si.labels.polarization, P[None] / 16.0217663, rtol=1e-8)
    np.testing.assert_allclose(cell.labels.polarization, P[None] / 80)
    np.testing.assert_allclose(si.labels.polarizability, ALPHA[None] / 14.3996454784, rtol=1e-9)
    np.testing.assert_allclose(si.system.external_field, [[0, 0, 0.514220675]], rtol=1e-8)
    np.testing.assert_allclose(si.system.fermi_level, [27.2113862], rtol=1e-8)


def test_conditions_under_keys_of_their_own(tmp_path):
    keys = responding(tmp_path / "a.xyz", E=np.array([0.1, 0, 0]))
    (frame,) = read(tmp_path / "a.xyz", external_field="E", **keys)
    assert frame.system.external_field.tolist() == [[0.1, 0, 0]]
    (frame,) = read(tmp_path / "a.xyz", **keys)
    assert frame.system.external_field is None


def test_a_slab_has_no_polarization(tmp_path):
    keys = responding(tmp_path / "a.xyz", pbc=(True, True, False))
    with pytest.raises(InputError, match="polarization: null"):
        read(tmp_path / "a.xyz", **keys)
    (frame,) = read(tmp_path / "a.xyz", allow_missing=("polarization",), **keys)
    assert "polarization" not in frame.labels.targets  # of no frame is left


def test_a_field_in_only_some_frames(tmp_path):
    frames = [ase.Atoms("Na", info={"energy": 0.0, "external_field": np.array([0, 0, 1.0])}), ase.Atoms("Na")]
    frames[1].info["energy"] = 0.0
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    with pytest.raises(InputError, match='write external_field="0 0 0" in the others'):
        read(tmp_path / "a.xyz", forces=None)

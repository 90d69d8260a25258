"""The batch of atoms: what goes in, what is refused, how it moves."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

from farfield.errors import InputError
from farfield.geometry.neighbors import find_neighbors, with_neighbors
from farfield.system import System, concatenate, per_system


def slab():
    return ase.Atoms("NaCl", [[0, 0, 0], [2, 1, 0.5]], cell=[[4, 0, 0], [1, 4, 0], [0, 0, 0]], pbc=(True, True, False))


def water(**info):
    atoms = ase.Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    atoms.info.update(info)
    return atoms


def test_batch_from_ase():
    system = System.from_ase([water(charge=-1, spin=2), slab()])
    assert (system.n_atoms, system.n_systems) == (5, 2)
    assert system.numbers.tolist() == [8, 1, 1, 11, 17]
    assert system.system_index.tolist() == [0, 0, 0, 1, 1]
    assert system.atoms_per_system.tolist() == [3, 2]
    assert system.charge.tolist() == [-1, 0]
    assert system.spin.tolist() == [2, 0]
    assert system.periodic.tolist() == [[False] * 3, [True, True, False]]
    np.testing.assert_allclose(system.cell[1], slab().cell.array)


def test_volume_is_positive_for_either_hand():
    left = ase.Atoms("He", cell=[[0, 2, 0], [3, 0, 0], [0, 0, 4]], pbc=True)
    right = ase.Atoms("He", cell=[[3, 0, 0], [0, 2, 0], [1, 1, 4]], pbc=True)
    assert System.from_ase([left, right, slab()]).volume().tolist() == pytest.approx([24, 24, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_floating_type(dtype):
    system = System.from_ase(water(), dtype)
    assert {system.positions.dtype, system.cell.dtype, system.charge.dtype, system.spin.dtype} == {dtype}


def test_ase_arrays_are_copied():
    atoms = water()
    system = System.from_ase(atoms)
    atoms.positions += 1
    assert system.positions[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"positions": np.full((3, 3), np.nan)}, r"position of atom 0 \(O\) is \[nan"),
        ({"numbers": [8, 1, 0]}, "atomic numbers must lie in 1-118"),
        ({"pbc": True}, "periodic along a, b, c but the cell has no such lattice vector"),
        ({"pbc": (False, True, False), "cell": np.diag([3.0, 0, 3.0])}, "periodic along b but"),
        ({"pbc": True, "cell": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}, "span no volume"),
        ({"pbc": (True, True, False), "cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}, "span no volume"),
        ({"pbc": True, "cell": np.diag([5, 5, np.inf])}, "cell is not finite"),
        ({"cell": np.diag([5, 5, np.nan])}, "cell is not finite"),
        ({"positions": np.full((3, 3), 1e12)}, r"atom 0 \(O\) is at .* no such place"),
        ({"pbc": True, "cell": np.eye(3) * 1e-3}, r"the lattice has a vector of 0.001 Å.*Is the cell in Å\?"),
        ({"pbc": (True, False, False), "cell": np.diag([0.1, 5, 5])}, r"a vector of 0.1 Å"),
        ({"pbc": True, "cell": [[5, 0, 0], [5, 0.01, 0], [0, 0, 5]]}, r"a vector of 0.01 Å, \[.*\]"),
        ({"pbc": True, "cell": np.eye(3) * 1e300}, "the cell has no such lengths"),
    ],
)
def test_bad_structures_are_refused(change, message):
    atoms = water()
    for name, value in change.items():
        atoms.set_cell(value) if name == "cell" else setattr(atoms, name, value)
    with pytest.raises(InputError, match=message):
        System.from_ase(atoms)
    with pytest.raises(InputError, match=rf"structure 1: .*{message}"):
        System.from_ase([water(), atoms])


@pytest.mark.parametrize("name", ["charge", "spin"])
@pytest.mark.parametrize("value", ["plus", None, np.nan, np.inf, [1, 2]])
def test_charge_and_spin_must_be_numbers(name, value):
    with pytest.raises(InputError, match=rf"info\['{name}'\] should be one finite number"):
        System.from_ase(water(**{name: value}))


@pytest.mark.parametrize("value", [1, 1.0, np.int64(1), np.array(1), np.array([1]), True])
def test_charge_in_any_dress(value):
    assert System.from_ase(water(charge=value)).charge.tolist() == [1]


def test_no_structures():
    with pytest.raises(InputError, match="empty list"):
        System.from_ase([])
    with pytest.raises(InputError, match="no atoms"):
        System.from_ase(ase.Atoms())


CONDITIONS = {
    "external_field": [0, 0, 0.1],
    "displacement_field": [1, 0, 0],
    "electrode_potentials": [-1, 1],
    "fermi_level": -4.5,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_travel(name):
    """Read, joined with systems that are under none, moved, strained, picked out of a batch, attached to neighbours."""
    under, free = water(**{name: CONDITIONS[name]}), water()
    batch = System.from_ase([under, free, under])
    expected = np.asarray(CONDITIONS[name], dtype=float)
    absent = np.full_like(expected, 0.0 if name == "external_field" else np.nan)
    joined = concatenate([System.from_ase(atoms) for atoms in (under, free, under)])
    for system in (batch, joined, batch.with_positions(batch.positions + 1), with_neighbors(batch, 3.0)):
        np.testing.assert_array_equal(getattr(system, name), np.stack([expected, absent, expected]))
        assert list(system.conditions) == [name]
    assert getattr(batch.strained(torch.zeros(3, 3).double()), name) is not None
    assert getattr(batch.to(dtype=torch.float32), name).dtype == torch.float32
    some, _ = batch.select(torch.tensor([1, 2]))
    np.testing.assert_array_equal(getattr(some, name), np.stack([absent, expected]))
    assert System.from_ase(free).conditions == {}
    assert concatenate([System.from_ase(free)] * 2).conditions == {}


@pytest.mark.parametrize("value", [-4.5, np.array(-4.5), np.array([-4.5])])
def test_fermi_level_in_any_dress(value):
    assert System.from_ase(water(fermi_level=value)).fermi_level.tolist() == [-4.5]


@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("value", ["strong", [np.nan, 0, 0], [[0.0, 1.0]]])
def test_conditions_must_be_numbers(name, value):
    with pytest.raises(InputError, match=rf"structure 1: info\['{name}'\] should be"):
        System.from_ase([water(), water(**{name: value})])


def test_conditions_have_a_shape():
    system = System.from_ase(water())
    with pytest.raises(InputError, match=r"external_field has shape \(3,\), expected \(1, 3\)"):
        replace(system, external_field=torch.zeros(3))
    with pytest.raises(InputError, match="2 and 3 electrode_potentials cannot be in one batch"):
        System.from_ase([water(electrode_potentials=[0, 1]), water(electrode_potentials=[0, 1, 2])])


def test_strain_keeps_the_voltage_along_every_lattice_vector():
    atoms = ase.Atoms(
        "He", cell=[[4, 0, 0], [1, 4, 0], [0.3, 0.2, 5]], pbc=True, info={"external_field": [0.1, 0.2, 0.3]}
    )
    system = System.from_ase(atoms)
    strained = system.strained(torch.tensor([[0.1, 0.02, 0], [0, -0.05, 0.3], [0, 0, 0.2]]).double())
    assert not torch.equal(strained.external_field, system.external_field)
    voltages = [torch.einsum("ska,sa->sk", s.cell, s.external_field) for s in (system, strained)]
    torch.testing.assert_close(*voltages)


@pytest.mark.parametrize("field", ["positions", "cell", "periodic", "system_index", "charge", "spin"])
def test_shapes_are_checked(field):
    system = System.from_ase(water())
    wrong = {**vars(system), field: getattr(system, field)[..., None]}
    with pytest.raises(InputError, match=rf"System\.{field} has shape \(.*, 1\), expected"):
        System(**wrong)


def test_per_system_sums():
    system = System.from_ase([water(), slab()])
    assert per_system(torch.arange(5.0), system).tolist() == [3, 7]
    assert per_system(torch.ones(5, 2, 3), system)[1].tolist() == [[2] * 3] * 2


def test_strain_deforms_positions_and_cell_alike():
    """Fractional coordinates stay; lengths change by what the strain says."""
    atoms = ase.Atoms("He2", [[0, 0, 0], [1, 2, 0.5]], cell=[[4, 0, 0], [1, 4, 0], [0.3, 0.2, 5]], pbc=True)
    system = System.from_ase(atoms)
    strain = torch.tensor([[0.1, 0.02, 0], [0, -0.05, 0.3], [0, 0, 0.2]], dtype=torch.float64)
    strained = system.strained(strain)
    fractional = [torch.linalg.solve(s.cell[0].T, s.positions.T) for s in (system, strained)]
    torch.testing.assert_close(*fractional)
    torch.testing.assert_close(strained.cell[0, 0], torch.tensor([4.4, 0, 0], dtype=torch.float64))
    scale = torch.linalg.det(torch.eye(3, dtype=torch.float64) + strain)
    torch.testing.assert_close(strained.volume(), system.volume() * scale)


def test_each_system_has_its_own_strain():
    system = System.from_ase([water(), slab()])
    strain = torch.zeros(2, 3, 3, dtype=torch.float64)
    strain[1, 0, 0] = 0.5
    strained = system.strained(strain)
    torch.testing.assert_close(strained.positions[:3], system.positions[:3])
    assert strained.positions[4].tolist() == [3.0, 1.0, 0.5]
    assert strained.cell[1, 1].tolist() == [1.5, 4, 0]


def test_strain_derivative_of_the_volume():
    """dV/dε = V 1 at ε = 0."""
    system = System.from_ase(ase.Atoms("He", cell=[[0, 4, 0], [3, 1, 0], [1, 1, 5]], pbc=True))
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(system.strained(strain).volume().sum(), strain)
    torch.testing.assert_close(found[0], system.volume() * torch.eye(3, dtype=torch.float64))


def test_moved_atoms_forget_their_neighbours():
    system = with_neighbors(System.from_ase(slab()), 3.0)
    assert system.with_positions(system.positions + 1).neighbors is None


def test_to_moves_everything_but_indices():
    system = with_neighbors(System.from_ase(slab()), 3.0).to(dtype=torch.float32)
    assert system.positions.dtype == system.cell.dtype == system.neighbors.shift.dtype == torch.float32
    assert system.numbers.dtype == system.neighbors.i.dtype == torch.int64
    assert system.periodic.dtype == torch.bool
    assert system.neighbors.cutoff == 3.0


def test_concatenated_is_the_batch_from_ase():
    together = System.from_ase([water(charge=1), slab(), water()])
    joined = concatenate([System.from_ase([water(charge=1), slab()]), System.from_ase(water())])
    for name, value in vars(together).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(joined, name), value)


def test_concatenated_neighbours_are_those_of_the_batch():
    parts = [with_neighbors(System.from_ase(atoms), 4.0) for atoms in (slab(), water(), slab())]
    joined = concatenate(parts).neighbors
    whole = with_neighbors(System.from_ase([slab(), water(), slab()]), 4.0).neighbors
    for name in ("i", "j", "shift", "offsets"):
        assert torch.equal(getattr(joined, name), getattr(whole, name))
    assert concatenate([parts[0], System.from_ase(water())]).neighbors is None


def test_halves_are_not_joined_to_full_lists():
    system = System.from_ase(slab())
    half, full = (replace(system, neighbors=find_neighbors(system, 4.0, half=each)) for each in (True, False))
    assert concatenate([half, full]).neighbors is None
    assert concatenate([half, half]).neighbors.half
    assert half.to(dtype=torch.float32).neighbors.half
    unsorted = replace(full, neighbors=replace(full.neighbors, offsets=None))
    assert concatenate([full, unsorted]).neighbors.offsets is None

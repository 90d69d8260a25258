import ase
import ase.build
import ase.io
import numpy as np
import pytest

from farfield.errors import ConvergenceError, InputError
from farfield.reference.contract import Label, fragments_of
from farfield.reference.engines import engine_named
from farfield.reference.partition import mbis_charges
from farfield.reference.run import label_structures


def grid(half=12.0, points=61):
    axis = np.linspace(-half, half, points)
    r = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return r, np.full(len(r), (axis[1] - axis[0]) ** 3)


def slater(points, centre, population, width):
    return population * np.exp(-np.linalg.norm(points - centre, axis=1) / width) / (8 * np.pi * width**3)


def test_mbis_finds_the_slater_functions_a_density_is_made_of():
    """Two overlapping hydrogen-like shells of 1.3 and 0.7 electrons: the model is exact, so MBIS must return them."""
    points, weights = grid()
    centres = np.array([[0.1, 0.0, 0.0], [0.1, 0.2, 2.6]])
    density = slater(points, centres[0], 1.3, 0.6) + slater(points, centres[1], 0.7, 0.8)
    found = mbis_charges(density, weights, points, centres, np.array([1, 1]), total_charge=0.0)
    np.testing.assert_allclose(found, [-0.3, 0.3], atol=5e-3)  # the grid's own error


def test_mbis_says_when_it_has_not_converged():
    points, weights = grid(points=21)
    centres = np.array([[0.0, 0, 0], [0, 0, 2.0]])
    density = slater(points, centres[0], 1.0, 0.5) + slater(points, centres[1], 1.0, 0.9)
    with pytest.raises(ConvergenceError, match="MBIS"):
        mbis_charges(density, weights, points, centres, np.array([1, 1]), total_charge=0.0, max_steps=2)


def water(charge=0):
    atoms = ase.build.molecule("H2O")
    atoms.info["charge"] = charge
    return atoms


def test_tblite_forces_are_the_slope():
    pytest.importorskip("tblite")
    engine, atoms = engine_named("tblite"), water()
    atoms.positions[1] += [0.05, 0.02, -0.03]
    label = engine.label(atoms)
    energies = []
    for step in (1e-3, -1e-3):
        moved = atoms.copy()
        moved.positions[1, 1] += step
        energies.append(engine.label(moved).energy)
    assert label.forces[1, 1] == pytest.approx(-(energies[0] - energies[1]) / 2e-3, abs=1e-4)
    assert label.charges.sum() == pytest.approx(0, abs=1e-8)


@pytest.mark.slow
def test_pyscf_forces_are_the_slope_and_ions_stay_ions():
    pytest.importorskip("pyscf")
    engine = engine_named("pyscf")
    pair = ase.Atoms("KCl", [[0, 0, 0], [0, 0, 9.0]], info={"charge": 0, "fragment_charges": [1, -1]})
    pair.arrays["fragment"] = np.array([0, 1])
    label = engine.label(pair)
    np.testing.assert_allclose(label.charges, [1, -1], atol=1e-3)
    # at 9 Å two ions attract by K/R, and a little more for their polarizability
    binding = label.energy - label.fragment_energies.sum()
    assert binding == pytest.approx(-14.39965 / 9.0, abs=0.01)
    energies = []
    for step in (5e-3, -5e-3):
        moved = pair.copy()
        moved.positions[1, 2] += step
        energies.append(engine.label(moved).energy)
    assert label.forces[1, 2] == pytest.approx(-(energies[0] - energies[1]) / 1e-2, abs=1e-4)
    np.testing.assert_allclose(label.forces.sum(0), 0, atol=1e-5)


def test_pyscf_refuses_crystals():
    with pytest.raises(InputError, match="periodic"):
        engine_named("pyscf").label(ase.build.bulk("NaCl", "rocksalt", a=5.64))


def test_fragments_must_add_up():
    pair = ase.Atoms("KCl", [[0, 0, 0], [0, 0, 3.0]], info={"charge": 1, "fragment_charges": [1, -1]})
    pair.arrays["fragment"] = np.array([0, 1])
    with pytest.raises(InputError, match="sum to 0"):
        fragments_of(pair)


@pytest.mark.parametrize(
    ("name", "said"), [("psi4", "choose pyscf"), ("ase:nowhere:X", "nowhere"), ("ase:ase.calculators.emt:EMU", "EMU")]
)
def test_unknown_engines(name, said):
    with pytest.raises(InputError, match=said):
        engine_named(name)


def test_any_ase_calculator(tmp_path):
    frames = [ase.build.bulk("Cu", cubic=True), ase.build.bulk("Al", cubic=True)]
    out = tmp_path / "labelled.xyz"
    outcome = label_structures(frames, engine_named("ase:ase.calculators.emt:EMT"), out)
    assert outcome.labelled == 2
    from ase.calculators.emt import EMT

    for before, after in zip(frames, ase.io.read(out, ":")):
        before.calc = EMT()
        assert after.get_potential_energy() == pytest.approx(before.get_potential_energy())


class Fragile:
    """Fails on some structures, counts its calls in a file: workers are other processes."""

    provides = frozenset({"energy", "forces"})
    description = "a fragile engine"

    def __init__(self, log, *, broken=()):
        self.log, self.broken = log, broken

    def check(self, elements):
        pass

    def label(self, atoms):
        with self.log.open("a") as file:
            file.write(f"{len(atoms)}\n")
        if len(atoms) in self.broken:
            raise ConvergenceError("no luck")
        return Label(energy=-1.0 * len(atoms), forces=np.zeros((len(atoms), 3)))


def test_a_failure_is_reported_and_only_it_is_tried_again(tmp_path):
    frames = [ase.Atoms("H" * n, np.arange(3 * n).reshape(n, 3)) for n in (1, 2, 3)]
    log, out = tmp_path / "calls", tmp_path / "out.xyz"
    first = label_structures(frames, Fragile(log, broken=(2,)), out)
    assert first.labelled == 2
    assert first.failures == {1: "no luck"}
    second = label_structures(frames, Fragile(log), out)
    assert second.labelled == 3
    assert sorted(log.read_text().split()) == ["1", "2", "2", "3"]
    assert [len(frame) for frame in ase.io.read(out, ":")] == [1, 2, 3]


def test_parts_of_another_method_are_not_mixed(tmp_path):
    frames, out = [ase.Atoms("H")], tmp_path / "out.xyz"
    label_structures(frames, Fragile(tmp_path / "calls"), out)
    other = Fragile(tmp_path / "calls")
    other.description = "another engine"
    with pytest.raises(InputError, match="Choose another --out"):
        label_structures(frames, other, out)


def test_every_engine_describes_itself():
    pytest.importorskip("tblite")
    pytest.importorskip("pyscf")
    for name, said in (("tblite", "GFN2"), ("pyscf", "def2-svpd"), ("ase:ase.calculators.emt:EMT", "EMT")):
        assert said in engine_named(name).description


def test_tblite_labels_a_file(tmp_path):
    pytest.importorskip("tblite")
    out = tmp_path / "water.xyz"
    assert label_structures([water()], engine_named("tblite"), out).labelled == 1
    assert "mulliken_charges" in ase.io.read(out).arrays


@pytest.mark.parametrize(("spin", "said"), [(0.5, "integer spin, not 0.5"), (-2, "0 or above"), ("two", "an integer")])
def test_tblite_takes_no_spin_that_is_no_number_of_electrons(spin, said):
    pytest.importorskip("tblite")
    water = ase.build.molecule("H2O")
    water.info["spin"] = spin
    with pytest.raises(InputError, match=said):
        engine_named("tblite").label(water)

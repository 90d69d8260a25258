"""Frames of isolated atoms and of one element alone: E0 is exact, and the physics of the compounds stays as it is."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest

import farfield as ff
from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.data.statistics import fit_statistics
from farfield.errors import InputError
from farfield.probe import ModelSubject, scorecard
from farfield.report import write_report
from farfield.train.config import RunConfig
from farfield.train.run import prepare, train
from farfield.units import COULOMB

E0 = {"Na": -3.0, "Cl": -5.0}
IONIZED = 1.5
"""eV, of Na+ and Cl- far apart above the atoms: ionization energy less electron affinity, about."""
ROOMS = {
    "charges fixed": {"kind": "charges", "conservation": "fixed"},
    "latent shift": {"kind": "latent"},
    "latent bond": {"kind": "latent", "conservation": "bond"},
    "qeq": {"kind": "qeq"},
    "qeq split": {"kind": "qeq", "transfer": "split_charge"},
    "polarizable": {"kind": "polarizable", "conservation": "bond"},
    "scf": {"kind": "scf"},
    "short_range": {"kind": "short_range"},
}
FORMAL = ("charges fixed", "latent shift", "latent bond", "qeq split", "polarizable")


def pair(distance):
    """Born-Mayer and point ions."""
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [distance, 0, 0]])
    repulsion = 1500 * np.exp(-distance / 0.32)
    pull = COULOMB / distance**2 - repulsion / 0.32
    atoms.info["energy"] = sum(E0.values()) + IONIZED - COULOMB / distance + repulsion
    atoms.arrays["forces"] = np.array([[pull, 0, 0], [-pull, 0, 0]])
    return atoms


def pairs(count=30):
    return [pair(distance) for distance in np.linspace(2.2, 6.0, count)]


def labelled(atoms, energy):
    atoms.info["energy"] = energy
    atoms.arrays["forces"] = np.zeros((len(atoms), 3))
    return atoms


def atom(symbol, box=None):
    periodic = {} if box is None else {"cell": [box] * 3, "pbc": True}
    return labelled(ase.Atoms(symbol, **periodic), E0[symbol])


ATOMS = [atom("Na"), atom("Cl")]
BOXED = [atom("Na", 20.0), atom("Cl", 20.0)]
CHLORINE = [labelled(ase.Atoms("Cl2", [[0, 0, 0], [0, 0, d]]), -12.0) for d in (1.9, 2.0, 2.1)]
METAL = [labelled(ase.build.bulk("Na", "bcc", a), -1.0 - 0.1 * a) for a in (4.0, 4.2, 4.4)]


def written(path, frames):
    ase.io.write(path, frames, format="extxyz")
    return path


def config(path, room, **train):
    return RunConfig(
        data={"train": path, "test_fraction": 0.0},
        model={"paradigm": room, "backbone": {"channels": 4, "layers": 1, "cutoff": 4.0}},
        train={"epochs": 1, "precision": "float64", "threads": 1, **train},
    )


def pull_at(model, distance):
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [distance, 0, 0]])
    return model.eval()(ff.System.from_ase(atoms)).forces[1, 0].item()


@pytest.mark.parametrize(
    "room, atoms", [*((room, ATOMS) for room in ROOMS), *((room, BOXED) for room in ("latent shift", "qeq", "scf"))]
)
def test_the_isolated_atom_has_its_own_energy(tmp_path, room, atoms):
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *atoms]), ROOMS[room]))
    assert job.model.baseline == [-3.0, -5.0]
    for one in atoms:
        found = job.model(ff.System.from_ase(one))
        assert found.energy.item() == pytest.approx(one.info["energy"], abs=1e-12)
        assert found.charge_residual is None or found.charge_residual.item() == 0.0


@pytest.mark.parametrize(
    "room, others",
    [
        *((room, [*ATOMS, *CHLORINE, *METAL]) for room in FORMAL),
        *(("latent bond", some) for some in (ATOMS, BOXED, CHLORINE, METAL)),
    ],
)
def test_ions_far_apart_pull_as_ions(tmp_path, room, others):
    """Before any training: charges start as they would without the other frames."""
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *others]), ROOMS[room]))
    induced = 0.02 if room == "polarizable" else 0.0  # either ion's field polarizes the other
    assert pull_at(job.model, 15.0) == pytest.approx(-COULOMB / 15**2, rel=1e-4 + induced)
    (said,) = [n.message for n in job.notices if "charges of elements" in n.message]
    assert "Na +1 (usual), Cl -1 (usual)" in said
    assert f"{len(others)} neutral frames of one element alone" in said


@pytest.mark.parametrize("room", ["charges fixed", "latent bond", "qeq split"])
def test_one_element_alone_is_taken_and_carries_nothing(tmp_path, room):
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *CHLORINE, *METAL, *ATOMS]), ROOMS[room]))
    for frames in (CHLORINE, METAL, ATOMS):
        charges = job.model(ff.System.from_ase(frames), {"charges"}).charges
        assert charges.abs().max() < 0.2  # formal charges of nothing; bonds may hand over a little
        assert charges.sum().abs() < 1e-12
    with pytest.raises(InputError, match="charge"):
        job.model(ff.System.from_ase(ase.Atoms("NaCl2", [[0, 0, 0], [2.4, 0, 0], [-2.4, 0, 0]])))


def test_a_metal_of_one_atom_a_cell_is_no_isolated_atom(tmp_path):
    path = written(tmp_path / "a.xyz", [*pairs(), *METAL])
    found = fit_statistics(read_frames(path, DataConfig(train=path)), 5.0)
    assert not found.isolated.any()
    assert not found.pinned.any()
    assert found.ion_charge.isnan().all()


@pytest.mark.parametrize("room", FORMAL)
def test_a_metal_and_its_supercell_agree(tmp_path, room):
    """An energy by atom, whether a cell holds one atom or eight; also where isolated atoms are known."""
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *METAL, *ATOMS]), ROOMS[room]))
    one, eight = (job.model(ff.System.from_ase(a)).energy.item() for a in (METAL[0], METAL[0] * (2, 2, 2)))
    assert eight == pytest.approx(8 * one, abs=1e-6)


@pytest.mark.parametrize("room", ["short_range", "latent shift"])
def test_a_metal_whose_neighbours_lie_beyond_the_cutoff(tmp_path, room):
    """As in bcc caesium at a cutoff of 5 Å: no isolated atom, though the network sees nobody, and so its supercell."""
    wide = [labelled(ase.build.bulk("Na", "sc", a), -1.0) for a in (5.0, 6.0)]
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *wide, *ATOMS]), ROOMS[room]))
    one, eight = (job.model(ff.System.from_ase(a)).energy.item() for a in (wide[1], wide[1] * (2, 2, 2)))
    assert one != pytest.approx(-3.0, abs=0.1)
    assert eight == pytest.approx(8 * one, abs=1e-6)


def test_an_ion_in_a_box_is_no_ion_alone(tmp_path):
    """Its energy is that of a lattice of ions in a background: what it has far from others is another."""
    boxed = labelled(ase.Atoms("Na", cell=[12] * 3, pbc=True, info={"charge": 1.0}), -1.0)
    open_ion = labelled(ase.Atoms("Cl", info={"charge": -1.0}), -8.0)
    frames = pairs()
    for frame in frames:
        frame.info["charge"] = 0.0
    job = prepare(config(written(tmp_path / "a.xyz", [*frames, boxed, open_ion]), ROOMS["charges fixed"]))
    assert job.statistics.pinned.tolist() == [False, True]
    assert job.model(ff.System.from_ase(open_ion)).energy.item() == pytest.approx(-8.0, abs=1e-9)


def test_a_metal_alone_starts_without_charges(tmp_path):
    """Nothing tells what its element carries in a compound."""
    job = prepare(config(written(tmp_path / "a.xyz", METAL), ROOMS["latent shift"]))
    assert job.model.paradigm.charges.element_charge[11].item() == 0.0


def test_given_charges_count_beside_isolated_atoms(tmp_path):
    path = written(tmp_path / "a.xyz", [*pairs(), *ATOMS])
    for conservation in ("shift", "bond", "fixed"):
        room = {"kind": "latent", "conservation": conservation, "formal_charges": {"Na": 0.9, "Cl": -0.9}}
        job = prepare(config(path, room))
        charges = job.model.paradigm.charges.element_charge[[11, 17]]
        assert charges.tolist() == pytest.approx([0.9, -0.9])
        assert "Na +0.9 (given)" in " ".join(n.message for n in job.notices)


def test_atoms_and_ions_both_alone(tmp_path):
    """The atom is the baseline, and the ion is what is left of a compound torn apart: both exact."""
    charged = [ase.Atoms("Na", info={"charge": 1.0}), ase.Atoms("Cl", info={"charge": -1.0})]
    ions = [labelled(ion, energy) for ion, energy in zip(charged, (2.1, -8.6))]
    frames = [*pairs(), atom("Na"), atom("Cl")]
    for frame in frames:
        frame.info["charge"] = 0.0
    job = prepare(config(written(tmp_path / "a.xyz", [*frames, *ions]), ROOMS["latent shift"]))
    assert job.statistics.pinned.all()
    assert job.statistics.offset.tolist() == pytest.approx([5.1, -3.6])
    for one, energy in zip([*ATOMS, *ions], [-3.0, -5.0, 2.1, -8.6]):
        assert job.model(ff.System.from_ase(one)).energy.item() == pytest.approx(energy, abs=1e-9)


def test_saved_models_keep_their_atoms(tmp_path):
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *ATOMS]), ROOMS["latent bond"]))
    ff.model.save(job.model, tmp_path / "model.pt")
    again = ff.load(tmp_path / "model.pt")
    batch = ff.System.from_ase([*ATOMS, pair(3.0)])
    assert again(batch).energy.tolist() == job.model.eval()(batch).energy.tolist()


@pytest.mark.parametrize("kind", ["charges", "latent"])
def test_charges_of_zero_are_said_everywhere(tmp_path, kind):
    room = {"kind": kind, "conservation": "fixed", "formal_charges": {"Na": 0.0, "Cl": 0.0}}
    job = prepare(config(written(tmp_path / "a.xyz", pairs()), room))
    assert any(n.grade == "warning" and "every formal charge is 0" in n.message for n in job.notices)
    result = train(job, tmp_path / "run", on_progress=lambda *_: None)
    assert any("every charge of this model is 0" in warning for warning in result.warnings)
    write_report(tmp_path / "r.html", [result], title="x")
    assert 'role="alert"' in (tmp_path / "r.html").read_text()
    card = scorecard(ModelSubject.of(ff.load(tmp_path / "run" / "model.pt")), laws=["force"], structures=[pair(3.0)])
    assert "is 0" in card.warnings[0]


def test_models_with_charges_are_not_accused(tmp_path):
    job = prepare(config(written(tmp_path / "a.xyz", [*pairs(), *ATOMS]), ROOMS["latent bond"]))
    assert all(notice.grade == "note" for notice in job.notices)
    assert scorecard(ModelSubject.of(job.model), laws=["force"], structures=[pair(3.0)]).warnings == ()
    assert prepare(config(written(tmp_path / "b.xyz", pairs()), {"kind": "short_range"})).notices == ()


@pytest.mark.slow
@pytest.mark.parametrize("room", ["charges", "latent shift", "latent bond", "qeq split"])
@pytest.mark.parametrize("others", [[], ATOMS], ids=["without", "with"])
def test_trained_pulls_are_those_of_ions(tmp_path, room, others):
    frames = [*pairs(40), *others]
    chosen = ROOMS.get(room, {"kind": "charges"})
    job = prepare(
        RunConfig(
            data={"train": written(tmp_path / "a.xyz", frames), "test_fraction": 0.0},
            model={"paradigm": chosen, "backbone": "fast"},
            train={"epochs": 80, "threads": 1},
        )
    )
    train(job, tmp_path / "run", on_progress=lambda *_: None)
    assert pull_at(ff.load(tmp_path / "run" / "model.pt"), 15.0) == pytest.approx(-COULOMB / 15**2, rel=0.05)

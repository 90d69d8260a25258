"""What ``check_file`` proposes is accepted as a configuration and reads the file as it is."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest
import yaml

from farfield.cli.main import main
from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.read import read_frames

GPA = 160.2176634
"""One eV/Å³."""
VOIGT, VASP = [0, 4, 8, 5, 2, 1], [0, 4, 8, 1, 5, 2]


def structures(kind, count=6):
    rng = np.random.default_rng(3)
    frames = []
    for _ in range(count):
        atoms = ase.build.molecule("H2O") if kind != "crystal" else ase.build.bulk("NaCl", "rocksalt", 5.6, cubic=True)
        if kind == "box":
            atoms.center(10.0)
            atoms.pbc = True
        atoms.rattle(0.05, rng=rng)
        forces = rng.normal(size=(len(atoms), 3))
        atoms.arrays["forces"] = forces - forces.mean(0)
        atoms.info |= {"energy": -14.0 + rng.normal(), "charge": 0}
        frames.append(atoms)
    return frames


def labelled(kind, **labels):
    """Structures with more in ``info`` (or, a row an atom, in ``arrays``); a function is told stress and volume."""
    frames = structures(kind)
    rng = np.random.default_rng(4)
    for atoms in frames:
        tension = rng.normal(size=(3, 3)) * 0.02
        for key, value in labels.items():
            if callable(value):
                value = value((tension + tension.T) / 2, atoms.cell.volume)
            place = atoms.arrays if np.ndim(value) and len(value) == len(atoms) and "dip" not in key else atoms.info
            place[key] = value
    return frames


def without(frames, *keys):
    for atoms in frames:
        for key in keys:
            atoms.info.pop(key, None)
            atoms.arrays.pop(key, None)
    return frames


def opened(frames):
    """The first half is periodic along two axes only."""
    for atoms in frames[: len(frames) // 2]:
        atoms.pbc = [True, True, False]
    return frames


CHARGES = np.array([-0.8, 0.4, 0.4])
SITUATIONS = {
    "plain": lambda: structures("molecule"),
    "other names": lambda: without(
        labelled("molecule", TotEnergy=lambda s, v: -14 + s[0, 0], F=np.diag([1.0, -1.0, 0.0])), "energy", "forces"
    ),
    "single atoms": lambda: [*structures("molecule"), ase.Atoms("O", info={"energy": -2.0, "charge": 0})],
    "energies without forces": lambda: without(structures("molecule"), "forces"),
    "forces without energies": lambda: labelled("molecule", energy=0.0),
    "two energies": lambda: labelled("molecule", free_energy=lambda s, v: -20.0 + s[0, 0]),
    "total charge": lambda: without(labelled("molecule", total_charge=0), "charge"),
    "two charges": lambda: labelled("molecule", initial_charges=CHARGES / 2, q_ref=CHARGES, my_charge=CHARGES),
    "undefined labels": lambda: [*labelled("molecule", q_ref=CHARGES), *labelled("molecule", q_ref=CHARGES * np.nan)],
    "molecules with stress": lambda: labelled("molecule", dft_stress=np.zeros(6)),
    "unit in the name": lambda: without(labelled("molecule", energy_Ha=lambda s, v: -76.4 + s[0, 0]), "energy"),
    "molecules among crystals": lambda: [
        *labelled("molecule", dipole=CHARGES), *without(structures("crystal"), "dipole")
    ],
    "multiplicity": lambda: labelled("molecule", spin_multiplicity=1),
    "molecules in boxes": lambda: labelled("box", dipole=CHARGES),
    "stress": lambda: labelled("crystal", dft_stress=lambda s, v: s),
    "six numbers": lambda: labelled("crystal", dft_stress=lambda s, v: s.ravel()[VOIGT]),
    "six numbers of nobody knows what": lambda: labelled("crystal", virial_stress=lambda s, v: s.ravel()[VASP] * 1602),
    "unit of the stress in the name": lambda: labelled("crystal", stress_GPa=lambda s, v: s * GPA),
    "virial": lambda: labelled("crystal", dft_virial=lambda s, v: -s * v),
    "stress and virial": lambda: labelled(
        "crystal", dft_virial=lambda s, v: -s * v, dft_stress=lambda s, v: s.ravel()[VASP] * 10 * GPA
    ),
    "contradiction": lambda: labelled("crystal", dft_virial=lambda s, v: -s * v, dft_stress=lambda s, v: -s),
    "slabs among crystals": lambda: opened(labelled("crystal", dft_stress=lambda s, v: s)),
    "virials of crystals among slabs": lambda: opened(labelled("crystal", dft_virial=lambda s, v: -s * v)),
    "slabs": lambda: opened(labelled("crystal", dft_stress=lambda s, v: s))[:3],
    "polarization": lambda: [*labelled("crystal", polarization_dip=0), *labelled("crystal", dft_polarization=CHARGES)],
}  # fmt: skip
"""Files as people have them."""


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_proposal_reads_the_file(situation, tmp_path):
    ase.io.write(tmp_path / "a.xyz", SITUATIONS[situation](), format="extxyz", write_results=False)
    report = check_file(tmp_path / "a.xyz")
    assert not report.failed
    config = DataConfig(**yaml.safe_load(yaml.safe_dump(report.config)))
    frames = read_frames(config.train_paths, config)
    assert len(frames) == report.frames
    proposed = {"stress" if name == "virial" else name for name in report.config} & set(vars(frames[0].labels))
    assert {name for name in proposed if report.config.get(name, "virial") is not None} <= frames[0].labels.targets


def test_every_key_has_its_use_on_the_terminal(tmp_path, capsys):
    frames = labelled("molecule", initial_charges=CHARGES, kinetic_energy=0.1)
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    assert main(["data", "check", str(tmp_path / "a.xyz")]) == 0
    shown = capsys.readouterr().out
    assert "taken as" in shown
    assert "not proposed  kinetic_energy: an energy of motion" in shown


def test_a_file_with_an_error_exits_with_1(tmp_path, capsys):
    frames = structures("molecule")
    frames[2].info["energy"] = "********"
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    assert main(["data", "check", str(tmp_path / "a.xyz")]) == 1
    shown = capsys.readouterr().out
    assert "energy is no number in frame 2" in shown
    assert "To train on it" not in shown

"""``farfield label`` as typed."""

import ase
import ase.build
import ase.io
import pytest

from farfield.cli.main import main
from farfield.data.catalogue import embedded_sets
from farfield.reference import run

EMT = "ase:ase.calculators.emt:EMT"


@pytest.fixture
def copper(tmp_path, monkeypatch):
    """A folder to stand in, and structures in another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "cu.xyz"
    ase.io.write(path, ase.build.bulk("Cu", cubic=True), format="extxyz")
    return path


def test_labels_go_beside_the_structures(copper):
    assert main(["label", str(copper), "--engine", EMT]) == 0
    assert (copper.parent / "cu_labelled.xyz").exists()


def test_labels_of_an_embedded_set_go_here(copper, monkeypatch):
    written = []
    name = embedded_sets()[0].name
    monkeypatch.setattr(
        run, "label_structures", lambda frames, engine, out, **_: written.append(out) or run.Outcome(1, {})
    )
    assert main(["label", f"embedded:{name}", "--engine", EMT]) == 0
    assert [str(path) for path in written] == [f"{name}_labelled.xyz"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "0"], "at least 1 worker, not 0"),
        (["--workers", "-3"], "at least 1 worker, not -3"),
        (["--out", "nowhere/out.xyz"], "no folder nowhere"),
        (["--out", "data"], "data is a folder"),
    ],
)
def test_what_cannot_start_says_so(copper, arguments, said, capsys):
    assert main(["label", str(copper), "--engine", EMT, *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(copper.parent.parent.glob("**/*.parts"))


def test_all_frames_failed(copper, capsys):
    uranium = copper.with_name("u.xyz")
    ase.io.write(uranium, ase.Atoms("U"), format="extxyz")  # EMT: NotImplementedError
    assert main(["label", str(uranium), "--engine", EMT]) == 1
    said = capsys.readouterr().out
    assert "is not written" in said
    assert "frame 0 failed: " in said
    assert not (copper.parent / "u_labelled.xyz").exists()


def test_stopped(copper, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "label_structures", interrupted)
    assert main(["label", str(copper), "--engine", EMT]) == 130
    assert "kept in" in (said := capsys.readouterr().out)
    assert "cu_labelled.xyz.parts" in said


def test_charges_by_another_name_are_said_before_the_first_frame(copper, capsys, monkeypatch):
    atoms = ase.io.read(copper)
    atoms.info |= {"total_charge": 1, "spin_multiplicity": 1}
    ase.io.write(copper, atoms, format="extxyz")
    monkeypatch.setattr(run, "label_structures", lambda *_, **__: run.Outcome(1, {}))
    assert main(["label", str(copper), "--engine", EMT]) == 0
    said = capsys.readouterr().err
    assert 'cu.xyz: info has "total_charge", 1 in 1 of 1 frames' in said
    assert "multiplicity" not in said  # of no unpaired electron


def test_it_is_said_how_a_calculator_gets_charge_and_spin(copper, capsys, monkeypatch):
    monkeypatch.setattr(run, "label_structures", lambda *_, **__: run.Outcome(1, {}))
    assert main(["label", str(copper), "--engine", EMT]) == 0
    assert "handed over" not in capsys.readouterr().err
    atoms = ase.io.read(copper)
    atoms.info["spin"] = 1
    ase.io.write(copper, atoms, format="extxyz")
    assert main(["label", str(copper), "--engine", EMT]) == 0
    assert "whether EMT reads them" in capsys.readouterr().err

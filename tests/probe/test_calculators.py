"""Foreign calculators: what is wrong with one is said of it, and of nothing else."""

import sys
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixCom, Hookean

from farfield.cli.main import main
from farfield.probe import LAWS, CalculatorSubject, scorecard

sys.path.append(str(Path(__file__).parent))
import planted  # beside this file, and found by name as a user's would be


def judged(calculator, *laws, **options):
    """A scorecard of a foreign calculator of sodium and chlorine."""
    subject = CalculatorSubject(calculator, "planted", (11, 17), reach=8.0, cutoff=8.0)
    return scorecard(subject, laws=laws, fast=True, **options)


@pytest.fixture
def probe(tmp_path, monkeypatch, capsys):
    """``probe(calculator, laws)`` as typed: exit code, and the table and messages in one line each."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, laws: str, *more: str) -> tuple[int, str, str]:
        code = main(["probe", "--ase", name, "--elements", "Na,Cl", "--fast", "--laws", laws, *more])
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), " ".join(said.err.split())

    return run


def test_words_of_a_program_are_shown_as_they_are(probe):
    _, out, _ = probe("planted:Markup", "force")
    table = out.replace("│", "").replace(" ", "")
    for word in ("[/tmp/weights]", "[a,b]", ":smile:"):
        assert word in table
    assert main(["probe", "--list"]) == 0


def test_nothing_judged_is_not_success(probe):
    code, out, err = probe("planted:Crash", "force,,rotation,")
    assert code == 2
    assert "no law could be judged" in err
    assert err.count("RuntimeError: out of memory") == 1
    assert "rotation" in out
    code, _, err = probe("planted:Ions", "born_sum")
    assert code == 2
    assert "gives no Born charges" in err
    assert probe("planted:Nothing", "cost")[0] == 0  # which judges nothing


def test_what_is_refused_is_left_out_and_the_rest_is_judged():
    card = judged(planted.Ions(), "force", "rotation", "reflection", "translation", "permutation", "total_charge")
    for found in card.findings:
        assert found.status == "pass", found
        assert "The crystal was left out: planted gave up on Na4Cl4: ValueError: molecules only." in found.explanation


def test_constraints_and_a_second_energy_break_no_law():
    """Laws are judged on structures that nothing holds, by the energy whose slope the forces are."""
    ions = ase.Atoms("NaClNaCl", [[0, 0, 0], [2.4, 0.1, 0], [2.5, 2.6, 0.2], [0.1, 2.4, 0.3]])
    laws = ("force", "rotation", "reflection", "translation", "permutation", "size_consistency", "smoothness")
    for held in (FixAtoms([0, 2]), Hookean(a1=0, a2=(5.0, 5.0, 5.0), rt=0.5, k=5.0), FixCom()):
        ions.set_constraint(held)
        card = judged(planted.Held(), *laws, structures=[ions])
        assert {f.status for f in card.findings} <= {"pass", "info"}, card.failed
    assert ions.constraints == [held]


def test_one_bad_number_is_one_fault_said_clearly():
    shape = "The forces that planted gives of 8 atoms have the shape (1, 3), not (8, 3)."
    assert [f.explanation for f in judged(planted.Rows(), "force", "translation").failed] == [shape, shape]
    (found,) = judged(planted.Nan(), "force").failed
    assert found.explanation == "The energy of Na4Cl4 is not a number."


def test_a_calculator_of_zeros_is_judged_to_the_end():
    card = judged(planted.Nothing(), *(name for name in LAWS if name not in ("smoothness", "cost")))
    said = {f.law: f for f in card.findings}
    assert said["charge_charge"].status == said["lo_to"].status == "skip"
    assert "charges are zero" in said["charge_charge"].explanation
    assert "charges are zero" in said["lo_to"].explanation
    assert [f.law for f in card.failed] == ["dissociation"]  # an ion without its charge


def test_a_law_that_breaks_down_leaves_the_others(monkeypatch):
    def stumbles(stage):
        return 1 / 0

    monkeypatch.setitem(LAWS, "rotation", replace(LAWS["rotation"], judge=stumbles))
    card = judged(planted.Ions(), "rotation", "translation")
    assert [f.status for f in card.findings] == ["fail", "pass"]
    assert "could not be judged: ZeroDivisionError" in card.findings[0].explanation


@pytest.mark.parametrize("depth", [3.0, 20.0, 100.0, 1000.0, 20000.0])
def test_single_precision_is_no_fault(depth):
    calculator = planted.Single()
    calculator.depth = depth
    card = judged(calculator, *(name for name in LAWS if name != "cost"))
    assert [f.law for f in card.failed] == []
    assert card.count("pass") >= 6


def test_wrong_forces_of_single_precision():
    calculator = planted.Single()
    calculator.wrong = 1.01
    assert [f.law for f in judged(calculator, "force", "rotation").failed] == ["force"]


def test_a_ripple_with_the_place_is_no_rounding():
    (found,) = judged(planted.Ripple(), "rotation", "reflection", "permutation", "translation").failed
    assert found.law == "translation"
    assert "origin" in found.explanation
    assert found.tolerance < 1e-4


def test_an_exponent_that_drowns_in_rounding_is_not_judged():
    calculator = planted.Single()
    calculator.depth = 3000.0
    (found,) = judged(calculator, "dipole_dipole").findings
    assert found.status == "skip"
    assert "rounding" in found.explanation


def test_the_stress_is_as_good_as_forces_are_asked_to_be():
    """Volume × stress of 40 eV, right to 10⁻⁴ of it."""
    from farfield.probe import Seen

    class Gas:
        name, species, gives = "gas", (11, 17), frozenset({"energy", "stress"})
        reach = cutoff = 8.0
        batches = takes_charge = takes_field = False
        error = 1e-4

        def total_charge(self, numbers):
            return 0.0

        def __call__(self, frames, want):
            out = []
            for frame in frames:
                volume = frame.get_volume()
                stress = -40 * (1 + self.error) / volume * np.eye(3)
                out.append(Seen(energy=-40 * np.log(volume), stress=stress))
            return out

    gas = Gas()
    assert not scorecard(gas, laws=["stress"], fast=True).failed
    gas.error = 1e-3
    assert scorecard(gas, laws=["stress"], fast=True).failed


@pytest.mark.parametrize(("calculator", "said"), [(planted.Ions, "like charges attract"), (planted.Silent, "repel")])
def test_the_wrong_sign_of_the_coulomb_energy(calculator, said):
    right, wrong = calculator(), calculator()
    wrong.sign = -1.0
    assert not judged(right, "charge_charge").failed
    (found,) = judged(wrong, "charge_charge").failed
    assert said in found.explanation


def test_a_calculator_of_the_current_folder(tmp_path, monkeypatch, capsys):
    from farfield.reference.engines import calculator_named

    (tmp_path / "kept_here.py").write_text("from planted import Ions\n\n\nclass Mine(Ions):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    assert main(["probe", "--ase", "kept_here:Mine", "--elements", "Na,Cl", "--fast", "--laws", "permutation"]) == 0
    assert "✓" in capsys.readouterr().out
    assert calculator_named("kept_here:Mine").calculator == "Mine"  # as farfield label finds it


def test_a_batch_of_what_is_taken():
    """Members that the model refuses are left out of the batch."""
    subject = CalculatorSubject(planted.Ions(), "planted", (11, 17), reach=8.0, cutoff=8.0, batches=True)
    (found,) = scorecard(subject, laws=["batch"], fast=True).findings
    assert found.status == "pass"
    assert "The crystal was left out" in found.explanation


def test_charges_of_zero_that_are_felt():
    class Mute(planted.Ions):
        def fill(self, energy, forces, charges):
            super().fill(energy, forces, 0 * charges)

    (found,) = judged(Mute(), "charge_charge").failed
    assert "others enter its energy" in found.explanation

"""``farfield probe`` as a user types it, and its page."""

import json

import ase.io
import pytest
import yaml
from ase.build import bulk

import farfield as ff
from farfield.cli.main import main
from farfield.model import save

COMPARED = {
    "data": {"train": "salt.xyz"},
    "model": {"paradigm": {"kind": "latent"}, "backbone": {"channels": 4, "layers": 1, "cutoff": 4.0}},
    "train": {"epochs": 1, "batch_size": 4, "threads": 1},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a model, a salt and us in it."""
    monkeypatch.chdir(tmp_path)
    model = ff.new_model({"kind": "short_range"}, species=["Na", "Cl"], seed=1, backbone={"channels": 4})
    save(model, "model.pt")
    frames = []
    for k in range(10):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        atoms.rattle(0.1, seed=k)
        atoms.info["energy"], atoms.arrays["forces"] = -30.0 + 0.1 * k, 0 * atoms.positions
        frames.append(atoms)
    ase.io.write("salt.xyz", frames, format="extxyz")
    slab = frames[0].copy()
    slab.pbc = [True, True, False]
    ase.io.write("slab.xyz", slab, format="extxyz")
    return tmp_path


def test_scorecard_in_the_terminal_in_json_and_on_a_page(place, capsys):
    arguments = ["probe", "model.pt", "--fast", "--structure", "salt.xyz", "--out", "judged"]
    assert main([*arguments, "--laws", "force,rotation,charge_charge,batch,born_sum,cost"]) == 1
    said = capsys.readouterr()
    assert "4 laws that apply hold" in " ".join(said.out.split())
    assert "charge_charge" in said.out
    card = json.loads((place / "judged" / "scorecard.json").read_text())
    found = [(f["law"], f["status"]) for f in card["findings"]]
    assert found[:3] == [("force", "pass"), ("rotation", "pass"), ("charge_charge", "fail")]
    assert found[3:] == [("batch", "pass"), ("born_sum", "skip"), ("cost", "info")]
    page = (place / "judged" / "scorecard.html").read_text()
    assert "short-ranged" in page
    assert "Consistency was judged on salt.xyz." in page
    assert page.count("<img ") == 3
    assert not {"<script", "http://www", "url("} & set(page.split())
    assert main([*arguments, "--laws", "force"]) == 0


def test_a_field_in_a_structure_is_left_out_and_said(place):
    """It would stay while the structure is turned, and every law of symmetry would cry wolf."""
    save(ff.new_model({"kind": "charges"}, species=["Na", "Cl"], seed=1, backbone={"channels": 4}), "charges.pt")
    frames = ase.io.read("salt.xyz", ":2")
    frames[1] = ase.Atoms(frames[1].numbers, frames[1].positions)
    for atoms in frames:
        atoms.info["external_field"] = [0.05, 0.1, -0.05]
    ase.io.write("field.xyz", frames, format="extxyz")
    laws = "rotation,reflection,wrapping,stress,supercell"
    assert main(["probe", "charges.pt", "--structure", "field.xyz", "--laws", laws, "--fast", "--out", "judged"]) == 0
    assert "external field was left out" in (place / "judged" / "scorecard.html").read_text()


def test_an_ase_calculator_by_name(place, capsys):
    ase.io.write("cu.xyz", bulk("Cu", cubic=True), format="extxyz")
    arguments = ["probe", "--ase", "ase.calculators.emt:EMT", "--laws", "force,total_charge", "--fast"]
    assert main([*arguments, "--structure", "cu.xyz"]) == 0
    assert (place / "probe_EMT" / "scorecard.html").exists()
    assert main([*arguments, "--elements", "Cu,Au"]) == 0
    assert "gives no charges" in " ".join(capsys.readouterr().out.split())


def test_the_laws_are_listed(capsys):
    assert main(["probe", "--list"]) == 0
    out = capsys.readouterr().out
    assert "lo_to" in out
    assert "LO-TO splitting" in out


BAD = [
    (["probe"], "give a model.pt, or --ase"),
    (["probe", "model.pt", "--ase", "a:B"], "not both"),
    (["probe", "nowhere.pt"], "no model at nowhere.pt"),
    (["probe", "model.pt", "--laws", "forse"], "there is no law forse"),
    (["probe", "model.pt", "--structure", "slat.xyz"], "salt.xyz"),
    (["probe", "model.pt", "--structure", "slab.xyz"], "neither a crystal nor a molecule of 400 atoms"),
    (["probe", "model.pt", "--reach", "5"], "for --ase"),
    (["probe", "--ase", "ase.calculators.emt:EMT"], "--elements Na,Cl"),
    (["probe", "--ase", "ase.calculators.emt:EMT", "--elements", "Xx"], "Xx is no element"),
    (["probe", "--ase", "ase.calculators.emt:EMT", "--elements", "Cu", "--reach", "-1"], "length in Å"),
    (["probe", "--ase", "nowhere:EMT", "--elements", "Cu"], "nowhere"),
    (["probe", "--ase", "EMT", "--elements", "Cu"], "module:Class"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_clear_message(place, capsys, arguments, said):
    before = sorted(path.name for path in place.rglob("*"))
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert sorted(path.name for path in place.rglob("*")) == before


@pytest.mark.parametrize("probe", [False, "fast"])
def test_compare_shows_the_laws_model_by_model(place, probe):
    (place / "run.yaml").write_text(yaml.safe_dump({**COMPARED, "probe": probe}))
    assert main(["compare", "run.yaml", "--paradigms", "short_range,latent", "--out", "both"]) == 0
    page = (place / "both" / "report.html").read_text()
    assert ("Laws of physics" in page) == bool(probe)
    if probe:
        row = page[page.index("Ion and ion: 1/R") :].split("</tr>")[0]
        assert row.count("✗") == row.count("✓") == 1
        assert "short-ranged" in page


def test_marks_of_findings():
    from farfield.probe import Finding
    from farfield.report.laws import mark

    broken = mark(Finding("force", "Force", "fail", "Why.", expected=1.0, found=0.5))
    assert (broken.glyph, broken.aside) == ("✗", "0.500, not 1.00")
    assert mark(Finding("force", "Force", "pass", "Holds.", expected=1.0, found=1.0)).aside == ""
    assert mark(Finding("force", "Force", "fail", "The energy is not a number.")).aside == ""
    assert mark(None).glyph == "–"

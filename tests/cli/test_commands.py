"""The commands as a user types them, in a process of their own where exit codes and kills matter."""

import json
import subprocess
import sys
from dataclasses import replace

import ase
import ase.build
import ase.io
import numpy as np
import pytest
import yaml

from farfield.backbone.config import PRESETS, BackboneConfig
from farfield.cli.main import main
from farfield.config import to_plain, validated
from farfield.errors import InputError
from farfield.train.compare import prepared
from farfield.train.config import RunConfig
from farfield.train.runs import runs_of
from farfield.train.series import SERIES

CONFIG = {
    "data": {"train": "argon.xyz"},
    "model": {"paradigm": {"kind": "short_range"}, "backbone": {"channels": 4, "layers": 1, "cutoff": 4.0}},
    "train": {"epochs": 2, "batch_size": 4, "threads": 1},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with twelve frames of argon and a configuration, and us in it."""
    from ase.calculators.lj import LennardJones

    rng, frames = np.random.default_rng(0), []
    for _ in range(12):
        atoms = ase.Atoms("Ar4", 2.7 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1.0]]))
        atoms.positions += rng.normal(scale=0.1, size=(4, 3))
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.5, rc=12.0)
        frame = atoms.copy()
        frame.info["energy"], frame.arrays["forces"] = atoms.get_potential_energy(), atoms.get_forces()
        frames.append(frame)
    ase.io.write(tmp_path / "argon.xyz", frames, format="extxyz")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    latent = {"kind": "latent"}
    (tmp_path / "twice.yaml").write_text(yaml.safe_dump({**CONFIG, "compare": [latent, latent]}))
    (tmp_path / "typo.yaml").write_text(yaml.safe_dump({**CONFIG, "compare": [{**latent, "conservatoin": "bond"}]}))
    charged = {"paradigm": {**latent, "formal_charges": {"Ar": float("nan")}}}
    (tmp_path / "charged.yaml").write_text(yaml.safe_dump({**CONFIG, "model": charged}))
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_train_evaluate_md(place, capsys):
    assert main(["train", "run.yaml", "--train.seed", "3"]) == 0
    said = capsys.readouterr()
    assert "RMSE" in said.out
    assert "runs/run/report.html" in said.out
    written = {path.name for path in (place / "runs" / "run").iterdir()}
    assert {"model.pt", "config.yaml", "log.csv", "report.html", "splits.json"} <= written
    assert yaml.safe_load((place / "runs/run/config.yaml").read_text())["train"]["seed"] == 3
    splits = json.loads((place / "runs/run/splits.json").read_text())
    assert {name: len(frames) for name, frames in splits["splits"].items()} == {"train": 10, "valid": 1, "test": 1}
    assert main(["evaluate", "runs/run/model.pt", "argon.xyz", "--out", "judged"]) == 0
    said = capsys.readouterr().out
    assert "RMSE on argon.xyz" in said
    assert "trained in" not in said
    assert (place / "judged" / "report.html").exists()
    arguments = ["md", "runs/run/model.pt", "argon.xyz", "--steps", "4", "--every", "2", "--temperature", "10"]
    assert main([*arguments, "--timestep", "0.1"]) == 0
    assert len(ase.io.read(place / "md.traj", ":")) == 3


def test_the_electrostatic_part_of_the_energy_reaches_the_user(place, capsys):
    """By evaluate in words, numbers and frame by frame; by md in a column."""
    assert main(["train", "run.yaml", "--model.paradigm.kind", "latent", "--train.epochs", "1"]) == 0
    assert main(["evaluate", "runs/run/model.pt", "argon.xyz", "--out", "judged"]) == 0
    assert "the electrostatic part of the energy is" in capsys.readouterr().out.replace("\n", " ")
    whole = json.loads((place / "judged/errors.json").read_text())
    per_atom = np.load(place / "judged/predictions.npz")["energy_coulomb"] / 4
    assert whole["energy_coulomb"]["mean"] == pytest.approx(per_atom.mean())
    assert whole["energy_coulomb"]["standard_deviation"] == pytest.approx(per_atom.std())
    assert {row["measure"] for row in whole["errors"]} >= {"energy_per_atom", "forces"}
    assert main(["md", "runs/run/model.pt", "argon.xyz", "--steps", "2", "--every", "1", "--timestep", "0.1"]) == 0
    log = np.genfromtxt(place / "md.csv", delimiter=",", names=True)["energy_coulomb_eV"]
    frames = ase.io.read(place / "md.traj", ":")
    np.testing.assert_allclose(log, [frame.info["energy_coulomb"] for frame in frames], rtol=1e-9)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_compare(place, capsys, workers):
    assert (
        main(["compare", "run.yaml", "--paradigms", "short_range,latent", "--out", "both", "--workers", workers]) == 0
    )
    out = capsys.readouterr().out
    assert "short_range" in out
    assert "latent" in out
    assert (place / "both" / "report.html").exists()
    assert (place / "both" / "latent" / "model.pt").exists()
    splits = [(place / "both" / kind / "splits.json").read_text() for kind in ("short_range", "latent")]
    assert splits[0] == splits[1]


def test_compare_leaves_out_what_nobody_named_and_cannot_take_the_data(tmp_path):
    """Half an electron has no Wannier centroid; all other kinds can have it, and share it."""
    frames = [ase.Atoms("OHH", [[0, 0, 0], [0.9, 0.01 * k, 0], [0, 0, 1.0]], info={"charge": 0.5}) for k in range(12)]
    for k, atoms in enumerate(frames):
        atoms.info["energy"] = 0.1 * k
    ase.io.write(tmp_path / "half.xyz", frames, format="extxyz")
    data = {"train": tmp_path / "half.xyz", "forces": None}
    runs = runs_of(validated(RunConfig, {"data": data, "model": CONFIG["model"]}, ""))
    heard = []
    assert prepared(runs, named=False, on_notice=heard.append).keys() == runs.keys() - {"wannier"}
    assert any(notice.message.startswith("wannier is left out: ions and electrons") for notice in heard)
    with pytest.raises(InputError, match="whole charges"):
        prepared(runs, named=True)


def test_compare_one_kind_in_three_ways(place):
    """Each gets a run of its own, called by what sets it apart."""
    ways = [{"kind": "latent", "conservation": way} for way in ("shift", "bond", "fixed")]
    (place / "ways.yaml").write_text(yaml.safe_dump({**CONFIG, "compare": ways}))
    assert main(["compare", "ways.yaml"]) == 0
    written = {path.name for path in (place / "runs" / "ways_compared").iterdir()}
    assert written == {"latent-shift", "latent-bond", "latent-fixed", "report.html"}


def test_a_model_remembers_the_keys_of_its_data(place, capsys):
    """Total charges under another name must not be taken for zero when the model is evaluated."""
    frames = ase.io.read("argon.xyz", ":")
    for k, frame in enumerate(frames):
        frame.info["Q"] = float(k % 2)
    ase.io.write("q.xyz", frames, format="extxyz")
    config = {**CONFIG, "data": {"train": "q.xyz", "total_charge": "Q", "test": "q.xyz"}}
    (place / "q.yaml").write_text(
        yaml.safe_dump({**config, "model": {**CONFIG["model"], "paradigm": {"kind": "latent"}}})
    )
    assert main(["train", "q.yaml"]) == 0
    assert main(["evaluate", "runs/q/model.pt", "q.xyz", "--out", "judged"]) == 0
    from farfield.evaluation import Evaluation

    there, here = Evaluation.load("runs/q/test.npz"), Evaluation.load("judged/predictions.npz")
    np.testing.assert_allclose(here.compared["energy"].predicted, there.compared["energy"].predicted)
    assert main(["evaluate", "runs/q/model.pt", "q.xyz", "--dat.energy", "x"]) == 2
    assert "--data.KEY only" in capsys.readouterr().err


def test_evaluate_a_file_that_lacks_a_target(place, capsys):
    """What is beside energies and forces is left out; these are asked for with the option to type."""
    frames = ase.io.read("argon.xyz", ":")
    for frame in frames:
        frame.info |= {"S": np.eye(3), "kind": "gas"}
        frame.cell, frame.pbc = np.eye(3) * 30, True
    ase.io.write("stressed.xyz", frames, format="extxyz")
    data = {"train": "stressed.xyz", "stress": "S", "group": "kind", "stress_unit": "kbar"}
    (place / "s.yaml").write_text(yaml.safe_dump({**CONFIG, "data": data}))
    assert main(["train", "s.yaml", "--train.epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "runs/s/model.pt", "argon.xyz"]) == 0
    assert 'stress is not compared: argon.xyz has no "S"' in capsys.readouterr().err
    text = (place / "argon.xyz").read_text().replace("energy=", "REF_energy=")
    (place / "other.xyz").write_text(text)
    assert main(["evaluate", "runs/s/model.pt", "other.xyz"]) != 0
    assert "--data.energy REF_energy" in capsys.readouterr().err


def test_label_and_check(place, capsys):
    ase.io.write("cu.xyz", ase.build.bulk("Cu", cubic=True), format="extxyz")
    assert main(["label", "cu.xyz", "--engine", "ase:ase.calculators.emt:EMT"]) == 0
    assert ase.io.read("cu_labelled.xyz").get_potential_energy() < 1
    assert main(["data", "check", "argon.xyz"]) == 0
    assert "12" in capsys.readouterr().out


BAD = [
    (["train", "nowhere.yaml"], "nowhere.yaml"),
    (["train", "run.yaml", "--train.epocs", "5"], "did you mean epochs"),
    (["train", "run.yaml", "--train.learning_rate", "-1"], "greater than 0"),
    (["train", "run.yaml", "--model.backbone.cutoff", "-2"], "greater than 0"),
    (["train", "run.yaml", "--train.batch_size", "0"], "greater than or equal to 1"),
    (["train", "run.yaml", "--model.paradigm.kind", "latnet"], "did you mean latent"),
    (["train", "run.yaml", "--model.paradigm.widht", "1"], "unknown key"),
    (["train", "run.yaml", "--data.train", "agon.xyz"], "argon.xyz"),
    (["train", "run.yaml", "--data.forces", "force"], "--data.forces forces"),
    (["train", "run.yaml", "--epochs", "5"], "--section.key"),
    (["train", "run.yaml", "--train.epochs"], "--section.key value"),
    (["compare", "run.yaml", "--paradigms", "latent,magic"], "magic"),
    (["compare", "run.yaml", "--compare.x", "1"], "compare"),
    (["compare", "twice.yaml"], "latent twice"),
    (["compare", "typo.yaml"], "compare.0.conservatoin: unknown key; did you mean conservation?"),
    (["compare", "run.yaml", "--workers", "0"], "--workers"),
    (["train", "run.yaml", "--train.seed", "-1"], "greater than or equal to 0"),
    (["train", "run.yaml", "--data.seed", "-1"], "greater than or equal to 0"),
    (["train", "run.yaml", "--train.seed", "[1"], "cannot be read"),
    (["train", "run.yaml", "--train.device", "banana"], "train.device"),
    (["train", "binary.yaml"], "not a text file"),
    (["train", "--train.epochs", "5", "run.yaml"], "before --section.key"),
    (["train", "charged.yaml"], "finite"),
    (["evaluate", "nowhere.pt", "argon.xyz", "--dat.energy", "x"], "no model"),
    (["evaluate", "nowhere.pt", "argon.xyz"], "no model at nowhere.pt"),
    (["evaluate", "argon.xyz", "argon.xyz"], "not a farfield model"),
    (["md", "nowhere.pt", "argon.xyz"], "no model"),
    (["label", "argon.xyz", "--engine", "magic"], "choose pyscf"),
    (["label", "nowhere.xyz", "--engine", "tblite"], "nowhere.xyz"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_clear_message(place, capsys, arguments, said):
    before = sorted(path.name for path in place.rglob("*"))
    assert main(arguments) != 0
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert len(error.splitlines()) < 20
    assert sorted(path.name for path in place.rglob("*")) == before  # nothing half-written


def test_a_toml_configuration(place):
    text = '[data]\ntrain = "argon.xyz"\n[model.paradigm]\nkind = "short_range"\n[train]\nepochs = 1\nthreads = 1\n'
    (place / "run.toml").write_text(text + "[model.backbone]\nchannels = 4\nlayers = 1\n")
    assert main(["train", "run.toml"]) == 0


@pytest.mark.parametrize("text", ["data: [", "- a\n- b\n", "just words"])
def test_a_configuration_that_is_none(place, capsys, text):
    (place / "bad.yaml").write_text(text)
    assert main(["train", "bad.yaml"]) == 2
    assert "bad.yaml" in capsys.readouterr().err


def test_help_lists_every_key(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert "How the charges are made to sum to the total charge. (shift | bond | fixed)" in out
    for key in ("data.forces", "model.paradigm.conservation (latent)", "train.weights.energy", "model.backbone.l_max"):
        assert key in out


def test_exit_codes_in_a_shell(place):
    done = subprocess.run(
        [sys.executable, "-m", "farfield", "train", "nowhere.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot read the configuration nowhere.yaml")


def test_a_run_folder_that_cannot_be_made(place, capsys):
    (place / "taken").write_text("")
    assert main(["train", "run.yaml", "--out", "taken/run"]) == 2
    assert "cannot create the run folder" in capsys.readouterr().err


def test_paradigms_named_share_the_keys_of_the_one_that_is_written(place):
    plain = {
        **CONFIG,
        "model": {**CONFIG["model"], "paradigm": {"kind": "latent", "conservation": "bond", "width": 0.5}},
    }
    runs = runs_of(validated(RunConfig, plain, ""), ["charges", "short_range", "qeq", "latent"])
    rooms = {name: run.model.paradigm for name, run in runs.items()}
    assert (rooms["charges"].conservation, rooms["charges"].width) == ("bond", 0.5)
    assert rooms["latent"].conservation == "bond"
    assert rooms["qeq"].width == "covalent"  # the same word for something else


def test_an_entry_has_keys_of_the_backbone_to_itself(place):
    entries = [{"paradigm": {"kind": "short_range"}, "backbone": {"cutoff": 6.0, "layers": k}} for k in (1, 2)]
    runs = runs_of(validated(RunConfig, {**CONFIG, "compare": [*entries, {"kind": "latent"}]}, ""))
    own = validated(RunConfig, CONFIG, "").model.backbone
    assert list(runs) == ["short_range-cutoff_6-layers_1", "short_range-cutoff_6-layers_2", "latent"]
    assert [run.model.backbone.layers for run in runs.values()] == [1, 2, own.layers]
    assert runs["latent"].model.backbone == own
    assert runs["short_range-cutoff_6-layers_2"].model.backbone == replace(own, cutoff=6.0, layers=2)
    again = validated(
        RunConfig,
        {**CONFIG, "compare": to_plain(validated(RunConfig, {**CONFIG, "compare": entries}, ""))["compare"]},
        "",
    )
    assert list(runs_of(again)) == list(runs)[:2]
    wrong = [{"paradigm": {"kind": "short_range"}, "backbone": {"cutof": 6.0}}]
    with pytest.raises(InputError, match=r"compare \(short_range\).backbone.cutof: unknown key; did you mean cutoff"):
        runs_of(validated(RunConfig, {**CONFIG, "compare": wrong}, ""))
    wrong = [{"paradigm": {"kind": "short_range"}, "backbone": {"preset": "quick"}}]
    with pytest.raises(InputError, match=r"compare.0.backbone: there is no preset 'quick'"):
        validated(RunConfig, {**CONFIG, "compare": wrong}, "")
    for entry in ({"kind": "lode", "backbone": {"cutoff": 3.0}}, {"paradigm": "lode", "backbone": {"cutoff": 3.0}}):
        with pytest.raises(InputError, match=r"written \{kind: latent\}, or \{paradigm: \{kind: latent\}, backbone:"):
            validated(RunConfig, {**CONFIG, "compare": [entry]}, "")
    with pytest.raises(InputError, match="did you mean nonlocality"):
        runs_of(validated(RunConfig, CONFIG, ""), ["nonlocalty"])
    with pytest.raises(InputError, match=r"compare.0.backbon: unknown key; did you mean backbone"):
        validated(RunConfig, {**CONFIG, "compare": [{**entries[0], "backbon": {}}]}, "")


def test_an_entry_has_a_size_of_the_backbone_to_itself(place):
    """Whatever the size under model: is, and with its other keys."""
    model = {"paradigm": {"kind": "latent"}, "backbone": {"preset": "large", "cutoff": 6.0}}

    def sizes(*backbones):
        entries = [{"paradigm": {"kind": "latent"}, "backbone": backbone} for backbone in backbones]
        runs = runs_of(validated(RunConfig, {**CONFIG, "model": model, "compare": entries}, ""))
        return {name: run.model.backbone for name, run in runs.items()}

    found = sizes("fast", {"preset": "default"}, {"preset": "large", "l_max": 1})
    assert found == {
        "latent-preset_fast": BackboneConfig(cutoff=6.0, **PRESETS["fast"]),
        "latent-preset_default": BackboneConfig(cutoff=6.0),
        "latent-preset_large-l_max_1": BackboneConfig(cutoff=6.0, **{**PRESETS["large"], "l_max": 1}),
    }
    for wrong in ("fsat", {"preset": "fsat"}):
        with pytest.raises(InputError, match=r"compare.0.backbone: there is no preset 'fsat'"):
            sizes(wrong)


@pytest.mark.parametrize("series", SERIES)
def test_a_series_by_its_name_in_the_file_or_on_the_command_line(place, series):
    written = runs_of(validated(RunConfig, {**CONFIG, "compare": series}, ""))
    named = runs_of(validated(RunConfig, CONFIG, ""), [series])
    assert list(written) == list(named)
    assert len(written) == len(SERIES[series])
    with pytest.raises(InputError, match="the name of a series"):
        validated(RunConfig, {**CONFIG, "compare": "locality"}, "")


def test_runs_are_called_by_words_and_by_tables_only_where_they_must(place):
    def names(*rooms):
        return list(
            runs_of(validated(RunConfig, {**CONFIG, "compare": [{"kind": "qeq", **room} for room in rooms]}, ""))
        )

    assert names({}, {"transfer": "split_charge", "formal_charges": {"Ar": 0}}) == ["qeq-free", "qeq-split_charge"]
    assert names({"formal_charges": {"Ar": 1}}, {}) == ["qeq-{'Ar': 1.0}", "qeq-None"]


def test_keys_outside_sections_can_be_given_too(place, capsys):
    command = ["compare", "run.yaml", "--paradigms", "short_range", "--train.epochs", "1", "--probe", "false"]
    assert main([*command, "--out", "quick"]) == 0
    assert yaml.safe_load((place / "quick/short_range/config.yaml").read_text())["probe"] is False
    assert main(["train", "run.yaml", "--epochs", "1"]) == 2
    assert "names no key" in capsys.readouterr().err


def test_md_says_how_much_the_energy_has_changed_since_the_start(place, capsys):
    assert main(["train", "run.yaml"]) == 0
    command = ["md", "runs/run/model.pt", "argon.xyz", "--timestep", "5", "--temperature", "300", "--every", "2"]
    assert main([*command, "--steps", "2"]) == 0
    rows = np.genfromtxt(place / "md.csv", delimiter=",", names=True)["total_eV"]
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"{1e3 * (rows[-1] - rows[0]):+.2f} meV since the start" in said
    assert rows[-1] != rows[0]
    assert main([*command, "--steps", "2", "--ensemble", "nvt", "--out", "warm.traj"]) == 0
    assert "since the start" not in capsys.readouterr().out


def test_conditions_by_another_name_are_said_once_by_every_command(place, capsys):
    frames = ase.io.read("argon.xyz", ":")
    for frame in frames:
        frame.info["total_charge"] = 1
    ase.io.write("argon.xyz", frames, format="extxyz")
    few = ["--train.epochs", "1"]
    said = 'argon.xyz: info has "total_charge", 1 in 12 of 12 frames'
    assert main(["train", "run.yaml", "--out", "run", *few]) == 0
    assert capsys.readouterr().err.count(said) == 1
    assert main(["evaluate", "run/model.pt", "argon.xyz"]) == 0
    assert capsys.readouterr().err.count(said) == 1
    kinds = ["--paradigms", "short_range,charges", "--probe", "false"]
    assert main(["compare", "run.yaml", "--out", "both", *kinds, *few]) == 0
    assert capsys.readouterr().err.count(said) == 1

"""A stranger's package with a paradigm and a law of its own: used like what comes with farfield."""

import json
import os
import subprocess
import sys

import ase
import ase.io
import numpy as np
import pytest
import yaml

ROOM = '''
from typing import ClassVar, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from farfield.backbone.heads import AtomicEnergy
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.probe.finding import Check, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.system import per_system


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class RaisedConfig:
    """Atomic energies, raised."""

    kind: Literal["raised"] = "raised"
    """The paradigm."""
    height: float = 0.5
    """eV on top of every atom."""


class Raised(Paradigm):
    """Atomic energies and a constant."""

    Config: ClassVar = RaisedConfig

    def __init__(self, config, *, widths, species):
        super().__init__(config, widths=widths, species=species)
        self.height, self.atomic_energy = config.height, AtomicEnergy(widths)

    def prepare(self, statistics):
        self.atomic_energy.prepare(statistics)

    def forward(self, system, features):
        return Prediction(energy=per_system(self.atomic_energy(system, features) + self.height, system))


def judge(stage):
    """The energy of a molecule is finite."""
    energy = float(stage.energies([stage.molecule])[0])
    return Verdict((Check("energy", energy, energy, 1.0, "eV", "It is none."),), "It is a number.")


LAW = Law("finite", "Energies are numbers", judge, CONSISTENCY)
'''
USE = """
import json, sys
import farfield as ff
from farfield.cli.main import main

def run(words):
    try:
        return main(words.split())
    except SystemExit as leaving:
        return leaving.code or 0

codes = {words: run(words) for words in json.loads(sys.argv[1])}
"""
QUESTIONS = ["train --help", "probe --list", "train run.yaml --model.paradigm.hieght 1", "train lost.yaml"]
LOADED = """
model = ff.new_model({"kind": "raised", "height": 2.0}, species=["Ar"], backbone="fast")
ff.model.save(model, "model.pt")
"""
COMMANDS = [
    "train run.yaml",
    "evaluate runs/run/model.pt argon.xyz --out judged",
    "compare run.yaml --paradigms short_range,raised --out both --probe false",
    "probe runs/run/model.pt --laws finite --out card",
]
CHECKED = """
from farfield.testing import check_paradigm
check_paradigm(ff.new_model({"kind": "raised"}, species=["H", "O", "Na", "Cl"], backbone={"channels": 4}).eval())
"""
SAY = """
model = ff.load(sys.argv[2])
print(json.dumps([codes, type(model.paradigm).__module__, model.paradigm.height]))
"""


@pytest.fixture
def place(tmp_path):
    site = tmp_path / "site"
    (site / "farfield_raised-2.0.dist-info").mkdir(parents=True)
    (site / "farfield_raised.py").write_text(ROOM)
    (site / "farfield_raised-2.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: farfield-raised\nVersion: 2.0\n"
    )
    (site / "farfield_raised-2.0.dist-info" / "entry_points.txt").write_text(
        "[farfield.paradigms]\nraised = farfield_raised:Raised\nlost = farfield_raised:Lost\n"
        "[farfield.laws]\nfinite = farfield_raised:LAW\n"
    )
    rng, frames = np.random.default_rng(0), []
    for _ in range(8):
        atoms = ase.Atoms("Ar2", rng.normal(scale=0.1, size=(2, 3)) + np.array([[0, 0, 0], [3, 0, 0.0]]))
        atoms.info["energy"], atoms.arrays["forces"] = rng.normal(), rng.normal(size=(2, 3))
        frames.append(atoms)
    ase.io.write(tmp_path / "argon.xyz", frames, format="extxyz")
    config = {
        "data": {"train": "argon.xyz"},
        "model": {"paradigm": {"kind": "raised", "height": 2.0}, "backbone": {"channels": 4, "layers": 1}},
        "train": {"epochs": 1, "threads": 1},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    config["model"] = {"paradigm": {"kind": "lost"}}
    (tmp_path / "lost.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def used(place, code, commands, model):
    """Exit codes, what is on the two outputs; the model, loaded by its name, is the stranger's."""
    path = os.pathsep.join([str(place / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", USE + code + SAY, json.dumps(commands), model],
        capture_output=True, text=True, cwd=place, check=False,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *shown, last = done.stdout.splitlines()
    codes, module, height = json.loads(last)
    assert (module, height) == ("farfield_raised", 2.0)
    return codes, " ".join(" ".join(shown).split()), " ".join(done.stderr.split())


def test_what_a_package_adds_is_listed_configured_and_loaded(place):
    codes, shown, complaints = used(place, LOADED, QUESTIONS, "model.pt")
    assert list(codes.values()) == [0, 0, 2, 2], complaints
    assert "model.paradigm.height (raised) eV on top of every atom. [0.5]" in shown
    assert "The energy of a molecule is finite." in shown
    assert "model.paradigm.hieght: unknown key; did you mean height?" in complaints
    fault = "the paradigm lost of farfield-raised 2.0 cannot be used: AttributeError"
    assert f"warning: {fault}" in complaints  # where all are listed
    assert f"error: model.paradigm.kind: {fault}" in complaints  # where it is asked for


@pytest.mark.slow
def test_what_a_package_adds_is_trained_compared_and_judged(place):
    codes, _, complaints = used(place, CHECKED, COMMANDS, "runs/run/model.pt")
    assert set(codes.values()) == {0}, complaints
    assert "raised" in (place / "both" / "report.html").read_text()
    assert json.loads((place / "card" / "scorecard.json").read_text())["findings"][0]["status"] == "pass"

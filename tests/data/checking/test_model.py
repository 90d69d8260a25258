"""The whole configuration that ``farfield data check`` prints trains as it is; what a network does not see is said."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest
import yaml
from rich.console import Console

from farfield.cli.file_report import show_report
from farfield.config import validated
from farfield.data.check import check_file
from farfield.train.config import RunConfig
from farfield.train.run import prepare


def salts(count=6, pbc=True):
    frames = []
    for seed in range(count):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64)
        atoms.rattle(0.05, seed=seed)
        atoms.pbc = pbc
        forces = np.random.default_rng(seed).normal(size=(2, 3))
        atoms.arrays["forces"] = forces - forces.mean(0)
        atoms.info["energy"] = -7.0 + 0.01 * seed
        frames.append(atoms)
    return frames


def checked(folder, frames):
    ase.io.write(folder / "a.xyz", frames, format="extxyz")
    return check_file(folder / "a.xyz")


def charged(frames):
    for k, atoms in enumerate(frames):
        atoms.info |= {"charge": k % 2, "multiplicity": 1 + k % 2}
    return frames


CASES = {
    "crystals": (salts(), "bond"),
    "molecules": (salts(pbc=False), None),
    "charged": (charged(salts()), None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_printed_trains(tmp_path, case):
    frames, conservation = CASES[case]
    report = checked(tmp_path, frames)
    console = Console(record=True, width=400)
    show_report(console, report)
    text = console.export_text()
    lines = text[text.index("data:\n") : text.index("Other kinds")]
    config = validated(RunConfig, yaml.safe_load(lines), "")
    assert report.model["paradigm"].get("conservation") == conservation
    assert prepare(config).model.config.paradigm.kind == "latent"


def test_metals_have_no_formal_charges(tmp_path):
    assert checked(tmp_path, [ase.build.bulk("Cu") for _ in range(3)]).model == {"paradigm": {"kind": "latent"}}


def test_what_the_network_does_not_see(tmp_path):
    said = [finding.message for finding in checked(tmp_path, charged(salts())).findings]
    assert any("model: {backbone: {embed_charge: true, embed_spin: true}}" in message for message in said)
    said = [finding.message for finding in checked(tmp_path, salts()).findings]
    assert not any("embed" in message for message in said)


@pytest.mark.parametrize("plain", [{"data": {"train": "x"}}, {"data": {"train": "x"}, "model": {"backbone": "fast"}}])
def test_a_model_that_is_missing(plain):
    with pytest.raises(Exception, match=r"missing.*write model: \{paradigm: \{kind: latent\}\}, of kind .*qeq"):
        validated(RunConfig, plain, "")

"""Questions that need no model are answered before anything heavy is imported: by what is imported, never by time."""

import json
import subprocess
import sys

import pytest

from farfield.cli.main import VERBS, main

ASK = """
import contextlib, io, json, sys
from farfield.cli.main import main

heavy = {"torch", "numba", "scipy", "ase", "lightning_fabric", "matplotlib"}
answers = []
for arguments in json.loads(sys.argv[1]):
    words = io.StringIO()
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        try:
            code = main(arguments)
        except SystemExit as leaving:
            code = leaving.code or 0
    answers.append([code, words.getvalue(), sorted(heavy & set(sys.modules))])
print(json.dumps(answers))
"""
QUESTIONS = [
    (["--help"], "label structures by quantum chemistry"),
    (["--version"], "farfield "),
    (["train", "--help"], "model.paradigm.thole (polarizable)"),
    (["compare", "--help"], "model.paradigm.conservation (latent)"),
    (["evaluate", "--help"], "--out"),
    (["probe", "--help"], "--structure"),
    (["label", "--help"], "--engine"),
    (["md", "--help"], "--ensemble"),
    (["data", "--help"], "a look into any file"),
    (["data", "list"], "charged_pairs_far"),
    (["data", "get", "--help"], "--out"),
    (["data", "check", "--help"], "embedded:NAME"),
    (["data", "convert", "--help"], "--length-unit"),
]
REFUSALS = [
    (["train", "nowhere.yaml"], "cannot read the configuration nowhere.yaml"),
    (["train", "run.yaml", "--train.epocs", "5"], "did you mean epochs?"),
    (["train", "run.yaml", "--model.paradigm.widht", "1"], "did you mean width?"),
    (["train", "run.yaml", "--model.paradigm.kind", "latnet"], "did you mean latent?"),
    (["train", "run.yaml", "--wrong"], "--section.key value"),
    (["train", "run.yaml", "--data.train", "sme.xyz"], "Did you mean some.xyz?"),
    (["train", "run.yaml", "--train.epochs", "0"], "greater than or equal to 1"),
    (["compare", "run.yaml", "--paradigms", "latent,magic"], "no paradigm magic"),
    (["compare", "run.yaml", "--workers", "0"], "--workers must be at least 1"),
    (["evaluate", "nowhere.pt", "some.xyz"], "no model at nowhere.pt"),
    (["evaluate", "run.yaml", "some.xyz", "--train.epochs", "1"], "--data.KEY only"),
    (["probe", "nowhere.pt"], "no model at nowhere.pt"),
    (["probe", "run.yaml", "--laws", "gravity"], "no law gravity"),
    (["evaluate", "run.yaml", "sme.xyz"], "Did you mean some.xyz?"),
    (["probe"], "give a model.pt, or --ase"),
    (["probe", "run.yaml", "--structure", "sme.xyz"], "Did you mean some.xyz?"),
    (["label", "sme.xyz", "--engine", "pyscf"], "Did you mean some.xyz?"),
    (["md", "nowhere.pt", "some.xyz"], "no model at nowhere.pt"),
    (["md", "run.yaml", "sme.xyz"], "Did you mean some.xyz?"),
    (["md", "run.yaml", "some.xyz", "--timestep", "-1"], "timestep must be positive, not -1.0"),
    (["md", "run.yaml", "some.xyz", "--ensemble", "nvx"], "invalid choice: 'nvx'"),
    (["data", "get", "dissociation"], "Did you mean dissociation_"),
    (["data", "check", "some.xyz", "sme.xyz"], "Did you mean some.xyz?"),
    (["data", "convert", "sme.xyz", "out.xyz"], "Did you mean some.xyz?"),
    (["data", "convert", "some.xyz", "out.xyz", "--rename", "e"], "expected OLD=NEW"),
    (["trian", "run.yaml"], "invalid choice: 'trian'"),
]


@pytest.mark.parametrize(("asked", "expected"), [(QUESTIONS, 0), (REFUSALS, 2)], ids=["help", "refusals"])
def test_nothing_heavy_is_imported(tmp_path, asked, expected):
    (tmp_path / "some.xyz").touch()
    (tmp_path / "run.yaml").write_text("data: {train: some.xyz}\nmodel: {paradigm: {kind: latent}}\n")
    command = [sys.executable, "-c", ASK, json.dumps([arguments for arguments, _ in asked])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    for (arguments, said), (code, words, heavy) in zip(asked, json.loads(done.stdout), strict=True):
        assert said in words, arguments
        assert (code, heavy) == (expected, []), arguments


def test_every_verb_has_a_file_that_adds_it(capsys):
    for verb in VERBS:
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        assert capsys.readouterr().out.startswith(f"usage: farfield {verb}")


def test_the_package_gives_its_names_when_asked():
    import farfield

    assert all(hasattr(farfield, name) for name in farfield.__all__)
    assert set(farfield.__all__) <= set(dir(farfield))
    with pytest.raises(AttributeError, match="no attribute 'Colomb'"):
        _ = farfield.Colomb


def test_help_names_the_reach_of_an_unknown_calculator(capsys):
    from farfield.probe.calculator_subject import REACH

    with pytest.raises(SystemExit):
        main(["probe", "--help"])
    assert f"sees ({REACH:g})" in " ".join(capsys.readouterr().out.split())

"""Foreign calculators: what is wrong with one is said of it, and of nothing else."""

import sys

import pytest

from farfield.cli.main import main

sys.path.insert(0, __file__.rpartition("/")[0])  # planted.py lies beside


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

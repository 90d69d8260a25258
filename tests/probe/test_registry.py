"""Every law of ours stands by its name in its own file, and in the tables that list them."""

from pathlib import Path

import pytest

from farfield.errors import InputError
from farfield.probe import LAWS
from farfield.probe.registry import chosen_laws

ROOT = Path(__file__).parents[2]


def test_every_file_is_a_law_and_is_listed():
    files = {path.stem for path in (ROOT / "src/farfield/probe/laws").glob("*.py")} - {"__init__"}
    assert files == set(LAWS.own)
    assert {name: law.name for name, law in LAWS.items()} == {name: name for name in LAWS}
    table = (ROOT / "src/farfield/probe/README.md").read_text()
    assert [name for name in files if f"`{name}`" not in table] == []
    assert f"by {len(LAWS.own) - 1} laws of physics" in (ROOT / "README.md").read_text()  # cost is for information


def test_laws_are_chosen_by_name():
    assert [law.name for law in chosen_laws(["stress", "force"])] == ["stress", "force"]
    assert len(chosen_laws([])) == len(LAWS)
    with pytest.raises(InputError, match=r"there is no law gravity; there are force"):
        chosen_laws(["force", "gravity"])

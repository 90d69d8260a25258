"""What installed packages register, good and bad; a package is a folder with an ``entry_points.txt`` on the path."""

import logging

import pytest

from farfield.errors import InputError
from farfield.extensions import Registry

GROUP = "farfield.tests"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make a package of the given name, code and entry points."""

    def make(name, code, **points):
        (tmp_path / f"{name}.py").write_text(code)
        there = tmp_path / f"{name}-1.2.dist-info"
        there.mkdir()
        (there / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = [f"{point} = {name}:{attribute}" for point, attribute in points.items()]
        (there / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))

    monkeypatch.syspath_prepend(tmp_path)
    return make


def registry():
    def number(name, thing):
        if not isinstance(thing, float):
            raise TypeError(f"{thing!r} is no number")
        return thing

    return Registry("number", GROUP, {"pi": "math:pi", "e": "math:e"}, number)


def test_ours_first_then_the_others(installed):
    installed("farfield_gold", "ratio = 1.618", gold="ratio")
    numbers = registry()
    assert list(numbers) == ["pi", "e", "gold"]
    assert len(numbers) == 3
    assert numbers["gold"] == 1.618
    assert "gold" in numbers
    assert "silver" not in numbers
    with pytest.raises(KeyError):
        numbers["silver"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "has no attribute 'it'"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("it = 'word'", "TypeError: 'word' is no number"),
        ("raise SyntaxError('oh')", "SyntaxError: oh"),
    ],
)
def test_a_broken_one_is_left_out_and_says_why_where_it_is_asked_for(installed, caplog, code, said):
    name = f"farfield_broken_{abs(hash(code))}"  # modules are imported once
    installed(name, code, bad="it")
    numbers = registry()
    assert list(numbers) == ["pi", "e"]
    assert list(numbers) == ["pi", "e"]
    (record,) = caplog.records  # said once
    assert record.levelno == logging.WARNING
    for ask in (lambda: numbers["bad"], lambda: "bad" in numbers):
        with pytest.raises(InputError, match=f"the number bad of {name} 1.2 cannot be used: .*{said}"):
            ask()


def test_names_that_are_taken(installed, caplog):
    installed("farfield_rival", "pi = 3.0\nhalf = 0.5", pi="pi", half="half")
    installed("farfield_other", "half = 0.5", half="half")
    numbers = registry()
    assert numbers["pi"] > 3.1
    assert list(numbers) == ["pi", "e"]
    assert "farfield_rival 1.2 registers the number pi, which farfield has itself" in caplog.text
    with pytest.raises(InputError, match=r"farfield_other 1\.2 and farfield_rival 1\.2 both register the number half"):
        numbers["half"]


def test_things_can_be_added_while_running():
    numbers = registry()
    numbers["half"] = 0.5
    assert list(numbers) == ["pi", "e", "half"]
    del numbers["half"]
    assert list(numbers) == ["pi", "e"]
    with pytest.raises(TypeError, match="is no number"):
        numbers["half"] = "0.5"

"""Progress is for what takes long."""

import pytest

from farfield.cli import progress


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_what_is_over_soon_says_nothing(clock, capsys):
    with progress.ProgressDisplay() as display:
        step = display.job("convert")
        for done in (1, 2, 3):
            clock[0] += 0.5
            step("bytes read", done, 3, {})
    assert capsys.readouterr().err == ""


def test_what_takes_longer_is_said_now_and_then(clock, capsys):
    with progress.ProgressDisplay() as display:
        step = display.job("convert")
        for done in range(1, 31):
            clock[0] += 1.0
            step("bytes read", done, 30, {})
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[3].strip(",") for line in said] == ["2/30", "12/30", "22/30", "30/30"]


def test_where_there_are_no_energies_other_errors_are_shown():
    found = {"valid_born_charges_rmse": 71.23, "valid_loss": 0.1}
    assert progress.in_short(found) == "Born charges 71.2 me"
    assert progress.in_short(found | {"valid_energy_rmse": 1.0}) == "E 1.00 meV/atom"

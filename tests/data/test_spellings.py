"""Conditions under another name than the one read are found, also beside it."""

import pytest

from farfield.data.spellings import overlooked, spells

READ = {"total_charge": "charge", "spin": "spin", "external_field": "external_field", "fermi_level": "fermi_level"}


@pytest.mark.parametrize("key", ["tot_chg", "chg", "charge_state", "formal_charge", "q", "Q", "totalCharge"])
def test_names_of_a_total_charge(key):
    assert spells(key, "total_charge")
    (said,) = overlooked([{key: 1}, {key: 0}], READ, configured=True)
    assert f'info has "{key}", 1 in 1 of 2 frames; total_charge is read from "charge", which is not there' in said
    assert said.endswith(f"data: total_charge: {key}")


def test_a_contradiction():
    (said,) = overlooked([{"charge": 0, "total_charge": 1}] * 6, READ)
    assert said == 'info has "total_charge", 1 in 6 of 6 frames, where "charge", which is read, is 0'
    assert "in 2 of 3 frames" in overlooked([{"charge": k, "Q": 2 * k} for k in range(3)], READ)[0]


@pytest.mark.parametrize(
    ("info", "multiplicity", "apart"),
    [
        ({"spin": 2, "multiplicity": 3}, None, False),
        ({"spin": 3, "multiplicity": 3}, None, True),
        ({"spin": 3, "multiplicity": 3}, True, False),
        ({"spin": 1, "n_unpaired_electrons": 1}, None, False),
        ({"n_unpaired_electrons": 1}, None, True),
        ({"efermi": 3.2}, None, False),
        ({"fermi_level": 1.0, "REF_fermi_level": 3.2}, None, True),
        ({"external_field": [0, 0, 0.1], "efield": [0, 0, 0.1]}, None, False),
        ({"external_field": [0, 0, 0.1], "efield": [0, 0, 0.2]}, None, True),
        ({"charge": 1, "formal_charge": [1, -1, 1]}, None, False),
    ],
)
def test_what_says_the_same_is_not_told(info, multiplicity, apart):
    assert bool(overlooked([info], READ, multiplicity=multiplicity)) == apart


def test_what_to_write_for_a_multiplicity():
    (said,) = overlooked([{"mult": 3}], READ, multiplicity=False, configured=True)
    assert said.endswith("data: spin: mult, spin_unit: multiplicity")

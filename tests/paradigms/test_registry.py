"""Every registered paradigm of ours is documented, configured apart from its model, and seen in reports."""

from pathlib import Path
from typing import get_args

import pytest

import farfield as ff
from farfield.paradigms.polarizable.config import PolarizableConfig
from farfield.paradigms.registry import PARADIGMS, config_of
from farfield.report.result import RunResult
from farfield.report.style import looks
from farfield.response.dipoles.damping import THOLE, Damping

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", PARADIGMS.own)
def test_a_paradigm_has_a_readme_and_a_line_in_the_table(kind):
    place = f"src/farfield/paradigms/{kind}/README.md"
    assert (ROOT / place).read_text().startswith("# ")
    assert f"\n| [`{kind}`]({place}) | " in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("kind", PARADIGMS.own)
def test_a_configuration_is_that_of_its_model(kind):
    assert PARADIGMS[kind].Config is config_of(kind)


def test_damping_is_spelled_as_where_it_is_done():
    fields = PolarizableConfig.__pydantic_fields__
    assert get_args(fields["damping"].annotation) == get_args(Damping)
    assert fields["thole"].default == THOLE


def test_every_paradigm_has_a_colour_of_its_own():
    alone = [looks([RunResult(kind, {})])[0].colour for kind in PARADIGMS]
    assert len(set(alone)) == len(PARADIGMS)
    together = [look.colour for look in looks([RunResult(kind, {}) for kind in PARADIGMS])]
    assert together == alone


@pytest.mark.parametrize(
    ("keys", "flows"),
    [
        ({"kind": "short_range"}, False),
        ({"kind": "latent"}, True),
        ({"kind": "latent", "conservation": "bond"}, False),
        ({"kind": "qeq"}, True),
        ({"kind": "qeq", "transfer": "split_charge"}, False),
    ],
)
def test_only_charges_flow(keys, flows):
    assert ff.new_model(keys, species=["Na", "Cl"], backbone="fast").charge_flows == flows

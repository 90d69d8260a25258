import pytest

from farfield.backbone.config import PRESETS, BackboneConfig
from farfield.config import ModelConfig, to_plain, validated
from farfield.errors import InputError
from farfield.model import new_model


def backbone(given):
    return validated(ModelConfig, {"paradigm": {"kind": "latent"}, "backbone": given}, "model").backbone


@pytest.mark.parametrize("name", PRESETS)
def test_a_name_stands_for_its_keys(name):
    assert backbone(name) == BackboneConfig(**PRESETS[name]) == backbone({"preset": name})
    assert backbone({"preset": name, "channels": 7}).channels == 7
    assert new_model({"kind": "short_range"}, species=["H"], backbone=name).config.backbone == backbone(name)


def test_what_is_written_down_is_the_keys():
    """A run stays what it was when a later version changes a preset."""
    config = validated(ModelConfig, {"paradigm": {"kind": "latent"}, "backbone": "large"}, "model")
    plain = to_plain(config)
    assert plain["backbone"]["channels"] == 64
    assert "preset" not in plain["backbone"]
    assert validated(ModelConfig, plain, "model") == config


def test_a_larger_preset_has_more_to_learn_with():
    sizes = [
        sum(p.numel() for p in new_model({"kind": "short_range"}, species=["H", "O"], backbone=name).parameters())
        for name in ("fast", "default", "large")
    ]
    assert sizes == sorted(sizes)


def test_an_unknown_name_is_said():
    with pytest.raises(InputError, match=r"model\.backbone: there is no preset 'huge' \(fast, default, large\)"):
        backbone("huge")
    with pytest.raises(InputError, match="chanels"):
        backbone({"preset": "fast", "chanels": 3})

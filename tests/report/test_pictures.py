"""What the pictures are made of."""

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from farfield.errors import InputError
from farfield.evaluation import Compared
from farfield.report import RunResult, save_binding_picture
from farfield.report.curves import binding, curve, fragment_charge, groups_along_distance, smooth
from farfield.report.parity import points
from farfield.report.style import formula, looks, plain, spread


def test_the_trend_of_a_straight_line_in_the_logarithm_is_itself():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(2, 15, 40))
    at, trend = smooth(x, 3 - 2 * np.log(x))
    np.testing.assert_allclose(trend, 3 - 2 * np.log(at), atol=1e-9)


def test_the_trend_follows_a_coulomb_curve_and_averages_scatter():
    x = np.linspace(2.5, 15, 50)
    at, trend = smooth(x, -14.4 / x)
    np.testing.assert_allclose(trend, -14.4 / at, rtol=0.03)
    noise = np.random.default_rng(0).normal(size=50)
    assert np.std(smooth(x, noise, neighbors=10)[1]) < 0.7


def test_few_points_are_joined_as_they_are():
    x, y = np.array([1.0, 2.0, 2.0]), np.array([5.0, 6.0, 9.0])
    assert all(np.array_equal(a, b) for a, b in zip(smooth(x, y), (x, y)))


def test_a_curve_gathers_all_splits_in_order_of_distance(runs, frames):
    found = curve(runs[2], "K+ Cl-", binding)
    mine = [f for split in frames.values() for f in split if f.group == "K+ Cl-"]
    assert len(found.distance) == len(mine)
    assert (np.diff(found.distance) >= 0).all()
    np.testing.assert_allclose(np.sort([f.distance for f in mine]), found.distance)
    assert groups_along_distance(runs, binding) == ["K+ Cl-", "K+ CN-", "NH4+ H2O"]
    assert curve(runs[0], "K+ Cl-", fragment_charge) is None


def test_charge_of_an_ion_as_it_leaves(runs):
    found = curve(runs[3], "K+ Cl-", fragment_charge)
    np.testing.assert_allclose(found.predicted, 0.94)
    np.testing.assert_allclose(found.reference, 1.0)


def test_energies_are_compared_above_their_composition(runs):
    test = runs[2].evaluations["test"]
    atoms_alone = np.bincount(test.frame, -13.6 * test.numbers**2)
    moved = np.arange(test.n_frames) * 1e-3
    energy = Compared(atoms_alone, atoms_alone + moved)
    reference, predicted = points(replace(test, compared={"energy": energy}), "energy")
    np.testing.assert_allclose(reference, 0, atol=1e-8)
    np.testing.assert_allclose(predicted, moved / test.n_atoms, atol=1e-8)


def test_labels_move_apart_no_further_than_they_must():
    wanted = np.array([0.5, 0.1, 0.5, 0.52])
    found = spread(wanted, 0.1)
    assert found[1] == pytest.approx(0.1)
    assert np.diff(np.sort(found)).min() >= 0.1 - 1e-12
    assert found[[0, 2, 3]].mean() == pytest.approx(wanted[[0, 2, 3]].mean())
    top = spread(np.ones(4), 0.1)
    assert top.max() == pytest.approx(1.0)
    assert spread(np.zeros(3), 0.1).min() >= 0


def test_a_run_keeps_its_colour_in_any_company():
    alone = looks([RunResult("latent", {})])[0].colour
    crowd = [RunResult(name, {}) for name in ("mine", "short_range", "latent", "latent again", "qeq")]
    colours = [look.colour for look in looks(crowd)]
    assert colours[2] == alone
    assert len(set(colours)) == 5
    assert looks([RunResult("seed 1", {}, kind="latent"), RunResult("seed 2", {}, kind="latent")])[0].colour == alone


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("NH4+ H2O", "NH₄⁺⋯H₂O"),
        ("HCOO-", "HCOO⁻"),
        ("bulk water", "bulk water"),
        ("Ca2+", "Ca2+"),
        ("all", "all"),
        ("Train", "Train"),
        ("", ""),
    ],
)
def test_formulas_are_set_as_chemists_do(given, shown):
    assert formula(given) == shown


@pytest.mark.parametrize(("value", "shown"), [(10.0, "10"), (0.02, "0.02"), (1e-5, "10⁻⁵"), (2e6, "2·10⁶")])
def test_ticks_are_plain_numbers(value, shown):
    assert plain(value) == shown


def test_the_picture_for_a_readme(runs, tmp_path):
    path = save_binding_picture(tmp_path / "binding.png", runs)
    pixels = matplotlib.image.imread(path)
    height, width = pixels.shape[:2]
    assert width > 2000
    assert width > height
    assert (pixels[2, 2, :3] == 1).all()
    with pytest.raises(InputError, match=r"no binding curve of water; there are: K\+ Cl-"):
        save_binding_picture(tmp_path / "x.png", runs, groups=["water"])
    with pytest.raises(InputError, match="there are: none"):
        save_binding_picture(tmp_path / "x.png", [RunResult("latent", {})])

"""The page: right numbers, nothing outside itself, and a browser that shows it."""

import base64
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from farfield.data.frame import Labels
from farfield.errors import InputError
from farfield.evaluation import Compared, Evaluation, errors, evaluate
from farfield.evaluation.errors import significant
from farfield.prediction import Prediction
from farfield.report import RunResult, write_report


@dataclass(frozen=True)
class Zero:
    """Knows nothing but energies, and those are 0."""

    gives: frozenset[str] = frozenset({"energy"})
    species: tuple[int, ...] = (1, 6, 7, 8, 17, 19)

    def __call__(self, system, /, *, want):
        return Prediction(torch.zeros(system.n_systems, dtype=torch.float64))


class Page(HTMLParser):
    """Addresses, images and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.images: list[dict[str, str]] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.source = path.read_text()
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.addresses += [found[key] for key in ("href", "src", "srcset", "action", "poster") if key in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "img":
            self.images.append(found)

    def handle_data(self, data):
        self.text += data + " "


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory) -> Page:
    return Page(write_report(tmp_path_factory.mktemp("page") / "report.html", runs, title="Ions & <friends>"))


def svgs(page: Page) -> list[str]:
    return [base64.b64decode(image["src"].split(",", 1)[1]).decode() for image in page.images]


def test_nothing_is_fetched_from_elsewhere(page):
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"@import|url\(", page.source)
    assert not {"script", "iframe", "object"} & set(page.tags)
    for svg in svgs(page):
        assert not re.search(r"""(?:href|src)=["'](?!#|data:)""", svg)
        assert "url(http" not in svg


def test_every_link_has_a_place_and_every_picture_words(page):
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(len(image["alt"]) > 20 for image in page.images)
    assert '<html lang="en">' in page.source
    assert page.tags.count("h1") == 1


def test_names_are_text_not_markup(page):
    assert "Ions &amp; &lt;friends&gt;" in page.source
    assert "<friends>" not in page.source


def test_numbers_are_those_of_the_evaluations(page, runs):
    for run in runs:
        for evaluation in run.evaluations.values():
            for row in errors(evaluation):
                if row.group is None:
                    assert f"{significant(row.rmse)}<" in page.source
                    assert f"MAE {significant(row.mae)} · max {significant(row.max)}" in page.source


def test_the_best_of_a_row_is_bold(page, runs):
    verdict = re.search(r'id="verdict".*?</section>', page.source, re.DOTALL)[0]
    row = re.search(r"<tr><th scope=\"row\">Forces.*?</tr>", verdict, re.DOTALL)[0]
    forces = [next(e.rmse for e in errors(r.evaluations["test"]) if e.measure == "forces") for r in runs]
    assert re.findall(r"<strong>(.*?)</strong>", row) == [significant(min(forces))]


def test_binding_is_told_apart_by_what_training_has_seen(page, runs):
    boundary = max(run.evaluations["train"].distance.max() for run in runs)
    test = runs[0].evaluations["test"]
    both = test.compared["binding"]
    far = test.distance > boundary
    rmse = 1e3 * np.sqrt(np.mean((both.predicted - both.reference)[far] ** 2))
    line = re.search(rf"Binding energy beyond {boundary:.1f} Å.*?</tr>", page.source, re.DOTALL)[0]
    assert significant(rmse) in line


def test_pictures_follow_the_readers_preference_and_name_the_runs(page, runs):
    curves = [svg for svg in svgs(page) if "binding energy (eV)" in svg and "|error| (meV)" in svg]
    assert len(curves) == 3
    for svg in curves:
        assert "prefers-color-scheme:dark" in svg
        assert all(f">{run.name}</text>" in svg for run in runs)
        assert ">10 meV</text>" in svg


def test_the_charge_of_a_fragment_stands_beside_its_binding_curve(page, runs):
    section = re.search(r'id="distance".*?</section>', page.source, re.DOTALL)[0]
    words = re.findall(r'alt="(.*?)"', section)
    assert [w.split(" of ")[0] for w in words] == ["Binding energy", "Charge"] * 3
    assert words[1].startswith(
        "Charge of K+ in K+ Cl- against distance, formally +1 e. At the far end: charges +0.98 e;"
    )
    assert words[5].startswith("Charge of NH4+ in NH4+ H2O")
    charges = [svg for svg in svgs(page) if "|error| (me)" in svg]
    assert len(charges) == 3
    assert "charge of K⁺ (e)" in charges[0]
    assert all(">10 me</text>" in svg for svg in charges)


def test_a_fragment_that_its_group_does_not_name_is_called_by_its_formula(runs, tmp_path):
    test = runs[1].evaluations["test"]
    renamed = replace(test, group=np.array([f"scan {g[0]}" for g in test.group]))
    bare = replace(
        renamed, compared={"charges": Compared(np.full(len(test.numbers), np.nan), test.compared["charges"].predicted)}
    )
    page = Page(write_report(tmp_path / "page.html", [RunResult("charges", {"test": bare})], title="Scan"))
    words = [image["alt"] for image in page.images if image["alt"].startswith("Charge of")]
    assert [w.split(" in ")[0] for w in words if "scan N" in w] == ["Charge of H4N"]
    assert not any("|error| (me)" in svg for svg in svgs(page))


def test_notes_configuration_and_versions_are_there(page, runs):
    for words in (runs[3].notes[0], "kind: latent", runs[0].versions["torch"], "pairs.xyz"):
        assert words in page.text


def test_one_run_one_frame_energies_only(frames, tmp_path):
    frame = replace(
        frames["test"][0],
        labels=Labels(energy=frames["test"][0].labels.energy),
        distance=None,
        fragments=None,
        group="all",
    )
    run = RunResult("short_range", {"test": evaluate(Zero(), [frame])})
    page = Page(write_report(tmp_path / "one.html", [run], title="One"))
    assert "Energy per atom" in page.text
    assert "against distance" not in page.text
    assert "nan" not in page.text.lower()


def test_without_labels_there_is_still_a_page(frames, tmp_path):
    run = RunResult("short_range", {"test": evaluate(Zero(), [replace(frames["test"][0], labels=Labels())])})
    page = Page(write_report(tmp_path / "none.html", [run], title="None"))
    assert "no labelled frame" in page.text


def test_runs_that_differ_in_what_they_know(runs, tmp_path):
    other = RunResult(
        "qeq", {"valid": runs[3].evaluations["valid"]}, history=[{"valid_loss": 1.0, "loss": float("nan")}]
    )
    page = Page(write_report(tmp_path / "mixed.html", [runs[0], other], title="Mixed"))
    assert "–" in page.text


def test_a_model_gone_astray_is_shown_as_such(runs, tmp_path):
    test = runs[0].evaluations["test"]
    energy = Compared(test.compared["energy"].reference, np.full(test.n_frames, np.nan))
    astray = RunResult("latent", {"test": replace(test, compared={"energy": energy})})
    page = Page(write_report(tmp_path / "astray.html", [runs[0], astray], title="Astray"))
    assert "not finite" in page.text


def test_hundreds_of_thousands_of_points_stay_small(tmp_path):
    frames, atoms = 2000, 100
    rng = np.random.default_rng(1)
    forces = rng.normal(size=(frames * atoms, 3))
    energy = rng.normal(size=frames)
    big = Evaluation(
        n_atoms=np.full(frames, atoms),
        group=np.array([f"group {k % 4}" for k in range(frames)]),
        distance=rng.uniform(2, 10, frames),
        source=np.full(frames, "big.xyz"),
        numbers=rng.choice([1, 8], frames * atoms),
        frame=np.repeat(np.arange(frames), atoms),
        fragment=np.tile(np.arange(atoms) // 50, frames),
        fragment_charge=np.zeros(frames),
        charge_residual=np.full(frames, np.nan),
        energy_coulomb=np.full(frames, np.nan),
        seconds_per_atom=1e-5,
        compared={
            "energy": Compared(energy, energy + 0.1 * rng.normal(size=frames)),
            "binding": Compared(energy, energy + 0.1 * rng.normal(size=frames)),
            "forces": Compared(forces, forces + 0.1 * rng.normal(size=forces.shape)),
            "charges": Compared(forces[:, 0], forces[:, 1]),
        },
    )
    path = write_report(tmp_path / "big.html", [RunResult("latent", {"test": big})], title="Big")
    assert path.stat().st_size < 3e6


def test_what_makes_no_page(runs, tmp_path):
    with pytest.raises(InputError, match="at least one run"):
        write_report(tmp_path / "x.html", [], title="x")
    with pytest.raises(InputError, match="two runs are called latent"):
        write_report(tmp_path / "x.html", [runs[2], runs[2]], title="x")
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "absent" / "x.html", runs[:1], title="x")
    assert not list(tmp_path.iterdir())


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no chromium to look at the page with")
@pytest.mark.parametrize("scheme", [1, 0], ids=["light", "dark"])
def test_a_browser_shows_it(runs, tmp_path, scheme):
    path = write_report(tmp_path / "report.html", runs[:2], title="Seen by a browser")
    dom, said = _browse(path, tmp_path, "--dump-dom")
    assert "<title>Seen by a browser</title>" in dom
    assert "CONSOLE" not in said
    shot = tmp_path / "shot.png"
    _browse(path, tmp_path, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
    pixels = matplotlib.image.imread(shot)[..., :3]
    # text and curves on one ground, which is light or dark as asked
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
    assert (np.median(pixels) > 0.5) == bool(scheme)


def _browse(path: Path, folder: Path, *options: str) -> tuple[str, str]:
    quiet = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
        "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", "--window-size=1280,1800",
    ]  # fmt: skip
    done = subprocess.run(
        [str(BROWSER), *quiet, *options, path.as_uri()], capture_output=True, text=True, timeout=90, check=False
    )
    return done.stdout, done.stderr

"""Embedded sets and ``farfield data``, on a catalogue of the test's own."""

import argparse
import hashlib

import pytest

from farfield.cli import data as command
from farfield.data import catalogue
from farfield.data.catalogue import copy_embedded, embedded_sets, find_embedded
from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.errors import InputError

CONTENT = b"1\nenergy=-1\nH 0 0 0\n1\nenergy=-2\nHe 0 0 0\n"
ENTRY = '[tiny]\nframes = 2\nlicence = "MIT"\nabout = "Two atoms"\nmethod = "by hand"\nsha256 = "{}"\n\n'


@pytest.fixture(autouse=True)
def sets(tmp_path, monkeypatch):
    folder = tmp_path / "sets"
    folder.mkdir()
    absent = '[absent]\nframes = 1\nlicence = "MIT"\nabout = "Gone"\nmethod = "-"\n'
    (folder / "catalogue.toml").write_text(ENTRY.format(hashlib.sha256(CONTENT).hexdigest()) + absent)
    (folder / "tiny.xyz").write_bytes(CONTENT)
    monkeypatch.setattr(catalogue, "SETS", folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def call(*words):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["data", *map(str, words)])
    return args.run(args)


def test_embedded_name_is_a_path():
    config = DataConfig(train="embedded:tiny", forces=None)
    frames = read_frames(config.train_paths, config)
    assert [f.labels.energy.item() for f in frames] == [-1, -2]
    assert frames[1].source == "embedded:tiny frame 1"


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match=r"no embedded data set 'tinny' \(tiny, absent\). Did you mean tiny\?"):
        find_embedded("tinny")


def test_set_without_its_file():
    with pytest.raises(InputError, match=r"absent.xyz is missing: this installation is incomplete"):
        find_embedded("absent")


def test_copy_is_whole_and_leaves_nothing_behind(tmp_path):
    out = tmp_path / "deep" / "er"
    assert copy_embedded("tiny", out).read_bytes() == CONTENT
    assert [path.name for path in out.iterdir()] == ["tiny.xyz"]


def test_changed_file_is_not_copied(sets, tmp_path):
    (sets / "tiny.xyz").write_bytes(CONTENT + b"\n")
    with pytest.raises(InputError, match="checksum differs"):
        copy_embedded("tiny", tmp_path)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        copy_embedded("tiny", tmp_path / "file" / "below")


def test_list_shows_every_set(capsys):
    assert call("list") == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("tiny", "absent", "MIT", "Two atoms"))


def test_get_writes_where_it_is_told(tmp_path, capsys):
    assert call("get", "tiny", "--out", tmp_path) == 0
    assert (tmp_path / "tiny.xyz").read_bytes() == CONTENT
    assert "tiny.xyz" in capsys.readouterr().out


def test_check_of_sound_files_ends_with_zero_and_config_lines(capsys):
    assert call("check", "embedded:tiny") == 0
    shown = capsys.readouterr().out
    assert "To train on it" in shown
    assert "train: embedded:tiny" in shown
    assert "energy: energy" in shown


def test_check_ends_with_one_if_any_file_has_an_error(tmp_path, capsys):
    (tmp_path / "bad[1].xyz").write_text("2\n\nH 0 0 0\n")
    assert call("check", tmp_path / "bad[1].xyz", "embedded:tiny") == 1
    shown = capsys.readouterr().out
    assert "bad[1].xyz" in shown
    assert "cut short" in shown
    assert "To train on it" in shown


def test_check_needs_a_file(capsys):
    with pytest.raises(SystemExit) as stopped:
        call("check")
    assert stopped.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_shipped_catalogue_tells_the_truth(monkeypatch):
    monkeypatch.undo()
    for entry in embedded_sets():
        if not entry.path.exists():
            pytest.skip(f"{entry.name} is not installed")
        assert hashlib.sha256(entry.path.read_bytes()).hexdigest() == entry.sha256
        report = check_file(f"embedded:{entry.name}")
        assert not report.failed
        assert report.frames == entry.frames
        config = DataConfig(**report.config)
        assert len(read_frames(config.train_paths, config)) == entry.frames

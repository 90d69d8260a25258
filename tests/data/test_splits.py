"""Splits are random, repeat, and never take from training what only it can use."""

from itertools import chain

import ase
import ase.io
import numpy as np
import pytest

from farfield.data.config import DataConfig
from farfield.data.splits import load_splits
from farfield.data.splitting.frame_kinds import structure_of
from farfield.errors import InputError
from farfield.geometry.isolation import is_isolated
from farfield.system import System

SEEDS = range(5)


def numbered(path, count, start=0):
    """Hydrogen molecules, each a little longer than the one before."""
    path.write_text("".join(f"2\nenergy={start + k}\nH 0 0 0\nH 0 0 {0.7 + (start + k) / 1e3}\n" for k in range(count)))
    return path


def energies(frames):
    return {frame.labels.energy.item() for frame in frames}


def test_splits_are_a_partition_and_repeat(tmp_path):
    config = DataConfig(train=numbered(tmp_path / "a.xyz", 30), forces=None, valid_fraction=0.2, test_fraction=0.1)
    splits, again = load_splits(config), load_splits(config)
    assert [len(part) for part in splits.named().values()] == [21, 6, 3]
    assert energies(splits.train) | energies(splits.valid) | energies(splits.test) == set(range(30))
    assert splits.described() == again.described()
    assert len(set(chain(*splits.described().values()))) == 30


def test_splits_depend_on_the_seed(tmp_path):
    path = numbered(tmp_path / "a.xyz", 30)
    first, second = (load_splits(DataConfig(train=path, forces=None, seed=seed)) for seed in (1, 2))
    assert energies(first.valid) != energies(second.valid)


def test_files_given_for_valid_and_test_are_used(tmp_path):
    config = DataConfig(
        train=(numbered(tmp_path / "a.xyz", 5), numbered(tmp_path / "b.xyz", 5, 5)),
        valid=numbered(tmp_path / "v.xyz", 2, 100),
        test=numbered(tmp_path / "t.xyz", 3, 200),
        forces=None,
    )
    splits = load_splits(config)
    assert energies(splits.train) == set(range(10))
    assert energies(splits.valid) == {100, 101}
    assert energies(splits.test) == {200, 201, 202}


def test_there_is_always_a_validation_frame(tmp_path):
    splits = load_splits(DataConfig(train=numbered(tmp_path / "a.xyz", 2), forces=None))
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (1, 1, 0)


def test_too_few_frames_to_split(tmp_path):
    with pytest.raises(InputError, match=r"1 frames in .* too few"):
        load_splits(DataConfig(train=numbered(tmp_path / "a.xyz", 1), forces=None))


def clusters(count, seed=0, symbols="NaCl"):
    """Pairs of atoms at random distances, without anything in common."""
    rng = np.random.default_rng(seed)
    pairs = [ase.Atoms(symbols, [[0, 0, 0], [0, 0, d]]) for d in rng.uniform(2.2, 3.5, count)]
    for pair in pairs:
        pair.info["energy"] = float(rng.normal())
    return pairs


def atom(symbol, **keywords):
    return ase.Atoms(symbol, info={"energy": -3.0}, **keywords)


def split(tmp_path, frames, **config):
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    return load_splits(DataConfig(train=tmp_path / "a.xyz", forces=None, **config))


def places(frames):
    return [int(frame.source.split()[-1]) for frame in frames]


def said(splits):
    return " | ".join(notice.message for notice in splits.notices)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_nothing_is_wrong_the_first_of_the_permutation_validate(tmp_path, seed):
    splits = split(tmp_path, clusters(20), seed=seed, valid_fraction=0.2)
    order = np.random.default_rng(seed).permutation(20)
    assert places(splits.valid) == sorted(order[:4])
    assert places(splits.test) == sorted(order[4:6])
    assert splits.notices == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_single_atoms_train_and_others_are_set_aside_instead(tmp_path, seed):
    box = {"cell": [12.0, 12, 12], "pbc": True}
    frames = [atom("Na"), atom("Cl"), atom("Na", **box), *clusters(17)]
    splits = split(tmp_path, frames, seed=seed)
    assert {0, 1, 2} <= set(places(splits.train))
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (16, 2, 2)
    moved = {0, 1, 2} & set(np.random.default_rng(seed).permutation(20)[:4].tolist())
    assert ("single atom" in said(splits)) == bool(moved)
    if moved:
        assert f"{len(moved)} single atom" in said(splits)


def test_an_atom_of_a_crystal_is_not_alone():
    metal = ase.Atoms("Na", cell=[4.0, 4, 4], pbc=True)
    assert not is_isolated(System.from_ase(metal))
    assert not is_isolated(System.from_ase(ase.Atoms("Na", cell=[4.0, 30, 30], pbc=(True, False, False))))
    assert is_isolated(System.from_ase(ase.Atoms("Na", cell=[4.0, 30, 30], pbc=(False, True, True))))
    assert is_isolated(System.from_ase(ase.Atoms("Na")))
    skewed = ase.Atoms("Na", cell=[[12, 0, 0], [12, 3, 0], [0, 0, 12.0]], pbc=True)  # b - a is 3 Å long
    assert not is_isolated(System.from_ase(skewed))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_frame_of_every_element_trains(tmp_path, seed):
    frames = [*clusters(12), *clusters(1, 1, "KCl"), *clusters(2, 2, "LiF")]
    splits = split(tmp_path, frames, seed=seed, valid_fraction=0.2, test_fraction=0.2)
    learned = {z for frame in splits.train for z in frame.system.numbers.tolist()}
    assert learned == {3, 9, 11, 17, 19}
    assert (len(splits.valid), len(splits.test)) == (3, 3)
    aside = set(np.random.default_rng(seed).permutation(15)[:6].tolist())
    assert ("the only frame with K" in said(splits)) == (12 in aside)
    assert ("one of 2 frames with Li" in said(splits)) == ({13, 14} <= aside)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_frame_of_every_charge_field_and_label_trains(tmp_path, seed):
    frames = clusters(12)
    for frame in frames:
        frame.info |= {"charge": 0, "external_field": np.zeros(3)}
    frames[3].info["charge"] = 1
    frames[5].info["external_field"] = np.array([0, 0, 0.1])
    frames[7].info["dipole"] = np.ones(3)
    splits = split(tmp_path, frames, seed=seed, dipole="dipole", allow_missing=("dipole",))
    assert {3, 5, 7} <= set(places(splits.train))
    assert len(splits.valid) == 1


def test_a_charge_of_its_own_in_every_frame_stops_nobody(tmp_path):
    frames = clusters(4)
    for k, frame in enumerate(frames):
        frame.info["charge"] = k
    splits = split(tmp_path, frames)
    assert (len(splits.train), len(splits.valid)) == (3, 1)
    assert "stay" not in said(splits)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_structure_stays_on_one_side(tmp_path, seed):
    frames = clusters(10)
    again = [frame.copy() for frame in frames[:5]]
    for frame in again:
        frame.info["energy"] = 7.0  # another label makes it no other structure
    splits = split(tmp_path, frames + again, seed=seed, valid_fraction=0.3, test_fraction=0.2)
    sides = [{structure_of(frame) for frame in part} for part in splits.named().values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert 3 <= len(splits.valid) <= 4
    assert 2 <= len(splits.test) <= 3


def test_another_charge_makes_another_structure(tmp_path):
    pair = clusters(1)[0]
    frames = [pair.copy() for _ in range(6)]
    for k, frame in enumerate(frames):
        frame.info["charge"] = 0.1 * k
    assert len(split(tmp_path, frames).valid) == 1


def test_nothing_that_could_be_set_aside(tmp_path):
    with pytest.raises(InputError, match=r"none of the 3 frames in .* can be set aside for validation"):
        split(tmp_path, [atom("Na"), atom("Cl"), atom("K")])


def test_an_element_that_only_the_given_files_have(tmp_path):
    ase.io.write(tmp_path / "v.xyz", clusters(2, 1, "KCl"), format="extxyz")
    with pytest.raises(InputError, match=r"v.xyz frame 0 is for valid: and has K, .* Put frames with K into train:"):
        split(tmp_path, clusters(5), valid=tmp_path / "v.xyz")


def test_structures_given_twice_are_said(tmp_path):
    ase.io.write(tmp_path / "t.xyz", clusters(8)[6:] + clusters(2, 1), format="extxyz")
    splits = split(tmp_path, clusters(8), test=tmp_path / "t.xyz", valid=tmp_path / "t.xyz")
    assert "2 of 4 structures of test: are in train:" in said(splits)


def grouped(sizes):
    frames = clusters(sum(sizes))
    for frame, name in zip(frames, [f"run{k}" for k, size in enumerate(sizes) for _ in range(size)]):
        frame.info["run"] = name
    return frames


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_stay_whole(tmp_path, seed):
    splits = split(tmp_path, grouped([5] * 8), seed=seed, group="run", split_by="group", valid_fraction=0.25)
    sides = [{frame.group for frame in part} for part in splits.named().values()]
    assert [len(side) for side in sides] == [5, 2, 1] or [len(side) for side in sides] == [6, 2, 0]
    assert sum(map(len, sides)) == 8


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_larger_than_the_fractions(tmp_path, seed):
    splits = split(tmp_path, grouped([30, 9, 9]), seed=seed, group="run", split_by="group")
    assert sorted(len(part) for part in splits.named().values()) == [9, 9, 30]
    assert len(splits.train) == 30


def test_too_few_groups(tmp_path):
    with pytest.raises(InputError, match="too few groups to keep them whole on 3 sides"):
        split(tmp_path, grouped([10, 10]), group="run", split_by="group")


def test_frames_without_a_group(tmp_path):
    frames = grouped([5, 5, 5])
    del frames[3].info["run"]
    with pytest.raises(InputError, match=r"1 of 15 frames have no info 'run' \(first: .*a.xyz frame 3\)"):
        split(tmp_path, frames, group="run", split_by="group")


def test_torn_groups_are_said_where_groups_are_named(tmp_path):
    frames = grouped([10, 10])
    assert "2 of 2 groups" in said(split(tmp_path, frames, group="run", valid_fraction=0.4))
    for frame in frames:
        frame.info["group"] = frame.info["run"]
    assert "split_by" not in said(split(tmp_path, frames, valid_fraction=0.4))


def test_isolated_atoms_are_no_group(tmp_path):
    frames = [*clusters(18), *(ase.Atoms(symbol, info={"energy": -1.0, "kind": "alone"}) for symbol in ("Na", "Cl"))]
    assert "split_by" not in said(split(tmp_path, frames, group="kind", valid_fraction=0.3))


@pytest.mark.parametrize("seed", range(20))
def test_isolated_atoms_stand_for_no_compound(tmp_path, seed):
    """The only compound of an element, and the only charged molecule, train although E0 and ion are there, too."""
    charged = clusters(1, seed=2)[0]
    charged.info["charge"] = 1.0
    alone = [atom(symbol) for symbol in ("Na", "K", "Cl", "Na")]
    frames = [*clusters(16), *clusters(1, seed=1, symbols="KCl"), charged, *alone]
    for frame in frames:
        frame.info.setdefault("charge", 0.0)
    frames[-1].info["charge"] = 1.0
    splits = split(tmp_path, frames, seed=seed)
    assert {16, 17} <= set(places(splits.train))
    assert splits.valid


def test_several_energies_of_one_isolated_atom(tmp_path):
    frames = [*clusters(10), atom("Na"), atom("Cl"), atom("Na")]
    assert "several energies" not in said(split(tmp_path, frames))
    frames[-1].info["energy"] = -3.1
    assert "isolated Na has several energies: -3 eV" in said(split(tmp_path, frames))
    frames[-1].info["charge"] = 1.0
    for frame in frames[:-1]:
        frame.info["charge"] = 0.0
    assert "several energies" not in said(split(tmp_path, frames))


def test_isolated_atoms_of_other_files_only(tmp_path):
    ase.io.write(tmp_path / "v.xyz", [*clusters(3, seed=1), atom("Na")], format="extxyz")
    splits = split(tmp_path, [*clusters(9), atom("Cl")], valid=tmp_path / "v.xyz")
    assert "isolated atoms of valid: alone (Na): their energies are not taken as E0" in said(splits)


@pytest.mark.parametrize(("name", "length", "warned"), [("IsolatedAtom", 6.0, True), ("isolated_atom", 6.0, True),
    ("IsolatedAtom", 12.0, False), ("fcc", 6.0, False)])  # fmt: skip
def test_an_atom_called_isolated_whose_images_are_near(tmp_path, name, length, warned):
    alone = atom("Na", cell=[length] * 3, pbc=True)
    alone.info["config_type"] = name
    found = said(split(tmp_path, [*clusters(10), alone]))
    assert (f"frame 10 is called {name}, but its images are 6 Å away" in found) == warned


def test_repeats_of_one_structure_are_parted_where_there_is_nothing_else(tmp_path):
    """Six times the same water: something has to validate, and what that is worth is said."""
    water = ase.Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], info={"energy": -1.0})
    ase.io.write(tmp_path / "a.xyz", [water] * 6, format="extxyz")
    splits = load_splits(DataConfig(train=tmp_path / "a.xyz", forces=None))
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (4, 1, 1)
    assert any(
        n.grade == "warning" and "2 frames set aside are structures that training has" in n.message
        for n in splits.notices
    )

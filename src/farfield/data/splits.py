"""Splits of the data: frames that train, choose the best epoch, or test in the end; given, or set aside at random."""

from dataclasses import dataclass, replace

from farfield.data.config import DataConfig, as_paths
from farfield.data.frame import Frame
from farfield.data.read import read_frames
from farfield.data.reading.isolated_atoms import isolated_atom_notices
from farfield.data.reading.unlabelled import has_label
from farfield.data.splitting.frame_kinds import elements_of
from farfield.data.splitting.notices import mended, parted_repeats, seen, torn_groups
from farfield.data.splitting.set_aside import Parts, Pool, set_aside
from farfield.errors import InputError
from farfield.geometry.isolation import is_isolated
from farfield.notices import Notice


@dataclass(frozen=True)
class Splits:
    """Frames to learn from, to choose by, and to look at in the end."""

    train: list[Frame]
    valid: list[Frame]
    test: list[Frame]
    notices: tuple[Notice, ...] = ()  # what a person should know of how they were read and split

    def named(self) -> dict[str, list[Frame]]:
        """Map train, valid and test to their frames."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def described(self) -> dict[str, list[str]]:
        """Map train, valid and test to where each frame came from: for writing down."""
        return {name: [frame.source for frame in frames] for name, frames in self.named().items()}


def load_splits(config: DataConfig) -> Splits:
    """Read everything the configuration names; what has no file of its own is split off ``train`` with the seed.

    Isolated atoms, and a frame of every kind, stay in training; frames that are one structure stay together.

    Raises:
        InputError: as ``read_frames``; too few frames, or groups, to split; an element in ``valid`` or ``test`` only;
            nothing left to learn from or to choose by.
    """
    notices: list[Notice] = []
    pool = read_frames(config.train_paths, config, on_notice=notices.append)
    given = {
        name: read_frames(paths, config, on_notice=notices.append)
        for name, paths in (("valid", as_paths(config.valid)), ("test", as_paths(config.test)))
        if paths
    }
    wanted = _wanted(pool, config, given)
    parts = _parts(pool, config, wanted)
    chosen, looked_at, learned = ([pool[k] for k in part] for part in (parts.valid, parts.test, parts.train))
    splits = Splits(learned, given.get("valid", chosen), given.get("test", looked_at))
    _check(splits)
    if any(wanted):
        notices += [*mended(pool, config, wanted, parts), *torn_groups(pool, config, parts)]
        notices += parted_repeats(pool, parts)
    notices += [*seen(splits.train, given), *isolated_atom_notices(splits.train, given)]
    return replace(splits, notices=tuple(dict.fromkeys(notices)))


def _wanted(pool: list[Frame], config: DataConfig, given: dict[str, list[Frame]]) -> tuple[int, int]:
    """Frames to set aside for validation and test."""
    valid = 0 if "valid" in given else max(1, round(config.valid_fraction * len(pool)))
    test = 0 if "test" in given else round(config.test_fraction * len(pool))
    if len(pool) - valid - test < 1:
        raise InputError(
            f"{len(pool)} frames in {_files(config)} are too few to set {valid} aside for validation and {test} for "
            "the test: give more, or files for valid: and test:"
        )
    return valid, test


def _parts(pool: list[Frame], config: DataConfig, wanted: tuple[int, int]) -> Parts:
    by_group = config.split_by == "group" and any(wanted)
    if by_group:
        _check_groups(pool, config)
    parts = set_aside(Pool(pool, config.seed, by_group), *wanted)
    if by_group and not all(part or not size for part, size in zip((parts.valid, parts.test), wanted)):
        raise InputError(
            f"{_files(config)} has too few groups to keep them whole on {1 + sum(map(bool, wanted))} sides "
            f"({len({frame.group for frame in pool})}; those with single atoms, or alone with an element, train, and "
            "those with a structure in common are one): give files for valid: and test:, or split_by: frame"
        )
    if wanted[0] and not parts.valid and not by_group:  # repetitions of one structure
        parts = set_aside(Pool(pool, config.seed, by_group, part_repeats=True), *wanted)
    if wanted[0] and not parts.valid:
        raise InputError(
            f"none of the {len(pool)} frames in {_files(config)} can be set aside for validation: single atoms and the "
            "only frames with an element stay in training. Give more, or a file for valid:"
        )
    return parts


def _check_groups(pool: list[Frame], config: DataConfig) -> None:
    without = [frame for frame in pool if frame.group == "all" and not is_isolated(frame.system)]
    if without:
        raise InputError(
            f"split_by: group, but {len(without)} of {len(pool)} frames have no info {config.group!r} "
            f"(first: {without[0].source}): name the key that says to which group they belong, group: KEY"
        )


def _check(splits: Splits) -> None:
    """There is something to learn and to choose by, and no element that only validation or test know."""
    learned = {symbol for frame in splits.train for symbol in elements_of(frame)}
    for name, frames in (("valid", splits.valid), ("test", splits.test)):
        for frame in frames:
            if strange := ", ".join(sorted(elements_of(frame) - learned)):
                raise InputError(
                    f"{frame.source} is for {name}: and has {strange}, which no frame of train: has; a model knows "
                    f"only what it was trained on. Put frames with {strange} into train:, or take those out of {name}:"
                )
    targets = splits.train[0].labels.targets
    for name, frames in (("training", splits.train), ("validation", splits.valid)):
        if not any(has_label(frame, target) for target in targets for frame in frames):
            raise InputError(f"no frame for {name} has a label of {', '.join(sorted(targets)) or 'any target'}")


def _files(config: DataConfig) -> str:
    return ", ".join(map(str, config.train_paths))

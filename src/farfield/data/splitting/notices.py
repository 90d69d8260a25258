"""Notices of a split: what was moved and why, and what is on several sides."""

from collections.abc import Iterator

from farfield.data.config import ANNOTATIONS, DataConfig
from farfield.data.frame import Frame
from farfield.data.splitting.frame_kinds import shown_circumstances, shown_elements, structure_of
from farfield.data.splitting.set_aside import Parts, Pool
from farfield.geometry.isolation import is_isolated
from farfield.notices import Notice

_SHOWN = 5
"""Kinds of frames that are named before the rest is only counted."""


def mended(pool: list[Frame], config: DataConfig, wanted: tuple[int, int], parts: Parts) -> Iterator[Notice]:
    """Say what has been moved where the bare permutation would have put it elsewhere."""
    if config.split_by == "group":
        counts = [len({pool[k].group for k in part}) for part in (parts.train, parts.valid, parts.test)]
        yield Notice("note", "groups in train, valid and test: {}, {} and {}".format(*counts))
        return
    order = Pool(pool, config.seed, by_group=False).permuted()
    aside, rest = order[: sum(wanted)], order[sum(wanted) :]
    said = [*_kept_back(pool, aside, rest, parts.train), *_kept_together(pool, order, wanted)]
    if said:
        yield Notice("note", "split: " + "; ".join(said))
    if (len(parts.valid), len(parts.test)) != wanted:
        yield Notice(
            "note",
            f"split: {len(parts.valid)} frames validate and {len(parts.test)} are the test, not "
            f"{wanted[0]} and {wanted[1]}: the others are single atoms, of a kind of their own, or repeated",
        )


def _kept_back(pool: list[Frame], aside: list[int], rest: list[int], learned: list[int]) -> Iterator[str]:
    """Frames that would be set aside, beside the ``rest``, and are ``learned``."""
    single = [k for k in aside if is_isolated(pool[k].system)]
    kept = [f"{len(single)} single atom{'s' * (len(single) > 1)}"] if single else []
    trained = {kind for k in rest for kind in _kinds(pool[k])}
    for kind in sorted({kind for k in set(aside) & set(learned) for kind in _kinds(pool[k])} - trained):
        count = sum(kind in _kinds(pool[k]) for k in aside)
        kept.append(f"the only frame with {kind}" if count == 1 else f"one of {count} frames with {kind}")
    if kept:
        more = [f"{len(kept) - _SHOWN} more"] if len(kept) > _SHOWN else []
        *most, last = [*kept[:_SHOWN], *more]
        joined = f"{', '.join(most)} and {last}" if most else last
        yield f"{joined} stay{'s' * (len(kept) == 1 and len(single) <= 1)} in training"


def _kinds(frame: Frame) -> set[str]:
    return shown_elements(frame) | shown_circumstances(frame)


def _kept_together(pool: list[Frame], order: list[int], wanted: tuple[int, int]) -> Iterator[str]:
    """Frames of one structure that would be on several sides."""
    sides: dict[bytes, set[int]] = {}
    names = [structure_of(pool[k]) for k in order]
    for place, name in enumerate(names):
        sides.setdefault(name, set()).add((place >= wanted[0]) + (place >= sum(wanted)))
    if torn := sum(len(sides[name]) > 1 for name in names):
        yield f"{torn} frames that are another's structure again stay on one side with it"


def parted_repeats(pool: list[Frame], parts: Parts) -> list[Notice]:
    """Warn where structures that are trained on are set aside, too, as there are too few others."""
    learned = {structure_of(pool[k]) for k in parts.train}
    again = sum(structure_of(pool[k]) in learned for k in (*parts.valid, *parts.test))
    if not again:
        return []
    said = f"{again} frames set aside are structures that training has, too, for there are too few others"
    return [Notice("warning", f"{said}: errors on them say nothing of what the model has not seen")]


def torn_groups(pool: list[Frame], config: DataConfig, parts: Parts) -> Iterator[Notice]:
    """Groups on several sides, where the user has said what a group is; isolated atoms are no group to be torn."""
    if config.split_by == "group" or config.group == ANNOTATIONS["group"]:
        return
    learned, aside = (_groups(pool, part) for part in (parts.train, [*parts.valid, *parts.test]))
    if len(learned | aside) > 1 and (both := learned & aside):
        yield Notice(
            "note",
            f'{len(both)} of {len(learned | aside)} groups ("{config.group}") have frames both in training and in what '
            "validates or tests: where frames of a group resemble each other, these errors flatter; split_by: group "
            "puts every group on one side",
        )


def _groups(pool: list[Frame], part: list[int]) -> set[str]:
    return {pool[k].group for k in part if not is_isolated(pool[k].system)}


def seen(train: list[Frame], given: dict[str, list[Frame]]) -> Iterator[Notice]:
    """Structures of the user's own files for validation and test that training sees."""
    learned = {structure_of(frame) for frame in train} if given else set()
    for name, frames in given.items():
        if again := sum(structure_of(frame) in learned for frame in frames if not is_isolated(frame.system)):
            yield Notice(
                "warning", f"{again} of {len(frames)} structures of {name}: are in train:, too: their errors flatter"
            )

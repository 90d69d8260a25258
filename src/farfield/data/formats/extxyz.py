"""Extended xyz, frame by frame: the number of atoms, a comment line with keys, a line for every atom."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.data.formats.assembly import hang
from farfield.data.formats.columns import PLAIN, Column, declared, mended, told, values_of
from farfield.data.formats.comment import Comment, read_comment
from farfield.data.formats.elements import numbers_and_masses
from farfield.data.formats.numbers import real
from farfield.data.formats.remarks import Remarks
from farfield.data.formats.text import Lines
from farfield.errors import InputError

COUNT = re.compile(r"\s*[0-9]{1,18}\s*")
"""The line that begins a frame."""


def frames(lines: Lines, remarks: Remarks) -> Iterator[ase.Atoms]:
    """Read frame after frame; after one that is left out, go on where the next begins.

    Raises:
        InputError: one cannot be read and ``remarks`` does not let it be left out; names file, frame and line.
    """
    frame = 0
    while (line := lines.next()) is not None:
        where = f"{lines.path}, frame {frame}"
        if not line.strip():
            number = lines.number
            if not remarks.skip_unreadable and not _only_blank(lines):
                raise InputError(_blank(where, number))
            continue
        try:
            atoms = _frame(lines, line, where, remarks)
        except InputError as failure:
            remarks.leave_out(failure)
            _skip(lines)
        else:
            yield atoms
        frame += 1


def _frame(lines: Lines, first: str, where: str, remarks: Remarks) -> ase.Atoms:
    count, begun = _atom_count(first, f"{where}, line {lines.number}"), lines.number
    text = _next(lines, where)
    if text is None:
        raise InputError(_cut_short(where, begun, count, 0))
    try:
        comment = read_comment(text)
        columns = PLAIN if comment.properties is None else declared(comment.properties)
    except InputError as failure:
        raise InputError(f"{where}, line {begun + 1}: {failure}") from failure
    _say_numbers(comment, remarks)
    rows = _rows(lines, count, comment.properties is not None, columns, where)
    vectors = _vectors(lines, where)
    if vectors is not None:
        comment = Comment({"comment": text.strip()}, (), None, vectors, tuple(bool(row.any()) for row in vectors))
    spare = {len(row) - 4 for row in rows} if comment.properties is None else {0}
    if max(spare) > 0:
        columns_are = f"{max(spare)} columns after x y z are" if max(spare) > 1 else "1 column after x y z is"
        remarks.add("warning", f"{columns_are} in no Properties=: not read", example=told(columns, rows[0]))
    numbered = lambda atom: f"{where}, line {begun + 2 + atom}"  # noqa: E731
    arrays = {column.name: values_of(column, rows, numbered) for column in columns}
    try:
        return _atoms(comment, arrays, numbered, remarks)
    except InputError as failure:
        raise InputError(str(failure) if str(failure).startswith(where) else f"{where}: {failure}") from failure


def _say_numbers(comment: Comment, remarks: Remarks) -> None:
    """Tell of numbers that stand without a name, if any could be an energy: whole ones count steps."""
    if energies := [word for word in comment.numbers if not word.lstrip("+-").isdigit()]:
        topic = "the comment line holds numbers without a name, energies perhaps: not read"
        remarks.add("warning", topic, example=f"If {energies[0]} is an energy, write energy={energies[0]} there")


def _atoms(
    comment: Comment, arrays: dict[str, NDArray[Any]], numbered: Callable[[int], str], remarks: Remarks
) -> ase.Atoms:
    numbers, masses = _elements(arrays, numbered, remarks)
    pbc = comment.pbc if comment.pbc is not None else comment.cell is not None
    positions = arrays.pop("positions").astype(np.float64)
    atoms = ase.Atoms(numbers, positions=positions, cell=comment.cell, pbc=pbc, info=comment.info)
    if masses is not None and "masses" not in arrays:
        arrays["masses"] = masses
    return hang(atoms, arrays)


def _elements(
    arrays: dict[str, NDArray[Any]], numbered: Callable[[int], str], remarks: Remarks
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    numbers, labels = arrays.pop("numbers", None), arrays.pop("symbols", None)
    if labels is None:
        assert numbers is not None  # one of the two is declared
        return numbers, None
    try:
        meant, masses = numbers_and_masses(labels.tolist(), remarks)
    except ValueError as unknown:
        label, instead = unknown.args
        atom = labels.tolist().index(label)
        hint = " (for atomic numbers: Properties=Z:I:1:pos:R:3…)" if label.isdigit() else ""
        why = f"which may be one of two elements: {instead}" if instead else f"which is no element{hint}"
        raise InputError(f"{numbered(atom)}: atom {atom} is {label[:40]!r}, {why}") from None
    if numbers is not None and len(differ := np.flatnonzero(numbers != meant)):
        atom = int(differ[0])
        raise InputError(f"{numbered(atom)}: atom {atom} is {labels[atom]!r}, but Z says {numbers[atom]}")
    return meant, masses


def _rows(lines: Lines, count: int, exact: bool, columns: tuple[Column, ...], where: str) -> list[list[str]]:
    """The words of every atom's line: as many as declared, so that nothing is shifted or dropped."""
    width, begun = columns[-1].start + columns[-1].width, lines.number - 1
    rows: list[list[str]] = []
    while len(rows) < count:
        line = _next(lines, where)
        if line is None:
            raise InputError(_cut_short(where, begun, count, len(rows)))
        row = line.split()
        if len(row) < width or (exact and len(row) > width):
            expected = f"{width} as Properties says{mended(columns, row)}" if exact else "at least 4 (element x y z)"
            at = f"{where}, line {lines.number}"
            lines.back()  # a frame may begin here
            raise InputError(f"{at}: atom {len(rows)} has {len(row)} columns, expected {expected}")
        rows.append(row)
    return rows


def _vectors(lines: Lines, where: str) -> NDArray[np.float64] | None:
    """Cell vectors after the atoms, ``VEC1 x y z``: ADF's dialect; zero where there are fewer than three."""
    found: list[list[float]] = []
    while (line := lines.next()) is not None:
        if not line.lstrip().startswith("VEC"):
            lines.back()
            break
        words = line.split()
        try:
            vector = [real(word) for word in words[1:]]
        except ValueError:
            vector = []
        if len(vector) != 3 or words[0] != f"VEC{len(found) + 1}" or len(found) == 3:
            raise InputError(
                f"{where}, line {lines.number}: expected a cell vector, VEC1 x y z to VEC3 x y z one after the other, "
                f"found {line.strip()[:60]!r}"
            )
        found.append(vector)
    return np.array(found + [[0.0] * 3] * (3 - len(found))) if found else None


def _atom_count(line: str, where: str) -> int:
    if not COUNT.fullmatch(line) and not line.strip()[:60].isprintable():
        raise InputError(f"{where}: cannot read this as text, found {line.strip()[:20]!r}")
    if not COUNT.fullmatch(line):
        raise InputError(f"{where}: expected the number of atoms of a frame, found {line.strip()[:60]!r}")
    if int(line) < 1:
        raise InputError(f"{where}: a frame of 0 atoms")
    return int(line)


def _next(lines: Lines, where: str) -> str | None:
    """The next line, which is text."""
    line = lines.next()
    if line is not None and "\0" in line:
        raise InputError(
            f"{where}, line {lines.number} holds a byte 0, which no text does: if it is UTF-16, save it as UTF-8"
        )
    return line


def _skip(lines: Lines) -> None:
    """Go to the next line that could begin a frame."""
    while (line := lines.next()) is not None:
        if COUNT.fullmatch(line):
            lines.back()
            return


def _only_blank(lines: Lines) -> bool:
    """Tell whether nothing but blank lines follows."""
    while (line := lines.next()) is not None:
        if line.strip():
            lines.back()
            return False
    return True


def _blank(where: str, line: int) -> str:
    return f"{where}, line {line} is blank where the number of atoms of a frame should stand: delete the blank line"


def _cut_short(where: str, line: int, count: int, found: int) -> str:
    return f"{where}: line {line} announces {count} atoms, but the file ends after {found} of them: it was cut short"

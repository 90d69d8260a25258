"""The lines of a text file, one after the other, in whatever encoding and with whatever line ends they were written."""

import codecs
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ase.io.formats import open_with_compression

from farfield.errors import InputError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
FAILURES = (OSError, EOFError, UnicodeError, zlib.error, lzma.LZMAError)
"""What opening, unpacking and decoding give up with."""


class Lines:
    """Lines with their numbers (from 1), of which the last can be put back. Nothing else is kept in memory."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.number, self.latin1 = path, 0, False
        self._bytes = file
        encoding = _encoding(file)
        lenient = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        self._text = io.TextIOWrapper(file, encoding=encoding, errors=lenient)
        self._current: str | None = None
        self._again = self._over = False

    def next(self) -> str | None:
        """The next line without its end; None after the last.

        Raises:
            InputError: it cannot be decoded or unpacked.
        """
        if self._again:
            self._again = False
        else:
            self._current = self._read()
        self.number += self._current is not None
        return self._current

    def back(self) -> None:
        """Put the last line back: ``next`` will give it again."""
        self._again = True
        self.number -= self._current is not None

    def bytes_read(self) -> int:
        """Count the bytes of the file on the disk that were read; 0 where that cannot be told."""
        inner: Any = self._bytes
        for name in ("fileobj", "_fp", "_buffer", "raw"):  # what unpacks knows the packed file under its own name
            inner = getattr(inner, name, None) or inner
        try:
            return int(inner.tell())
        except (OSError, ValueError, AttributeError):
            return 0

    def _read(self) -> str | None:
        if self._over:
            return None
        try:
            line = self._text.readline()
        except FAILURES as failure:
            self._over = True
            raise InputError(f"cannot read {self.path} as text, line {self.number + 1}: {failure}") from failure
        if not line:
            return None
        return self._western(line).rstrip("\n")

    def _western(self, line: str) -> str:
        """Decode what is no UTF-8 as Latin-1, in which every byte is a letter."""
        if line.isascii():
            return line
        try:
            line.encode("utf-8")
        except UnicodeEncodeError:
            self.latin1 = True
            return line.encode("utf-8", "surrogateescape").decode("latin-1")
        return line


@contextmanager
def lines_of(path: Path) -> Iterator[Lines]:
    """Open a text file, packed (gz, bz2, xz) or not.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        file = open_with_compression(str(path), "rb")
    except FAILURES as failure:
        raise InputError(f"cannot read {path}: {failure}") from failure
    with file:
        try:
            lines = Lines(path, file)
        except FAILURES as failure:
            raise InputError(f"cannot read {path}: {failure}") from failure
        yield lines


def head(path: Path, count: int) -> list[str]:
    """The first lines of a file, no longer than a kilobyte each; none of what cannot be read."""
    try:
        with lines_of(path) as lines:
            found = [lines.next() for _ in range(count)]
    except InputError:
        return []
    return [line[:1024] for line in found if line is not None]


def _encoding(file: IO[bytes]) -> str:
    start = file.read(4)
    file.seek(0)
    return next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), "utf-8")

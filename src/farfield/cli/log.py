"""Log messages of the library, shown as notices."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from farfield.notices import Notice


class _AsNotices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        from farfield.cli.notices import show_notice

        show_notice(Notice("warning" if record.levelno >= logging.WARNING else "note", record.getMessage()))


@contextmanager
def log_as_notices() -> Iterator[None]:
    """Show what farfield logs meanwhile, information included."""
    log, handler = logging.getLogger("farfield"), _AsNotices()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)

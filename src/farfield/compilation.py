"""Says that loops are being compiled, which takes up to a minute in all at their first use and never again.

What is said goes to the logger of this module as information: the command line shows it, a library is silent.
"""

import logging
import threading
import time
from functools import cache

from numba.core import event

_LOG = logging.getLogger(__name__)

UNHEARD = 1.0
"""s of compilation that nobody needs to hear of."""
BETWEEN = 15.0
"""s of compilation between one word and the next."""


class _Speaker(event.Listener):  # type: ignore[misc]  # numba has no types
    """Hears of every compilation, those inside others included; what is found on disk is none."""

    def __init__(self) -> None:
        self.inside = 0  # compilations that have begun and not ended
        self.loops = 0  # compiled so far
        self.spent = 0.0  # s
        self.began = 0.0
        self.next = UNHEARD  # s spent at which something is said
        self.timer = threading.Timer(0.0, self._say)

    def on_start(self, news: event.Event) -> None:
        """Wait for the moment to speak in the course of an outermost compilation."""
        if not _is_ours(news):
            return
        self.inside += 1
        if self.inside == 1:
            self.began = time.monotonic()
            self.timer = threading.Timer(max(self.next - self.spent, 0.0), self._say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, news: event.Event) -> None:
        """Count it."""
        if not _is_ours(news):
            return
        self.inside -= 1
        self.loops += 1
        if self.inside == 0:
            self.timer.cancel()
            self.spent += time.monotonic() - self.began

    def _say(self) -> None:
        if self.next == UNHEARD:
            _LOG.info("compiling loops for this machine: once, up to a minute in all")
        else:
            _LOG.info(f"compiling, {self.loops} loops so far")
        self.next += BETWEEN


def _is_ours(news: event.Event) -> bool:
    return str(news.data["dispatcher"].py_func.__module__).startswith("farfield.")


def say_what_is_compiled() -> None:
    """Listen from now on; call it once."""
    event.register("numba:compile", _Speaker())


@cache
def say_that_nothing_is_kept() -> None:
    """Say, once, that every process will compile for itself."""
    _LOG.info("no folder can be written to keep compiled loops in: NUMBA_CACHE_DIR names another")

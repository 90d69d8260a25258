"""Things by the word users type: our own, and those that installed packages register as entry points."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any, TypeVar

from farfield.errors import InputError

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class Registry(MutableMapping[str, T]):
    """A dictionary of name → thing; each is imported when it is first looked up, ours stand first.

    Installed packages add to it by entry points. One that cannot be used is left out of every list, which a warning
    says, and raises ``InputError`` with the reason where it is asked for by name.
    """

    def __init__(self, noun: str, group: str, own: Mapping[str, str], check: Callable[[str, Any], T]) -> None:
        """Take what things are called, the entry-point group, and ours as ``module:attribute``.

        ``check`` returns a thing that may have this name, and raises ``TypeError`` or ``ValueError`` in words.
        """
        self.noun, self.group, self.own, self.check = noun, group, dict(own), check
        self._loaded: dict[str, T] = {}
        self._warned: set[str] = set()

    def __getitem__(self, name: str) -> T:
        """Import one.

        Raises:
            KeyError: there is none of this name.
            InputError: an installed package registers it, and it cannot be used.
        """
        if name not in self._loaded:
            self._loaded[name] = self._import(name)
        return self._loaded[name]

    def __setitem__(self, name: str, thing: T) -> None:
        self._loaded[name] = self.check(name, thing)

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Look for a name, importing nothing of ours.

        Raises:
            InputError: an installed package registers it, and it cannot be used.
        """
        return name in self.own or name in self._loaded or (name in self._added and self[str(name)] is not None)

    def __iter__(self) -> Iterator[str]:
        sound = [name for name in self._added if self._is_sound(name)]
        return iter(dict.fromkeys([*self.own, *sound, *self._loaded]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    @cached_property
    def _added(self) -> dict[str, list[EntryPoint]]:
        """Find what installed packages register, by name; two of them may have hit on the same one."""
        found: dict[str, list[EntryPoint]] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: (point.name, point.value)):
            if point.name in self.own:
                taken = f"the {self.noun} {point.name}, which farfield has itself: its own is used"
                _LOG.warning(f"{_package(point)} registers {taken}")
            else:
                found.setdefault(point.name, []).append(point)
        return found

    def _import(self, name: str) -> T:
        if name in self.own:
            return self.check(name, resolve_name(self.own[name]))
        point, *others = self._added[name]
        if others:
            packages = " and ".join(_package(one) for one in (point, *others))
            raise InputError(f"{packages} both register the {self.noun} {name}: uninstall one of them")
        try:
            return self.check(name, point.load())
        except Exception as fault:  # anybody's code stands behind it
            reason = f"{type(fault).__name__}: {fault}"
            raise InputError(f"the {self.noun} {name} of {_package(point)} cannot be used: {reason}") from fault

    def _is_sound(self, name: str) -> bool:
        try:
            return self[name] is not None
        except InputError as fault:
            if name not in self._warned:
                _LOG.warning(f"{fault}. It is left out.")
            self._warned.add(name)
            return False


def _package(point: EntryPoint) -> str:
    return (
        f"{point.dist.name} {point.dist.version}" if point.dist is not None else f"an installed package ({point.value})"
    )

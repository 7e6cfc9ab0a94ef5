"""What a strategy may remember beyond its instances: its module's and its classes' variables."""

from __future__ import annotations

import contextlib
import copy
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = (bool, int, float, str, tuple, frozenset, type(None))
MUTABLE = (dict, list, set)


class Memory:
    """The variables of the module and the classes of a strategy, as they were at the start.

    Args:
        made: The strategy; its module and its classes are looked at, and not those of Python.
    """

    def __init__(self, made: object) -> None:
        """Copy what can be copied."""
        classes = [one for one in type(made).__mro__ if one is not object]
        modules = {one.__module__: sys.modules.get(one.__module__) for one in classes}
        self._owners = [*filter(None, modules.values()), *classes]
        self._there = {(id(owner), name) for owner in self._owners for name in vars(owner)}
        self._first = self._copied()

    @contextlib.contextmanager
    def forgotten(self) -> Iterator[None]:
        """Let everything be as it was at the start, and afterwards as it is now."""
        now = self._copied()
        self._put(self._first)
        for owner, name, *_ in now:
            if (id(owner), name) not in self._there:
                delattr(owner, name)
        try:
            yield
        finally:
            self._put(now)

    def _copied(self) -> list[tuple[Any, str, object, object]]:
        """Return ``(owner, name, value, copy of the value)`` of each variable."""
        found: list[tuple[Any, str, object, object]] = []
        for owner in self._owners:
            for name, value in list(vars(owner).items()):
                if name.startswith("__") or not isinstance(value, PLAIN + MUTABLE):
                    continue
                with contextlib.suppress(Exception):  # what holds a lock, or a file
                    found.append((owner, name, value, copy.deepcopy(value)))
        return found

    def _put(self, kept: list[tuple[Any, str, object, object]]) -> None:
        """Put the variables back, those that others hold too in their place."""
        for owner in self._owners:
            for value in list(vars(owner).values()):
                clear = getattr(value, "cache_clear", None)  # of functools.cache
                if callable(clear):
                    clear()
        for owner, name, value, held in kept:
            again: Any = copy.deepcopy(held)
            if isinstance(value, list):
                value[:] = again
            elif isinstance(value, dict | set):
                value.clear()
                value.update(again)
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)

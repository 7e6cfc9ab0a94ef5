"""A strategy under test: each call is timed, watched for side effects, and repeated."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_soak.errors import what_raised
from pytest_soak.model.decision import Decision
from pytest_soak.model.history import Entry, History
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.safe_repr import safe_repr, safe_text
from pytest_soak.store.records import (
    decision_from_json,
    decision_to_json,
    summary_from_json,
    summary_to_json,
)
from pytest_soak.testing.promises import BrokenPromise, Promise, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_soak.model.pack import Pack

ACTS = frozenset(
    {
        "os.chdir",
        "os.chmod",
        "os.chown",
        "os.exec",
        "os.fork",
        "os.kill",
        "os.link",
        "os.mkdir",
        "os.posix_spawn",
        "os.putenv",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.system",
        "os.truncate",
        "os.unsetenv",
        "os.utime",
        "shutil.move",
        "shutil.rmtree",
        "socket.bind",
        "socket.connect",
        "sqlite3.connect",
        "subprocess.Popen",
    }
)
"""The audit events by which a strategy would change something outside."""


class TookTooLong(BaseException):
    """A call that did not end in time; an `except Exception` in a strategy does not catch it."""

    @property
    def where(self) -> str:
        """File and line that ran, or waited, when time was up."""
        frame = traceback.extract_tb(self.__traceback__)[-2]  # the last one is the signal's handler
        return f"{frame.filename}:{frame.lineno}"


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TookTooLong` in what takes longer than *seconds* of wall-clock time.

    It works in the main thread, where the operating system has SIGALRM. It does not end C code or
    a loop that catches everything; pytest-timeout does.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    inside = True

    def ring(*_: object) -> None:
        if inside:
            raise TookTooLong

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        inside = False
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


@dataclass
class _Outside:
    """Collects the audit events of one thread that show a side effect."""

    installed: bool = False
    thread: int | None = None
    seen: list[str] = field(default_factory=list)

    def hook(self, event: str, args: tuple[object, ...]) -> None:
        if self.thread is None or self.thread != threading.get_ident():
            return
        if any("__pycache__" in str(arg) for arg in args[:2]):  # what an import leaves
            return
        if event in ACTS or (event == "open" and _writes(*args)):
            self.seen.append(f"{event} {safe_text(', '.join(map(repr, args[:1])))}")

    @contextlib.contextmanager
    def heard(self) -> Iterator[list[str]]:
        """Give the list that is filled with side effects."""
        if not self.installed:
            sys.addaudithook(self.hook)  # it cannot be removed again
            self.installed = True
        self.seen, self.thread = [], threading.get_ident()
        try:
            yield self.seen
        finally:
            self.thread = None


OUTSIDE = _Outside()


def _writes(path: object, mode: object, flags: object) -> bool:
    """Return whether an audited ``open`` of *path* may write; an int is a file already open."""
    if isinstance(path, int):
        return False
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@dataclass(frozen=True)
class Breach:
    """A promise that was broken in one call, and how."""

    promise: Promise
    what: str


class Watched:
    """A proxy of a strategy that notes which promises it breaks when the controller asks it.

    Args:
        factory: Makes new instances.
        pack: What the factory gets.
        method: The name of the method that is checked.
        who: The strategy, for errors.
        seconds: How long an answer may take.
    """

    def __init__(
        self, factory: Callable[[Pack], Any], pack: Pack, method: str, who: str, seconds: float
    ) -> None:
        """Make the strategy."""
        self._factory, self._pack = factory, pack
        self._strategy = self._new()
        self._method, self._who, self._seconds = method, who, seconds
        self.breaches: list[Breach] = []
        self.calls: list[tuple[tuple[Any, ...], Any]] = []
        """The arguments of each call since the start, and the answer."""
        self._read: list[tuple[Entry, Entry]] = []
        """Entries of the history, and the same entries as read back from the journal."""

    def _new(self) -> object:
        made: object = self._factory(self._pack)
        return made

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute
        """Return an attribute of the strategy; its method wrapped in the checks."""
        found = getattr(self._strategy, name)
        if name != self._method:
            return found

        @functools.wraps(found)  # its signature shows whether it takes a headroom
        def asked(*args: Any) -> object:  # noqa: ANN401 - as the controller calls it
            return self._ask(args)

        asked.__name__ = name
        return asked

    def _ask(self, args: tuple[Any, ...]) -> object:
        args = _own(args)
        kept, before = _own(args), _text(args)
        with OUTSIDE.heard() as done:
            try:
                answer = self._call(self._strategy, args)
            except (Exception, SystemExit) as error:
                self._tell(Promise.ANSWERS, f"{self._method}() {what_raised(error)}")
                raise
            finally:
                if done:
                    self._tell(Promise.OUTSIDE, f"{self._method}() did: {'; '.join(done[:3])}")
                if _text(args) != before:
                    self._tell(Promise.INPUTS, f"{self._method}() changed its arguments")
        self.calls.append((kept, answer))
        self._compare(answer, kept, "when asked the same again", self._strategy)
        self._compare(answer, kept, "from a new instance, as after a worker's crash", self._new())
        again = tuple(map(self._reread, kept))
        self._compare(answer, again, "from a new instance that reads the journal", self._new())
        return answer

    def _reread(self, value: object) -> object:
        """Return a history or a decision as the journal gives it back, other values as they are."""
        if isinstance(value, History):
            for place, entry in enumerate(value):
                if place >= len(self._read) or self._read[place][0] is not entry:
                    self._read[place:] = [(entry, _reread_entry(entry))]
            return History([read for _, read in self._read[: len(value)]])
        if isinstance(value, Decision):
            data = json.loads(json.dumps(decision_to_json(value)))
            return decision_from_json(data, value.iteration, value.parameters)
        return value

    def ask_backwards(self) -> None:
        """Repeat all calls on a new instance, latest first: a memory changes the answers."""
        strategy = self._new()
        for args, answer in reversed(self.calls):
            self._compare(answer, args, "after calls for later iterations", strategy)

    def _compare(self, answer: object, args: tuple[Any, ...], when: str, strategy: object) -> None:
        try:
            other = self._call(strategy, _own(args))
            same = other is answer or (type(other) is type(answer) and bool(other == answer))
            said = told(other)
        except Exception as error:  # noqa: BLE001 - third-party code
            same, said = False, what_raised(error)
        if not same:
            self._tell(Promise.SAME_ANSWER, f"it answered {told(answer)}; {when}: {said}")

    def _call(self, strategy: object, args: tuple[Any, ...]) -> object:
        try:
            with limited(self._seconds):
                return getattr(strategy, self._method)(*args)
        except TookTooLong as late:
            what = f"{self._method}() took longer than {self._seconds:g} s and was ended"
            broken = BrokenPromise(Promise.IN_TIME, self._who, f"{what} ({late.where})")
            raise Stopped(broken) from None

    def _tell(self, promise: Promise, what: str) -> None:
        self.breaches.append(Breach(promise, what))


def told(answer: object) -> str:
    """Return an answer as short text."""
    if isinstance(answer, Proposal):
        return f"{safe_repr(answer.deltas)} for {safe_repr(answer.reasons)}"
    if isinstance(answer, Decision):
        left = {one.parameter: one.effective for one in answer.moves}
        words = [veto.reason for veto in answer.vetoes]
        words += [notice.reason for notice in answer.notices]
        return f"leaving {left}, telling {words}"
    return safe_repr(answer)


def _own(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *args* with copies of dicts and histories."""
    return tuple(
        History(list(one)) if isinstance(one, History) else dict(one) if type(one) is dict else one
        for one in args
    )


def _text(args: tuple[Any, ...]) -> str:
    return "\n".join(repr(list(one) if isinstance(one, History) else one) for one in args)


def _reread_entry(entry: Entry) -> Entry:
    data = json.loads(json.dumps(summary_to_json(entry.summary)))
    summary = summary_from_json(data, entry.summary.iteration)
    decision = entry.decision
    if decision is not None:
        data = json.loads(json.dumps(decision_to_json(decision)))
        decision = decision_from_json(data, decision.iteration, summary.parameters)
    return replace(entry, summary=summary, decision=decision)

"""A pytest plugin that ends its process with SIGKILL at a step of `steps.STEPS`.

It wraps functions of the product in the process that is to die; the product has no hook for it.
What to do comes as JSON in the environment, see `Order`.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import shutil
import signal
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.faults.steps import STEPS, When
from tests.faults.subject import Ledger, append

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.steps import Step

R = TypeVar("R")

ORDER = "SOAK_FAULTS_ORDER"
TRACE = "trace"
"""The file that gets a line for every step that is passed."""
FELL = "fell"
"""The folder for the notes of the process that is killed."""
STEP, AT_WORK = "step", "at_work"
"""The files in it with the step of the kill, and with the current chain."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order to kill.

    Args:
        step: The name of the step to kill at, or empty: only trace.
        hit: At which passing of it.
        controller: Whether to kill the controller of pytest-xdist instead of the own process.
    """

    step: str = ""
    hit: int = 1
    controller: bool = False

    def to_environ(self) -> str:
        """Return it as the value of an environment variable."""
        return json.dumps(asdict(self))


class Killer:
    """Follows the process through its steps, and kills it at the ordered one."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._hits = 0
        self._calls: list[str] = []

    def arm(self) -> None:
        """Wrap every function that a step is in."""
        targets: dict[str, list[Step]] = {}
        for step in STEPS:
            for call in filter(None, (step.call, step.during)):
                targets.setdefault(call.partition(" ")[0], [])
            targets[step.call.partition(" ")[0]].append(step)
        for target, steps in targets.items():
            module, _, path = target.partition(":")
            *owners, name = path.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, self._wrapped(getattr(owner, name), target, steps))

    def _wrapped(
        self, function: Callable[..., R], target: str, steps: list[Step]
    ) -> Callable[..., R]:
        @functools.wraps(function)
        def followed(*args: Any, **kwargs: Any) -> R:
            texts = " ".join(str(value) for value in args if isinstance(value, str | Path))
            call = f"{target} {texts}"
            here = [step for step in steps if self._is_at(step, call)]
            self._calls.append(call)
            try:
                for step in here:
                    if step.when is not When.AFTER and self._passes(step):
                        if step.when is When.HALF and not self._order.controller:
                            write_half(*args)
                        self._kill(step)
                returned = function(*args, **kwargs)
            finally:
                self._calls.pop()
            for step in here:
                if step.when is When.AFTER and self._passes(step):
                    self._kill(step)
            return returned

        return followed

    def _is_at(self, step: Step, call: str) -> bool:
        if not fits(call, step.call):
            return False
        return not step.during or any(fits(outer, step.during) for outer in self._calls)

    def _passes(self, step: Step) -> bool:
        """Record that *step* is passed; return whether to kill there."""
        append(Path(TRACE), f"{step.name}\n")
        if step.name != self._order.step:
            return False
        self._hits += 1
        return self._hits == self._order.hit and claimed()

    def _kill(self, step: Step) -> None:
        # The journals first: what is settled now, and is counted later than now, ran again.
        for journal in Path("artifacts/soak").glob("*/journal.jsonl"):
            shutil.copy(journal, Path(FELL, f"{journal.parent.name}.jsonl"))
        for counter in Path().glob("counter-*"):
            shutil.copy(counter, FELL)
        Path(FELL, AT_WORK).write_text(Ledger.at_work, encoding="utf-8")
        Path(FELL, STEP).write_text(step.name, encoding="utf-8")
        os.kill(os.getppid() if self._order.controller else os.getpid(), signal.SIGKILL)


def claimed() -> bool:
    """Claim the ordered kill, so that no other worker and no replacement does it too."""
    try:
        Path(FELL).mkdir()
    except FileExistsError:
        return False
    return True


def fits(call: str, pattern: str) -> bool:
    """Return whether *call*, a target and its texts, matches *pattern*."""
    target, _, texts = pattern.partition(" ")
    return fnmatchcase(call, f"{target} {texts or '*'}")


def write_half(descriptor: int, data: bytes) -> None:
    """Write the first half of *data*, like an interrupted write."""
    os.write(descriptor, data[: len(data) // 2])


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Register the killer; without an order, as in a test of this repository, do nothing."""
    given: dict[str, Any] | None = json.loads(os.environ.get(ORDER, "null"))
    if given is not None:
        Killer(Order(**given)).arm()

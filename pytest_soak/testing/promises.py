"""The promises of a strategy, and the error for one that is broken."""

from __future__ import annotations

from enum import StrEnum


class Promise(StrEnum):
    """The promises. Where several are broken at once, the first one is reported."""

    READY = "it can be made, its required metrics are known, its corridor is one of the two"
    IN_TIME = "every answer comes in time"
    OUTSIDE = "it changes nothing outside: no file, process, connection or environment variable"
    INPUTS = "it changes nothing that it was given: history, parameters, report, pack"
    TAKES_AWAY = "a guard only takes away: it adds, enlarges, turns and rewrites nothing"
    TOLD = "a guard reports what it stops or makes smaller, with an enumerated reason"
    ANSWERS = "every answer is valid, and nothing is raised"
    INTEGRITY = "the run continues, and its record is complete"
    SAME_ANSWER = "same history, same answer: it has no memory of its own"
    ACTS = "a guard changes the decision in the situation that its author gives"
    OBJECTS = "a criterion objects to the run that its author gives"
    NOTHING = "a criterion has no word on a run without a usable value: not PASS, WARN or FAIL"
    RECORD = "what is set is described as plain JSON, which makes the same criterion again"
    GRAMMAR = "a gate setting sets what a pack may, or is refused by None or a ValueError"
    NO_LIVELOCK = "while reports stay bad, parameters move, or a reason says why one does not"
    REPORT = "every report is fresh, well-formed plain JSON with a value for each KPI"
    ECHO = "a report contains the parameters that were used, and they are those asked for"
    REPEATABLE = "same parameters, iteration, seed and state: same report and state"
    STATE = "its state is plain JSON, and all that it needs to continue"
    ANSWERS_TO = "its metrics change with the parameters in `answers_to`"


class BrokenPromise(AssertionError):
    """A strategy broke a promise.

    Args:
        promise: Which one.
        who: The strategy, with its plugin and hook.
        what: What happened.
        story: The smallest history that shows it, one line per iteration.
    """

    def __init__(self, promise: Promise, who: str, what: str, story: tuple[str, ...] = ()) -> None:
        """Compose the message."""
        self.promise, self.who, self.what, self.story = promise, who, what, story
        lines = [f"{promise.name}: {promise}", f"  broken by: {who}", f"  how: {what}"]
        if story:
            lines += ["  the smallest history that shows it:", *(f"    {line}" for line in story)]
        super().__init__("\n".join(lines))


class Stopped(BaseException):
    """A broken promise for which no smaller history is searched: each attempt would hang again."""

    def __init__(self, broken: BrokenPromise) -> None:
        """Carry *broken* past every `except Exception`."""
        super().__init__(str(broken))
        self.broken = broken

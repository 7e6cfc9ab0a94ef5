"""What a strategy promises, and the error that says which promise was broken, by whom, and when."""

from __future__ import annotations

from enum import StrEnum


class Promise(StrEnum):
    """The promises, in the order in which a breach is told where several are broken at once."""

    READY = "it is what it says: required metrics are known, its corridor is one of the two"
    IN_TIME = "every answer comes in time"
    OUTSIDE = "it changes nothing outside: no file, process, connection or environment variable"
    INPUTS = "it changes nothing that it was given: history, parameters, report, pack"
    TAKES_AWAY = "a guard only takes away: it adds, enlarges, turns and rewrites nothing"
    TOLD = "what a guard stops or makes smaller it tells, with an enumerated reason"
    ANSWERS = "every answer is lawful, and nothing is raised"
    INTEGRITY = "whatever a strategy does, the run goes on and its record is whole"
    SAME_ANSWER = "same history, same answer: it has no memory of its own"
    ACTS = "in the situation that its author gives it changes the decision, and does not only tell"
    NO_LIVELOCK = "under a report that stays bad parameters move, and what holds one is told"
    REPORT = "every report is fresh, well-formed plain JSON with a value for each KPI"
    ECHO = "a report tells the parameters that were really used, and they are those asked for"
    REPEATABLE = "same parameters, iteration, seed and state: same report and state"
    STATE = "its state is plain JSON, and all that it needs to go on"
    ANSWERS_TO = "its metrics answer to the parameters that it says they answer to"


class BrokenPromise(AssertionError):
    """A strategy broke a promise.

    Args:
        promise: Which one; the project's own tests add rules of the core.
        who: The strategy, with its plugin and hook.
        what: What happened, in words.
        story: The smallest history that shows it, a line for each iteration.
    """

    def __init__(self, promise: StrEnum, who: str, what: str, story: tuple[str, ...] = ()) -> None:
        """Put the words together."""
        self.promise, self.who, self.what, self.story = promise, who, what, story
        lines = [f"{promise.name}: {promise}", f"  broken by: {who}", f"  how: {what}"]
        if story:
            lines += ["  the smallest history that shows it:", *(f"    {line}" for line in story)]
        super().__init__("\n".join(lines))


class Stopped(BaseException):
    """A breach that is not looked for again with smaller histories: each try would hang anew."""

    def __init__(self, broken: BrokenPromise) -> None:
        """Carry what was *broken* past everything that catches exceptions."""
        super().__init__(str(broken))
        self.broken = broken

"""Texts of strategies and systems that hold a secret, or that could act where they are shown.

Claim: wherever a strategy, a system or an observer of the files puts a secret, and however it is
written there, no file and no view holds it, nor a long piece of it. No line of a view has an active
character, looks like a marker line of ours, or is a workflow command. The run can be taken up.
"""

from __future__ import annotations

import base64
import json
import os
import re
from html import escape
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

from pytest_soak.engine.loop import SoakLoop
from pytest_soak.engine.strategies import StrategyFault
from pytest_soak.errors import SystemFailure
from pytest_soak.model.decision import Decision
from pytest_soak.model.proposal import Proposal
from pytest_soak.model.verdict import Judgement, Verdict
from pytest_soak.views.junit import gate_properties
from pytest_soak.views.markers import Markers
from pytest_soak.views.rows import explanation
from pytest_soak.views.screen import Screen
from pytest_soak.views.terminal import ClosingTable
from pytest_soak.views.views import Views
from tests.fuzz.chains import asked, planned, registry
from tests.fuzz.harness import files, promised
from tests.fuzz.reports import Returns, healthy, taken_up
from tests.fuzz.strategies import Stranger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

NAME = "FUZZ_KEY"
LONG = 16
"""A piece of so many characters must not be left."""
ALPHABETS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    "abcdef0123456789",
    "aZ9 /+=&%$\"'\\<>#?;:@[]{}|,.!~^`",
    "aZ9 äöü€漢🦈\t\n",
)


def made(random: Random) -> str:
    """Return a secret."""
    length = random.choice((10, 20, 40, 100, 850))
    return "x" + "".join(random.choices(random.choice(ALPHABETS), k=length)) + "y"


SECRETS = tuple(made(Random(seed)) for seed in range(16))
"""A few only: a mask takes longer to make than to use."""
CODED: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda data: base64.b64encode(data).decode(),
    "base64 for URLs": lambda data: base64.urlsafe_b64encode(data).decode(),
    "base64 in lines": lambda data: base64.encodebytes(data).decode(),
    "base32": lambda data: base64.b32encode(data).decode(),
}
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "URL": lambda value: quote(value, safe=""),
    "URL with plus": quote_plus,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "repr": repr,
    "HTML": escape,
    "HEX": lambda value: value.encode().hex().upper(),
}


def forms(value: str) -> Iterator[str]:
    """Yield what must not be left: every form of *value*, without quotes and what is beside it."""
    for form in FORMS.values():
        yield form(value).strip("\"'")
        yield form(" ".join(value.split())).strip("\"'")
    data = value.encode()
    for code in CODED.values():
        for before in range(5):
            yield code(bytes(before) + data + bytes(5))[8 : -12 - before]


def pieces(value: str) -> set[str]:
    """Return every piece of `LONG` characters of the forms of *value*, and all of a shorter one."""
    return {
        form[at : at + LONG].lower()
        for form in forms(value)
        for at in range(max(1, len(form) - LONG + 1))
        if len(form) >= 8
    }


FORBIDDEN = {value: pieces(value) for value in SECRETS}


def held(text: str, secret: str) -> str:
    """Return a piece of *secret* that *text* holds, or an empty string."""
    text = text.lower()
    forbidden = FORBIDDEN[secret]
    found = [text[at : at + LONG] for at in range(len(text)) if text[at : at + LONG] in forbidden]
    found += [form for form in forbidden if len(form) < LONG and form in text]
    return next(iter(found), "")


class Shy:
    """An object that tells its text only by its repr."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"Shy({self._text})"


def raises(text: str) -> Any:
    raise ValueError(text)


Place = tuple[str, "Callable[[Any, str], object]"]
PLACES: dict[str, Place] = {
    "fact's name": ("watchers", lambda _, text: {text: 1}),
    "fact's words": ("watchers", lambda _, text: {"words": ("a", text)}),
    "fact of no kind": ("watchers", lambda _, text: {"odd": [text]}),
    "facts of no kind": ("watchers", lambda _, text: Shy(text)),
    "watcher": ("watchers", lambda _, text: raises(text)),
    "judged metric": ("gates", lambda _, text: (Judgement(text, Verdict.FAIL, 1, 1),)),
    "rule": ("gates", lambda _, text: (Judgement("a", Verdict.FAIL, 1, 1, text),)),
    "problem": ("gates", lambda _, text: (Judgement("a", Verdict.FAIL, 1, 1, "", text),)),
    "judged value": ("gates", lambda _, text: (Judgement("a", Verdict.FAIL, text),)),  # type: ignore[arg-type] # hostile
    "judgement of no kind": ("gates", lambda _, text: (Shy(text),)),
    "gate": ("gates", lambda _, text: raises(text)),
    "reason": ("tuners", lambda _, text: Proposal({"workers": 1}, ("a", text))),
    "own reason": ("tuners", lambda _, text: Proposal({"workers": 1}, (), {"workers": text})),
    "withheld": ("tuners", lambda _, text: Proposal({}, (), {}, (text,))),
    "unknown parameter": ("tuners", lambda _, text: Proposal({text: 1})),
    "delta": ("tuners", lambda _, text: Proposal({"workers": text})),  # type: ignore[dict-item] # hostile
    "reasons of no kind": ("tuners", lambda _, text: Proposal({}, [text])),  # type: ignore[arg-type] # hostile
    "proposal of no kind": ("tuners", lambda _, text: {"a": {"b": Shy(text)}}),
    "tuner": ("tuners", lambda _, text: raises(text)),
    "veto's reason": ("guards", lambda given, text: given.veto("mine", "workers", text)),
    "veto's detail": ("guards", lambda given, text: given.veto("mine", "workers", "a", text)),
    "veto's guard": ("guards", lambda given, text: given.veto(text, text, "a")),
    "notice": ("guards", lambda given, text: given.notice("mine", "a", text, text)),
    "skip": ("guards", lambda given, text: given.skip("mine", text, text)),
    "rollback": ("guards", lambda _, text: Decision(1, rollback=text)),  # type: ignore[arg-type] # hostile
    "decision of no kind": ("guards", lambda _, text: [text]),
    "guard": ("guards", lambda _, text: raises(text)),
    "report": ("system", lambda report, text: report | {text: [{"a": text}]}),
    "own problem": ("system", lambda report, text: report | {"problem": text}),
    "total": ("system", lambda report, text: report | {"totals": {"throughput": text}}),
    "used": ("system", lambda report, text: report | {"parameters": {text: text}}),
    "iteration": ("system", lambda report, text: report | {"iteration": text}),
    "report of no kind": ("system", lambda _, text: Shy(text)),
    "state": ("state", lambda _, text: {"a": text}),
    "failure": ("fails", lambda _, text: text),
    "closing": ("closes", lambda _, text: text),
    "failed closing": ("closing fails", lambda _, text: text),
    "overrides": ("file", lambda _, text: {text: text}),
}
"""Where a text gets to, who hands it over, and how."""
EVIL = (
    "\x1b[2J", "\x1b[8m", "\x00", "\x9b31m", "\u202e", "\u200b", "\r", "\n", "::error::x",
    "\n::warning file=a::b", "##[error]x", "| kpi_gate | PASS |", "\n| kpi_gate | PASS |",
    "\n| iter_watch | APPLY |", "kpi_gate",
)  # fmt: skip
ACTIVE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u202e]|::(error|warning)[ :]|##\[")
MARKER = re.compile(r"kpi_gate|.\| ?iter_watch ?\|")


class Source(Returns):
    """A system with a secret, which may fail and be closed badly."""

    secrets = (NAME,)
    keeps_state = True

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.at_end: Exception | None = None

    def open(self, folder: Path, slot: object) -> None:
        del folder, slot

    def run(self, parameters: object, iteration: int, seed: int, state: object) -> Any:
        if self.failure is not None:
            raise self.failure
        return super().run(parameters, iteration, seed, state)

    def close(self) -> None:
        if self.at_end is not None:
            raise self.at_end


class Texts:
    """Texts with secrets, and such that could act."""

    name = "texts"

    def __init__(self) -> None:
        self._stranger = Stranger()
        self._registry = registry(self._stranger)

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        secret = random.choice(SECRETS)
        os.environ[NAME] = secret
        try:
            yield from self._soak(random, root, secret)
        finally:
            del os.environ[NAME]

    def _soak(self, random: Random, root: Path, secret: str) -> Iterator[str]:
        stranger = self._stranger
        stranger.__init__()  # type: ignore[misc] # as new, for the registry keeps this one
        request = asked(root, iterations=6, tuner="mine")
        plan = planned(request, self._registry, own=True)
        loop = SoakLoop(plan, self._registry, request.folder)
        system, shown = Source(), Shown(loop)
        shown.take("opened", loop, ("note",))
        try:
            for iteration in range(1, 5):
                role, put = random.choice(tuple(PLACES.values()))
                text = written(random, secret)
                stranger.role, stranger.answer = role, answering(put, text)
                report = healthy(plan, plan.effective(loop.store.overrides), iteration)
                answer = put(report, text) if role == "system" else report
                state = put(None, text) if role == "state" else None
                system.answer = (answer, state)
                system.failure = SystemFailure(text) if role == "fails" else None
                system.at_end = {
                    "closes": OSError(text), "closing fails": SystemFailure(text),
                }.get(role)  # fmt: skip
                if role == "file":
                    loop.store.overrides_path.write_text(json.dumps(put(None, text)))
                try:
                    result = loop.run(iteration, system)
                except StrategyFault as fault:
                    shown.lines += str(fault).splitlines()
                else:
                    shown.lines.append(result.fault)
                    shown.take("ran", loop, result)
                    shown.take("reported", loop, iteration)
                yield f"{role}"
                if system.failure or system.at_end:
                    break
            verdict = loop.conclude()
            shown.lines += loop.lifecycle.fault.splitlines()
            loop.finish(verdict)
            shown.take("judged", loop, verdict, again=False)
            shown.lines += explanation(loop, verdict).splitlines()
            shown.end()
        finally:
            loop.close()
        stranger.role = ""
        again = SoakLoop(plan, self._registry, request.folder)
        shown.take("opened", again, ())
        taken_up(loop, again)
        told = leaves(gate_properties(plan, again.controller.judged, verdict))
        check((*shown.lines, *told), root, secret)


class Terminal:
    """The part of pytest's terminal that views write to."""

    verbosity = 0
    hasmarkup = False
    _tw = SimpleNamespace(_file=None, fullwidth=100, width_of_current_line=0)

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, text: str, **markup: bool) -> None:
        del markup
        self.lines.append(text)

    def section(self, title: str) -> None:
        del title

    def ensure_newline(self) -> None: ...

    def flush(self) -> None: ...


class Shown:
    """What the views show of a chain."""

    def __init__(self, loop: SoakLoop) -> None:
        self._views, self._loop, self._terminal = Views(), loop, Terminal()
        self.lines = self._terminal.lines
        self._markers, self._table = Markers(), ClosingTable()
        self._markers._screen = Screen(cast("Any", self._terminal))

    def take(self, event: str, *args: Any, **kwargs: Any) -> None:
        self._views.collect(lambda view: getattr(view, event)(*args, **kwargs))
        parts = self._views.drain(self._loop.see_secrets())
        self._markers.show("node", parts.get("markers", ()))
        self._table.show("node", parts.get("terminal", ()))

    def end(self) -> None:
        self._table.pytest_terminal_summary(cast("Any", self._terminal))


def answering(put: Callable[[Any, str], object], text: str) -> Callable[[object], object]:
    """Return what makes a lawful answer one with *text* in it."""
    return lambda lawful: put(lawful, text)


def leaves(value: object) -> Iterator[str]:
    """Yield every text in *value*."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    else:
        yield str(value)


def written(random: Random, secret: str) -> str:
    """Return a text that holds *secret* in some form, and more."""
    data = secret.encode()
    if random.random() < 0.5:
        beside = random.randbytes(random.randrange(6)), random.randbytes(random.randrange(6))
        told = random.choice(tuple(CODED.values()))(beside[0] + data + beside[1])
    else:
        told = random.choice(tuple(FORMS.values()))(secret)
    before, after = ("z" * random.choice((0, 1, 60, 140, 400)) for _ in range(2))
    evil = random.choice(EVIL) if random.random() < 0.5 else ""
    return f"{evil}{before}<{told}>{after}{evil}"


def check(lines: Iterable[str], root: Path, secret: str) -> None:
    """Check that nothing *shown* and no file in *root* holds the *secret*, or could act."""
    for line in lines:
        piece = held(line, secret)
        promised(kept=not piece, promise=f"shown: {piece!r} in {line[:300]!r}")
        active = ACTIVE.search(line) or MARKER.search(line.removeprefix("| kpi_gate |"))
        promised(kept=not active, promise=f"shown as it is: {active} in {line!r}")
    for name, data in files(root).items():
        text = data.decode()
        told = leaves([json.loads(part) for part in text.splitlines()]) if "jsonl" in name else ()
        piece = held(text, secret) or held("\n".join(told), secret)
        promised(kept=not piece, promise=f"in {name}: {piece!r} of {secret[:20]!r}")

"""Journals, and the state files beside them.

Claim: a run is either taken up, with what its journal held still there byte for byte, every file
what it says and its verdict to be had; or it is put aside whole for a new run; or it is refused by
a line that names the file, and then no file changed. A torn end is cut off, and that is recorded.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_soak.config.builtin import make_replay
from pytest_soak.config.request import Resume
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.report import read_report
from pytest_soak.runner.resume import resume_chain, unfinished_runs
from pytest_soak.store.journal import JournalError
from pytest_soak.systems.mock import MockSystem
from pytest_soak.views import rows
from pytest_soak.views.terminal import change_rows, changes_table, metrics_table
from tests.fuzz import values
from tests.fuzz.chains import RUN, asked, core, planned, projections
from tests.fuzz.harness import files, promised, taught, untouched
from tests.fuzz.packs import places
from tests.fuzz.reports import sent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from random import Random

    from pytest_soak.config.plan import ChainPlan

LATER = "20260102T000000Z-0123ab"
START = "0" * 64


class Counting:
    """The mock, with a state."""

    keeps_state = True

    def __init__(self, plan: ChainPlan) -> None:
        self._mock = MockSystem(plan.pack, plan.scenario)

    def run(self, parameters: Any, iteration: int, seed: int, state: Any) -> tuple[object, object]:
        report, _ = self._mock.run(parameters, iteration, seed, None)
        return report, {"ran": (state or {"ran": 0})["ran"] + 1}


def left(*, state: bool, ended: bool, aside: bool) -> dict[str, bytes]:
    """Return the files that a soak leaves."""
    with TemporaryDirectory() as place:
        return soaked(Path(place), state=state, ended=ended, aside=aside)


def soaked(folder: Path, *, state: bool, ended: bool, aside: bool) -> dict[str, bytes]:
    """Soak in *folder*, and return the files that are there then."""
    plan = planned(asked(folder, iterations=5), own=state)
    loop = SoakLoop(plan, core(), folder)
    for iteration in range(1, 4):
        loop.run(iteration, Counting(plan) if state else None)
    if ended:
        loop.finish(loop.verdict())
    loop.close()
    if aside:
        other = planned(asked(folder, iterations=5, run=LATER[:-1] + "c"), own=state)
        loop = SoakLoop(other, core(), folder)
        loop.finish(loop.verdict())
        loop.close()
    return files(folder)


class Journals:
    """Journals that were edited by hand or damaged by a disk."""

    name = "journals"

    def __init__(self) -> None:
        kinds = (
            (False, False, False),
            (True, False, False),
            (False, True, False),
            (True, False, True),
        )
        self._left = [
            (state, left(state=state, ended=ended, aside=aside)) for state, ended, aside in kinds
        ]

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        state, whole = random.choice(self._left)
        found = dict(whole)
        names = [name for name in found if name.endswith("journal.jsonl")]
        states = [name for name in found if "system_state_" in name]
        name = random.choice(names)
        if states and random.random() < 0.1:
            state_file = random.choice(states)
            found[state_file] = values.mangled(random, found[state_file])
        else:
            found[name] = damaged(random, found[name])
        for file, data in found.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(data)
        if random.random() < 0.1:
            yield replayed(root / name)
            return
        resume = random.choice((Resume.YES, Resume.YES, Resume.FORCE, Resume.NO, None))
        run = RUN if resume is None else LATER
        request = asked(root, iterations=5, run=run, resume=resume or Resume.NO)
        plan = planned(request, own=state)
        try:
            unfinished = unfinished_runs(root).get(plan.slug, "")
            plan, settled, told = resume_chain(plan, request, unfinished)
            loop = SoakLoop(plan, core(), root)
        except (JournalError, SoakUsageError) as error:
            taught(str(error))
            named = any(
                word in str(error)
                for word in ("journal.jsonl", "system_state", "started with other")
            )
            promised(kept=named, promise=f"refused without a file: {error}")
            untouched(found, files(root))
            yield "refused"
            return
        for line in told:
            taught(line)
        if plan.resumed:
            kept = loop.done - any(loop.untold)  # a test without a recorded outcome runs again
            promised(kept=settled == kept, promise=f"{settled} settled, {kept} taken up")
        ended = "taken up" if loop.done else "a new run"
        finished(loop, Counting(plan) if state else None, found)
        survived(found, names, loop, files(root))
        yield ended


def replayed(path: Path) -> str:
    """Replay the journal at *path*; a refusal is fine."""
    try:
        replay = make_replay(path)
    except SoakUsageError as error:
        taught(str(error), "--soak-replay: ", str(path.parent), "journal.jsonl")
        return "not replayed"
    for iteration in range(1, replay.iterations + 1):
        report, _ = replay.run({}, iteration, 0, None)
        promised(kept=report is None or read_report(report, iteration, {}) is not None, promise="x")
    return "replayed"


def finished(loop: SoakLoop, system: Any, found: Collection[str]) -> None:
    """End the run, and check that everything can be shown."""
    try:
        for iteration in range(loop.done + 1, loop.plan.planned + 1):
            loop.run(iteration, system)
        shown = [rows.iteration_row("chain", loop, n) for n in range(1, loop.done + 1)]
        sent(shown)
        metrics_table(shown)
        changes_table(list(change_rows(shown)))
        verdict = loop.verdict()
        loop.finish(verdict)
        sent(rows.verdict_row("chain", loop, verdict))
        rows.explanation(loop, verdict)
    finally:
        loop.close()
    apart = {name.partition("/")[2].removeprefix(f"runs/{RUN}/") for name in found}
    projections(loop, apart)


def survived(
    before: dict[str, bytes], names: list[str], loop: SoakLoop, after: dict[str, bytes]
) -> None:
    """Check that every journal exists, at least up to its last complete line."""
    own = loop.store.journal.path.read_bytes()
    for name in names:
        data = before[name]
        kept = data[: data.rfind(b"\n") + 1]
        if data in after.values():
            continue
        torn = len(kept) < len(data)
        promised(kept=own.startswith(kept), promise=f"{name} was rewritten")
        promised(kept=not torn or b'"damage_found"' in own, promise=f"{name}: healed in silence")


def damaged(random: Random, data: bytes) -> bytes:
    """Return a damaged journal."""
    lines = data.splitlines(keepends=True)
    how = random.randrange(10)
    if how == 0:
        return values.mangled(random, data)
    if how == 1:
        return data[: random.randrange(len(data))]
    if how == 2:
        return b"".join(relined(random, lines))
    if how == 3:
        return random.choice((b"", b"\n", b"\x00" * 64, b"{}\n", b"[]\n", b"null\n", b"7\n",
                              b"[" * 5000, b"[" * 5000 + b"\n", b'"x"\n', b"\xff\xfe\n",
                              random.randbytes(200), b"1" * 5000 + b"\n"))  # fmt: skip
    return forged(random, [json.loads(line) for line in lines])


def relined(random: Random, lines: list[bytes]) -> list[bytes]:
    """Return *lines* with one cut out, doubled, or put elsewhere."""
    at = random.randrange(len(lines))
    how = random.randrange(4)
    if how == 0:
        return lines[:at] + lines[at + 1 :]
    if how == 1:
        return [*lines[: at + 1], *lines[at:]]
    if how == 2:
        moved = lines[:at] + lines[at + 1 :]
        moved.insert(random.randrange(len(lines)), lines[at])
        return moved
    return [line.replace(b"\n", b"\r\n") for line in lines]


def forged(random: Random, records: list[dict[str, Any]]) -> bytes:
    """Return a journal of *records* with absurd contents, its links made to fit."""
    for _ in range(random.choice((1, 1, 1, 2))):
        absurd(random, records)
    linked = random.random() < 0.9
    previous, lines = START, []
    for record in records:
        if linked and isinstance(record, dict):
            record["prev"] = previous
        text = values.spelt(record).encode()
        previous = hashlib.sha256(text).hexdigest()
        lines.append(text + b"\n")
    return b"".join(lines)


def absurd(random: Random, records: list[Any]) -> None:
    """Replace one value in *records* with an impossible one."""
    at = random.randrange(len(records))
    record = records[at]
    if not isinstance(record, dict) or not record or random.random() < 0.05:
        records[at] = values.json_value(random)
        return
    if random.random() < 0.1:
        records.insert(random.randrange(len(records) + 1), copy.deepcopy(record))
        return
    key = random.choice(tuple(record))
    if random.random() < 0.3:
        record[key] = hostile(random, records)
    elif random.random() < 0.15:
        del record[key]
    else:
        inner = list(places(record)) if random.random() < 0.5 else list(places(record[key]))
        container, key = random.choice(inner or [(record, key)])
        if random.random() < 0.2:
            del container[key]
        else:
            container[key] = hostile(random, records)


def hostile(random: Random, records: list[Any]) -> object:
    """Return a value of the wrong kind."""
    pick = random.random()
    if pick < 0.4:
        container, key = random.choice(list(places(records)))
        return copy.deepcopy(container[key])
    if pick < 0.5:
        return random.choice((2, 10**9, -1, 1.0, "run_ended", "run_started", "iteration", "../../x",
                              "", RUN, LATER, "PASS", "apply", {}, []))  # fmt: skip
    return values.json_value(random)

"""Packs, and the overlays of pyproject.toml.

Claim: a pack is either loaded, and then a soak of the mock runs on it without a fault, is recorded
and can be shown; or it is refused by a line that names the file. No file changes.
"""

from __future__ import annotations

import copy
import io
import json
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pytest_soak.config.plan import plan_chain
from pytest_soak.config.request import read_request
from pytest_soak.engine.loop import SoakLoop
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.metrics import is_number
from pytest_soak.views import markers, rows
from pytest_soak.views.terminal import metrics_table
from tests.fuzz import values
from tests.fuzz.chains import DEMO, MARKET, NAME, FakeConfig, core
from tests.fuzz.harness import UNCLEAR, Finding, files, promised, taught, untouched
from tests.fuzz.reports import shown, taken_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

DATES = ("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z")


class Literal:
    """A piece of literal TOML."""

    def __init__(self, text: str) -> None:
        self.text = text


@cache
def lawful(path: Path) -> dict[str, Any]:
    """Return the unchecked data of the pack at *path*."""
    return tomllib.loads(path.read_text("utf-8"))


def toml(value: object) -> str:
    """Return *value* as inline TOML."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return values.spelt(value) if value is not None else '""'


def document(data: dict[str, Any]) -> str:
    """Return *data* as a TOML file."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in data.items())


def places(node: object) -> Iterator[tuple[Any, Any]]:
    """Yield every container within *node* with each of its keys."""
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


def anything(random: Random, data: object) -> object:
    """Return a TOML value: a hostile one, or one from elsewhere in *data*."""
    pick = random.random()
    if pick < 0.4:
        container, key = random.choice(list(places(data)))
        return copy.deepcopy(container[key])
    if pick < 0.5:
        return Literal(random.choice((*DATES, "+1_000", "0x10", "1e400", "[" * 2000 + "]" * 2000)))
    if pick < 0.6:
        return random.choice((2.0, 1.0, -1, 0, True, "[/b]", "a\nb", "> 1", "< 1e5", "demo-table"))
    return values.json_value(random)


def worse(random: Random, data: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of *data* with a few places made hostile."""
    data = copy.deepcopy(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        container, key = random.choice(list(places(data)))
        how = random.randrange(7)
        if how == 0:
            del container[key]
        elif how == 1 and isinstance(container, dict):
            container[random.choice((values.text(random), key))] = anything(random, data)
        elif how == 2 and isinstance(container, dict):
            container[values.text(random)] = container.pop(key)
        elif how == 3:
            container[key] = anything(random, data)
        else:
            container[key] = alike(random, data, container[key])
    return data


def alike(random: Random, data: object, value: object) -> object:
    """Return something of the type of *value*: it passes more checks than a wrong type."""
    same = [c[k] for c, k in places(data) if type(c[k]) is type(value)]
    if isinstance(value, str):
        same += [k for _, k in places(data) if isinstance(k, str)]
        same += ["[/b]", "> " + "9" * 400, "a\n", "labels", "shares", "blocked.x", "x" * 300]
    elif isinstance(value, float | int) and not isinstance(value, bool):
        same += [0, 1, -1, 1.0, 1e-300, 1e300, -1e300, 10**300, 3, 0.1, 5e-324]
    return copy.deepcopy(random.choice(same))


def part(random: Random, data: dict[str, Any]) -> dict[str, Any]:
    """Return a piece of *data* as an overlay."""
    return {key: value for key, value in data.items() if random.random() < 0.3}


class Packs:
    """Hostile packs and overlays."""

    name = "packs"

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        base = random.choice((DEMO, DEMO, MARKET))
        how = random.choice(("pack", "bytes", "overlay", "pyproject"))
        pack = root / "pack.toml"
        data = base.read_bytes()
        if how == "pack":
            data = document(worse(random, lawful(base))).encode("utf-8", "surrogatepass")
        elif how == "bytes":
            data = values.mangled(random, data)
        else:
            overlay = worse(random, part(random, lawful(base)) or {"kpis": {"x": {}}})
            tool: Any = {"pytest-soak": {"packs": {lawful(base)["pack"]["name"]: overlay}}}
            if how == "pyproject":
                tool = random.choice((anything(random, tool), worse(random, tool)))
            text = document({"tool": tool})
            (root / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
        pack.write_bytes(data)
        options: dict[str, object] = {"soak_iterations": 4, "soak_pack": "pack.toml"}
        options |= {"soak_dir": "soak", "auto_tune": True}
        if base == MARKET:
            options |= {"soak_system": "mock", "soak_scenario": "stressed"}
        before = files(root)
        try:
            request = read_request(FakeConfig(root, options))  # type: ignore[arg-type] # as much as is asked for
            assert request is not None
            plan = plan_chain(NAME, request, {}, core(), {"MM_ALLOW_MISSING_SECRETS": "1"})
            loop = SoakLoop(plan, core(), request.folder)
        except SoakUsageError as error:
            taught(str(error))
            if not any(name in str(error) for name in (str(root), "pyproject.toml", "pack ")):
                raise Finding(UNCLEAR, f"it names no file: {error}") from None
            untouched(before, files(root))
            yield f"{how}: refused"
            return
        try:
            for iteration in (1, 2):
                result = loop.run(iteration)
                promised(kept=not result.fault, promise=f"loaded, but {result.fault}")
                shown(loop, result)
            printed(loop)
        finally:
            loop.close()
        taken_up(loop, SoakLoop(plan, core(), request.folder))
        after = files(root)
        untouched(before, {name: after[name] for name in before})
        yield f"{how}: loaded"


def printed(loop: SoakLoop) -> None:
    """Check that the pack can be used for a verdict, and shown."""
    for kpi in loop.plan.pack.kpis:
        for _, limit in kpi.limits:
            promised(kept=is_number(limit.value), promise=f"a limit that nothing breaks: {limit}")
    for line in markers.started(loop.plan, loop.store):
        promised(kept="\n" not in line, promise=f"a marker of several lines: {line!r:.200}")
    console = Console(file=io.StringIO(), width=100)
    console.print(metrics_table([rows.iteration_row("chain", loop, 1)]))

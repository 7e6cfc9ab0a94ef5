"""Overrides in option, environment and file.

Claim: for any text or bytes, a chain is either planned, with every value inside its
limits and on its grid and a marker for each that was not, or refused by a line that names the
source; and no file changes.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pytest_soak.config.plan import plan_chain
from pytest_soak.config.request import read_request
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.metrics import is_number
from pytest_soak.views import markers
from tests.fuzz import values
from tests.fuzz.chains import DEMO, MARKET, NAME, FakeConfig, core
from tests.fuzz.harness import files, promised, taught, untouched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from pytest_soak.config.plan import ChainPlan

FIELDS = {
    DEMO: {"workers": 8, "batch_size": 40, "backoff_s": 0.5},
    MARKET: {"min_interval_ms": 65, "base_spread_bps_delta": 0.14, "base_spread_bps": 0.85},
}
PREFIX = {DEMO: "SOAK_DEMO_", MARKET: "MM_"}
SAFE = {"MM_ALLOW_MISSING_SECRETS": "1"}


def generated(random: Random, pack: Path) -> bytes:
    """Return valid overrides with one hostile value, key or byte."""
    lawful = dict(FIELDS[pack])
    how = random.randrange(12)
    if how == 0:
        return values.spelt(values.json_value(random)).encode()
    entries = [(json.dumps(name), values.spelt(value)) for name, value in lawful.items()]
    at = random.randrange(len(entries))
    name, value = entries[at]
    if how in (1, 2, 3):
        entries[at] = (name, values.spelt(values.json_value(random)))
    elif how == 4:
        entries.append((json.dumps(values.text(random)), value))
    elif how == 5:
        entries.append((name, values.spelt(values.number(random))))
    elif how in (8, 9, 10):
        within = random.choice((random.uniform(-10, 400), random.randrange(500), random.random()))
        entries[at] = (name, values.spelt(within))
    text = "{" + ", ".join(f"{name}: {value}" for name, value in entries) + "}"
    if how == 6:
        depth = random.choice((50, 300, 900, 950, 980, 1000, 100_000))
        text = text.replace(value, random.choice(("[", '{"a":')) * depth, 1)
    coded = text.encode(
        random.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig", "utf-32-le", "cp500"))
    )
    return values.mangled(random, coded) if how == 7 else coded


class Overrides:
    """Hostile overrides."""

    name = "overrides"

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        pack = random.choice((DEMO, MARKET))
        data = generated(random, pack)
        source = random.choice(("option", "named", "env", "file"))
        options: dict[str, object] = {"soak_iterations": 4, "soak_pack": str(pack)}
        options["soak_system"] = "mock"
        options["soak_scenario"] = "busy" if pack == DEMO else "stressed"
        environ = dict(SAFE)
        label = "--soak-overrides"
        text = data.decode("utf-8", "surrogateescape")
        if source == "option" and text.lstrip().startswith(("{", "[", '"')):
            options["soak_overrides"] = text
        elif source in ("option", "named"):
            (root / "given.json").write_bytes(data)
            options["soak_overrides"] = label = "given.json"
        elif source == "env":
            label = f"{PREFIX[pack]}RUNTIME_OVERRIDES_JSON"
            environ[label] = text.replace("\x00", "")  # an environment cannot hold it
        else:
            label = "runtime_overrides.json"
            (root / "soak").mkdir()
            (root / "soak" / label).write_bytes(data)
        options["soak_dir"] = "soak"
        before = files(root)
        try:
            request = read_request(FakeConfig(root, options))  # type: ignore[arg-type] # as much as is asked for
            assert request is not None
            plan = plan_chain(NAME, request, {}, core(), environ)
        except SoakUsageError as error:
            taught(str(error), label)
            yield f"{source}: refused"
        else:
            check(plan)
            yield f"{source}: accepted"
        untouched(before, files(root))


def check(plan: ChainPlan) -> None:
    """Check that every value is within its limits, and that a clamped one is reported."""
    store: Any = SimpleNamespace(folder=Path(plan.slug), put_back="")
    lines = markers.started(plan, store)
    for name, seeded in plan.initial.fields.items():
        promised(kept=is_number(seeded.value), promise=f"{name} became {seeded.value!r}")
        parameter = plan.pack.parameters.get(name)
        if parameter is None:
            promised(kept=seeded.value == seeded.given, promise=f"{name} was rewritten")
            continue
        inside = seeded.value in parameter.limits
        grid = parameter.quantize(seeded.value) == seeded.value
        promised(kept=inside and grid, promise=f"{name} became {seeded.value!r}")
        told = any("CLAMP" in line and f"FIELD={name} " in line for line in lines)
        promised(kept=told == (seeded.value != seeded.given), promise=f"{name}: no word of it")
        lawful = (
            seeded.given in parameter.limits and parameter.quantize(seeded.given) == seeded.given
        )
        promised(kept=seeded.value == seeded.given or not lawful, promise=f"{name} was moved")

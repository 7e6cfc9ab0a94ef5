"""Values of options, ini keys, markers and the environment.

Claim: they are either accepted, and a chain is planned, or refused by a line that names where the
value was given; nothing else is raised. `Runs` says the same of whole pytest runs: exit 4 and the
line, or a soak.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, TypeAlias

from pytest_soak.config.options import SETTINGS
from pytest_soak.config.plan import plan_chain
from pytest_soak.config.request import read_marker, read_request
from pytest_soak.engine.strategies import Strategies
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.safe_repr import safe_repr
from pytest_soak.runner.chain import Chain
from pytest_soak.runner.resume import resume_chains
from tests.fuzz import values
from tests.fuzz.chains import NAME, FakeConfig, core
from tests.fuzz.harness import TRACEBACK, UNCLEAR, Finding, promised, taught

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

WORDS = (
    *("demo", "mock", "busy", "calm", "default", "demo-table", "demo-table,demo-table", ","),
    *("pack.toml", "nothing.toml", "folder.toml", "\x00.toml", "\ud800.toml", "x" * 300 + ".toml"),
    *("latency_p95_ms<=400", "warn:error_rate<0.1", "latency_p95_ms<=", "a>=b", "error_rate>=1e5"),
    *("throughput>=" + "9" * 400, "latency_p95_ms<=-0", "fail: throughput > 5"),
    *("7", "-1", "0", "1e3", "9" * 19, "٣", " 3 ", "0x3", "yes", "force"),
    *("/dev/null", "/proc", ".", "..", "taken", "a/b/c", "~"),
    *("{", "[1]", '{"workers": 3}', '"x"'),
)
ERROR = re.compile(r"ERROR: (?!usage:)|.*: error: argument")
NAMES = [setting.name for setting in SETTINGS]
NUMBERS = (0, 1, 2, 3, -1, 10**6, 2**63, -(2**63), 10**30)
FLOATS = (*NUMBERS, 0.5, 1e-300, 1e300, math.nan, math.inf, -math.inf)
VARIABLES = tuple(
    f"SOAK_DEMO_{name}" for name in ("PROFILE", "RUNTIME_OVERRIDES_JSON", "ALLOW_MISSING_SECRETS")
)


LIKELY = {
    "pack": "demo",
    "system": "mock",
    "scenario": "calm",
    "profile": "pack.toml",
    "dir": "a/b",
    "tuner": "demo-table",
    "gate": "warn:latency_p95_ms<=400",
    "observe": "3",
    "seed": "7",
}


def word(random: Random, name: str = "") -> str:
    """Return a text that a user may type for the setting *name*."""
    if name in LIKELY and random.random() < 0.6:
        return LIKELY[name]
    return random.choice(WORDS) if random.random() < 0.7 else values.text(random)


def placed(root: Path) -> None:
    """Create a few files and folders that settings may name."""
    (root / "folder.toml").mkdir()
    (root / "taken").write_text("", "utf-8")
    (root / "pack.toml").write_text("workers = 3\nbatch_size = 9\nbackoff_s = 0.5\n", "utf-8")


def of_option(random: Random, name: str) -> object:
    """Return a value that argparse may pass on for the option *name*."""
    setting = next(setting for setting in SETTINGS if setting.name == name)
    if setting.kind is not str:
        return random.choice(NUMBERS if setting.kind is int else FLOATS)
    words = [word(random, name) for _ in range(random.randint(1, 2))]
    return words if setting.many else words[0]


Anywhere: TypeAlias = tuple[dict[str, object], dict[str, object], dict[str, object], dict[str, str]]


def given_at(random: Random) -> Anywhere:
    """Return values for the options, the ini file, the marker and the environment."""
    options: dict[str, object] = {"soak_iterations": random.choice((None, 0, -1, 1, 2, 3, 3, 3))}
    options["auto_tune"] = random.random() < 0.5
    options["soak_recommend"] = random.random() < 0.1
    if random.random() < 0.2:
        options |= {"soak_iterations": None, "soak_hours": random.choice(FLOATS)}
    if random.random() < 0.05:
        options["soak_replay"] = word(random)
    options["soak_resume"] = random.choice((None,) * 6 + ("yes", "force", "", word(random)))
    inis: dict[str, object] = {}
    marker: dict[str, object] = {}
    environ: dict[str, str] = {}
    for _ in range(random.randint(1, 3)):
        name = random.choice(NAMES)
        pick = random.random()
        if pick < 0.35:
            options[f"soak_{name}"] = of_option(random, name)
        elif pick < 0.6:
            text = [word(random, name)] if name == "gate" else word(random, name)
            inis[f"soak_{name}"] = text
        elif pick < 0.7:
            environ[random.choice(VARIABLES)] = word(random)
        elif pick < 0.8:
            options["soak_overrides"] = word(random)
        else:
            odd = random.choice((name, name, name, values.text(random)))
            marker[odd] = values.anything(random) if random.random() < 0.4 else word(random, name)
    return options, inis, marker, environ


class Settings:
    """Hostile settings."""

    name = "settings"

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        placed(root)
        options, inis, marker, environ = given_at(random)
        args = (values.anything(random),) if random.random() < 0.05 else ()
        try:
            request = read_request(FakeConfig(root, options, inis))  # type: ignore[arg-type] # as much as is asked for
            if request is None:
                yield "no soak"
                return
            given = read_marker(marker, args, root)
            plan = plan_chain(NAME, request, given, core(), environ)
            Strategies(plan, core())
            resume_chains([Chain(NAME, plan=plan)], request)
        except SoakUsageError as error:
            taught(str(error))
            where = ("--", "soak_", "@pytest.mark.soak", "SOAK_DEMO_", str(root), "/dev/", "/proc")
            if not any(place in str(error) for place in where):
                raise Finding(UNCLEAR, f"it does not say where: {error}") from None
            yield "refused"
        else:
            promised(kept=1 <= plan.window <= max(1, plan.planned - 1), promise="a window")
            promised(kept=isinstance(plan.seed, int), promise=f"the seed {safe_repr(plan.seed)}")
            yield "planned"


class Runs:
    """Whole pytest runs with hostile settings."""

    name = "runs"

    def attack(self, random: Random, root: Path) -> Iterator[str]:
        placed(root)
        marked = f"{random.choice(NAMES)}={word(random)!r}" if random.random() < 0.3 else ""
        (root / "test_x.py").write_text(
            f"import pytest\n\n@pytest.mark.soak({marked})\ndef test_x(soak):\n    soak.run()\n",
            "utf-8",
        )
        (root / "pytest.ini").write_text("[pytest]\n", "utf-8")
        given = []
        for _ in range(random.randint(1, 2)):
            name = random.choice((*NAMES, "iterations", "overrides", "resume"))
            given.append(f"--soak-{name}={word(random)}".replace("\x00", ""))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
        command += ["--soak-iterations=2", *given]
        environ = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
        done = subprocess.run(
            [
                os.fsencode(part) if part.isascii() else part.encode("utf-8", "replace")
                for part in command
            ],
            cwd=root,
            env=environ,
            check=False,
            capture_output=True,
        )
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if "Traceback" in said or "INTERNALERROR" in said or done.returncode == 3:
            raise Finding(TRACEBACK, f"{given}: {said[-1500:]}")
        if done.returncode == 4:
            lines = [line for line in said.splitlines() if ERROR.match(line)]
            promised(kept=len(lines) == 1, promise=f"{given}: {len(lines)} errors: {said[-500:]}")
            taught(lines[0], "soak")
        else:
            promised(kept=done.returncode in (0, 1), promise=f"{given}: exit {done.returncode}")
            promised(kept="| kpi_gate |" in said, promise=f"{given}: no verdict: {said[-500:]}")
        yield f"exit {done.returncode}"

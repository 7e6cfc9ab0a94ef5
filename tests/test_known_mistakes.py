"""The fifteen mistakes of earlier systems of this kind, each with a run that would catch it.

The system of most runs writes a line of its own, outside the soak, for each time it runs and
the parameters it was really given: what the soak says of itself is checked against that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_soak import guards
from tests.support import DEMO, chain_folder, patches, read_json, records

LOGGING = """
import json
from pathlib import Path

import pytest
from pytest_soak import Proposal
from pytest_soak.systems.mock import MockSystem
from pytest_soak.tuners.table import TableTuner

LOG = Path(__file__).with_name("ran.jsonl")

class Logging(MockSystem):
    def run(self, parameters, iteration, seed, state):
        with LOG.open("a") as file:
            file.write(json.dumps({{"iteration": iteration, "state": state, **parameters}}) + "\\n")
        report, _ = super().run(parameters, iteration, seed, None)
        totals, used = report["totals"], report["parameters"]
        {mischief}
        return report, {{"seen": iteration}}

class Wrong(TableTuner):
    def propose(self, history, parameters):
        asked = super().propose(history, parameters)
        return Proposal({{name: -delta for name, delta in asked.deltas.items()}}, ("wrong",))

class Asks:
    requires = ()

    def __init__(self, **deltas):
        self.deltas = deltas

    def propose(self, history, parameters):
        return Proposal(self.deltas, ("asked",))

class Wiggles(Asks):
    def propose(self, history, parameters):
        return Proposal({{"workers": 1 if len(history) % 2 else -1}}, ("wiggle",))

def pytest_soak_systems():
    return {{"logging": Logging}}

def pytest_soak_tuners():
    return {{
        "wrong": lambda pack: Wrong(pack, next(iter(pack.tables.values()))),
        "asks": lambda pack: Asks({deltas}),
        "up": lambda pack: Asks(workers=2),
        "down": lambda pack: Asks(workers=-1),
        "wiggles": lambda pack: Wiggles(),
    }}
"""
STRESSED = (
    "--soak-pack=market-maker",
    "--soak-system=mock",
    "--soak-scenario=stressed",
)


class Bench:
    """Runs soaks of the logging system, and reads what it wrote down."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.prepare()

    def prepare(self, mischief: str = "pass", deltas: str = "", test: str = DEMO) -> None:
        """Write the conftest and the test."""
        self._pytester.makeconftest(LOGGING.format(mischief=mischief, deltas=deltas))
        self._pytester.makepyfile(test_demo=test)

    def soak(self, iterations: int, *args: str) -> pytest.RunResult:
        """Run a soak; what earlier ones wrote down is forgotten."""
        self._log.unlink(missing_ok=True)
        system = () if any(arg.startswith("--soak-system") for arg in args) else SYSTEM
        return self._pytester.runpytest(f"--soak-iterations={iterations}", *system, *args)

    @property
    def _log(self) -> Path:
        return self._pytester.path / "ran.jsonl"

    @property
    def folder(self) -> Path:
        """The chain's folder."""
        return chain_folder(self._pytester)

    def ran(self, field: str = "iteration") -> list[Any]:
        """Return *field* of each time that the system ran, as the system saw it."""
        return [json.loads(line)[field] for line in self._log.read_text("utf-8").splitlines()]

    def read(self, name: str) -> dict[str, Any]:
        """Return an artifact."""
        return read_json(self.folder / name)

    def final(self, metric: str) -> float:
        """Return the value of a KPI in the last iteration."""
        return float(self.read("KPI_GATE.json")["kpis"][metric][-1]["value"])


SYSTEM = ("--soak-system=logging",)


@pytest.fixture
def bench(pytester: pytest.Pytester) -> Bench:
    return Bench(pytester)


@pytest.mark.parametrize(
    ("args", "metrics"),
    [
        ((), ("latency_p95_ms", "error_rate")),
        (STRESSED, ("cancel_ratio", "ws_lag_p95_ms")),
    ],
    ids=["demo", "market-maker"],
)
def test_mistake_01_a_mock_whose_metrics_ignore_the_parameters(
    bench: Bench, args: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    tuner = ("--soak-tuner=trigger-table",) if args else ()
    exits, reached = [], []
    for how in ((), ("--auto-tune", *tuner), ("--auto-tune", "--soak-tuner=wrong")):
        exits.append(int(bench.soak(6, *args, *how).ret))
        reached.append([bench.final(metric) for metric in metrics])
    untuned, tuned, wrong = reached
    assert exits == [1, 0, 1]
    assert all(better < value for better, value in zip(tuned, untuned, strict=True))
    assert all(worse > value for worse, value in zip(wrong, untuned, strict=True))


def test_mistake_02_deltas_reported_as_applied_that_never_reached_the_system(
    bench: Bench,
) -> None:
    assert bench.soak(6, "--auto-tune").ret == 0
    applied = 0
    for number in range(1, 6):
        tuning = bench.read(f"ITER_SUMMARY_{number}.json")["tuning"]
        for field in ("workers", "batch_size", "backoff_s"):
            before, after = bench.ran(field)[number - 1 : number + 1]
            delta = tuning["effective"].get(field, 0) if tuning["applied"] else 0
            assert after == pytest.approx(before + delta), (number, field)
            applied += bool(delta)
    assert applied > 5

    bench.prepare("used.update(self._base)")  # says it used the base, whatever it was given
    assert bench.soak(6, "--auto-tune").ret == 1
    assert bench.read("KPI_GATE.json")["verdict"] == "INCONCLUSIVE"
    assert bench.read("ITER_SUMMARY_1.json")["tuning"]["verified"] == "false"


def test_mistake_03_a_seed_in_the_environment_that_masks_every_later_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOAK_DEMO_RUNTIME_OVERRIDES_JSON", '{"workers": 3, "backoff_s": 0.3}')
    bench.soak(4, "--auto-tune")
    assert bench.ran("workers") == [3, 5, 7, 7]
    assert bench.ran("backoff_s")[:2] == [0.3, 0.4]
    assert bench.read("runtime_overrides.json")["workers"] == 7
    assert records(bench.folder)[0]["overrides_source"] == "env"


def test_mistake_04_increments_stored_as_target_values(bench: Bench) -> None:
    bench.soak(4, "--auto-tune", '--soak-overrides={"workers": 5}')
    assert patches(bench.folder)[0] == [
        {"op": "add", "path": "/backoff_s", "value": 0.3},
        {"op": "add", "path": "/batch_size", "value": 35},
        {"op": "replace", "path": "/workers", "value": 7},
    ]
    summed = {"workers": 5.0, "batch_size": 40.0, "backoff_s": 0.2}
    for number in (1, 2):
        for field, delta in bench.read(f"ITER_SUMMARY_{number}.json")["tuning"][
            "effective"
        ].items():
            summed[field] += delta
    assert bench.read("runtime_overrides.json") == pytest.approx(summed)


@pytest.mark.parametrize(
    ("start", "asked", "new"),
    [
        pytest.param(100, 5, 100, id="above, further up: held"),
        pytest.param(100, -30, 70, id="above, back: as far as asked"),
        pytest.param(1, -1, 1, id="below, further down: held"),
        pytest.param(1, 2, 3, id="below, up: as far as asked"),
        pytest.param(48, 5, 50, id="inside, up: cut"),
        pytest.param(6, -5, 5, id="inside, down: cut"),
    ],
)
def test_mistake_05_a_clamp_that_turns_a_step_around_or_makes_it_larger(
    bench: Bench, start: int, asked: int, new: int
) -> None:
    bench.prepare(deltas=f"batch_size={asked}")
    seed = f'--soak-overrides={{"batch_size": {start}}}'
    bench.soak(3, "--auto-tune", "--soak-tuner=asks", seed)
    assert bench.ran("batch_size")[:2] == [start, new]
    tuning = bench.read("ITER_SUMMARY_1.json")["tuning"]
    assert tuning["effective"]["batch_size"] == new - start


def test_mistake_06_a_relax_zone_that_the_apply_condition_never_lets_through(
    bench: Bench,
) -> None:
    tight = {"min_interval_ms": 65, "impact_cap_ratio": 0.09, "base_spread_bps_delta": 0.2}
    scene = ("--soak-pack=market-maker", "--soak-system=mock", "--soak-scenario=calm")
    bench.soak(
        4,
        "--auto-tune",
        "--soak-tuner=iter-watcher",
        *scene,
        f"--soak-overrides={json.dumps(tight)}",
    )
    metrics = bench.read("ITER_SUMMARY_1.json")["summary"]["metrics"]
    assert metrics["risk_ratio"] < 0.35
    assert metrics["net_bps"] > 3.2  # tightening would not be applied here
    tuning = bench.read("ITER_SUMMARY_1.json")["tuning"]
    assert tuning["applied"] is True
    assert tuning["reasons"] == ["risk<0.35"]
    assert tuning["effective"] == {"min_interval_ms": -3, "impact_cap_ratio": 0.005}
    reached = bench.read("runtime_overrides.json")
    assert reached["min_interval_ms"] < 65
    assert reached["impact_cap_ratio"] > 0.09


def test_mistake_07_a_content_hash_that_blocks_a_second_identical_step(bench: Bench) -> None:
    twice = "\ndef test_demo(soak):\n    assert soak.run() is soak.run()\n"
    bench.prepare(test=twice)
    bench.soak(4, "--auto-tune")
    first, second = (bench.read(f"ITER_SUMMARY_{number}.json")["tuning"] for number in (1, 2))
    assert first["effective"] == second["effective"]
    assert first["applied"] is second["applied"] is True
    assert bench.ran("workers") == [2, 4, 6, 6]
    assert bench.ran() == [1, 2, 3, 4]


SILENT = "\ndef test_demo(soak):\n    if soak.iteration < 4:\n        soak.run()\n"


@pytest.mark.parametrize(
    ("mischief", "test", "verdict"),
    [
        pytest.param("pass", DEMO, "PASS", id="control"),
        pytest.param("del totals['error_rate']", DEMO, "INCONCLUSIVE", id="missing"),
        pytest.param("totals['error_rate'] = None", DEMO, "INCONCLUSIVE", id="undefined"),
        pytest.param("report['n']['error_rate'] = 0", DEMO, "INCONCLUSIVE", id="of nothing"),
        pytest.param("totals['throughput'] = 0", DEMO, "FAIL", id="zero"),
        pytest.param("report['iteration'] -= 1", DEMO, "INCONCLUSIVE", id="stale"),
        pytest.param("report = None", DEMO, "INCONCLUSIVE", id="no report"),
        pytest.param("pass", SILENT, "INCONCLUSIVE", id="no summary"),
    ],
)
def test_mistake_08_a_gate_that_passes_because_a_metric_was_missing_zero_or_stale(
    bench: Bench, mischief: str, test: str, verdict: str
) -> None:
    bench.prepare(f"if iteration == 4:\n            {mischief}", test=test)
    result = bench.soak(4, "--soak-scenario=calm")
    assert bench.read("KPI_GATE.json")["verdict"] == verdict
    assert result.ret == (0 if verdict == "PASS" else 1)


@pytest.mark.parametrize(
    ("mischief", "verified"),
    [
        pytest.param("pass", "true", id="control"),
        pytest.param("used['workers'] += 1e-12", "true", id="the same number, written twice"),
        pytest.param("used['backoff_s'] += 0.01", "false", id="one step of the grid"),
        pytest.param("used['workers'] *= 1.01", "false", id="one per cent"),
        pytest.param("used['workers'] = 2", "false", id="one field of three"),
        pytest.param("del used['workers']", "unknown", id="a silent field"),
        pytest.param("report['parameters'] = None", "unknown", id="a silent system"),
    ],
)
def test_mistake_09_a_verifier_loosened_until_it_passed(
    bench: Bench, mischief: str, verified: str
) -> None:
    bench.prepare(f"if iteration == 2:\n            {mischief}")
    result = bench.soak(6, "--auto-tune")
    assert bench.read("ITER_SUMMARY_1.json")["tuning"]["verified"] == verified
    gate = bench.read("KPI_GATE.json")
    assert result.ret == (1 if verified == "false" else 0)
    assert gate["unverified"] == ([1] if verified == "unknown" else [])


@pytest.mark.parametrize(
    "args",
    [
        *((), ("-q",), ("-x",), ("-n2",), ("--soak-recommend",), ("--tb=no", "--no-summary")),
        ("--auto-tune", "--soak-gate=latency_p95_ms<=1"),
    ],
    ids=" ".join,
)
def test_mistake_10_an_exit_code_of_0_with_kpi_fail(bench: Bench, args: tuple[str, ...]) -> None:
    result = bench.soak(3, *args)
    assert bench.read("KPI_GATE.json")["verdict"] == "FAIL"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["| kpi_gate | FAIL |*"])


@pytest.mark.parametrize(
    ("bad", "verdict"), [("< 11", "PASS"), ("> 10", "FAIL"), ("== 12", "FAIL")]
)
def test_mistake_11_iter_summary_9_taken_as_newer_than_iter_summary_12(
    bench: Bench, bad: str, verdict: str
) -> None:
    bench.prepare(f"totals['error_rate'] = 0.5 if iteration {bad} else 0.01")
    result = bench.soak(12, "--soak-scenario=calm")
    gate = bench.read("KPI_GATE.json")
    assert (gate["verdict"], gate["window"]) == (verdict, [11, 12])
    assert result.ret == (0 if verdict == "PASS" else 1)
    assert [entry["iteration"] for entry in gate["kpis"]["error_rate"]] == [11, 12]
    rows = bench.read("TUNING_REPORT.json")["rows"]
    assert [row["iteration"] for row in rows] == list(range(1, 13))


def test_mistake_12_state_left_over_from_an_earlier_run_that_steers_this_one(
    bench: Bench,
) -> None:
    exits, changes = [], []
    for iterations, args in ((8, ("--auto-tune",)), (6, ()), (8, ("--auto-tune",))):
        exits.append(int(bench.soak(iterations, *args).ret))
        changes.append(patches(bench.folder))
        assert bench.ran("workers")[0] == 2
        assert bench.ran("state") == [None, *({"seen": n} for n in range(1, iterations))]
        names = {path.name for path in bench.folder.iterdir()}
        assert (f"EDGE_REPORT_{iterations}.json" in names) is True
        assert (f"EDGE_REPORT_{iterations + 1}.json" in names) is False
    assert exits == [0, 1, 0]
    assert changes[0] == changes[2]
    assert changes[1] == [[]] * 6


METER = """
import os
from pathlib import Path

seen = {}

def pytest_soak_iteration(plan, result):
    files = written = 0
    (folder,) = Path("artifacts/soak").glob("test_demo-*")
    for entry in (*os.scandir(folder), *os.scandir(folder / "backups")):
        stat = entry.stat()
        before = seen.get(entry.path)
        now = seen[entry.path] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if now == before or entry.is_dir():
            continue
        appended = entry.name == "journal.jsonl" and before is not None and before[0] == now[0]
        files += 1
        written += now[2] - before[2] if appended else now[2]
    with open("cost", "a") as file:
        file.write(f"{files} {written}\\n")
"""


def test_mistake_13_a_cumulative_report_rewritten_in_every_iteration(
    pytester: pytest.Pytester, bench: Bench
) -> None:
    costs = {}
    with (pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(METER)
    for iterations in (20, 100):
        bench.soak(iterations, "--auto-tune", "--soak-tuner=wiggles")
        lines = (pytester.path / "cost").read_text(encoding="utf-8").splitlines()
        (pytester.path / "cost").unlink()
        costs[iterations] = [tuple(map(int, line.split())) for line in lines]
        assert len(costs[iterations]) == iterations
    short, long = (costs[count][-10:-3] for count in (20, 100))  # before the window
    assert sum(files for files, _ in long) == sum(files for files, _ in short)
    assert sum(files for files, _ in short) > 2 * len(short)  # the meter sees something
    assert sum(size for _, size in long) < 1.05 * sum(size for _, size in short)


GUARDS = {
    "observation_window": ("up", "pass", "", "observation_window", [4, 6, 8, 10, 10, 10]),
    "metrics_usable": ("up", "totals['error_rate'] = None", "", "inconclusive", [4, 4, 6, 8, 8, 8]),
    "conflict": ("up,down", "pass", "", "conflict", [2] * 6),
    "clamp": ("asks", "pass", "", "", [2] * 6),
    "drift": ("up", "pass", "", "drift", [4, 6, 8, 10, 10, 10]),  # warns, and stops nothing
    "cooldown": ("up", "pass", "guards.cooldown.iterations = 1", "cooldown", [4, 4, 6, 6, 6, 6]),
    "binding": (
        "up",
        "pass",
        "parameters.workers.binding = { metric = 'throughput', op = '<', value = 50 }",
        "binding",
        [2] * 6,
    ),
    "alarm": (
        "up",
        "pass",
        "guards.alarm.levels.workers = { warn = 3, pause = 5 }",
        "alarm",
        [4, 6, 6, 6, 6, 6],
    ),
    "freeze": (
        "up",
        "pass",
        """guards.freeze.parameters = ["workers"]
        guards.freeze.when = [{ metric = "throughput", op = ">", value = 50 }]""",
        "freeze",
        [4, 4, 4, 4, 4, 4],
    ),
    "caps": ("asks", "pass", "", "caps", [2] * 6),
    "oscillation": ("wiggles", "pass", "", "oscillation", [3, 2, 3, 3, 3, 3]),
    "confirmation": (
        "up",
        "pass",
        "guards.confirmation.iterations = 2",
        "confirmation",
        [2, 4, 6, 8, 8, 8],
    ),
    "smoothing": ("up", "pass", "guards.smoothing.alpha = 0.1", "smoothing", [2, 2, 3, 4, 4, 4]),
    "budget": ("up", "pass", "guards.budget.largest.workers = 3", "budget", [4, 5, 5, 5, 5, 5]),
}
"""``{guard: (tuners, what iteration 2 is like, pack, reason it gives, workers in the end)}``"""


OWN_RUN = {"restarted", "auto_rollback", "plain_rollback", "undone"}
"""Those with runs of their own: below, and in tests/guards/test_rollback.py."""


def test_mistake_14_every_guard_has_a_run() -> None:
    """It is listed here, or has a file of its own in tests/guards."""
    folder = Path(next(iter(guards.__path__)))
    there = {path.stem for path in folder.glob("*.py")} - {"__init__", "protocol"}
    own = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("guards/*.py")}
    assert {*GUARDS, *OWN_RUN} <= there <= {*GUARDS, *OWN_RUN, *own}


@pytest.mark.parametrize("guard", GUARDS)
def test_mistake_14_a_guard_that_never_fires(
    pytester: pytest.Pytester, bench: Bench, guard: str
) -> None:
    tuners, mischief, pack, reason, workers = GUARDS[guard]
    pytester.makepyprojecttoml(f"[tool.pytest-soak.packs.demo]\n{pack}\n" if pack else "")
    bench.prepare(f"if iteration == 2:\n            {mischief}", deltas="workers=-1")
    bench.soak(6, "--auto-tune", f"--soak-tuner={tuners}")
    assert bench.ran("workers") == [2, *workers[:-1]]
    assert bench.read("runtime_overrides.json").get("workers", 2) == workers[-1]
    report = bench.read("TUNING_REPORT.json")
    told = {**report["skip_reasons"], **report["notices"]}
    assert bool(told.get(reason)) is bool(reason)
    notes = bench.read("ITER_SUMMARY_1.json")["tuning"]["notes"]
    assert notes == ({"workers": "hold"} if guard in {"clamp", "caps"} else {})


CRASHING = """
import os
from pathlib import Path

def test_demo(soak):
    soak.run()
    crashed = Path("crashed")
    if soak.iteration == 3 and not crashed.exists():
        crashed.touch()
        os._exit(1)
"""


def test_mistake_14_the_guard_of_a_restarted_system_fires(
    pytester: pytest.Pytester, bench: Bench
) -> None:
    bench.prepare(test=CRASHING)
    with (pytester.path / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write("\nLogging.keeps_state = False\n")
    bench.soak(6, "--auto-tune", "--soak-tuner=up", "-n2")
    assert bench.ran("workers") == [2, 4, 6, 8, 8, 8]  # not 10 after iteration 4; 5 and 6 are last
    assert bench.read("ITER_SUMMARY_4.json")["tuning"]["skip_reason"] == "restarted"


def test_mistake_15_a_resume_that_starts_over_from_iteration_1(bench: Bench) -> None:
    bench.soak(6, "--auto-tune")
    undisturbed = bench.ran("workers")
    bench.prepare(test=CRASHING)
    result = bench.soak(6, "--auto-tune", "-n2")
    result.stdout.fnmatch_lines(["*worker*crashed*"])
    assert bench.ran() == [1, 2, 3, 4, 5, 6]  # each once, though two workers had a part
    assert bench.ran("workers") == undisturbed
    assert bench.ran("state")[3] == {"seen": 3}
    numbers = [r["iteration"] for r in records(bench.folder) if r["kind"] == "iteration"]
    assert numbers == [1, 2, 3, 4, 5, 6]

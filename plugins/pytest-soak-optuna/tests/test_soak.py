"""The tuner in soaks of pytest: chosen by name, resumed, distributed, beside a storage."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pytest_soak_optuna", reason="pytest-soak-optuna is not installed")

import optuna  # once, here: a pytest inside a test would load it anew
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

if TYPE_CHECKING:
    from pathlib import Path

RDBStorage("sqlite://").engine.dispose()
"""Loads all of SQLAlchemy that Optuna loads late, for the same reason: two halves of it that were
loaded at different times do not fit each other."""

DEMO = """
def test_demo(soak):
    soak.run()
"""
THREE = """
import pytest

@pytest.mark.parametrize("x", ["red", "green", "blue"])
def test_demo(soak, x):
    soak.run()
"""
MORTAL = """
import os
from pathlib import Path

from pytest_soak.systems.mock import MockSystem

class Mortal(MockSystem):
    keeps_state = True

    def run(self, parameters, iteration, seed, state):
        dies = Path("dies")
        if iteration == 3 and dies.exists():
            dies.unlink()
            os._exit(9)
        return super().run(parameters, iteration, seed, state)

def pytest_soak_systems():
    return {"mortal": Mortal}
"""
TUNED = ("--auto-tune", "--soak-tuner=optuna")
STUDY = "demo/mock/busy"


@pytest.fixture
def soaks(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_demo=DEMO)
    return pytester


def steps(pytester: pytest.Pytester, name: str = "test_demo") -> list[Any]:
    """Return what each iteration of a chain changed and measured, from its journal."""
    (folder,) = (pytester.path / "artifacts" / "soak").glob(f"{name}-*")
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    found = [record for line in lines if (record := json.loads(line))["kind"] == "iteration"]
    return [(record["patch"], record["summary"]["metrics"]) for record in found]


def trials(where: Path | str, study: str = STUDY) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that a storage holds."""
    if isinstance(where, str):
        database = RDBStorage(where)
        found: list[optuna.trial.FrozenTrial] = optuna.load_study(
            study_name=study, storage=database
        ).trials
        database.remove_session()
        database.engine.dispose()
        return found
    storage = JournalStorage(JournalFileBackend(str(where)))
    written: list[optuna.trial.FrozenTrial] = optuna.load_study(
        study_name=study, storage=storage
    ).trials
    return written


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_repairs_the_demo_that_fails_untuned(soaks: pytest.Pytester, seed: int) -> None:
    args = ("--soak-iterations=8", f"--soak-seed={seed}", "-W", "error")
    assert soaks.runpytest(*args).ret == pytest.ExitCode.TESTS_FAILED
    tuned = soaks.runpytest(*args, *TUNED)
    assert tuned.ret == pytest.ExitCode.OK
    tuned.stdout.fnmatch_lines(
        ["| runtime_adjust | OK | FIELD=* REASON=optuna: trial 1 |", "*tuner optuna*"]
    )
    assert "[I " not in str(tuned.stdout) + str(tuned.stderr)
    assert "Warning" not in str(tuned.stdout) + str(tuned.stderr)


def test_another_process_with_another_hash_seed_decides_the_same(
    soaks: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for hash_seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        soaks.runpytest_subprocess("--soak-iterations=5", *TUNED)
        seen.append(steps(soaks))
    assert seen[0] == seen[1]
    assert any(patch for patch, _ in seen[0])


def test_nothing_is_imported_where_another_tuner_is_chosen(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="""
        import sys

        def test_demo(soak):
            soak.run()
            assert "optuna" not in sys.modules
        """
    )
    result = pytester.runpytest_subprocess(
        "--soak-iterations=3", "--soak-scenario=calm", "--auto-tune", "--soak-optuna-storage=trials"
    )
    result.assert_outcomes(passed=4)
    assert not (pytester.path / "trials").exists()


@pytest.mark.parametrize("shares", [False, True])
def test_a_resumed_run_is_that_of_an_undisturbed_one(soaks: pytest.Pytester, shares: bool) -> None:
    soaks.makeconftest(MORTAL)
    args = ["--soak-iterations=7", *TUNED, "--soak-system=mortal"]
    if shares:
        args.append("--soak-optuna-storage=trials")
        soaks.runpytest(*args, "--soak-iterations=2")
        shutil.copy(soaks.path / "trials", soaks.path / "before")
        args.append("--soak-optuna-share=demo/mortal/busy")
    (soaks.path / "dies").touch()
    assert soaks.runpytest_subprocess(*args).ret == 9
    soaks.runpytest(*args, "--soak-resume").assert_outcomes(passed=8)
    resumed = steps(soaks)
    if shares:
        shutil.copy(soaks.path / "before", soaks.path / "trials")
    soaks.runpytest(*args).assert_outcomes(passed=8)
    assert steps(soaks) == resumed
    assert ("optuna_shared" in resumed[0][1]) is shares


@pytest.mark.parametrize("kind", ["file", "database"])
def test_every_measurement_of_every_worker_is_written_once(
    pytester: pytest.Pytester, kind: str
) -> None:
    pytester.makepyfile(test_demo=THREE)
    where = "kept/trials.log" if kind == "file" else f"sqlite:///{pytester.path}/trials.db"
    result = pytester.runpytest_subprocess(
        "--soak-iterations=4", *TUNED, f"--soak-optuna-storage={where}", "-n2", "-W", "error"
    )
    assert result.parseoutcomes()["passed"] >= 12  # a gate may fail so soon, an iteration not
    found = trials(pytester.path / where if kind == "file" else where)
    chains = [f"test_demo.py::test_demo[{x}]" for x in ("blue", "green", "red")]
    assert sorted((t.user_attrs["chain"], t.user_attrs["iteration"]) for t in found) == [
        (chain, iteration) for chain in chains for iteration in (1, 2, 3, 4)
    ]
    first = next(trial for trial in found if trial.user_attrs["iteration"] == 1)
    assert first.params == {"workers": 2, "batch_size": 40, "backoff_s": 0.2}
    assert first.user_attrs["verdict"] == "FAIL"
    assert first.constraints["latency_p95_ms FAIL"] == pytest.approx(0.2, abs=0.05)
    assert first.constraints["throughput FAIL"] < 0
    assert first.value == -max(first.constraints.values())


def test_a_storage_changes_no_decision(soaks: pytest.Pytester) -> None:
    soaks.runpytest("--soak-iterations=5", *TUNED)
    alone = steps(soaks)
    for _ in range(2):
        soaks.runpytest("--soak-iterations=5", *TUNED, "--soak-optuna-storage=trials")
        assert steps(soaks) == alone
    assert len(trials(soaks.path / "trials")) == 10


def test_a_run_that_shares_begins_where_another_one_was_good(soaks: pytest.Pytester) -> None:
    soaks.makeini("[pytest]\nsoak_optuna_storage = kept/trials\nsoak_tuner = optuna")
    soaks.runpytest("--soak-iterations=8", "--auto-tune").assert_outcomes(passed=9)
    soaks.makeini(
        f"[pytest]\nsoak_optuna_storage = kept/trials\nsoak_tuner = optuna\n"
        f"soak_optuna_share = {STUDY}"
    )
    folder = soaks.mkdir("elsewhere")  # a path in the ini file is relative to the root
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = soaks.runpytest("--soak-iterations=4", "--auto-tune", "..", "-c../tox.ini")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*REASON=optuna: as good in * iteration *"])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ("--soak-optuna-storage=nonsense://nowhere",),
            "ERROR: --soak-optuna-storage=nonsense://nowhere: *",
        ),
        (
            ("--soak-optuna-share=x",),
            "ERROR: --soak-optuna-share=x: needs --soak-optuna-storage, where the study is",
        ),
        (
            ("--soak-optuna-storage=trials", "--soak-optuna-share=x"),
            f"ERROR: --soak-optuna-share: unknown study 'x' in *trials; there: {STUDY}",
        ),
    ],
)
def test_a_mistaken_option_is_a_usage_error(
    soaks: pytest.Pytester, args: tuple[str, ...], line: str
) -> None:
    soaks.runpytest("--soak-iterations=2", *TUNED, "--soak-optuna-storage=trials")
    result = soaks.runpytest("--soak-iterations=2", *TUNED, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_a_storage_that_fails_later_gives_a_warning_and_the_verdict_stands(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_demo="""
        import sqlite3

        def test_demo(soak):
            if soak.iteration == 2:
                with sqlite3.connect("trials.db") as database:
                    database.execute("DROP TABLE trials")
                database.close()
            soak.run()
        """
    )
    result = pytester.runpytest_subprocess(
        "--soak-iterations=3",
        "--soak-scenario=calm",
        *TUNED,
        f"--soak-optuna-storage=sqlite:///{pytester.path}/trials.db",
    )
    result.assert_outcomes(passed=4, warnings=2)
    result.stdout.fnmatch_lines(["*SoakOptunaWarning: sqlite:*: iteration 2 not written: *"])


SECRET = "hunter2"  # noqa: S105 - opens nothing


@pytest.mark.parametrize(
    "where",
    [
        f"mysql://bob:{SECRET}@127.0.0.1/db",
        f"nonsense://bob:{SECRET}@127.0.0.1/db",
        f"nonsense://127.0.0.1/db?password={SECRET}&x=1",
        f"nonsense://bob:a/{SECRET}@b@127.0.0.1/db",
    ],
)
@pytest.mark.parametrize("by", ["option", "ini"])
def test_a_password_is_not_shown_where_the_storage_cannot_be_opened(
    soaks: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, where: str, by: str
) -> None:
    monkeypatch.setattr("pytest_soak_optuna.storage.ATTEMPTS", 0)
    if by == "ini":
        soaks.makeini(f"[pytest]\nsoak_optuna_storage = {where}")
    given = [f"--soak-optuna-storage={where}"] if by == "option" else []
    result = soaks.runpytest("--soak-iterations=2", *TUNED, *given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --soak-optuna-storage=*://*[*][*][*]*: *"])
    assert SECRET not in str(result.stderr) + str(result.stdout)


@pytest.mark.parametrize("says", ["{where} is gone", "bad password 'hunter2@'"])
def test_a_password_is_not_shown_where_writing_and_sharing_fail(
    soaks: pytest.Pytester, says: str
) -> None:
    where = f"mysql://bob:{SECRET}%40@127.0.0.1/db"
    soaks.makeconftest(
        f"""
        import pytest
        import pytest_soak_optuna.storage

        class Storage:
            def __init__(self, where):
                pass

            def write(self, plan, result):
                raise OSError({says.format(where=where)!r})

            def newest(self, study):
                raise KeyError(study)

            def studies(self):
                return []

            def close(self):
                pass

        def pytest_configure(config):
            pytest.MonkeyPatch().setattr(pytest_soak_optuna.storage, "Storage", Storage)
        """
    )
    args = ("--soak-iterations=2", *TUNED, f"--soak-optuna-storage={where}")
    written = soaks.runpytest_subprocess(*args)
    written.stdout.fnmatch_lines(
        ["*SoakOptunaWarning: mysql://bob:[*][*][*]@127.0.0.1/db: iteration 1 not written: *"]
    )
    shared = soaks.runpytest_subprocess(*args, "--soak-optuna-share=x")
    shared.stderr.fnmatch_lines(
        ["ERROR: --soak-optuna-share: unknown study 'x' in mysql://bob:[*][*][*]@127.0.0.1/db; *"]
    )
    assert SECRET not in "".join(
        str(said) for result in (written, shared) for said in (result.stdout, result.stderr)
    )

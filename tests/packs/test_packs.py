"""Packs as users bring and change them: a domain in TOML, single numbers in pyproject."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from pytest_soak.views.terminal import objective_line
from tests.support import DEMO, chain_folder, patches, read_json, records

WEB_SERVICE = Path(__file__).parents[2] / "fixtures" / "web_service.toml"


def web(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest(f"--soak-pack={WEB_SERVICE}", "--soak-iterations=8", *args)


def test_a_second_domain_needs_no_code(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    untuned = web(pytester)
    assert untuned.ret == pytest.ExitCode.TESTS_FAILED
    untuned.stdout.fnmatch_lines(["| kpi_gate | FAIL | REASONS=latency_p95_ms,error_rate |"])
    tuned = web(pytester, "--auto-tune")
    assert tuned.ret == 0
    tuned.stdout.fnmatch_lines(
        [
            "| profile_apply | OK | PROFILE=production |",
            "| soak_iter_tune | OK | ADJUSTMENTS=3 latency=5?? errors=0.03? |",
            "| runtime_adjust | OK | FIELD=timeout_ms FROM=800 TO=1500 REASON=errors>0.01 |",
            "*web-service/production*system mock/rush-hour*tuner capacity*",
        ]
    )
    assert read_json(chain_folder(pytester) / "runtime_overrides.json")["pool_size"] <= 40


def test_its_environment_has_its_own_prefix(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_RUNTIME_OVERRIDES_JSON", '{"pool_size": 20}')
    monkeypatch.setenv("MM_RUNTIME_OVERRIDES_JSON", "{broken")
    pytester.makepyfile(test_demo=DEMO)
    result = web(pytester)
    result.stdout.fnmatch_lines(["| runtime_overrides | OK | SOURCE=env |"])


def test_single_numbers_are_changed_in_pyproject(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        """
        [tool.pytest-soak.packs.demo.kpis]
        latency_p95_ms = { fail = "> 500" }
        error_rate = { fail = "> 0.5" }

        [tool.pytest-soak.packs.demo.parameters.workers]
        apply = [2, 5]

        [[tool.pytest-soak.packs.demo.rule]]
        tuner = "demo-table"
        id = "slow"
        step = { workers = 1 }
        """
    )
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["| runtime_adjust | OK | FIELD=workers FROM=2 TO=3 REASON=latency>240 |"]
    )
    config = records(chain_folder(pytester))[0]["config"]
    assert config["kpis"]["latency_p95_ms"] == {"fail": "> 500", "warn": "> 250"}


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (
            "[tool.pytest-soak.packs.demo.kpis]\nlatency_p95_ms = { fail = '500' }",
            "*pyproject.toml, [[]tool.pytest-soak.packs.demo[]]: kpis.latency_p95_ms.fail: '500'*",
        ),
        (
            "[tool.pytest-soak.packs.demo.profiles.default]\nworkers = 99",
            "*pyproject.toml, [[]tool.pytest-soak.packs.demo[]]: profiles.default.workers: 99*",
        ),
        (
            "[[tool.pytest-soak.packs.demo.rule]]\nid = 'slow'",
            "*tool.pytest-soak.packs: rule {'id': 'slow'}: say which one by tuner and id",
        ),
        (
            "[tool.pytest-soak]\nspeed = 3",
            "*[[]tool.pytest-soak[]] has speed = 3; allowed: tables*",
        ),
        ("[tool.pytest-soak.packs]\ndemo = 3", "*has demo = 3; allowed: tables*"),
    ],
)
def test_a_mistake_in_pyproject_names_file_and_key(
    pytester: pytest.Pytester, toml: str, line: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(toml)
    result = pytester.runpytest("--soak-iterations=3", "--auto-tune")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_a_share_may_be_a_kpi_and_a_column(pytester: pytest.Pytester) -> None:
    demo = resources.files("pytest_soak.packs").joinpath("demo.toml").read_text("utf-8")
    text = demo.replace(
        "[kpis]", "blocked = { label = 'blocked', kind = 'shares' }\n[kpis]\n", 1
    ).replace("[scenarios.busy.mock]", "[scenarios.busy.mock]\nblocked = { risk = 0.5 }", 1)
    (pytester.path / "shares.toml").write_text(text, encoding="utf-8")
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=6", "--auto-tune", "--soak-pack=shares.toml")
    result = pytester.runpytest(*args, "--soak-gate=blocked.risk<=0.4")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["| kpi_gate | FAIL | REASONS=blocked.risk |"])
    refused = pytester.runpytest(*args, "--soak-gate=blocked<=0.4")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        ["*--soak-gate: blocked is no number; allowed: a number, or one of shares*"]
    )


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ("", "noise unknown"),
        ("latency_p95_ms = 2", "more than noise"),
        ("latency_p95_ms = 999", "within noise"),
    ],
)
def test_an_objective_is_told_against_its_noise(
    pytester: pytest.Pytester, noise: str, words: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        f"""
        [tool.pytest-soak.packs.demo.objective]
        metric = "latency_p95_ms"
        better = "down"

        [tool.pytest-soak.packs.demo.noise]
        {noise}
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.stdout.fnmatch_lines(
        [f"  objective latency_p95_ms 36?.? → 2??.? (-15?, better, {words})"]
    )
    told = read_json(chain_folder(pytester) / "TUNING_REPORT.json")["objective"]
    assert told["change"] == pytest.approx(told["last"] - told["first"])
    assert told["beyond_noise"] == {"more than noise": True, "within noise": False}.get(words)


def test_an_objective_that_got_worse_is_told_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        """
        [tool.pytest-soak.packs.demo.objective]
        metric = "latency_p95_ms"
        better = "up"
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.stdout.fnmatch_lines(["  objective latency_p95_ms * (-*, worse, noise unknown)"])
    untuned = pytester.runpytest("--soak-iterations=6")
    untuned.stdout.fnmatch_lines(
        ["  objective latency_p95_ms * (*, no parameter was changed, noise unknown)"]
    )


@pytest.mark.parametrize("better", ["up", "down"])
def test_an_objective_that_stayed_the_same_is_neither_better_nor_worse(better: str) -> None:
    told = {"metric": "rate", "better": better, "first": 5, "last": 5, "change": 0.0}
    line = objective_line({**told, "beyond_noise": False}, changed=True)
    assert line == "objective rate 5 → 5 (+0, unchanged, within noise)"


def test_secrets_of_a_domain_are_needed_by_every_system(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.demo.pack]\nsecrets = ['QUEUE_TOKEN']")
    monkeypatch.delenv("QUEUE_TOKEN", raising=False)
    args = ("--soak-iterations=6", "--auto-tune")
    refused = pytester.runpytest(*args)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*QUEUE_TOKEN is not set*"])
    monkeypatch.setenv("QUEUE_TOKEN", "hush")
    assert pytester.runpytest(*args).ret == 0


def test_a_rule_in_pyproject_is_added_to_those_of_the_pack(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        """
        [[tool.pytest-soak.packs.demo.rule]]
        tuner = "demo-table"
        id = "always"
        when.all = [{ metric = "throughput", op = ">", value = 0 }]
        step = { backoff_s = 0.05 }
        reason = "mine"
        """
    )
    result = pytester.runpytest("--soak-iterations=4", "--auto-tune", "--soak-scenario=calm")
    result.stdout.fnmatch_lines(["  - mine"])
    assert patches(chain_folder(pytester))[0] == [
        {"op": "add", "path": "/backoff_s", "value": 0.25}
    ]

"""Marker lines, tables and JUnit properties, which must agree with each other."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # the file is our own
from typing import TYPE_CHECKING, Any

import pytest

from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, patches, read_json, records

if TYPE_CHECKING:
    from pathlib import Path


def markers(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith(("| ", "  - ")) or "Δ=" in line]


def test_the_lines_of_a_tuned_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    folder = chain_folder(pytester)
    lines = markers(result)
    assert lines[:13] == [
        "| profile_apply | OK | PROFILE=default |",
        "| runtime_overrides | OK | SOURCE=profile |",
        f"| save_applied_profile | OK | {folder / 'applied_profile.json'} |",
        lines[3],
        "  - latency>240",
        "  - errors>0.04",
        "| runtime_adjust | OK | FIELD=backoff_s FROM=0.2 TO=0.3 REASON=errors>0.04 |",
        "| runtime_adjust | OK | FIELD=batch_size FROM=40 TO=35 REASON=latency>240 |",
        "| runtime_adjust | OK | FIELD=workers FROM=2 TO=4 REASON=latency>240 |",
        "| iter_watch | APPLY | iter=1 params=3 |",
        "  backoff_s: 0.2 → 0.3 (Δ=+0.1)",
        "  batch_size: 40 → 35 (Δ=-5)",
        "  workers: 2 → 4 (Δ=+2)",
    ]
    assert lines[3].startswith("| soak_iter_tune | OK | ADJUSTMENTS=3 latency=3")
    assert lines[13] == "| iter_watch | SELF_CHECK | Diff for runtime_overrides.json (iter 1) |"
    assert "| soak_iter_tune | OK | ADJUSTMENTS=0 metrics_stable |" in lines
    assert "| iter_watch | APPLY | SKIP | iter=4 no deltas |" in lines
    assert "| soak_iter_tune | SKIP | REASON=observation_window |" in lines
    assert lines[-2:] == [
        "| iter_watch | SUMMARY | steady apply complete |",
        "| kpi_gate | PASS |",
    ]


def test_an_untuned_run_shows_nothing_about_tuning(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    lines = markers(pytester.runpytest("--soak-iterations=3"))
    assert not [line for line in lines if "iter_watch" in line or "soak_iter_tune" in line]
    assert lines[-1] == "| kpi_gate | FAIL | REASONS=latency_p95_ms,error_rate |"


def test_recommending_records_and_applies_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=4", "--soak-recommend")
    assert "| iter_watch | APPLY | SKIP | iter=1 recommend_only |" in markers(result)
    assert "  workers: 2 → 4 (Δ=+2)" in markers(result)
    assert patches(chain_folder(pytester)) == [[]] * 4
    summary = read_json(chain_folder(pytester) / "ITER_SUMMARY_1.json")
    assert summary["tuning"]["effective"] == {"backoff_s": 0.1, "batch_size": -5, "workers": 2}
    assert summary["tuning"]["applied"] is False
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_terminal_without_unicode_gets_ascii(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest_subprocess("--soak-iterations=6", "--auto-tune")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["  workers: 2 -> 4 (d=+2)"])
    assert str(result.stdout).isascii()


def test_the_table_shows_metrics_changes_and_where_the_artifacts_lie(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result.stdout.fnmatch_lines(
        [
            "*= soak =*",
            "test_demo.py::test_demo",
            "  demo/default  system mock/busy  tuner demo-table  mode apply  seed 0",
            " iter  latency  errors  rate  verdict",
            "    1     3*✗*FAIL",
            "    6*PASS ●",
            "after*parameter*change*outcome*why",
            "    1*backoff_s*0.2 → 0.3*verified*errors>0.04",
            "  verdict PASS (observation window: iterations 5 to 6)",
            f"  artifacts {chain_folder(pytester)}",
            "  journal   head *",
        ]
    )


def test_a_long_soak_shows_its_beginning_and_its_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=60", "--auto-tune")
    result.stdout.fnmatch_lines(
        ["    1 *", "   60 *", "  36 more iterations in TUNING_REPORT.json"]
    )


def test_an_interrupted_run_has_artifacts_but_no_verdict(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_demo="""
        def test_demo(soak):
            soak.run()
            assert soak.iteration != 2
        """
    )
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune", "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["  no verdict: the run was broken off before the gate"])
    report = read_json(chain_folder(pytester) / "TUNING_REPORT.json")
    assert report["verdict"] == "INCONCLUSIVE"
    assert len(report["rows"]) == 2


def properties(path: Path) -> dict[str, str]:
    case = ET.parse(path).find(".//testcase[@name='test_demo[kpi-gate]']")
    assert case is not None
    return {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}


@pytest.mark.parametrize("distributed", [(), ("-n2",)], ids=["one-process", "xdist"])
def test_junit_has_the_verdict_and_the_kpis(
    pytester: pytest.Pytester, distributed: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune", "--junitxml=out.xml", *distributed)
    found = properties(pytester.path / "out.xml")
    assert found["soak_verdict"] == "PASS"
    assert found["soak_chain"] == "test_demo.py::test_demo"
    assert float(found["soak_kpi_latency_p95_ms"]) < 250


def test_marker_summary_report_and_file_agree(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    lines = markers(pytester.runpytest("--soak-iterations=6", "--auto-tune"))
    folder = chain_folder(pytester)
    adjusted: dict[str, float] = {}
    for line in lines:
        if line.startswith("| runtime_adjust |"):
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            adjusted[words["FIELD"]] = float(words["TO"])
    assert adjusted == read_json(folder / "runtime_overrides.json")
    summed: dict[str, float] = {}
    for number in range(1, 7):
        tuning = read_json(folder / f"ITER_SUMMARY_{number}.json")["tuning"]
        for field, delta in tuning["effective"].items():
            summed[field] = summed.get(field, 0) + delta
    profile = read_json(folder / "applied_profile.json")
    reached = {name: profile["base"][name] + delta for name, delta in summed.items()}
    assert reached == pytest.approx(adjusted)
    moves = [m for row in read_json(folder / "TUNING_REPORT.json")["rows"] for m in row["moves"]]
    assert {move["field"]: move["to"] for move in moves} == adjusted
    assert profile["applied"] == {**profile["base"], **adjusted}
    assert profile["overrides_runtime"] == adjusted
    assert len(profile["runtime_adjustments"]) == len(moves)


def test_backups_hold_the_overrides_before_each_apply(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune")
    folder = chain_folder(pytester)
    backups = [
        read_json(folder / "backups" / f"runtime_overrides_backup_{number}.json")
        for number in (1, 2, 3)
    ]
    assert backups[0] == {}
    assert backups[1] == {"backoff_s": 0.3, "batch_size": 35, "workers": 4}
    assert backups[2]["workers"] == 6
    assert not (folder / "backups" / "runtime_overrides_backup_4.json").exists()


def test_the_gate_file_has_the_word_of_the_gate(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    args = (
        "--soak-iterations=6",
        "--soak-gate=latency_p95_ms<=100",
        "--soak-gate=warn:error_rate<=0",
    )
    pytester.runpytest(*args, "--auto-tune")
    gate = read_json(chain_folder(pytester) / "KPI_GATE.json")
    assert gate["verdict"] == "FAIL"
    assert gate["reasons"] == ["latency_p95_ms"]
    assert gate["window"] == [5, 6]
    assert gate["thresholds"]["latency_p95_ms"] == {"fail": "> 100", "warn": "> 250"}
    assert gate["thresholds"]["error_rate"] == {"fail": "> 0.05", "warn": "> 0"}
    assert [entry["verdict"] for entry in gate["kpis"]["error_rate"]] == ["WARN", "WARN"]
    assert records(chain_folder(pytester))[-1]["verdict"] == "FAIL"


def test_latest_points_to_the_newest_chain(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=1")
    latest = pytester.path / "artifacts" / "soak" / "latest"
    assert latest.resolve() == chain_folder(pytester).resolve()


def test_a_label_stays_text(pytester: pytest.Pytester) -> None:
    (pytester.path / "pyproject.toml").write_text(
        '[tool.pytest-soak.packs.demo.metrics]\nlatency_p95_ms.label = "[/b]lat"\n'
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["* iter * [[]/b]lat * verdict"])


def effects(folder: Path) -> list[dict[str, Any]]:
    rows = read_json(folder / "TUNING_REPORT.json")["effectiveness"]
    assert isinstance(rows, list)
    return rows


def test_the_effect_of_each_apply_on_each_kpi_is_compared_with_noise(
    pytester: pytest.Pytester,
) -> None:
    """The mock's effects are declared: two workers more and five in a batch less are -50 ms."""
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.demo]\nnoise.latency_p95_ms = 2.0")
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=6", "--auto-tune")
    rows = effects(chain_folder(pytester))
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    assert [(row["kpis"]["latency_p95_ms"]["n_after"]) for row in rows] == [1, 1, 3]
    for row in rows:
        latency, errors = row["kpis"]["latency_p95_ms"], row["kpis"]["error_rate"]
        assert latency["change"] == pytest.approx(-50, abs=10)
        assert (latency["noise"], latency["beyond_noise"]) == (2.0, True)
        assert (errors["noise"], errors["beyond_noise"]) == (None, None)
        assert {move["field"] for move in row["moves"]} == {"backoff_s", "batch_size", "workers"}
    result.stdout.fnmatch_lines(
        ["effect  latency   errors  rate", "     1     -5?[*]  -0.0??[?]   +?[?]"]
    )


def test_the_noise_of_an_effect_may_come_from_the_run_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=20", "--auto-tune")
    (*_, last) = effects(chain_folder(pytester))
    assert last["kpis"]["latency_p95_ms"]["noise"] == pytest.approx(2, rel=0.8)
    assert last["kpis"]["latency_p95_ms"]["beyond_noise"] is True


def test_an_inconclusive_iteration_is_in_no_baseline(pytester: pytest.Pytester) -> None:
    no_latency = "if iteration == 2: report['totals']['latency_p95_ms'] = None"
    pytester.makeconftest(mock_system("blind", after=no_latency))
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=5", "--auto-tune", "--soak-system=blind")
    first, second = effects(chain_folder(pytester))
    assert (first["iteration"], second["iteration"]) == (1, 3)
    latency = first["kpis"]["latency_p95_ms"]
    assert (latency["n_before"], latency["n_after"]) == (1, 1)
    assert latency["change"] == pytest.approx(-50, abs=10)


def test_without_an_apply_there_is_no_effect(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=3")
    assert effects(chain_folder(pytester)) == []
    result.stdout.no_fnmatch_line("effect*")


def test_a_rerun_gate_has_each_junit_property_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=3", "--reruns=2", "--junitxml=out.xml")
    gates = ET.parse(pytester.path / "out.xml").findall(".//testcase[@name='test_demo[kpi-gate]']")
    assert len(gates) == 3
    for gate in gates:
        names = [entry.attrib["name"] for entry in gate.iter("property")]
        assert names.count("soak_verdict") == 1
        assert len(names) == len(set(names))


def test_a_metric_of_labels_has_a_column_without_a_number(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml(
        """
        [tool.pytest-soak.packs.demo.pack]
        columns = ["drivers"]

        [tool.pytest-soak.packs.demo.metrics.drivers]
        kind = "labels"
        """
    )
    labels = "report['totals']['drivers'] = ['fees', 'slippage']"
    pytester.makeconftest(mock_system(after=labels))
    for args in ((), ("-n1",)):
        result = pytester.runpytest("--soak-system=odd", "--soak-iterations=1", *args)
        result.stdout.fnmatch_lines([" iter *drivers *verdict", "    1 * - *FAIL ●"])
        summary = read_json(chain_folder(pytester) / "ITER_SUMMARY_1.json")["summary"]
        assert summary["metrics"]["drivers"] == ["fees", "slippage"]

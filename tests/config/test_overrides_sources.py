"""Where overrides come from, what is done with them, and that no run inherits another's."""

from __future__ import annotations

import json

import pytest

from tests.logged import LoggedSoak
from tests.support import DEMO, chain_folder, patches, read_json, records

VARIABLE = "SOAK_DEMO_RUNTIME_OVERRIDES_JSON"


def test_the_first_source_that_is_present_wins_whole(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    seeded = pytester.path / "artifacts" / "soak" / "runtime_overrides.json"
    seeded.parent.mkdir(parents=True)
    seeded.write_text('{"workers": 3, "backoff_s": 0.5}')

    def run(*args: str) -> tuple[str, dict[str, float]]:
        result = pytester.runpytest("--soak-iterations=1", *args)
        (line,) = (text for text in result.outlines if "| runtime_overrides |" in text)
        overrides = read_json(chain_folder(pytester) / "runtime_overrides.json")
        return line.split("SOURCE=")[1].split()[0], overrides

    assert run() == ("file", {"workers": 3, "backoff_s": 0.5})
    monkeypatch.setenv(VARIABLE, '{"workers": 5}')
    assert run() == ("env", {"workers": 5})
    assert run('--soak-overrides={"batch_size": 20}') == ("option", {"batch_size": 20})
    monkeypatch.setenv(VARIABLE, " ")
    seeded.unlink()
    assert run() == ("profile", {})


def test_a_seed_in_the_environment_masks_no_later_change(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = LoggedSoak(pytester)
    monkeypatch.setenv(VARIABLE, '{"workers": 3, "backoff_s": 0.3}')
    logged.soak(4, "--auto-tune")
    assert logged.ran("workers") == [3, 5, 7, 7]
    assert logged.ran("backoff_s")[:2] == [0.3, 0.4]
    assert logged.read("runtime_overrides.json")["workers"] == 7
    assert records(logged.folder)[0]["overrides_source"] == "env"


def test_a_soak_reads_the_seeded_file_and_never_writes_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    seeded = pytester.path / "artifacts" / "soak" / "runtime_overrides.json"
    seeded.parent.mkdir(parents=True)
    seeded.write_text('{ "workers":3 }')
    pytester.runpytest("--soak-iterations=4", "--auto-tune")
    assert seeded.read_text() == '{ "workers":3 }'


def test_a_number_outside_its_limits_is_clamped_with_a_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    seed = json.dumps({"workers": 99, "backoff_s": 0.1234})
    result = pytester.runpytest("--soak-iterations=1", f"--soak-overrides={seed}")
    result.stdout.fnmatch_lines(
        [
            "| runtime_override | CLAMP | FIELD=backoff_s FROM=0.1234 TO=0.12 |",
            "| runtime_adjust | OK | FIELD=backoff_s FROM=0.2 TO=0.12 REASON=manual_override |",
            "| runtime_override | CLAMP | FIELD=workers FROM=99 TO=16 |",
        ]
    )
    profile = read_json(chain_folder(pytester) / "applied_profile.json")
    assert profile["applied"]["workers"] == 16
    assert profile["overrides_runtime"] == {"workers": 16, "backoff_s": 0.12}
    assert {entry["reason"] for entry in profile["runtime_adjustments"]} == {"manual_override"}


def test_tuned_untuned_tuned_in_one_folder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    exits, changes = [], []
    for args in (("--auto-tune",), (), ("--auto-tune",)):
        exits.append(int(pytester.runpytest("--soak-iterations=6", *args).ret))
        changes.append(patches(chain_folder(pytester)))
    assert exits == [0, 1, 0]
    assert changes[0] == changes[2]
    assert changes[0][0] != []
    assert changes[1] == [[]] * 6
    (first,) = (chain_folder(pytester) / "runs").iterdir()
    assert (first / "KPI_GATE.json").exists()
    assert len(list(pytester.path.glob("artifacts/soak/test_demo-*"))) == 2


def test_going_on_from_an_earlier_result_is_explicit(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=6", "--auto-tune")
    result_file = chain_folder(pytester) / "runtime_overrides.json"
    reached = read_json(result_file)
    pytester.runpytest("--soak-iterations=2", f"--soak-overrides={result_file}").assert_outcomes(
        passed=3
    )
    assert read_json(chain_folder(pytester) / "runtime_overrides.json") == reached


def test_the_environment_names_the_profile(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    monkeypatch.setenv("SOAK_DEMO_PROFILE", "nope")
    result = pytester.runpytest("--soak-iterations=1")
    result.stderr.fnmatch_lines(["*SOAK_DEMO_PROFILE: unknown profile 'nope'*"])
    explicit = pytester.runpytest("--soak-iterations=1", "--soak-profile=default")
    explicit.stdout.fnmatch_lines(["| profile_apply | OK | PROFILE=default |"])


@pytest.mark.parametrize(
    ("marker", "ini", "option", "scenario"),
    [
        ("", "", (), "busy"),
        ("", "calm", (), "calm"),
        ("busy", "calm", (), "busy"),
        ("busy", "busy", ("--soak-scenario=calm",), "calm"),
    ],
)
def test_option_over_marker_over_ini_over_pack(
    pytester: pytest.Pytester, marker: str, ini: str, option: tuple[str, ...], scenario: str
) -> None:
    mark = f"@pytest.mark.soak(scenario={marker!r})" if marker else ""
    pytester.makepyfile(test_demo=f"import pytest\n{mark}\n{DEMO.lstrip()}")
    pytester.makeini(f"[pytest]\nsoak_scenario = {ini}")
    pytester.runpytest("--soak-iterations=1", *option)
    assert records(chain_folder(pytester))[0]["config"]["scenario"] == scenario


def test_a_number_in_the_ini_file_is_used(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsoak_observe = 3")
    pytester.makepyfile(test_demo=DEMO)
    pytester.runpytest("--soak-iterations=4", "--auto-tune")
    assert read_json(chain_folder(pytester) / "KPI_GATE.json")["window"] == [2, 3, 4]

"""A user's mistake is one clear line and exit 4, in one process and under xdist."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_soak.config import request
from pytest_soak.errors import SoakUsageError
from pytest_soak.model.pace import slots_in
from tests.strategies import mock_system, tuner
from tests.support import DEMO

if TYPE_CHECKING:
    from pathlib import Path

TUNED = ("--soak-iterations=2", "--auto-tune")

MISTAKES = {
    "unknown tuner": (("--soak-tuner=nope",), "*--soak-tuner: unknown tuner 'nope'*demo-table*"),
    "unknown system": (("--soak-system=nope",), "*--soak-system: unknown system 'nope'*mock*"),
    "unknown scenario": (("--soak-scenario=nope",), "*unknown scenario 'nope'*busy, calm*"),
    "unknown pack": (("--soak-pack=nope",), "*--soak-pack: unknown pack 'nope'*demo*"),
    "a pack in JSON": (
        ("--soak-pack=a.json",),
        "*'a.json'; installed: demo*a file * ends in .toml*",
    ),
    "pack file missing": (
        ("--soak-pack=nope.toml",),
        "*pack *nope.toml: cannot be read: No such *",
    ),
    "unknown profile": (("--soak-profile=nope",), "*unknown profile 'nope'*default*"),
    "a profile in JSON": (
        ("--soak-profile=p.json",),
        "*'p.json'; there are: default, or a file whose name ends in .toml",
    ),
    "profile file missing": (
        ("--soak-profile=x.toml",),
        "*--soak-profile: profile *x.toml: cannot be read: No*",
    ),
    "unknown gate metric": (("--soak-gate=nope>=1",), "*unknown metric 'nope'*error_rate*"),
    "gate grammar": (("--soak-gate=latency",), "*'latency' given; allowed: METRIC>=X*"),
    "window of nothing": (("--soak-observe=0",), "*--soak-observe: 0 given; allowed: 1 or more*"),
    "broken JSON": (("--soak-overrides={",), "*overrides from --soak-overrides: broken JSON*"),
    "a list": (("--soak-overrides=[1]",), "*'[[]1]' given; allowed: one JSON object*"),
    "unknown field": (('--soak-overrides={"x": 1}',), "*unknown field 'x'*workers*"),
    "a string": (('--soak-overrides={"workers": "4"}',), '*workers is "4"; allowed: a finite*'),
    "a boolean": (('--soak-overrides={"workers": true}',), "*workers is true; allowed*"),
    "NaN": (('--soak-overrides={"workers": NaN}',), "*workers is NaN; allowed*"),
    "infinity": (('--soak-overrides={"workers": -Infinity}',), "*workers is -Infinity; allowed*"),
    "nested": (('--soak-overrides={"workers": {"a": 1}}',), '*workers is {"a": 1}; allowed*'),
    "null": (('--soak-overrides={"workers": null}',), "*workers is null; allowed*"),
    "given twice": (
        ('--soak-overrides={"workers": 1, "workers": 2}',),
        "*'workers' is given twice",
    ),
    "no such file": (
        ("--soak-overrides=none.json",),
        "*--soak-overrides none.json: cannot be read: No such file*",
    ),
    "a device": (
        ("--soak-overrides=/dev/zero",),
        "*--soak-overrides /dev/zero: cannot be read: it is a device; allowed: a regular file",
    ),
    "a folder": (
        ("--soak-overrides=.",),
        "*--soak-overrides .: cannot be read: it is a folder; allowed: a regular file",
    ),
    "a name too long": (
        ("--soak-overrides=" + "x" * 5000,),
        "*--soak-overrides xxx* ... *xxx: cannot be read: File name too long",
    ),
    "a folder too long": (
        ("--soak-dir=" + "x" * 5000,),
        "*--soak-dir: * ... *xxx: cannot be written: File name too long",
    ),
    "a number too long": (
        ('--soak-overrides={"workers": ' + "1" * 5000 + "}",),
        "*broken JSON: Exceeds the limit*",
    ),
    "nested too deeply": (
        ('--soak-overrides={"workers": ' + "[" * 5000 + "}",),
        "*broken JSON: *",
    ),
    "a field too long": (
        ('--soak-overrides={"' + "x" * 5000 + '": 1}',),
        "*unknown field 'xxx* ... *xxx' given as 1; *",
    ),
    "a gate nothing breaks": (
        ("--soak-gate=latency_p95_ms<=" + "9" * 400,),
        "*--soak-gate: * given; allowed: a finite number, of 1e+30 at most",
    ),
    "a gate too long": (("--soak-gate=" + "x" * 5000,), "*xxx' given; allowed: METRIC>=X*"),
    "a tuner too long": (("--soak-tuner=" + "x" * 5000,), "*xxx ... xxx*"),
    "a resume of two lines": (("--soak-resume=a\nb",), "*--soak-resume=a b: allowed: *"),
}


# The way back from a worker is the same for all: a few of each kind go it.
DISTRIBUTED = ("unknown tuner", "unknown gate metric", "broken JSON", "unknown field", "NaN")


@pytest.mark.parametrize(
    ("mistake", "distributed"),
    [*((name, ()) for name in MISTAKES), *((name, ("-n2",)) for name in DISTRIBUTED)],
)
def test_a_mistake_is_one_line_and_exit_4(
    pytester: pytest.Pytester, mistake: str, distributed: tuple[str, ...]
) -> None:
    args, line = MISTAKES[mistake]
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, *args, *distributed)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = [text for text in (*result.outlines, *result.errlines) if text.startswith("ERROR")]
    assert len(told) == 1
    pytest.LineMatcher(told).fnmatch_lines([line])
    assert "Traceback" not in str(result.stdout) + str(result.stderr)
    assert not list((pytester.path / "artifacts" / "soak").glob("test_demo-*"))


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--soak-iterations=0",), "*--soak-iterations: 0 given; allowed: 1 to 1000000"),
        (("--soak-iterations=-1",), "*--soak-iterations: -1 given; allowed: 1 to 1000000"),
        (("--soak-iterations=1000001",), "*: 1000001 given; allowed: 1 to 1000000"),
        (("--soak-iterations=many",), "*--soak-iterations: invalid int value: 'many'*"),
        (("--auto-tune",), "*--auto-tune: needs --soak-iterations=N or --soak-hours=H, *"),
        (("--soak-recommend",), "*--soak-recommend: needs --soak-iterations=N or --soak-hours=H*"),
        (("--soak-resume",), "*--soak-resume: needs --soak-iterations=N or --soak-hours=H*"),
        (("--soak-hours=0",), "*--soak-hours: 0 given; allowed: a finite number above 0"),
        (("--soak-hours=-1",), "*--soak-hours: -1 given; allowed: a finite number above 0"),
        (("--soak-hours=nan",), "*--soak-hours: nan given; allowed: a finite number above 0"),
        (("--soak-hours=inf",), "*--soak-hours: inf given; allowed: a finite number above 0"),
        (("--soak-hours=long",), "*--soak-hours: invalid float value: 'long'*"),
        (("--soak-hours=1", "--soak-slot=0"), "*--soak-slot: 0 given; allowed: a finite number *"),
        (("--soak-hours=1", "--soak-slot=inf"), "*--soak-slot: inf given; allowed: a finite *"),
        (("--soak-hours=1", "--soak-slot=x"), "*--soak-slot: invalid float value: 'x'*"),
        (("--soak-hours=1", *TUNED), "*--soak-iterations is a count and --soak-hours a time: *"),
        (("--soak-slot=5",), "*--soak-slot: needs --soak-hours=H, *"),
        (("--soak-slot=5", *TUNED), "*--soak-slot: needs --soak-hours=H, *"),
        (
            ("--soak-hours=0.05",),
            "*--soak-hours: 0.05 given, less than one slot of 300 s (the default slot); allowed: *",
        ),
        (
            ("--soak-hours=24", "--soak-slot=1"),
            "*: 24 given, 86400 slots of 1 s (--soak-slot); allowed: 10000 *--soak-slot=8.64",
        ),
        (
            ("--soak-hours=7.7777", "--soak-slot=1e-300"),
            "*: 7.7777 given, 27999*; allowed: 10000 slots at most, as with --soak-slot=2.8",
        ),
        ((*TUNED, "--soak-recommend"), "*give one of them"),
        ((*TUNED, "-n2", "--dist=each"), "*--dist each: *allowed: any other"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    pytester: pytest.Pytester, args: tuple[str, ...], line: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--soak-dir=x",), "*--soak-dir: needs --soak-iterations=N or --soak-hours=H*"),
        (("--soak-gate=error_rate<=1",), "*--soak-gate: needs --soak-iterations=N or *"),
        (("--soak-overrides", "x.json"), "*--soak-overrides: needs --soak-iterations=N or *"),
        (("--soak-seed=0",), "*--soak-seed: needs --soak-iterations=N or --soak-hours=H*"),
        (
            ("--soak-iterations=2", "--soak-tuner=demo-table"),
            "*--soak-tuner: needs --auto-tune or --soak-recommend*",
        ),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    pytester: pytest.Pytester, args: tuple[str, ...], line: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_options_in_addopts_wait_for_a_soak(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeini("[pytest]\naddopts = --soak-dir=kept --soak-tuner=demo-table\n")
    pytester.runpytest().assert_outcomes(skipped=1)
    assert pytester.runpytest("--soak-iterations=2", "-W", "default").ret in (0, 1)
    assert (pytester.path / "kept" / "latest").exists()


def test_an_unknown_ini_key_of_ours_is_refused_in_a_soak_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeini("[pytest]\nsoak_tunner = demo-table\n")
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*tox.ini: unknown key 'soak_tunner', did you mean 'soak_tuner'[?]; there are: *"]
    )
    pytester.runpytest("-W", "ignore").assert_outcomes(skipped=1)


@pytest.mark.parametrize("key", ["soak-pack", "Soak_pack", "soakpack", "SOAK-PACK"])
def test_an_ini_key_that_is_nearly_ours_is_refused_in_a_soak_alone(
    pytester: pytest.Pytester, key: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeini(f"[pytest]\n{key} = demo\nsoak = 1\nsock_path = x\n")
    result = pytester.runpytest(*TUNED, "-W", "ignore")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: tox.ini: unknown key '{key}', did you mean 'soak_pack'[?]; there are: *"]
    )
    pytester.runpytest("-W", "ignore").assert_outcomes(skipped=1)


def test_a_table_for_a_misspelt_pack_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.demoo.pack]\nscenario = 'calm'\n")
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*packs]: unknown pack 'demoo', did you mean 'demo'[?]; *"])


def test_a_table_for_a_pack_that_is_not_loaded_is_only_a_warning(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.queue.pack]\nscenario = 'calm'\n")
    result = pytester.runpytest("--soak-iterations=2", "-W", "default")  # it would inherit ours
    assert result.ret in (0, 1)
    result.stdout.fnmatch_lines(["*PytestConfigWarning: *unknown pack 'queue'*"])


def test_a_marker_argument_that_is_nearly_one_names_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n\n@pytest.mark.soak(tunner='x')\ndef test_a(soak): soak.run()\n"
    )
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown argument 'tunner', did you mean 'tuner'[?]; *"])


def lines_of(pytester: pytest.Pytester, test: str, *args: str) -> list[str]:
    """Return the lines of the usage error of a run of *test*."""
    pytester.makepyfile(f"import pytest\nsoak = pytest.mark.soak\n{test}")
    result = pytester.runpytest(*TUNED, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = [*result.errlines, *result.outlines]
    start = next(index for index, line in enumerate(told) if line.startswith("ERROR: "))
    return [told[start], *(line for line in told[start:] if line.startswith("  "))]


def test_all_mistakes_on_markers_are_told_at_once_each_once(pytester: pytest.Pytester) -> None:
    test = (
        "@soak(sede=1, observ=2)\ndef test_a(soak): soak.run()\n"
        "@soak(sede=1, seed='x', skippable=3)\ndef test_b(soak): soak.run()\n"
        "def test_c(soak): soak.run()\n"
    )
    for workers in ((), ("-n2",)):
        head, *lines = lines_of(pytester, test, *workers)
        assert head == "ERROR: pytest-soak: 4 mistakes"
        pytest.LineMatcher(lines).fnmatch_lines(
            [
                "  *soak: unknown argument 'sede', did you mean 'seed'[?]; *",
                "  *soak: unknown argument 'observ', did you mean 'observe'[?]; *",
                "  *soak(seed=): 'x' given; allowed: a whole number",
                "  *soak(skippable=): 3 given; allowed: True or False",
            ],
            consecutive=True,
        )


def test_all_unknown_names_of_a_chain_are_told_at_once(pytester: pytest.Pytester) -> None:
    names = ("gate=nope>=1", "profile=defalt", "scenario=bussy", "system=mok", "tuner=adaptve,x")
    options = [f"--soak-{name}" for name in (*names, "observe=0")]
    head, *lines = lines_of(pytester, "def test_a(soak): soak.run()", *options)
    assert head == "ERROR: pytest-soak: 7 mistakes"
    pytest.LineMatcher(lines).fnmatch_lines(
        [
            "  --soak-gate: unknown metric 'nope'*",
            "  --soak-profile: unknown profile 'defalt', did you mean 'default'[?]*",
            "  --soak-scenario: unknown scenario 'bussy', did you mean 'busy'[?]*",
            "  --soak-system: unknown system 'mok', did you mean 'mock'[?]*",
            "  --soak-tuner: unknown tuner 'adaptve', did you mean 'adaptive'[?]*",
            "  --soak-tuner: unknown tuner 'x'*",
            "  --soak-observe: 0 given; allowed: 1 or more",
        ],
        consecutive=True,
    )


def test_a_pack_with_several_mistakes_is_one_of_several_errors(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("bad.toml").write_text("[pack]\nnam = 'x'\n", "utf-8")
    test = (
        "@soak(pack='bad.toml')\ndef test_a(soak): soak.run()\n"
        "@soak(sede=1)\ndef test_b(soak): soak.run()\n"
    )
    head, *lines = lines_of(pytester, test)
    assert head == "ERROR: pytest-soak: 2 mistakes"
    pytest.LineMatcher(lines).fnmatch_lines(
        ["  pack *bad.toml: 3 mistakes", "    pack: unknown key 'nam'*", "  *argument 'sede'*"]
    )


def test_two_values_of_one_argument_on_one_function_are_refused(pytester: pytest.Pytester) -> None:
    test = (
        "@soak(seed=1, observe=2)\n@soak(seed=2, observe=2)\ndef test_a(soak): soak.run()\n"
        "@soak(skippable=True)\n@soak(skippable=False)\ndef test_b(soak): soak.run()\n"
    )
    head, *lines = lines_of(pytester, test)
    assert head == "ERROR: pytest-soak: 2 mistakes"
    given = "given by marks of one function; allowed: one of them"
    assert [line.partition("::")[2] for line in lines] == [
        f"test_a: @pytest.mark.soak(seed=): 2 and 1 {given}",
        f"test_b: @pytest.mark.soak(skippable=): False and True {given}",
    ]


def test_the_mark_of_a_function_overrides_those_of_class_and_module(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        "import pytest\nsoak = pytest.mark.soak\npytestmark = soak(seed=1)\n"
        "@soak(seed=2)\nclass TestAll:\n"
        "    @soak(seed=3)\n    @soak(seed=3, observe=1)\n"
        "    def test_a(self, soak): soak.run()\n"
    )
    assert pytester.runpytest("--soak-iterations=2").ret in (0, 1)
    (journal,) = pytester.path.glob("artifacts/soak/test_a-*/journal.jsonl")
    config = json.loads(journal.read_text("utf-8").splitlines()[0])["config"]
    assert (config["seed"], config["observe"]) == (3, 1)


def test_a_folder_that_is_a_file_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "taken").write_text("")
    result = pytester.runpytest(*TUNED, "--soak-dir=taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--soak-dir: *taken: cannot be written*"])


def test_a_bad_overrides_file_stays_as_it_was(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    seeded = pytester.path / "artifacts" / "soak" / "runtime_overrides.json"
    seeded.parent.mkdir(parents=True)
    seeded.write_text('{"workers": "four"}')
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f'*{seeded}: workers is "four"; allowed: a finite number'])
    assert seeded.read_text() == '{"workers": "four"}'


def test_bad_overrides_in_the_environment_name_the_variable(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    monkeypatch.setenv("SOAK_DEMO_RUNTIME_OVERRIDES_JSON", '{"workers": []}')
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*SOAK_DEMO_RUNTIME_OVERRIDES_JSON: workers is *"])


@pytest.mark.parametrize(
    ("marker", "line", "distributed"),
    [
        ("'mock'", "*@pytest.mark.soak: 'mock' given by position*", ()),
        (
            "colour='red'",
            "*unknown argument 'colour'; there are: baseline, gate, *",
            (),
        ),
        ("observe='two'", "*soak(observe=): 'two' given; allowed: a whole number", ()),
        ("system=3", "*soak(system=): 3 given; allowed: text", ()),
        ("gate=[3]", "*soak(gate=): *allowed: text, or a list of texts", ()),
        ("tuner=()", "*soak(tuner=): () given; allowed: one or more", ()),
        ("skippable=1", "*soak(skippable=): 1 given; allowed: True or False", ()),
        ("gate=print", "*soak(gate=): <built-in function print> given; allowed: text*", ()),
        ("pack='\\0.toml'", "*pack *.toml: cannot be read: embedded null byte", ()),
        ("profile='\\0.toml'", "*profile *.toml: cannot be read: embedded null byte", ()),
        ("scenario='nope'", "*soak(scenario=): unknown scenario 'nope'*", ()),
        ("scenario='nope'", "*soak(scenario=): unknown scenario 'nope'*", ("-n1",)),
    ],
)
def test_a_mistake_on_a_marker_is_exit_4(
    pytester: pytest.Pytester, marker: str, line: str, distributed: tuple[str, ...]
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.soak({marker})\ndef test_x(soak): soak.run()")
    result = pytester.runpytest(*TUNED, *distributed)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = [text for text in (*result.outlines, *result.errlines) if text.startswith("ERROR")]
    pytest.LineMatcher(told).fnmatch_lines([line])


def test_a_bad_ini_value_names_the_key(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeini("[pytest]\nsoak_observe = two")
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*soak_observe in tox.ini: 'two' given; allowed: a whole number"])


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("short", "*soak_slot in tox.ini: 'short' given; allowed: a number"),
        ("-5", "*soak_slot in tox.ini: -5 given; allowed: a finite number above 0"),
        ("1", "*86400 slots of 1 s (soak_slot in tox.ini); allowed: 10000 slots at most, *"),
    ],
)
def test_a_bad_slot_in_the_ini_file_names_the_key(
    pytester: pytest.Pytester, value: str, line: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    pytester.makeini(f"[pytest]\nsoak_slot = {value}")
    result = pytester.runpytest("--soak-hours=24")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


@pytest.mark.parametrize("hours", ["7.7777", "24", "0.011", "1e-7"])
def test_the_slot_that_an_error_names_fits(pytester: pytest.Pytester, hours: str) -> None:
    pytester.makepyfile(test_demo=DEMO)
    refused = pytester.runpytest(f"--soak-hours={hours}", "--soak-slot=1e-20")
    slot = refused.stderr.lines[0].rpartition("--soak-slot=")[2]
    assert 9_900 < slots_in(float(hours), float(slot)) <= 10_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tool.pytest-soak = 3", "*pyproject.toml: [[]tool.pytest-soak] has pytest-soak = 3; *"),
        ("tool.pytest-soak.packs = 3", "*[[]tool.pytest-soak] has packs = 3; allowed: tables *"),
        ("tool.pytest-soak.packs.demo = 3", "*has demo = 3; allowed: tables *"),
        ("tool.pytest-soak.more = 3", "*has more = 3; allowed: tables *"),
        ("tool.pytest-soak.pack.demo = {}", "*has pack = {*}, did you mean 'packs'[?]; allowed: *"),
        ("tool = 3", "*pyproject.toml: [[]tool.pytest-soak] has pytest-soak = 3; *"),
        (
            "tool.pytest_soak.packs.demo = {}",
            "*.toml: unknown table [[]tool.pytest_soak], did you mean [[]tool.pytest-soak]?",
        ),
        ("a = " + "1" * 5000, "*pyproject.toml: cannot be read: Exceeds the limit*"),
    ],
)
def test_nonsense_in_pyproject_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(SoakUsageError) as caught:
        request.pack_overlays(path)
    pytest.LineMatcher([str(caught.value)]).fnmatch_lines([told])


def test_a_missing_secret_is_named_and_safe_mode_runs_without(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXCHANGE_KEY", raising=False)
    pytester.makeconftest(mock_system("secretive", members='secrets = ("EXCHANGE_KEY",)'))
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=5", "--auto-tune", "--soak-system=secretive")
    refused = pytester.runpytest(*args)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*EXCHANGE_KEY is not set*SOAK_DEMO_ALLOW_MISSING_SECRETS=1*"])
    monkeypatch.setenv("SOAK_DEMO_ALLOW_MISSING_SECRETS", "1")
    assert pytester.runpytest(*args).ret == 0


def test_a_profile_file_is_checked_like_a_pack(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    profile = pytester.path / "mine.toml"
    profile.write_text("workers = 99\nbatch_size = 40\nbackoff_s = 0.2\n")
    result = pytester.runpytest(*TUNED, "--soak-profile=mine.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mine.toml*workers: 99 is outside its limits; allowed: 1 to 16"])
    profile.write_text("workers = 4\nbatch_size = 40\nbackoff_s = 0.2\n")
    result = pytester.runpytest("--soak-iterations=1", "--soak-profile=mine.toml")
    result.stdout.fnmatch_lines(["| profile_apply | OK | PROFILE=mine |"])


def test_a_tuner_that_needs_an_unknown_metric_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(tuner(name="wants", members='requires = ("happiness",)'))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "--soak-tuner=wants")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pytest_soak_tuners, 'wants' requires: unknown metric*"])


@pytest.mark.parametrize(
    ("hook", "line"),
    [
        ("def pytest_soak_tuners(): return ['a']", "*conftest.py, hook pytest_soak_tuners: retur*"),
        ("def pytest_soak_tuners(): return {'a': 3}", "*pytest_soak_tuners: 'a': 3 is no factory"),
        ("def pytest_soak_systems(): return {'mock': print}", "*the name 'mock' is taken by*"),
        ("def pytest_soak_tuners(): return {'a': lambda pack: 3}", "*which has no 'propose'"),
        ("def pytest_soak_tuners(): return {'a': lambda pack: 1/0}", "*raised ZeroDivisionError*"),
    ],
)
def test_a_hook_that_offers_nonsense_is_named(
    pytester: pytest.Pytester, hook: str, line: str
) -> None:
    pytester.makeconftest(hook)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest(*TUNED, "--soak-tuner=a")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_json_in_the_option_may_be_a_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "seed.json").write_text(json.dumps({"workers": 6}))
    result = pytester.runpytest("--soak-iterations=1", "--soak-overrides=seed.json")
    result.stdout.fnmatch_lines(["| runtime_overrides | OK | SOURCE=option |"])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--soak-system=fixture",), "*--soak-system: unknown system 'fixture'*"),
        (("--soak-gate=latency_p95_ms.x<=1",), "*unknown metric 'latency_p95_ms.x'*"),
    ],
)
def test_names_of_our_own_are_no_back_door(
    pytester: pytest.Pytester, args: tuple[str, ...], line: str
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=4", "--auto-tune", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_a_folder_called_latest_is_not_overwritten(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "artifacts" / "soak" / "latest").mkdir(parents=True)
    result = pytester.runpytest(*TUNED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*latest is not a link; it is needed as a link to the newest chain"]
    )


def test_files_are_named_from_where_they_are_named(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.toml").write_text("workers = 4\nbatch_size = 40\nbackoff_s = 0.2\n")
    pytester.makeini("[pytest]\nsoak_profile = mine.toml")
    folder = pytester.mkdir("deep")
    (folder / "test_demo.py").write_text(DEMO)
    command = ("--soak-iterations=1", "--rootdir", str(pytester.path))
    found = pytester.runpytest(*command, "-c", str(pytester.path / "tox.ini"), "deep")
    found.stdout.fnmatch_lines(["| profile_apply | OK | PROFILE=mine |"])


def refused(pytester: pytest.Pytester, line: str, *args: str) -> None:
    """Assert that a soak with *args* is a usage error that says *line*."""
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=4", "--auto-tune", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_a_pyproject_that_is_not_toml_is_named(pytester: pytest.Pytester) -> None:
    (pytester.path / "pytest.ini").write_text("[pytest]\n")
    (pytester.path / "pyproject.toml").write_text("[tool\n")
    refused(pytester, "*pyproject.toml: cannot be read: *line 1*", "-c", "pytest.ini")


def test_a_profile_file_has_numbers_only(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.toml").write_text("workers = true\nbatch_size = 40\nbackoff_s = 0.2\n")
    refused(
        pytester,
        "*mine.toml: workers: True given; allowed: a finite number",
        "--soak-profile=mine.toml",
    )


def test_an_empty_gate_takes_back_the_one_of_the_class(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.soak(scenario="calm", gate="throughput>=1000000")
        class TestQueue:
            @pytest.mark.soak(gate=[])
            def test_it(self, soak):
                soak.run()
        """
    )
    assert pytester.runpytest("--soak-iterations=2").ret == 0

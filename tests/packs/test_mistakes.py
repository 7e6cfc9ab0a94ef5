"""All mistakes of a pack are told at once: key, what was given, what is allowed, nearest name."""

from __future__ import annotations

import tomllib

import pytest

from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.loader import build_pack
from tests.support import DEMO

WRONG = """
[pack]
name = "shop"
profile = "smal"
mraker = ["latency_ms"]

[parameters]
pool = { limits = [64, 1], base = 8 }
batch = { limits = [1, 10], base = 50 }
wait_s = { limit = [0.0, 1.0] }

[profiles.small]
pool = "8"

[metrics]
latency_ms = { digits = 9 }
reasons = { kind = "shares" }

[kpis]
latency = { fail = "> 200" }
latency_ms = { fail = "200" }
reasons = { warn = "> 1" }

[[rule]]
tuner = "table"
id = "slow"
when.all = [{ metric = "latncy_ms", op = "=>", value = 170 }]
step = { pol = 4 }
reason = "slow"

[[rule]]
tuner = "table"
id = "idle"
when.any = [{ metric = "reasons.full", op = ">", value = 0.5 }]
step = { batch = 1, pool = true }

[scenarios.noon.htpp]
settle_s = 1

[scenarios.noon.command]
life = "forever"
program = []
"""
TOLD = """
  pack: unknown key 'mraker', did you mean 'marker'?
  pack.profile: unknown profile 'smal', did you mean 'small'?; allowed: small
  parameters.pool.limits: 64 is above 1; allowed: [lo, hi]
  parameters.batch.base: 50 is outside its limits; allowed: 1 to 10
  parameters.wait_s: unknown key 'limit', did you mean 'limits'?
  parameters.wait_s: limits is missing
  profiles.small.pool: '8' given; allowed: a finite number, of 1e+30 at most
  metrics.latency_ms.digits: 9 given; allowed: 6 or less
  kpis: unknown metric 'latency', did you mean 'latency_ms'?; allowed: latency_ms, reasons
  kpis.latency_ms.fail: '200' given; allowed: a comparison that states what is bad
  kpis.reasons: reasons is of kind shares; allowed: a number
  rule.slow.when.all.0.metric: unknown metric 'latncy_ms', did you mean 'latency_ms'?
  rule.slow.when.all.0.op: '=>' given; allowed: <, <=, >, >=, has
  rule.slow.step: unknown parameter 'pol', did you mean 'pool'?; allowed: pool, batch, wait_s
  rule.idle: reason is missing
  rule.idle.step.pool: True given; allowed: a finite number, of 1e+30 at most
  scenarios.noon: unknown system 'htpp', did you mean 'http'?
  scenarios.noon.command.life: 'forever' given; allowed: chain, iteration
  scenarios.noon.command.program: [] given; allowed: one entry or more
"""


def told(text: str) -> list[str]:
    """Return the lines of the error that a pack is."""
    with pytest.raises(SoakUsageError) as caught:
        build_pack(tomllib.loads(text), "shop.toml")
    return str(caught.value).split("\n")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    head, *lines = told(WRONG)
    expected = TOLD.strip("\n").split("\n")
    assert head == f"pack shop.toml: {len(expected)} mistakes"
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


def test_they_are_one_usage_error_before_anything_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    (pytester.path / "shop.toml").write_text(WRONG, encoding="utf-8")
    result = pytester.runpytest("--soak-iterations=3", "--soak-pack=shop.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line]
    assert lines[0] == f"ERROR: pack {pytester.path / 'shop.toml'}: 19 mistakes"
    assert len(lines) == 20
    assert not (pytester.path / "artifacts" / "soak" / "latest").exists()


def test_an_error_has_twenty_lines_at_most() -> None:
    rows = "\n".join(f"key_{number} = {number}" for number in range(30))
    head, *lines = told(f"[pack]\n{rows}\n[parameters.pool]\nlimits = [1, 2]\nbase = 1\n[kpis.x]")
    assert head == "pack shop.toml: 31 mistakes"
    assert len(lines) == 21
    assert lines[-1] == "  and 11 more"


@pytest.mark.parametrize(
    "text",
    [
        # the rules look at what is left, and do not tell again what was told
        "[parameters.pool]\nlimit = [1, 2]\nlimits = 3\n[kpis.x]\nfail = '> 1'",
        "[parameters]\npool = 3\n[kpis]\nx = 3",
        "[parameters.pool]\nlimits = [1, 2]\nbase = 1\n[kpis.x]\nfail = '1'\nfial = '> 1'",
    ],
)
def test_a_mistake_has_no_others_in_its_train(text: str) -> None:
    head, *lines = told(text)
    assert (head, len(lines)) == ("pack shop.toml: 2 mistakes", 2)


def test_what_stands_in_a_table_that_is_left_out_is_left_out_with_it() -> None:
    text = "pack.marker = ['y', 'y']\n[effects.x]\nmean = { pool = 'a', b = 'c' }\nspread = 3\n"
    rest = "log = 4\n[metrics]\nx = 3\n"
    lines = told(
        f"{text}{rest}[parameters.pool]\nlimits = [1, 2]\nbase = 1\n[kpis.x]\nwarn = '> 1'"
    )
    assert [line.partition(":")[0].strip() for line in lines[1:]] == [
        "pack.marker",
        "pack.marker.0",
        "pack.marker.1",
        "effects.x.mean",
        "effects.x.mean.pool",
        "effects.x.mean.b",
        "effects.x.spread",
        "effects.x.log",
        "metrics.x",
    ]


@pytest.mark.parametrize(
    ("place", "told_so"),
    [
        ("guards.mine.largest", "guards.mine.largest: inf given; allowed: a finite number, *"),
        ("scenarios.noon.mine.x", "scenarios.noon.mine.x: inf given; allowed: a finite number, *"),
    ],
)
def test_no_number_is_infinite_also_where_a_pack_may_hold_anything(
    place: str, told_so: str
) -> None:
    text = f"{place} = inf\n[parameters.pool]\nlimits = [1, 2]\nbase = 1\n[kpis.x]\nwarn = '> 1'"
    (line,) = told(text)
    assert line.startswith(f"pack shop.toml: {told_so[:-1]}")


def test_a_profile_file_is_told_of_whole(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    text = "workers = 99\nbatch_size = true\nmine = '3'\nextra = 4\n"
    (pytester.path / "mine.toml").write_text(text, encoding="utf-8")
    result = pytester.runpytest("--soak-iterations=3", "--soak-profile=mine.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --soak-profile: profile *mine.toml: 4 mistakes",
            "  batch_size: True given; allowed: a finite number",
            "  mine: '3' given; allowed: a finite number",
            "  profiles.mine.workers: 99 is outside its limits; allowed: 1 to 16",
            "  profiles.mine: no base for parameter backoff_s; allowed: backoff_s = NUMBER, or *",
        ],
        consecutive=True,
    )


SMALL = """
[parameters]
x = { limits = [0, 10], base = 2 }
workers = { limits = [1, 16], base = 2 }
pool_max = { limits = [1, 16], base = 2 }

[kpis]
lat = { fail = "> 3" }

[[rule]]
tuner = "table"
id = "slow"
when.all = [{ metric = "lat", op = ">", value = 2 }]
step = { x = 1 }
reason = "slow"
"""


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            "[tuners.tabel]",
            "tuners.tabel: no [[rule]] has the tuner 'tabel', did you mean 'table'?; ",
        ),
        ("[tuners.foo]", "tuners.foo: no [[rule]] has the tuner 'foo'; allowed: table"),
        ("[tuners.adaptive]\ncorridor = 'apply'", "tuners.adaptive: no [[rule]] has the tuner '"),
        ("[profiles.a]\nxx = 3", "profiles.a.xx: no parameter has this name, did you mean 'x'?; "),
        (
            "[profiles.a]\nworkrs = 3",
            "profiles.a.workrs: no parameter has this name, did you mean ",
        ),
        ("[profiles.a]\nworekrs = 3", "profiles.a.worekrs: no parameter has this name, did you m"),
        ("[scenarios.a.moock]", "scenarios.a: unknown system 'moock', did you mean 'mock'?; "),
        ("[scenarios.a.stagin]", "scenarios.a: unknown system 'stagin', did you mean 'staging'?; "),
        ("pack.system = 'stagin'", "pack.system: unknown system 'stagin', did you mean 'staging'?"),
        ("pack.tuner = 'adaptiv'", "pack.tuner: unknown tuner 'adaptiv', did you mean 'adaptive'?"),
        ("pack.tuner = 'adaptive, tabel'", "pack.tuner: unknown tuner 'tabel', did you mean 'tab"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_one(more: str, line: str) -> None:
    text = f"{more}\n{SMALL}" if more.startswith("pack.") else f"{SMALL}\n{more}"
    with pytest.raises(SoakUsageError) as caught:
        build_pack(tomllib.loads(text), "p.toml", {"staging": None}, tuners=("adaptive", "bayes"))
    assert str(caught.value).startswith(f"pack p.toml: {line}")


def test_a_misspelt_tuner_and_system_are_told_with_the_other_mistakes() -> None:
    text = f"pack = {{ system = 'mocck', tuner = 'tabl', mraker = [] }}\n{SMALL}"
    with pytest.raises(SoakUsageError) as caught:
        build_pack(tomllib.loads(text), "p.toml", tuners=("adaptive",))
    head, *lines = str(caught.value).split("\n")
    assert head == "pack p.toml: 3 mistakes"
    starts = ["  pack.system: ", "  pack.tuner: ", "  pack: unknown key 'mraker'"]
    assert sorted(line for start in starts for line in lines if line.startswith(start)) == sorted(
        lines
    )


@pytest.mark.parametrize(
    "more",
    [
        "[profiles.a]\npool_min = 3\nmax_workers = 3\ny = 1\ntilt = 0.5",
        "pack = { system = 'grpc', tuner = 'random-search' }",
        "[scenarios.a.grpc]\n[tuners.table]\nannounce = true",
    ],
)
def test_names_that_are_not_close_to_known_ones_stay_allowed(more: str) -> None:
    text = f"{more}\n{SMALL}" if more.startswith("pack") else f"{SMALL}\n{more}"
    assert build_pack(tomllib.loads(text), "p.toml", tuners=("adaptive",)).name == "pack"


def test_a_field_of_a_profile_in_a_file_may_not_be_a_misspelt_parameter(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    base = "workers = 2\nbatch_size = 40\nbackoff_s = 0.2\n"
    (pytester.path / "mine.toml").write_text(f"{base}workrs = 3", encoding="utf-8")
    result = pytester.runpytest("--soak-iterations=3", "--soak-profile=mine.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    line = "profiles.mine.workrs: no parameter has this name, did you mean 'workers'[?]; allowed: *"
    result.stderr.fnmatch_lines([f"ERROR: --soak-profile: profile *mine.toml: {line}"])


def test_a_tuner_of_rules_may_not_have_the_name_of_an_installed_one(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    text = SMALL.replace('"table"', '"adaptive"') + "[scenarios.default.mock]\nlat = 5\n[mock.lat]"
    (pytester.path / "p.toml").write_text(text, encoding="utf-8")
    result = pytester.runpytest("--soak-iterations=3", "--soak-pack=p.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    line = "plugin soak-core has a tuner of this name; allowed: another name"
    result.stderr.fnmatch_lines(
        [f"ERROR: pack *p.toml: [[][[]rule[]][]] tuner = 'adaptive': {line}"]
    )


@pytest.mark.parametrize(
    ("metric", "mistake"),
    [
        (
            'kind = "labels", words = ["fees", "slippage"]',
            (
                "rule.slow: why has 'slipage': unknown word, did you mean 'slippage'?; "
                "allowed: fees, slippage"
            ),
        ),
        (
            'words = ["fees"]',
            'metrics.why.words: a metric of kind number has no words; allowed: kind = "labels"',
        ),
    ],
)
def test_words_that_no_metric_has_are_a_mistake(metric: str, mistake: str) -> None:
    text = f"""
    metrics.why = {{ {metric} }}
    parameters.pool = {{ limits = [1, 9], base = 1 }}
    [[rule]]
    tuner = "table"
    id = "slow"
    reason = "slow"
    step = {{ pool = 1 }}
    when.all = [{{ metric = "why", op = "has", value = "slipage" }}]
    """
    with pytest.raises(SoakUsageError) as caught:
        build_pack(tomllib.loads(text), "here/why.toml")
    assert mistake in str(caught.value)

"""A pack may extend another one: what it says is laid over the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_soak.errors import SoakUsageError
from pytest_soak.packs.loader import load_pack
from tests.support import DEMO

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_soak.model.pack import Pack

BASE = """
[pack]
name = "base"
tuner = "table"

[parameters]
pool = { limits = [1, 64], base = 8 }

[metrics]
latency_ms = {}
errors = {}

[kpis]
latency_ms = { warn = "> 150", fail = "> 200" }
errors = { fail = "> 1" }

[[rule]]
tuner = "table"
id = "slow"
when.all = [{ metric = "latency_ms", op = ">", value = 100 }]
step = { pool = 1 }
reason = "slow"

[scenarios.calm]
"""


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def read(folder: Path, name: str, **more: Any) -> Pack:
    return load_pack(folder / f"{name}.toml", **more)


def refusal(folder: Path, name: str, **more: Any) -> str:
    with pytest.raises(SoakUsageError) as caught:
        read(folder, name, **more)
    return str(caught.value).replace(f"{folder}/", "")


def test_tables_are_merged_and_rules_found_by_tuner_and_id(tmp_path: Path) -> None:
    own = """
    pack.extends = "base.toml"
    kpis.latency_ms.fail = "> 300"
    scenarios.night = {}
    rule = [{ tuner = "table", id = "slow", step = { pool = 4 } }]
    """
    write(tmp_path, base=BASE, mine=own)
    made = read(tmp_path, "mine")
    assert (made.name, made.tuner) == ("mine", "table")
    assert made.source == f"{tmp_path}/mine.toml over {tmp_path}/base.toml"
    assert [(kpi.metric, kpi.table) for kpi in made.kpis] == [
        ("latency_ms", {"warn": "> 150", "fail": "> 300"}),
        ("errors", {"fail": "> 1"}),
    ]
    (rule,) = made.tables["table"].rules
    assert (rule.step, rule.reason) == ({"pool": 4}, "slow")
    assert set(made.scenarios) == {"calm", "night"}
    assert made.digest != read(tmp_path, "base").digest


def test_a_table_may_replace_the_one_of_the_other_pack(tmp_path: Path) -> None:
    own = """
    pack = { extends = "base.toml", replaces = ["kpis", "rule"], tuner = "adaptive" }
    kpis.errors.warn = "> 2"
    """
    write(tmp_path, base=BASE, mine=own)
    made = read(tmp_path, "mine")
    assert [(kpi.metric, kpi.table) for kpi in made.kpis] == [("errors", {"warn": "> 2"})]
    assert made.tables == {}


def test_paths_are_named_from_the_file_that_names_them(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    write(tmp_path, base=BASE)
    write(below, middle='pack.extends = "../base.toml"\nkpis.errors.fail = "> 5"')
    write(tmp_path, top='pack.extends = "below/middle.toml"\nkpis.errors.warn = "> 4"')
    kpi = read(tmp_path, "top").kpis[1]
    assert kpi.table == {"warn": "> 4", "fail": "> 5"}


def test_what_pyproject_changes_is_laid_over_all(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, mine='pack.extends = "base.toml"\nkpis.errors.fail = "> 2"')
    overlays = {"mine": {"kpis": {"errors": {"fail": "> 3"}}}, "base": {"kpis": {"errors": {}}}}
    made = read(tmp_path, "mine", overlays=overlays)
    assert made.kpis[1].table == {"fail": "> 3"}
    assert "mine.toml with [tool.pytest-soak.packs.mine] over " in made.source


def test_what_pyproject_changes_may_not_misspell_a_tuner(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, mine='pack.extends = "base.toml"')
    rule = {"id": "new", "when": {"all": [{"metric": "errors", "op": ">", "value": 1}]}}
    change: dict[str, Any] = {"rule": [{**rule, "tuner": "tables", "step": {}, "reason": "new"}]}
    change["rule"][0]["step"] = {"pool": 1}
    for name, over in {"base": "base", "mine": "mine", "mine over base": "base"}.items():
        told = refusal(tmp_path, name.split()[0], overlays={over: change})
        start = (
            f"pyproject.toml, [tool.pytest-soak.packs.{over}]: rule: unknown tuner 'tables', did"
        )
        assert told.startswith(start)
    made = read(tmp_path, "mine", overlays={"mine": {**change, "tuners": {"tables": {}}}})
    assert set(made.tables) == {"table", "tables"}
    other = {"rule": [{**change["rule"][0], "tuner": "quick"}]}
    assert set(read(tmp_path, "mine", overlays={"mine": other}).tables) == {"table", "quick"}


def test_what_pyproject_changes_in_a_base_is_laid_over_that_base(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, mid='pack.extends = "base.toml"\nkpis.errors.fail = "> 2"')
    write(tmp_path, top='pack.extends = "mid.toml"\nkpis.errors.warn = "> 0"')
    slow = {"tuner": "table", "id": "slow", "step": {"pool": 9}}
    changes = {"fail": "> 5"}, {"fail": "> 6", "warn": "> 7"}
    base: dict[str, Any] = {"kpis": dict(zip(("errors", "latency_ms"), changes, strict=True))}
    made = read(tmp_path, "top", overlays={"base": {**base, "rule": [slow]}})
    assert [kpi.table for kpi in made.kpis] == [
        {"warn": "> 7", "fail": "> 6"},
        {"warn": "> 0", "fail": "> 2"},
    ]
    assert made.tables["table"].rules[0].step == {"pool": 9}
    assert made.source.endswith("/base.toml with [tool.pytest-soak.packs.base]")
    middle = {"kpis": {"errors": {"warn": "> 0.5", "fail": "> 3"}}}
    made = read(tmp_path, "top", overlays={"base": base, "mid": middle})
    assert made.kpis[1].table == {"warn": "> 0", "fail": "> 3"}


def test_a_mistake_names_the_file_that_has_it(tmp_path: Path) -> None:
    write(tmp_path, base=BASE, mine='pack.extends = "base.toml"\nkpis.errors.fial = "> 2"')
    start = "pack mine.toml: kpis.errors: unknown key 'fial', did you mean 'fail'?"
    assert refusal(tmp_path, "mine").startswith(start)


@pytest.mark.parametrize(
    ("own", "line"),
    [
        (
            'pack.extends = "mine.toml"',
            "pack mine.toml: pack.extends: mine.toml → mine.toml is a circle; allowed: *",
        ),
        (
            'pack.extends = "other.toml"',
            "pack other.toml: pack.extends: mine.toml → other.toml → mine.toml is a circle; *",
        ),
        ('pack.extends = "gone.toml"', "pack gone.toml: cannot be read: No such file*"),
        (
            'pack.extends = "shop"',
            "pack mine.toml: pack.extends: no installed pack 'shop' is known here; allowed: *",
        ),
        ("pack.extends = 3", "pack mine.toml: 3 mistakes*pack.extends: 3 given; allowed: text"),
        (
            'pack = { extends = "base.toml", replaces = ["kpi"] }',
            "pack mine.toml over base.toml: pack.replaces.0: unknown table 'kpi', did you mean*",
        ),
        (
            'pack = { extends = "base.toml", replaces = 3 }',
            "pack mine.toml: pack.replaces: 3 given; allowed: a list",
        ),
        (
            'pack = { extends = "base.toml", replaces = ["kpis", "objective"] }',
            "pack mine.toml over base.toml: pack.replaces: base.toml has no table 'objective'; *",
        ),
        (
            'pack.extends = "base.toml"\nrule = [{ tuner = "tabel", id = "slow", step.pool = 3 }]',
            "pack mine.toml: rule: unknown tuner 'tabel', did you mean 'table'*add [tuners.tabel]",
        ),
        (
            BASE.replace("[pack]", '[pack]\nreplaces = ["kpis"]'),
            "pack mine.toml: pack.replaces: without extends; allowed: both, or neither",
        ),
        (
            'pack.extends = "base.toml"\nrule = [{ id = "slow" }]',
            "pack mine.toml: rule {'id': 'slow'}: say which one by tuner and id",
        ),
    ],
)
def test_what_cannot_be_extended_is_refused(tmp_path: Path, own: str, line: str) -> None:
    write(tmp_path, base=BASE, mine=own, other='pack.extends = "mine.toml"')
    told = refusal(tmp_path, "mine")
    start, _, rest = line.partition("*")
    assert told.startswith(start)
    assert rest.rstrip("*") in told


def test_what_pyproject_changes_in_an_installed_base_acts(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_demo=DEMO)
    write(pytester.path, mine='pack.extends = "demo"')
    overlay = "[tool.pytest-soak.packs.demo.kpis]\nthroughput = {{ fail = '< {}' }}"
    pytester.makepyprojecttoml(overlay.format(999))
    args = ("--soak-iterations=3", "--soak-pack=mine.toml")
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["| kpi_gate | FAIL | REASONS=*throughput* |"])
    pytester.makepyprojecttoml(overlay.format("many"))
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    source = "pyproject.toml, [[]tool.pytest-soak.packs.demo[]]"
    result.stderr.fnmatch_lines([f"ERROR: {source}: kpis.throughput.fail: '< many' given; *"])


@pytest.mark.parametrize(
    ("own", "more"),
    [
        ("", []),
        ("kpis.rate.fial = '< 2'", ["*mine.toml: kpis.rate: unknown key 'fial', did you mean *"]),
    ],
)
def test_a_mistake_of_a_base_is_told_once_for_all_packs_that_extend_it(
    pytester: pytest.Pytester, own: str, more: list[str]
) -> None:
    base = "parameters.pool = { limits = [1, 64], base = 99 }\nkpis.rate.fail = '< 1'"
    write(
        pytester.path,
        base=base,
        mine=f'pack.extends = "base.toml"\n{own}',
        other='pack.extends = "mine.toml"',
    )
    pytester.makepyfile(
        test_demo="import pytest\n"
        + "".join(
            f"@pytest.mark.soak(pack='{name}.toml')\ndef test_{name}(soak): soak.run()\n"
            for name in ("base", "mine", "other")
        )
    )
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = [line for line in result.errlines if "toml" in line]
    lines = ["*pack *base.toml: parameters.pool.base: 99 is outside its limits; *", *more]
    pytest.LineMatcher(sorted(told)).fnmatch_lines(lines)
    assert len(told) == len(lines), told


def test_the_name_of_a_base_is_known(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    write(pytester.path, base='pack.extends = "demo"', mine='pack.extends = "base.toml"')
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.base.kpis]")
    args = ("--soak-iterations=3", "--soak-scenario=calm", "--soak-pack=mine.toml", "-W", "error")
    result = pytester.runpytest(*args)
    assert result.ret == 0


def test_an_installed_pack_is_extended_by_its_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_demo=DEMO)
    own = 'pack.extends = "demo"\nkpis.latency_p95_ms.fail = "> 1000"\nkpis.error_rate.fail = "> 1"'
    write(pytester.path, mine=own)
    args = ("--soak-iterations=3", "--soak-pack=mine.toml")
    result = pytester.runpytest(*args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["  mine/default  system mock/busy  *"])
    write(pytester.path, mine='pack.extends = "dmeo"')
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*mine.toml: pack.extends: unknown pack 'dmeo', did you mean 'demo'[?]; installed: *"]
    )

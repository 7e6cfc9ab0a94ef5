"""A KPI is a list of criteria; a new kind is one class, used and shown like the core's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest

from pytest_soak.gates.criteria import Kinds, clash, kpi_table, make_kpi, read_gate
from pytest_soak.gates.limits import WRITTEN, Limits
from pytest_soak.model.kpi import Criterion, Kpi
from pytest_soak.model.metrics import Op
from pytest_soak.model.settings import Number, Setting
from pytest_soak.model.stretch import Reading, Stretch
from pytest_soak.model.verdict import RunJudgement, Verdict
from pytest_soak.packs.check import check, schema_of
from pytest_soak.verify.load import load_validated
from tests.support import DEMO, chain_folder, read_json, records, told

CONFTEST = '''
from dataclasses import dataclass
from typing import ClassVar

from pytest_soak import Criterion, Judgement, Verdict


@dataclass(frozen=True)
class StepsSettings:
    multiple: int | None = None


class Steps(Criterion):
    """Warns where a value is no multiple of a number."""

    name: ClassVar = "steps"
    Settings: ClassVar = StepsSettings
    words: ClassVar = ("steps",)
    grammar: ClassVar = "steps:METRIC>=N, a whole number"

    @classmethod
    def read_gate(cls, word, op, rest):
        return {"multiple": int(rest)} if rest.isdigit() else None

    def judge(self, metric, value, n):
        if value % self.settings.multiple:
            return Judgement(metric, Verdict.WARN, value, n, f"steps of {self.settings.multiple}")


def pytest_soak_criteria():
    return {"steps": Steps}
'''


@dataclass(frozen=True, slots=True)
class GrowthSettings:
    """The key of a criterion that judges runs."""

    growth: Annotated[Number | None, Setting("how much more the last may be", least=0)] = None


class Growth(Criterion):
    """Fails a run whose last value is too far above its first one."""

    name: ClassVar = "growth"
    Settings: ClassVar = GrowthSettings

    settings: GrowthSettings

    def judge_run(self, kpi: Kpi, stretch: Stretch) -> RunJudgement:
        grown = stretch.settled[-1].value - stretch.settled[0].value
        allowed = self.settings.growth or 0
        verdict = Verdict.FAIL if grown > allowed else Verdict.PASS
        n = len(stretch.settled)
        return RunJudgement(self.name, kpi.metric, verdict, grown, n=n, rule=f"> {allowed:g}")


KINDS: Kinds = (Limits, Growth)


def stretch(*values: float) -> Stretch:
    readings = tuple(Reading(number, value) for number, value in enumerate(values, 1))
    return Stretch(1, len(values), readings, readings)


def test_a_kpi_has_the_criteria_whose_keys_are_set() -> None:
    kpi = make_kpi("rss", {"growth": 5, "fail": "> 900"}, KINDS)
    assert [criterion.name for criterion in kpi.criteria] == ["limits", "growth"]
    assert make_kpi("rss", {"growth": 5}, KINDS).limits == ()
    assert make_kpi("rss", {}, KINDS) == Kpi("rss")


def test_a_kpi_that_only_a_run_can_break_passes_single_iterations_that_have_a_value() -> None:
    kpi = make_kpi("rss", {"growth": 5}, KINDS)
    assert kpi.judge(10**6, None).verdict is Verdict.PASS
    assert kpi.judge(None, None).verdict is Verdict.INCONCLUSIVE


def test_a_run_is_judged_by_the_criteria_that_judge_runs() -> None:
    kpi = make_kpi("rss", {"growth": 5, "fail": "> 900"}, KINDS)
    limits, growth = kpi.judge_run(stretch(1, 9, 6))
    assert limits == RunJudgement("limits", "rss", Verdict.PASS, n=3)
    assert growth == RunJudgement("growth", "rss", Verdict.PASS, 5, n=3, rule="> 5")
    assert kpi.judge_run(stretch(1, 7))[1].verdict is Verdict.FAIL


def test_the_table_of_a_kpi_makes_the_same_kpi_again() -> None:
    kpi = make_kpi("rss", {"growth": 5, "fail": ">900.1234567"}, KINDS)
    assert kpi.table == {"growth": 5, "fail": ">900.1234567"}
    assert make_kpi("rss", kpi.table, KINDS) == kpi


def test_the_journal_is_told_what_all_criteria_are_set_to() -> None:
    kpi = make_kpi("rss", {"growth": 5, "fail": ">900"}, KINDS)
    assert kpi.describe() == {"warn": None, "fail": "> 900", "growth": 5}


def test_the_table_in_a_pack_is_checked_by_the_settings_of_all_kinds() -> None:
    given = {"fail": "900", "growth": -1, "grwth": 2}
    allowed = "warn, fail, tolerate, growth"
    table, mistakes = check(given, kpi_table(KINDS), "kpis.rss")
    assert table is None
    assert [str(mistake) for mistake in mistakes] == [
        f"kpis.rss: unknown key 'grwth', did you mean 'growth'?; allowed: {allowed}",
        f"kpis.rss.fail: '900' given; allowed: {WRITTEN}",
        "kpis.rss.growth: -1 given; allowed: 0 or more",
    ]
    assert check({"fail": ">900", "growth": 2}, kpi_table(KINDS))[1] == ()


def test_a_key_that_may_be_left_out_is_told_what_it_may_hold() -> None:
    @dataclass(frozen=True)
    class Either:
        limit: int | str | None = None

    told = check({"limit": 1.5}, Either, "kpis.rss")[1]
    assert [str(mistake) for mistake in told] == [
        "kpis.rss.limit: 1.5 given; allowed: a whole number or text"
    ]


def test_the_schema_of_a_kpi_says_what_each_key_does() -> None:
    schema = schema_of(kpi_table(KINDS))
    table = next(part for part in schema["$defs"].values() if "growth" in part["properties"])
    assert list(table["properties"]) == ["warn", "fail", "tolerate", "growth"]
    assert table["properties"]["growth"]["description"] == "how much more the last may be"


def test_two_kinds_must_not_read_the_same_key_or_word() -> None:
    class Again(Limits):
        name = "again"

    class Words(Growth):
        name = "more"
        words = ("warn",)

    assert clash({"ours": Limits, "theirs": Growth}) == ""
    found = clash({"ours": Limits, "theirs": Again})
    assert found == "ours and theirs both read the key 'warn'"
    found = clash({"ours": Limits, "theirs": Words})
    assert found == "ours and theirs both read the word 'warn'"


def test_a_kind_without_words_cannot_be_set_by_a_gate_setting() -> None:
    with pytest.raises(ValueError, match=r"^METRIC"):
        read_gate("growth:rss<=3", KINDS)
    assert Growth.read_gate("growth", Op.LE, "3") is None


def test_a_plugins_criterion_is_set_judged_and_shown_like_the_cores(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=2", "--soak-scenario=calm", "--soak-gate=steps:throughput>=999")
    result = pytester.runpytest(*args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["| kpi_gate | WARN | REASONS=*throughput* |"])
    folder = chain_folder(pytester)
    config = records(folder)[0]["config"]
    assert config["kpis"]["throughput"] == {"fail": "< 80", "warn": None, "multiple": 999}
    (entry,) = read_json(folder / "KPI_GATE.json")["kpis"]["throughput"]
    assert (entry["verdict"], entry["rule"]) == ("WARN", "steps of 999")
    assert load_validated(folder / "journal.jsonl")
    soak_dir = ("--soak-dir", folder.parent)
    _, lines = told("explain", "--iter=1", *soak_dir)
    (head,) = (text for text in lines if text.startswith("  metric"))
    assert head.split()[1:7] == ["value", "n", "warn", "fail", "multiple", "verdict"]
    (row,) = (text for text in lines if text.startswith("  throughput"))
    assert "  < 80    999       WARN" in row
    _, lines = told("summary", *soak_dir)
    assert "| KPI | WARN | FAIL | MULTIPLE | iteration 2 | verdict |" in lines
    (row,) = (text for text in lines if text.startswith("| throughput"))
    assert row.startswith("| throughput |  | \\< 80 | 999 | ")
    code, lines = told("replay", folder)
    assert (code, lines[-1]) == (0, "  none: as recorded"), lines


def test_replay_keeps_a_key_that_is_set_to_zero(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST.replace("value % self", "value > self"))
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=2", "--soak-scenario=calm", "--soak-gate=steps:throughput>=0")
    pytester.runpytest(*args).stdout.fnmatch_lines(["| kpi_gate | WARN | REASONS=throughput |"])
    code, lines = told("replay", chain_folder(pytester))
    assert (code, lines[-1]) == (0, "  none: as recorded"), lines


def test_a_plugins_criterion_teaches_its_grammar(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-gate=steps:throughput>=many")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    allowed = "steps:METRIC>=N, a whole number"
    result.stderr.fnmatch_lines([f"*'steps:throughput>=many' given; allowed: {allowed}"])


def test_a_criterion_that_raises_at_a_gate_setting_is_a_usage_error(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(CONFTEST.replace("int(rest)} if rest.isdigit() else None", "{}[rest]}"))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-gate=steps:throughput>=3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --soak-gate: 'steps:throughput>=3' given: its criterion raised KeyError: '3' (*)"]
    )


@pytest.mark.parametrize(
    ("extra", "told"), [("", "install no_such_module"), ("mine[more]", "install mine[[]more]")]
)
def test_a_criterion_whose_modules_are_not_installed_is_a_usage_error(
    pytester: pytest.Pytester, extra: str, told: str
) -> None:
    needs = f"    needs = ('json', 'no_such_module')\n    extra = {extra!r}\n\n    @classmethod"
    pytester.makeconftest(CONFTEST.replace("    @classmethod", needs))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-gate=steps:throughput>=3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    line = f"ERROR: criterion steps of throughput: needs no_such_module; {told}"
    result.stderr.fnmatch_lines([line])


@pytest.mark.parametrize(
    ("offer", "told"),
    [
        ("print", "*hook pytest_soak_criteria, 'mine': *print* is no Criterion: *"),
        (
            "type('Mine', (Steps,), {})",
            "*, 'mine' and plugin *, 'steps' both read the key 'multiple'",
        ),
    ],
    ids=["no criterion", "the same key"],
)
def test_a_criterion_that_cannot_be_used_is_a_usage_error(
    pytester: pytest.Pytester, offer: str, told: str
) -> None:
    text = CONFTEST.replace('{"steps": Steps}', f'{{"steps": Steps, "mine": {offer}}}')
    pytester.makeconftest(text)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("{}['x']", "raised KeyError: 'x' (*)"),
        ("'FAIL'", "returned 'FAIL', not a Judgement or None"),
        ("Judgement(metric, 'FAIL')", "returned Judgement(*'FAIL'*); allowed: a metric, *"),
        ("Judgement(metric, Verdict.PASS, float('nan'))", "returned Judgement(*nan*); allowed: *"),
        ("Judgement('x', Verdict.WARN)", "returned a judgement of 'x'; allowed: one of *"),
    ],
)
def test_a_criterion_whose_word_cannot_be_used_is_named_and_nothing_passes(
    pytester: pytest.Pytester, word: str, told: str
) -> None:
    faulty = CONFTEST.replace("        if value %", f"        return {word}\n        if value %")
    pytester.makeconftest(faulty)
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2", "--soak-gate=steps:throughput>=3")
    assert result.ret == 1
    fault = f"criterion 'steps' of throughput: judge() {told}".replace("[", "[[]")
    result.stdout.fnmatch_lines_random(
        [f"| soak_iter | INCONCLUSIVE | {fault} |", "| kpi_gate | INCONCLUSIVE |*"]
    )


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("{}['x']", "raised KeyError: 'x' (*)"),
        (
            "Judgement(kpi.metric, Verdict.PASS)",
            "returned Judgement(*), not a RunJudgement or None",
        ),
        (
            "RunJudgement('steps', kpi.metric, Verdict.PASS, float('nan'))",
            "*; allowed: a Verdict, *",
        ),
        (
            "RunJudgement('steps', kpi.metric, None)",
            "*; allowed: a Verdict, or None with a problem*",
        ),
    ],
)
def test_a_word_on_a_run_that_cannot_be_used_is_named_and_nothing_passes(
    pytester: pytest.Pytester, word: str, told: str
) -> None:
    judges = f"def judge_run(self, kpi, stretch):\n        return {word}\n\n    def judge("
    text = CONFTEST.replace("def judge(", judges).replace("Judgement,", "Judgement, RunJudgement,")
    pytester.makeconftest(text)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=2", "--soak-scenario=calm", "--soak-gate=steps:throughput>=1")
    result = pytester.runpytest(*args)
    assert result.ret == 1
    fault = f"    criterion 'steps' of throughput: judge_run() {told}".replace("[", "[[]")
    result.stdout.fnmatch_lines_random(["| kpi_gate | INCONCLUSIVE |*", fault])
    assert load_validated(chain_folder(pytester) / "journal.jsonl")


def test_a_verification_says_which_words_of_plugins_it_leaves_as_recorded(
    pytester: pytest.Pytester,
) -> None:
    gate = """
class Calm:
    requires = ()

    def judge(self, metrics, n):
        return ()


def pytest_soak_gates():
    return {"calm": lambda pack: Calm()}
"""
    pytester.makeconftest(CONFTEST + gate)
    pytester.makepyfile(test_demo=DEMO)
    args = ("--soak-iterations=2", "--soak-scenario=calm", "--soak-gate=steps:throughput>=1")
    assert pytester.runpytest(*args).ret == 0
    note = (
        "NOTE     journal.jsonl, record 0 (run_started): words of plugins are left as they were "
        "recorded: 'multiple' of throughput, gate 'calm'; pytest-soak replay asks the plugins again"
    )
    folder = chain_folder(pytester)
    code, lines = told("verify", "--soak-dir", folder.parent)
    assert (code, lines[1]) == (0, note)
    assert told("replay", folder)[0] == 0
    pytester.makeconftest("")
    code, lines = told("replay", folder)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "kpis.throughput: unknown key 'multiple'" in lines[-1]


ALLOWING = CONFTEST.replace(
    "multiple: int | None = None",
    "multiple: int | None = None\n    allowing: dict[str, float] = field(default_factory=dict)",
).replace("import dataclass", "import dataclass, field")


def test_a_setting_may_have_a_default_that_a_function_makes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(ALLOWING)
    pytester.makepyfile(test_demo=DEMO)
    overlay = "[tool.pytest-soak.packs.demo.kpis.throughput]\nallowing = {}"
    args = ("--soak-iterations=2", "--soak-scenario=calm", "--soak-gate=steps:throughput>=1")
    for given in ({}, {"x": 2.5}):
        inline = ", ".join(f"{key} = {value}" for key, value in given.items())
        pytester.makepyprojecttoml(overlay.format(f"{{ {inline} }}"))
        assert pytester.runpytest(*args).ret == 0
        config = records(chain_folder(pytester))[0]["config"]
        assert config["kpis"]["throughput"]["allowing"] == given
        assert load_validated(chain_folder(pytester) / "journal.jsonl")
    pytester.makepyprojecttoml(overlay.format('{ x = "a" }'))
    result = pytester.runpytest(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*: kpis.throughput.allowing.x: 'a' given; allowed: a finite*"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("multiple: int", "multiple has no default; allowed: fields with a default*docs/gates.md)"),
        (
            "multiple: object = None",
            "raised TypeError: *; allowed: `Settings`, a frozen dataclass*",
        ),
    ],
)
def test_settings_that_a_kpi_cannot_have_are_a_usage_error(
    pytester: pytest.Pytester, setting: str, told: str
) -> None:
    pytester.makeconftest(CONFTEST.replace("multiple: int | None = None", setting))
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: plugin *, hook pytest_soak_criteria, 'steps': Settings: {told}"]
    )


@pytest.mark.parametrize("settings", ["3", "dict", "dataclass(type('Open', (), {}))"])
@pytest.mark.parametrize("kind", ["criteria", "systems", "guards"])
def test_settings_that_cannot_be_checked_are_a_usage_error_for_every_strategy(
    pytester: pytest.Pytester, kind: str, settings: str
) -> None:
    pytester.makeconftest(
        f"""
        from dataclasses import dataclass

        class Mine:
            Settings = {settings}
            def __init__(self, *args):
                pass
            def review(self, history, decision, settings):
                return decision

        def pytest_soak_{kind}():
            return {{"mine": Mine}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    line = (
        f"*hook pytest_soak_{kind}, 'mine': Settings: *; allowed: `Settings`, a frozen dataclass*"
    )
    result.stderr.fnmatch_lines([line])


def test_settings_that_a_criterion_refuses_are_a_usage_error(pytester: pytest.Pytester) -> None:
    refuses = "multiple: int | None = None\n    def __post_init__(self): raise ValueError('not 3')"
    pytester.makeconftest(CONFTEST.replace("multiple: int | None = None", refuses))
    pytester.makepyfile(test_demo=DEMO)
    pytester.makepyprojecttoml("[tool.pytest-soak.packs.demo.kpis.throughput]\nmultiple = 3")
    result = pytester.runpytest("--soak-iterations=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*: kpis.throughput: its criterion raised *: not 3 (*)"])

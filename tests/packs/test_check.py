"""The one check of tables that users write: what is lawful is read, all mistakes are told."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.settings import MetricName, Mistake, Number, ParameterName, Setting
from pytest_soak.packs.check import check, schema_of, schema_of_tables, unknown


@dataclass(frozen=True, slots=True)
class Level:
    warn: Number
    pause: Number = 5


@dataclass(frozen=True, slots=True)
class Table:
    count: Annotated[int, Setting("how many", unit="iterations", least=1, most=50)]
    share: Annotated[Number, Setting(above=0, most=1)] = 0.5
    enabled: bool = True
    word: Annotated[str, Setting(pattern=r"^[a-z]+$", allowed="small letters")] = "a"
    way: Literal["up", "down"] = "up"
    metric: MetricName = "rate"
    names: Annotated[tuple[ParameterName, ...], Setting(unique=True)] = ()
    levels: Mapping[ParameterName, Level] = field(default_factory=dict)
    value: Number | str = 0
    properties: Mapping[str, Number] = field(default_factory=dict)


NAMES = {"parameter": ("workers", "batch"), "metric": ("rate", "latency")}
NUMBERS = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6))
LAWFUL: Mapping[str, st.SearchStrategy[Any]] = {
    "count": st.integers(1, 50),
    "share": st.one_of(st.just(1), st.floats(0, 1, exclude_min=True)),
    "enabled": st.booleans(),
    "word": st.from_regex(r"[a-z]+", fullmatch=True),
    "way": st.sampled_from(["up", "down"]),
    "metric": st.sampled_from(NAMES["metric"]),
    "names": st.lists(st.sampled_from(NAMES["parameter"]), unique=True),
    "levels": st.dictionaries(
        st.sampled_from(NAMES["parameter"]),
        st.fixed_dictionaries({"warn": NUMBERS}, optional={"pause": NUMBERS}),
    ),
    "value": st.one_of(NUMBERS, st.text()),
    "properties": st.dictionaries(st.text(), NUMBERS),
}
TABLES = st.fixed_dictionaries(
    {"count": LAWFUL["count"]},
    optional={name: values for name, values in LAWFUL.items() if name != "count"},
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(list(LAWFUL)), st.text()), inner, max_size=4),
    ),
    max_leaves=12,
)

WRONG: Mapping[str, tuple[object, str, str]] = {
    "count": (51, "table.count: 51 given", "50 or less"),
    "share": (0, "table.share: 0 given", "above 0"),
    "enabled": (1, "table.enabled: 1 given", "true or false"),
    "word": ("A", "table.word: 'A' given", "small letters"),
    "way": ("upp", "table.way: 'upp' given", "down, up"),
    "metric": ("rat", "table.metric: unknown metric 'rat', did you mean 'rate'?", "rate, latency"),
    "names": (["x"], "table.names.0: unknown parameter 'x'", "workers, batch"),
    "levels": ({"batch": {}}, "table.levels.batch: warn is missing", ""),
    "value": (True, "table.value: True given", "a finite number, of 1e+30 at most or text"),
    "propertis": (
        3,
        "table: unknown key 'propertis', did you mean 'properties'?",
        "count, share, ",
    ),
}


def mistakes(data: object, kind: type = Table) -> list[str]:
    """Return what is wrong with *data*, as lines."""
    made, found = check(data, kind, "table", NAMES)
    assert (made is None) is bool(found)
    return [str(one) for one in found]


@given(TABLES)
def test_a_lawful_table_is_read_as_it_was_written(data: dict[str, Any]) -> None:
    made, found = check(data, Table, "table", NAMES)
    assert found == ()
    assert made is not None
    read = asdict(made)
    for name, value in data.items():
        given = (
            {key: {"pause": 5, **one} for key, one in value.items()} if name == "levels" else value
        )
        assert read[name] == (tuple(given) if isinstance(given, list) else given)
        assert isinstance(given, list) or type(read[name]) is type(given)


@given(TABLES, st.sets(st.sampled_from(sorted(WRONG))))
def test_each_mistake_is_told_whatever_else_is_wrong(data: dict[str, Any], wrong: set[str]) -> None:
    told = mistakes({**data, **{name: WRONG[name][0] for name in wrong}})
    assert len(told) == len(wrong)
    for name in wrong:
        _, what, allowed = WRONG[name]
        line = f"{what}; allowed: {allowed}" if allowed else what
        assert any(one.startswith(line) for one in told), (line, told)


@given(JSON)
def test_whatever_is_written_is_read_or_told_in_lines(data: object) -> None:
    for line in mistakes(data):
        assert line.startswith("table")
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("value", [math.inf, math.nan, 1e300, 10**400, True, "3", None, [3]])
def test_what_is_no_sensible_number_is_none(value: object) -> None:
    (line,) = mistakes({"count": 1, "levels": {"batch": {"warn": value}}})
    assert line.startswith("table.levels.batch.warn: ")
    assert line.endswith(" given; allowed: a finite number, of 1e+30 at most")


def test_a_whole_number_is_none_with_a_point() -> None:
    assert mistakes({"count": 2.0}) == ["table.count: 2.0 given; allowed: a whole number"]


def test_a_table_that_is_none_and_one_that_lacks_something_are_told() -> None:
    assert mistakes(3) == ["table: 3 given; allowed: a table"]
    assert mistakes({}) == ["table: count is missing"]
    (line,) = mistakes({"count": 1, "names": ["batch", "batch"]})
    assert line == "table.names: ['batch', 'batch'] given; allowed: each entry once"


def test_everything_that_is_missing_is_told_once() -> None:
    @dataclass(frozen=True)
    class Pair:
        first: int
        second: int
        ends: tuple[Number, Number] = (0, 1)

    assert mistakes({}, Pair) == ["table: first is missing", "table: second is missing"]
    (line,) = mistakes({"first": 1, "second": 2, "ends": [1]}, Pair)
    assert line == "table.ends: [1] given; allowed: a list of 2"


def test_names_that_are_not_known_yet_are_not_checked() -> None:
    made, found = check({"count": 1, "names": ["x"]}, Table, "table")
    assert (found, made and made.names) == ((), ("x",))


def test_what_the_dataclass_itself_refuses_is_a_mistake_too() -> None:
    @dataclass(frozen=True)
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                msg = f"{self.number} is odd"
                raise ValueError(msg)

    assert check({"number": 2}, Even, "table") == (Even(2), ())
    assert mistakes({"number": 3}, Even) == ["table: 3 is odd"]


def test_a_table_in_which_nothing_can_be_set_allows_nothing() -> None:
    @dataclass(frozen=True)
    class Empty:
        pass

    assert mistakes({"x": 1}, Empty) == ["table: unknown key 'x'; allowed: nothing"]


def test_the_nearest_name_is_told_and_a_far_one_is_not() -> None:
    near = unknown("guards", "guard", "cooldwn", ["cooldown", "caps"])
    assert near == Mistake(
        "guards", "unknown guard 'cooldwn', did you mean 'cooldown'?", "cooldown, caps"
    )
    assert unknown("x", "guard", "zzz", []) == Mistake("x", "unknown guard 'zzz'", "nothing")


def test_the_schema_is_closed_and_says_what_each_setting_is() -> None:
    table = schema_of(Table)["$defs"]["Table"]
    assert table["additionalProperties"] is False
    assert table["required"] == ["count"]
    assert table["properties"]["count"] == {
        "type": "integer",
        "description": "how many",
        "unit": "iterations",
        "minimum": 1,
        "maximum": 50,
    }
    assert table["properties"]["share"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.5,
    }
    assert table["properties"]["properties"]["additionalProperties"] == {"type": "number"}
    assert "additionalProperties" not in table["properties"]


def test_tables_of_several_kinds_make_one_schema() -> None:
    schema = schema_of_tables({"a-b": Table, "level": Level})
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "a-b": {"$ref": "#/$defs/Table"},
        "level": {"$ref": "#/$defs/Level"},
    }
    assert set(schema["$defs"]) == {"Table", "Level"}

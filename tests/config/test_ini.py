"""Ini keys may have the natural types of TOML, in both tables that pytest reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_soak.config.request import SoakRequest, read_request
from pytest_soak.errors import SoakUsageError
from tests.support import DEMO

if TYPE_CHECKING:
    from collections.abc import Callable

    Asked = Callable[..., SoakRequest]

NATIVE = pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest has no [tool.pytest]")


@pytest.fixture(
    params=["tool.pytest.ini_options", pytest.param("tool.pytest", marks=NATIVE)],
    ids=["ini_options", "native"],
)
def asked(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Asked:
    """Give what a run is asked for by a line of TOML in either table."""

    def read(line: str, length: str = "--soak-iterations=2") -> SoakRequest:
        pytester.makepyprojecttoml(f"[{request.param}]\n{line}\n")
        found = read_request(pytester.parseconfig(length))
        assert found is not None
        return found

    return read


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("soak_seed = 7", 7),
        ("soak_seed = '7'", 7),
        ("soak_observe = 3", 3),
        ("soak_slot = 30", 30.0),
        ("soak_slot = 2.5", 2.5),
        ("soak_slot = '2.5'", 2.5),
        ("soak_tuner = ['a', 'b']", ["a", "b"]),
        ("soak_tuner = 'a,b'", ["a,b"]),
        ("soak_gate = 'x<=1'", ["x<=1"]),
        ("soak_gate = ['x<=1', 'warn:y>=2']", ["x<=1", "warn:y>=2"]),
        ('soak_gate = """\n  x<=1\n\n  y>=2\n"""', ["x<=1", "y>=2"]),
        ("soak_pack = 'demo'", "demo"),
        ("soak_gate = ''", None),
        ("soak_gate = []", None),
        ("soak_tuner = []", None),
        ("soak_seed = ''", None),
    ],
)
def test_a_value_may_have_its_natural_type(asked: Asked, line: str, value: object) -> None:
    name = line.partition(" = ")[0]
    length = "--soak-hours=1" if name == "soak_slot" else "--soak-iterations=2"
    given = asked(line, length).inis.get(name.removeprefix("soak_"))
    assert (given.value if given else None) == value
    assert given is None or type(given.value) is type(value)


@pytest.mark.parametrize("text", ["python 'my program.py'", ["python", "my program.py"]])
def test_a_program_may_be_a_text_or_a_list(asked: Asked, text: object) -> None:
    line = f'soak_command = "{text}"' if isinstance(text, str) else f"soak_command = {text}"
    assert asked(line).command == ("python", "my program.py")
    assert asked("").command == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("soak_seed = true", "rue'? given; allowed: a whole number"),
        ("soak_seed = 7.5", "'?7.5'? given; allowed: a whole number"),
        ("soak_seed = [7]", r"\[7\] given; allowed: a whole number"),
        ("soak_slot = true", "rue'? given; allowed: a number"),
        ("soak_slot = [1]", r"\[1\] given; allowed: a number"),
        (f"soak_slot = 1{'0' * 400}", "(inf|1.*0) given; allowed: a (finite )?number"),
        ("soak_pack = ['demo']", r"\['demo'\] given; allowed: text"),
        ("soak_gate = [3]", r"\[3\] given; allowed: text, or a list of texts"),
        ("soak_tuner = [['a']]", r"\[\['a'\]\] given; allowed: text, or a list of texts"),
        ("soak_command = [3]", r"\[3\] given; allowed: a list of texts, or words quoted as in"),
        ("soak_command = 'a \"b'", "No closing quotation; allowed: a list of texts, or words"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_value_of_another_type_is_told(asked: Asked, line: str, told: str) -> None:
    name = line.partition(" = ")[0]
    with pytest.raises(SoakUsageError, match=f"^{name} in pyproject.toml: .*{told}"):
        asked(line, "--soak-hours=1" if name == "soak_slot" else "--soak-iterations=2")


@NATIVE
def test_a_number_is_no_text_where_types_count(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("[tool.pytest]\nsoak_dir = 3\nsoak_gate = 3\nsoak_command = 3")
    with pytest.raises(SoakUsageError) as raised:
        read_request(pytester.parseconfig("--soak-iterations=2"))
    assert raised.value.args == (
        "soak_gate in pyproject.toml: 3 given; allowed: text, or a list of texts",
        "soak_dir in pyproject.toml: 3 given; allowed: text",
    )
    pytester.makepyprojecttoml("[tool.pytest]\nsoak_command = 3")
    with pytest.raises(SoakUsageError, match=r"^soak_command in .*: 3 given; allowed: a list"):
        read_request(pytester.parseconfig("--soak-iterations=2"))


def test_an_override_on_the_command_line_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nsoak_seed = 7")
    found = read_request(pytester.parseconfig("--soak-iterations=2", "-o", "soak_seed=8"))
    assert found is not None
    assert found.inis["seed"].value == 8


def test_a_marker_names_several_tuners_as_the_option_does(pytester: pytest.Pytester) -> None:
    ways = ("'demo-table, adaptive'", "['demo-table', 'adaptive']", "('demo-table,adaptive',)")
    marked = (
        f"@pytest.mark.soak(tuner={way}){DEMO.replace('demo', f'demo{n}')}"
        for n, way in enumerate(ways)
    )
    pytester.makepyfile(test_demo="\n".join(("import pytest", *marked)))
    ran = pytester.runpytest("--soak-iterations=1", "--auto-tune", "-p", "no:randomly")
    ran.stdout.fnmatch_lines(["*  tuner demo-table, adaptive  *"] * len(ways))

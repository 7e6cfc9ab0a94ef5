"""Secrets: no value of one reaches anything that a run writes or shows, whatever happens."""

from __future__ import annotations

import base64
import json
import time
from collections import namedtuple
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak.model.mask import Mask, looked_for, pieces_of
from tests.programs import ARGS, prepare
from tests.strategies import mock_system
from tests.support import DEMO, chain_folder, read_json, records, told

if TYPE_CHECKING:
    from pathlib import Path

SECRET = 'k3y "of"\\the/m4nor+café'  # noqa: S105 - nobody's
"""A value that is written otherwise in JSON, in a repr, in XML, in a URL and in base64."""
PARTS = [b"k3y", b"m4nor", b"+caf", SECRET.encode().hex()[4:-4].encode()]
PARTS += [base64.b64encode(SECRET.encode())[4:-4]]
"""What no file may hold: its beginning, its middle, its end, and the like of its coded forms."""
SAFE = "SOAK_DEMO_ALLOW_MISSING_SECRETS"
NAME = "HOUSE_KEY"
LEGACY = ("-o", "junit_family=legacy")  # or record_property warns
REPORTS = ("--junitxml=junit.xml", "--html=report.html", "--self-contained-html")


@pytest.fixture(autouse=True)
def _no_pattern_is_known() -> None:
    looked_for.cache_clear()
    pieces_of.cache_clear()


def html(config: pytest.Config) -> bool:
    return config.pluginmanager.hasplugin("html")


def secret_in(folder: Path, shown: str) -> list[str]:
    """Return the files in *folder* that hold the secret, or a part of it; also what was *shown*."""
    (folder / "shown.txt").write_text(shown)
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(files) > 5
    return [str(path) for path in files if any(map(path.read_bytes().__contains__, PARTS))]


def run(pytester: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, list[str]]:
    """Soak, with all that reports; return the result, and the files that hold the secret."""
    also_html = html(pytester._request.config)
    reports = REPORTS if also_html else REPORTS[:1]
    ran = pytester.runpytest(*ARGS, "-rA", "-l", "--log-file=run.log", *LEGACY, *reports, *args)
    written = ["junit.xml", *(["report.html"] if also_html else [])]
    there = all((pytester.path / name).exists() for name in written)
    assert there or ran.ret == pytest.ExitCode.USAGE_ERROR
    return ran, secret_in(pytester.path, ran.stdout.str() + ran.stderr.str())


TELLS = """
key = E.get("HOUSE_KEY", "none")
print("the key is", key, repr(key), key.encode().hex(), flush=True)
print("dry:", E.get("PYTEST_SOAK_DRY", "no"), flush=True)
notes = [key, {key: key}, repr(key), json.dumps(key)]
"""
ENDS = {
    "reported": "answer(runtime={'notes': notes, 'key': key})",
    "as a metric": "answer(totals={'latency_p95_ms': key, 'error_rate': [key]})",
    "a crash": "if iteration == '2': raise OSError(key)\nanswer()",
    "an exit": "if iteration == '2': sys.exit(key)\nanswer()",
    "half-written": "report.write_text(json.dumps(content(iteration, key=key))[:-9])",
    "a problem": "answer(problem=key)",
    "a state": "Path(E['PYTEST_SOAK_STATE']).write_text(json.dumps([key])); answer()",
}


@pytest.mark.process
@pytest.mark.parametrize("end", ENDS)
def test_no_file_of_a_soak_of_a_program_holds_its_secret(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    prepare(pytester, TELLS + ENDS[end], secrets=[NAME], keeps_state=True)
    pytester.makepyfile(
        test_demo="""
        import os

        def test_demo(soak, record_property):
            key = os.environ["HOUSE_KEY"]
            record_property("key", key)
            print(key)
            result = soak.run()
            assert result.iteration < 3, key
        """
    )
    ran, found = run(pytester, "-n1" if end == "a crash" else "-n0", "--auto-tune")
    assert found == []
    assert ran.ret == 1
    assert "[secret HOUSE_KEY]" in ran.stdout.str()
    log = (chain_folder(pytester) / "command_output.log").read_text()
    assert "the key is [secret HOUSE_KEY] '[secret HOUSE_KEY]' [secret HOUSE_KEY]" in log
    assert "dry: no" in log


@pytest.mark.process
@pytest.mark.parametrize("long", [False, True], ids=["once", "long"])
def test_a_program_has_its_secret_and_in_safe_mode_runs_dry_without_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *, long: bool
) -> None:
    body = TELLS + "answer(runtime={'has': key != 'none', 'dry': E.get('PYTEST_SOAK_DRY')})"
    prepare(pytester, body, long=long, secrets=[NAME])
    monkeypatch.delenv(NAME, raising=False)
    ran, _ = run(pytester)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines([f"ERROR: *the environment variable {NAME} is not set; *{SAFE}=1"])

    monkeypatch.setenv(NAME, SECRET)
    ran, found = run(pytester)
    assert (ran.ret, found) == (0, [])
    told = read_json(chain_folder(pytester) / "EDGE_REPORT_1.json")["runtime"]
    assert (told["has"], told["dry"]) == (True, None)
    ran.stdout.no_fnmatch_line("| safe_mode *")

    monkeypatch.setenv(SAFE, "1")  # also where it could have it
    ran, found = run(pytester, "-n1" if long else "-n0")
    assert (ran.ret, found) == (0, [])
    ran.stdout.fnmatch_lines(["| safe_mode | ON | SYSTEM=command runs without its secrets |"])
    told = read_json(chain_folder(pytester) / "EDGE_REPORT_1.json")["runtime"]
    assert (told["has"], told["dry"]) == (False, "1")
    assert records(chain_folder(pytester))[0]["config"]["safe_mode"] is True


PYTHON = """
import logging
import os
import warnings

import pytest

class House:
    secrets = ("HOUSE_KEY",)
    def run(self, parameters, iteration, seed, state):
        key = os.environ["HOUSE_KEY"]
        print("key", key)
        logging.getLogger().warning("key %s", key)
        warnings.warn(f"key {{key}}")
        warnings.warn("nothing to hide")
        {ends}
        totals = {{"latency_p95_ms": 100, "error_rate": 0.01, "throughput": 100}}
        return {{"iteration": iteration, "totals": totals, "runtime": {{"key": key}}}}, [key]
    def close(self):
        {closes}

class Opened(House):
    def open(self, folder, slot): pass

def pytest_soak_systems():
    return {{"house": lambda pack, scenario: House()}}

@pytest.fixture
def soak_system():
    return Opened()
"""


@pytest.mark.parametrize("fixture", [False, True], ids=["by name", "by fixture"])
@pytest.mark.parametrize(
    ("ends", "closes"),
    [
        ("pass", "pass"),
        ("raise OSError(f'no {key}')", "raise OSError(os.environ['HOUSE_KEY'])"),
        ("pytest.fail(key)", "pass"),
        ("pytest.skip(key)", "pass"),
        ("pytest.xfail(key)", "pass"),
    ],
)
def test_no_file_of_a_soak_of_a_python_system_holds_its_secret(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    ends: str,
    closes: str,
    *,
    fixture: bool,
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    text = PYTHON.format(ends=ends, closes=closes)
    pytester.makeconftest(text)
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    arguments = [
        "-rA",
        "-l",
        "-W",
        "always",
        "-p",
        "no:randomly",
        "--soak-iterations=3",
        "--junitxml=junit.xml",
    ]
    if not fixture:
        pytester.makeconftest(text.partition("@pytest.fixture")[0])
        arguments += ["--soak-system=house"]
    ran = pytester.runpytest(*arguments)
    assert secret_in(pytester.path, ran.stdout.str() + ran.stderr.str()) == []
    assert "[secret HOUSE_KEY]" in ran.stdout.str()


def test_what_a_check_says_of_parameters_is_masked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    pytester.makeconftest(
        """
        import os

        class House:
            secrets = ("HOUSE_KEY",)
            def check(self, parameters):
                raise ValueError(os.environ["HOUSE_KEY"])
            def run(self, parameters, iteration, seed, state): ...

        def pytest_soak_systems():
            return {"house": lambda pack, scenario: House()}
        """
    )
    pytester.makepyfile("def test_demo(soak): soak.run()")
    ran = pytester.runpytest("--soak-iterations=2", "--soak-system=house")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*the parameters it would start with: [[]secret HOUSE_KEY]"])


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("", "HOUSE_KEY is not set; set it, or run without secrets with"),
        ("abc", "HOUSE_KEY has fewer than 4 letters; set it, as a shorter secret could not be"),
        ("  ab  ", "HOUSE_KEY has fewer than 4 letters"),
    ],
)
def test_a_secret_that_cannot_be_hidden_is_a_usage_error_that_does_not_tell_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, value: str, line: str
) -> None:
    monkeypatch.setenv(NAME, value)
    prepare(pytester, "answer()", secrets=[NAME])
    for workers in ("-n0", "-n1"):
        ran = pytester.runpytest(*ARGS, workers)
        assert ran.ret == pytest.ExitCode.USAGE_ERROR
        shown = ran.stdout.str() + ran.stderr.str()
        assert line in shown
        assert f" {value} " not in shown or not value.strip()


def written(value: str) -> list[str]:
    """Return the ways in which a program may write *value*."""
    coded = [base64.b64encode(f"{user}{value}:x".encode()).decode() for user in ("", "u:", "user")]
    wide = value.encode("utf-16-be")
    units = [int.from_bytes(wide[at : at + 2]) for at in range(0, len(wide), 2)]
    return [
        f"key={value};",
        repr({"k": value}),
        json.dumps([value]),
        json.dumps([value], ensure_ascii=False),
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        "".join(f"%{byte:02x}" for byte in value.encode()),
        "".join(f"\\u{unit:04X}" for unit in units),
        json.dumps(value).replace("/", "\\/").replace("&", "\\u0026"),
        escape(value),
        json.dumps(json.dumps(value)),
        value.encode().hex(),
        value.encode().hex().upper(),
        *coded,
    ]


@given(st.text(min_size=12, max_size=60).filter(lambda text: len(text.strip()) >= 12))
def test_a_secret_is_found_however_it_is_usually_written(value: str) -> None:
    mask = Mask({"KEY": value})
    for text in written(value):
        hidden = mask.text(text)
        assert "[secret KEY]" in hidden, text
        assert value.strip() not in hidden.replace("[secret KEY]", "")
    document = {"a": [value, {value: 1}], "b": (value,)}
    assert value not in str(mask.data(document)).replace("[secret KEY]", "")


@given(st.recursive(st.none() | st.floats() | st.text("xyz"), st.lists))
def test_what_holds_no_secret_stays_as_it_is(value: object) -> None:
    assert repr(Mask({"KEY": "abcd"}).data(value)) == repr(value)
    assert Mask().data(value) is value


def test_a_secret_of_digits_is_found_as_a_number_and_each_line_of_several() -> None:
    assert Mask({"PIN": "123456"}).data([123456, 1234567, 1.5]) == ["[secret PIN]", 1234567, 1.5]
    key = "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n"
    assert Mask({"PEM": key}).text("1: ijklmnop") == "1: [secret PEM]"
    assert repr(Mask({"PEM": key})) == "Mask()"


@pytest.mark.parametrize(
    "written", ["hunter/two&3", "hunter%2ftwo%263", r"hunter\/two\u00263", "hunter/two&amp;3"]
)
def test_a_secret_is_masked_whole_in_the_forms_of_urls_go_php_and_html(written: str) -> None:
    assert Mask({"KEY": "hunter/two&3"}).text(f"<{written}>") == "<[secret KEY]>"


def test_a_named_tuple_is_masked_as_a_plain_one() -> None:
    point = namedtuple("point", "x y")  # noqa: PYI024 - as a test may have it
    assert Mask({"KEY": "abcd"}).data(point("abcd", 2)) == ("[secret KEY]", 2)


def test_the_values_that_a_secret_had_are_masked_too_the_latest_ones() -> None:
    mask = Mask({"KEY": "value 0"})
    for number in range(1, 200):
        mask = mask.and_of(Mask({"KEY": f"value {number}"}))
        assert mask.and_of(Mask({"KEY": f"value {number}"})) is mask
    assert mask.text("value 0, value 150, value 199") == ", ".join(["[secret KEY]"] * 3)


def test_the_longest_secret_is_masked_first() -> None:
    mask = Mask({"SHORT": "abcd", "LONG": "abcdefgh"})
    assert mask.text("abcdefgh abcd") == "[secret LONG] [secret SHORT]"


@pytest.mark.parametrize("number", [48151623, 48151623.0, -48151623, -48151623.0])
def test_a_number_that_is_a_secret_is_masked_whatever_its_sign_and_kind(number: float) -> None:
    assert Mask({"PIN": "48151623"}).data(number) == "[secret PIN]"


def test_a_secret_that_is_no_utf_8_is_masked() -> None:
    value = b"p\xe4ssword".decode(errors="surrogateescape")
    for text in (value, "p%E4ssword", "p\ufffdssword", "p?ssword", repr(value)[1:-1]):
        assert Mask({"KEY": value}).text(text) == "[secret KEY]"


def test_a_secret_that_is_no_utf_8_is_masked_in_what_a_program_writes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, b"p\xe4ssword\xff".decode(errors="surrogateescape"))
    body = 'sys.stdout.buffer.write(b"<" + os.environb[b"HOUSE_KEY"] + b">\\xfe\\n"); sys.exit(3)'
    prepare(pytester, body, secrets=[NAME])
    ran, _ = run(pytester)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines([r"*<[[]secret HOUSE_KEY]>\xfe"])
    log = (chain_folder(pytester) / "command_output.log").read_text()
    assert log == "<[secret HOUSE_KEY]>\\xfe\n"


def test_a_mask_takes_its_time_in_proportion_to_what_it_looks_at() -> None:
    """Many backslashes could be the beginning of any letter, each time anew."""
    mask = Mask({"KEY": "\\secret\\" * 3, "OTHER": "'" * 20})
    took = []
    for size in (20_000, 80_000):
        begun = time.process_time()
        for text in ("\\" * size, "'" * size, "\\u005c" * (size // 6), "&#39;" * (size // 5)):
            mask.text(text + "x")
        took.append(time.process_time() - begun)
    assert took[1] < 12 * took[0]


@pytest.mark.parametrize("system", ["command", "http"])
def test_a_pack_is_no_place_for_a_secret(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    table = f"tool.pytest-soak.packs.demo.{system}"
    pytester.makepyprojecttoml(
        f"""
        [{table}]
        program = ["true"]
        secrets = ["{NAME}"]
        env = {{ {NAME} = "xyzzy-42" }}
        {'scrape = "http://127.0.0.1:1"' if system == "http" else ""}
        {f"[{table}.metrics]" if system == "http" else ""}
        {'throughput = { gauge = "x" }' if system == "http" else ""}
        """
    )
    pytester.makepyfile("def test_demo(soak): soak.run()")
    ran = pytester.runpytest("--soak-iterations=2", f"--soak-system={system}")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    line = f"ERROR: system {system}: env gives {NAME}, which is a secret (in [[]{system}] of pack *"
    ran.stderr.fnmatch_lines([line])
    assert "xyzzy" not in ran.stdout.str() + ran.stderr.str()


def test_a_secret_among_the_arguments_is_masked_before_they_are_shortened(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "".join(f"{number:04d}" for number in range(11))
    monkeypatch.setenv(NAME, secret)
    prepare(pytester, "sys.exit(3)", secrets=[NAME])
    command = f"{{python}} -I -S program.py {'x' * 90} {secret} {'y' * 200}"
    ran = pytester.runpytest(*ARGS, "-o", f"soak_command={command}")
    assert ran.ret == 1
    assert "00010002" not in ran.stdout.str()


@pytest.mark.parametrize("method", ["open", "close"])
def test_a_secret_in_a_long_error_is_masked_before_it_is_shortened(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    secret = "".join(f"{number:04d}" for number in range(30))
    monkeypatch.setenv(NAME, secret)
    pytester.makeconftest(
        f"""
        import os
        from pytest_soak.systems.mock import MockSystem

        class House(MockSystem):
            secrets = ("{NAME}",)

            def {method}(self, *args):
                raise ValueError("x" * 60 + os.environ["{NAME}"] + "y" * 300)

        def pytest_soak_systems():
            return {{"house": House}}
        """
    )
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    ran = pytester.runpytest("--soak-iterations=3", "--soak-system=house")
    assert ran.ret == 1
    shown = ran.stdout.str() + ran.stderr.str()
    assert f"system house: {method}() raised ValueError: xxx" in shown
    assert "00010002" not in shown


def test_a_warning_whose_class_takes_two_arguments_is_masked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    prepare(pytester, "answer()", secrets=[NAME])
    pytester.makepyfile(
        test_demo="""
        import os
        import warnings

        class Odd(UserWarning):
            def __init__(self, words, more):
                super().__init__(words + more)

        def test_demo(soak):
            warnings.warn(Odd("key ", os.environ["HOUSE_KEY"]))
            soak.run()
        """
    )
    ran, found = run(pytester, "-W", "always")
    assert found == []
    assert ran.ret == 0


@pytest.mark.parametrize(
    ("value", "line"), [("", "HOUSE_KEY is not set"), ("abc", "HOUSE_KEY has fewer than 4 letters")]
)
def test_a_system_of_a_fixture_does_not_run_without_its_secret(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, value: str, line: str
) -> None:
    monkeypatch.setenv(NAME, value)
    pytester.makeconftest(PYTHON.format(ends="pass", closes="pass"))
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    ran = pytester.runpytest("-p", "no:randomly", "--soak-iterations=3")
    assert ran.ret == 1
    ran.stdout.fnmatch_lines([f"system fixture: the environment variable {line}*"])


FETCHED = """
import os
import pytest

@pytest.fixture(scope="session", autouse=True)
def login():
    os.environ["HOUSE_KEY"] = os.environ["FETCHED_KEY"]

"""


@pytest.mark.parametrize("system", ["a program", "by name", "by fixture"])
def test_a_secret_that_a_fixture_fetches_is_masked_too(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setenv(NAME, "of yesterday")
    monkeypatch.setenv("FETCHED_KEY", SECRET)
    text = FETCHED + PYTHON.format(ends="pass", closes="raise OSError(os.environ['HOUSE_KEY'])")
    arguments = ["-p", "no:randomly", "-W", "always", "--soak-iterations=3", "--junitxml=junit.xml"]
    if system == "a program":
        prepare(pytester, TELLS + ENDS["reported"], secrets=[NAME])
        text = FETCHED
        arguments.append("--soak-system=command")
    elif system == "by name":
        text = text.partition("@pytest.fixture\n")[0]
        arguments.append("--soak-system=house")
    pytester.makeconftest(text)
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    ran = pytester.runpytest(*arguments, "-rA")
    assert "[secret HOUSE_KEY]" in ran.stdout.str() or system == "a program"
    folder = chain_folder(pytester)
    assert "[secret HOUSE_KEY]" in (folder / "EDGE_REPORT_2.json").read_text()
    assert secret_in(pytester.path, ran.stdout.str() + ran.stderr.str()) == []


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="subtests are there from pytest 9 on")
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_subtest_tells_no_secret(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    prepare(pytester, "answer()", secrets=[NAME])
    pytester.makepyfile(
        test_demo="""
        import logging
        import os

        def test_demo(soak, subtests):
            key = os.environ["HOUSE_KEY"]
            with subtests.test(msg=key, key=key, other="plain"):
                print(key)
                logging.warning(key)
                assert not key
            soak.run()
        """
    )
    ran = pytester.runpytest(*ARGS, "-rA", "--junitxml=junit.xml", workers)
    assert secret_in(pytester.path, ran.stdout.str() + ran.stderr.str()) == []
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(["*[[][[]secret HOUSE_KEY]] (key=*secret HOUSE_KEY*, other=*plain*)*"])


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="subtests are there from pytest 9 on")
def test_a_subtest_is_not_taken_for_the_test(pytester: pytest.Pytester) -> None:
    prepare(pytester, "answer()")
    pytester.makepyfile(
        test_demo="""
        def test_demo(soak, subtests):
            with subtests.test("before"):
                assert soak
            assert soak.run().report.problem is None
        """
    )
    assert pytester.runpytest(*ARGS).ret == 0


@pytest.mark.parametrize(
    "ends", ["pytest.exit('no ' + key)", "raise KeyboardInterrupt('no ' + key)"]
)
def test_what_ends_a_session_tells_no_secret(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    pytester.makeconftest(PYTHON.format(ends=ends, closes="pass"))
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    ran = pytester.runpytest_subprocess("-p", "no:randomly", "--soak-iterations=3")
    assert ran.ret == pytest.ExitCode.INTERRUPTED
    assert secret_in(pytester.path, ran.stdout.str() + ran.stderr.str()) == []
    ran.stdout.fnmatch_lines(["*!!! *no [[]secret HOUSE_KEY] !!!*"])


def test_safe_mode_of_a_fixtures_system_is_told_and_not_resumed_as_a_real_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.setenv(SAFE, "1")
    text = PYTHON.format(ends="if iteration == 3: raise KeyboardInterrupt", closes="pass")
    pytester.makeconftest(text.replace('os.environ["HOUSE_KEY"]', '"a dry one"'))
    pytester.makepyfile(test_demo="def test_demo(soak): soak.run()")
    arguments = ("-p", "no:randomly", "--soak-iterations=3", "-W", "always")
    ran = pytester.runpytest_subprocess(*arguments)
    assert ran.ret == pytest.ExitCode.INTERRUPTED
    ran.stdout.fnmatch_lines(["| safe_mode | ON | SYSTEM=fixture may run without its secrets |"])
    assert records(chain_folder(pytester))[0]["config"]["safe_mode"] is True
    monkeypatch.setenv(NAME, SECRET)
    monkeypatch.delenv(SAFE)
    ran = pytester.runpytest_subprocess(*arguments, "--soak-resume")
    assert ran.ret == pytest.ExitCode.INTERRUPTED  # a run of its own
    ran.stdout.fnmatch_lines(["| soak_resume | OTHER | *safe_mode: true then, null now*"])


def test_a_soak_needs_every_secret_of_its_system_to_be_set(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_KEY", "xylophone")
    monkeypatch.delenv("SECOND_KEY", raising=False)
    pytester.makeconftest(mock_system(members='secrets = ("FIRST_KEY", "SECOND_KEY")'))
    pytester.makepyfile(test_demo=DEMO)
    command = ("--soak-iterations=6", "--auto-tune", "--soak-system=odd")
    refused = pytester.runpytest(*command)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*the environment variable SECOND_KEY is not set*"])
    monkeypatch.setenv("SECOND_KEY", "yesterday")
    assert pytester.runpytest(*command).ret == 0


TOKEN = "".join(f"{number:x}-Tok{number % 7}_" for number in range(10_000, 10_085))[:850]
"""A long token, of which others show pieces."""
TELLING = """
import os
import warnings

import pytest
from pytest_soak import Judgement, Proposal, Verdict
from pytest_soak.systems.mock import MockSystem

def key():
    return "x" * 140 + os.environ["HOUSE_KEY"] + "y" * 300

def told(who):
    if who == "{who}":
        raise ConnectionError("GET https://cfg/?token=" + key())

class House(MockSystem):
    secrets = ("HOUSE_KEY",)

class Watcher:
    def observe(self, report, history):
        told("watcher")
        return {{key(): 1, "words": (key(),)}}

class Gate:
    requires = ()
    def judge(self, metrics, n):
        told("gate")
        return (Judgement(key(), Verdict.FAIL, 1.0, 1, key(), key()),)

class Tuner:
    requires = ()
    announce = True
    def propose(self, history, parameters):
        told("tuner")
        return Proposal({{"workers": 1}}, (key(),), withheld=(key(),))

class Guard:
    def review(self, history, decision, settings):
        told("guard")
        return decision.notice("mine", key(), "workers", key())

def pytest_soak_systems():
    return {{"house": House}}

def pytest_soak_watchers():
    return {{"mine": lambda pack: Watcher()}}

def pytest_soak_gates():
    return {{"mine": lambda pack: Gate()}}

def pytest_soak_tuners():
    return {{"mine": lambda pack: Tuner()}}

def pytest_soak_guards():
    return {{"mine": lambda pack: Guard()}}

def pytest_soak_iteration(plan, result):
    told("observer")
"""


@pytest.mark.parametrize("who", ["nobody", "watcher", "gate", "tuner", "guard", "observer"])
def test_no_file_of_a_soak_holds_a_secret_that_a_strategy_or_an_observer_tells(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setenv(NAME, TOKEN)
    pytester.makeconftest(TELLING.format(who=who))
    pytester.makepyfile(
        test_demo="""
        import os

        def test_demo(soak):
            result = soak.run()
            key = os.environ["HOUSE_KEY"]
            assert result.iteration < 2 or key == "another", {"key": key}
        """
    )
    command = ("--soak-iterations=3", "--auto-tune", "--soak-system=house", "--soak-tuner=mine")
    workers = "-n1" if who == "tuner" else "-n0"
    ran = pytester.runpytest(*command, "-rA", "-l", "--junitxml=junit.xml", workers)
    assert ran.ret == 1
    shown = ran.stdout.str() + ran.stderr.str()
    for looks in (["explain", "--iter=1"], ["summary"]):
        shown += "\n".join(told(*looks, "--soak-dir=artifacts/soak")[1])
    (pytester.path / "shown.txt").write_text(shown)
    assert "[secret HOUSE_KEY]" in shown
    pieces = {TOKEN[at : at + 16] for at in range(len(TOKEN) - 15)}
    for path in pytester.path.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            text = path.read_text(errors="replace")
            found = [text[at : at + 16] for at in range(len(text)) if text[at : at + 16] in pieces]
            assert found == [], path


@pytest.mark.parametrize("kind", ["systems", "tuners", "gates"])
def test_a_secret_in_what_a_factory_raises_is_masked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv(NAME, SECRET)
    pytester.makeconftest(
        f"""
        import os
        from pytest_soak.systems.mock import MockSystem

        class House(MockSystem):
            secrets = ("HOUSE_KEY",)
            def __init__(self, *args):
                if "{kind}" == "systems":
                    fail()
                super().__init__(*args)

        def fail(*args):
            raise OSError("\\x1b[2J| kpi_gate | PASS | no " + os.environ["HOUSE_KEY"])

        def pytest_soak_systems():
            return {{"house": House}}

        if "{kind}" != "systems":
            def pytest_soak_{kind}():
                return {{"mine": fail}}
        """
    )
    pytester.makepyfile(test_demo=DEMO)
    tuner = ["--auto-tune", "--soak-tuner=mine"] if kind == "tuners" else []
    ran = pytester.runpytest("--soak-iterations=3", "--soak-system=house", *tuner)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    line = (
        r"*the factory raised OSError: \x1b[[]2J| kpi\x5fgate \x7c PASS | no [[]secret HOUSE_KEY]*"
    )
    ran.stderr.fnmatch_lines([line])


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_a_secret_is_found_in_base32_and_in_base64_with_line_ends(start: bytes, end: bytes) -> None:
    mask, data = Mask({"KEY": TOKEN}), start + TOKEN.encode() + end
    for text in (base64.b32encode(data), base64.b32encode(data).lower(), base64.encodebytes(data)):
        hidden = mask.text(text.decode())
        assert len(hidden.replace("[secret KEY]", "").replace("\n", "")) < 60


@pytest.mark.parametrize("length", [16, 117, 148])
def test_a_piece_of_a_secret_is_masked(length: int) -> None:
    for at in (0, 300, len(TOKEN) - length):
        piece = TOKEN[at : at + length]
        assert Mask({"KEY": TOKEN}).text(f"<{piece}>, {piece}") == "<[secret KEY]>, [secret KEY]"
    assert Mask({"KEY": TOKEN}).text(TOKEN[:15]) == TOKEN[:15]


def test_the_lines_of_a_secret_are_masked_after_the_whole() -> None:
    mask = Mask({"PEM": "first line\nsecond  line"})
    assert mask.text("first line\nsecond  line") == "[secret PEM]"
    assert mask.text("first line second line") == "[secret PEM]"
    assert mask.text("2: second  line") == "2: [secret PEM]"

"""The parts of the system `command` one by one: what is measured, read, reaper and put in order."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tempfile
import uuid
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_soak import ProcessReaper
from pytest_soak.model.mask import Mask
from pytest_soak.packs.loader import load_pack
from pytest_soak.systems.command import processes, watchdog
from pytest_soak.systems.command.output import MASK_MARGIN, TAIL_BYTES, Output
from pytest_soak.systems.command.processes import MARK, Usage
from pytest_soak.systems.command.program import read_program
from pytest_soak.systems.command.report_poller import UnreadableFile, read_json
from pytest_soak.systems.command.system import CommandSystem
from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.process


def test_use_that_was_not_sampled_is_null_and_not_zero() -> None:
    ended = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    ended.wait()
    usage = Usage({"worker": "worker.py"}, Mask())
    usage.sample(processes.find_all(ended.pid, "no mark", alive=False))
    told = usage.to_json()
    for figures in (told, told.pop("by_name")["worker"]):
        assert figures.pop("samples") == 0
        assert set(figures.values()) == {None}
    assert set(usage.metrics().values()) == {(None, 0)}
    assert processes.descendants(ended.pid) == []


class Pretended:
    """What psutil says of a process that does not exist."""

    def __init__(self, name: str, **told: object) -> None:
        self.told = {
            "name": name,
            "cmdline": [name],
            "cpu_times": (1.0, 0.0, 0.0, 0.0, 0.0),
            "memory_info": SimpleNamespace(rss=2**20),
            "num_fds": 3,
            "num_threads": 1,
            "status": "running",
            "pid": id(self),
            "create_time": 1.0,
            **told,
        }

    def as_dict(self, attrs: Sequence[str]) -> dict[str, object]:
        if self.told["status"] == "gone":
            raise psutil.NoSuchProcess(1)
        return {name: self.told[name] for name in attrs}


def sampled(*samples: Sequence[Any], before: Sequence[Any] = (), mask: Mask | None = None) -> Any:
    usage = Usage({"worker": "worker.py", "cache": "redis"}, mask or Mask())
    usage.begin(before)
    for sample in samples:
        usage.sample(sample)
    return usage.to_json()


def test_processes_are_told_apart_by_what_the_pack_says_and_by_their_programs_name() -> None:
    shell = Pretended("sh")
    workers = [Pretended("python3.11", cmdline=["python3", f"worker.py {n}"]) for n in range(2)]
    other = Pretended("Python3.11", memory_info=SimpleNamespace(rss=2**23), num_threads=5)
    used = sampled([shell, *workers, other], [shell, other])
    seen = {name: figures for name, figures in used["by_name"].items() if figures["samples"]}
    assert {name: (of["rss_mb"], of["processes"]) for name, of in seen.items()} == {
        "sh": (1.0, 1),
        "worker": (2.0, 2),
        "python3_11": (8.0, 1),
    }
    assert (used["rss_mb"], used["rss_end_mb"], used["threads"]) == (11.0, 9.0, 8)
    assert used["by_name"]["cache"] == {"samples": 0} | dict.fromkeys(
        name for name in used if name not in ("samples", "by_name")
    )


def test_the_cpu_time_of_a_name_is_its_own_and_is_kept_when_a_process_ends() -> None:
    shell: Any = Pretended("sh", cpu_times=(1.0, 1.0, 30.0, 0.0, 0.0))
    worker: Any = Pretended("w", cpu_times=(10.0, 0.0, 0.0, 0.0, 0.0))
    second: Any = Pretended("w", cpu_times=(20.0, 0.0, 0.0, 0.0, 0.0))
    usage = Usage({}, Mask())
    usage.begin([shell, worker])
    worker.told["cpu_times"] = (14.0, 0.0, 0.0, 0.0, 0.0)
    usage.sample([shell, worker, second])
    shell.told["cpu_times"] = (1.0, 1.0, 44.0, 0.0, 0.0)  # it waited for the first one
    second.told["cpu_times"] = (21.0, 0.0, 0.0, 0.0, 0.0)
    usage.sample([shell, second])
    used = usage.to_json()
    assert (used["by_name"]["w"]["cpu_s"], used["by_name"]["sh"]["cpu_s"]) == (25.0, 0.0)
    assert used["cpu_s"] == 25.0


@pytest.mark.parametrize(
    ("odd", "open_files", "samples"),
    [
        ({"num_fds": None, "cmdline": None}, None, 1),
        ({"status": psutil.STATUS_ZOMBIE}, 3, 1),
        ({"memory_info": None}, 3, 1),
        ({"status": "gone"}, 3, 1),
    ],
    ids=["of another user", "zombie", "unreadable", "gone"],
)
def test_what_a_process_keeps_to_itself_is_no_figure(
    odd: dict[str, object], open_files: int | None, samples: int
) -> None:
    used = sampled([Pretended("sh"), Pretended("su", **odd)])
    assert (used["open_files"], used["samples"]) == (open_files, samples)
    assert used["processes"] == (2 if open_files is None else 1)


def test_names_of_processes_are_bounded_and_hide_secrets() -> None:
    many = [Pretended(f"{word} {number}") for word in ("job", "Job") for number in range(20)]
    secret = Pretended("run hunter2-hunter2", cmdline=["run"])
    worker = Pretended("late", cmdline=["worker.py"])
    used = sampled([secret, *many], [worker], mask=Mask({"TOKEN": "hunter2-hunter2"}))
    names = used["by_name"]
    assert set(names) == {
        *("worker", "cache", "run_secret_token", "others"),
        *(f"job_{number}" for number in range(7)),
    }
    assert names["others"]["processes"] == 26
    assert names["job_6"]["processes"] == 2
    assert names["worker"]["processes"] == 1


def test_a_reused_pid_finds_nothing() -> None:
    with subprocess.Popen(["/bin/sleep", "600"], start_new_session=True) as sleeper:
        assert processes.find_all(sleeper.pid, "no mark", alive=False) == []
        assert [one.pid for one in processes.find_all(sleeper.pid, "no mark", alive=True)] == [
            sleeper.pid
        ]
        sleeper.kill()


@pytest.mark.parametrize("orderly", [True, False])
def test_the_watchdog_ends_what_is_left_unless_it_was_dismissed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, orderly: bool
) -> None:
    mark = uuid.uuid4().hex
    folder = tmp_path / "own"
    folder.mkdir()
    with subprocess.Popen(["/bin/sleep", "600"], env={MARK: mark}) as sleeper:
        wait_for(lambda: processes.marked(mark))
        monkeypatch.setattr(sys, "stdin", io.StringIO("." if orderly else ""))
        watchdog.watch(mark, str(folder))
        assert (sleeper.poll() is None) == orderly
        assert folder.exists() == orderly
        sleeper.kill()


def test_what_an_interrupted_end_left_is_ended_when_the_system_is_closed(tmp_path: Path) -> None:
    pack = load_pack(Path(str(resources.files("pytest_soak.packs").joinpath("demo.toml"))))
    system = CommandSystem(read_program(("true",), tmp_path, pack, "calm"))
    system.open(tmp_path, None)
    with subprocess.Popen(["/bin/sleep", "600"], env={MARK: system._mark}) as sleeper:
        wait_for(lambda: processes.marked(system._mark))
        system.close()
        assert sleeper.wait(60) in (-signal.SIGTERM, -signal.SIGKILL)


@given(st.binary() | st.from_type(type).map(repr).map(str.encode))
def test_any_file_is_read_as_json_or_refused_in_words(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            read = read_json(Path(file.name))
        except UnreadableFile:
            with pytest.raises((ValueError, RecursionError)):
                json.loads(data)
        else:
            assert json.dumps(read) == json.dumps(json.loads(data))


def test_output_is_cut_and_its_end_is_kept_in_whole_lines() -> None:
    output = Output()
    for number in range(40_000):
        output.file.write(b"a line of the output, number %d \x1b\n" % number)
    output.file.flush()
    wait_for(lambda: output._discarded)
    written = output.written
    last = "café\r\nat the end\xff".encode("latin-1")
    output.file.write(last)
    output.file.flush()
    lines = output.text(Mask()).splitlines()
    assert output.written == written + len(last)
    assert len(output.text(Mask())) <= TAIL_BYTES
    assert lines[0].startswith("a line of the output, number ")
    assert lines[-2:] == [r"caf\xe9", r"at the end\xff"]
    assert lines[0].endswith(r" \x1b")
    output.close()


def test_output_of_one_long_line_begins_with_a_whole_word() -> None:
    output = Output()
    output.file.write(b"word " * TAIL_BYTES + b"the end")
    output.file.flush()
    text = output.text(Mask())
    assert text.endswith("word the end")
    assert text.startswith("word ")
    output.close()


@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_no_word_of_a_secret_is_left_where_output_is_cut(shift: int) -> None:
    mask = Mask({"PHRASE": "correct horse battery staple"})
    output = Output()
    output.file.write(
        b"a" * 999 + b" " + b"correct horse battery staple" + b"b" * (TAIL_BYTES - shift)
    )
    output.file.flush()
    for more in (b"", b" " + b"c" * MASK_MARGIN):
        output.file.write(more)
        output.file.flush()
        text = output.text(mask)
        assert not any(word in text for word in ("correct", "horse", "battery", "staple"))
    output.close()


def test_the_end_of_the_output_is_shown_even_if_much_of_it_is_masked() -> None:
    secret = "".join(map(str, range(1000)))
    output = Output()
    output.file.write(f"token {secret}\n".encode() * 60 + b"the cause\n")
    output.file.flush()
    assert output.text(Mask({"TOKEN": secret})).endswith("token [secret TOKEN]\nthe cause\n")
    output.close()


def test_nothing_is_left_of_what_was_kept_once_it_is_closed() -> None:
    reaper = ProcessReaper()
    (reaper.folder / "log").write_text("of a program")
    with subprocess.Popen(["/bin/sleep", "600"], env=reaper.environ) as sleeper:
        wait_for(lambda: processes.marked(reaper.mark))
        reaper.close()
        assert sleeper.wait(60) in (-signal.SIGTERM, -signal.SIGKILL)
    assert not reaper.folder.exists()

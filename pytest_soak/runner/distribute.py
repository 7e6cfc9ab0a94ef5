"""The one file that knows pytest-xdist: it keeps a chain whole, on one worker, in order."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from pytest_soak.config.request import OverridesText, SoakRequest
from pytest_soak.errors import SoakUsageError
from pytest_soak.runner.chain import chain_name
from pytest_soak.views.views import show_ending

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

KEY = "soak"
ERRORS = "soak_usage_errors"
UNFIT = "soak_unfit"
ENDINGS = "soak_endings"


class ChainScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Sends each chain to one worker, as `--dist loadscope` sends each module.

    `--dist loadgroup` cannot serve: on this pytest it scatters the members of a group silently.
    """

    def _split_scope(self, nodeid: str) -> str:
        return chain_name(nodeid)


class Distribution:
    """The controller's side: hands out the request, and takes usage errors back."""

    def __init__(self, request: SoakRequest) -> None:
        """Take the *request* that every worker must share."""
        self._request = request
        self._nodes: list[WorkerController] = []
        self._errors: dict[str, None] = {}
        self._unfit: dict[str, None] = {}
        self._collected = False

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> ChainScheduling:
        """Schedule by chain."""
        return ChainScheduling(config, log)

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Give a worker what was read once: run id, folder, overrides, what to go on with."""
        self._nodes.append(node)
        node.workerinput[KEY] = {
            "run_id": self._request.run_id,
            "folder": str(self._request.folder),
            "overrides": [asdict(text) for text in self._request.overrides],
            "replay": self._request.replay and str(self._request.replay),
            "unfinished": dict(self._request.unfinished),
            "late": self._collected,
        }

    def pytest_xdist_node_collection_finished(self) -> None:
        """Note that chains may run from now on: a worker that joins later finds them held."""
        self._collected = True

    def pytest_keyboard_interrupt(self) -> None:
        """Interrupt the workers too, or xdist waits for them, and kills them after 10 seconds."""
        for node in self._nodes:
            process = getattr(node.gateway._io, "popen", None)  # noqa: SLF001 - none if remote
            if process is not None:
                process.terminate()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        """Take a worker's usage errors, and what became of chains without a verdict."""
        output = getattr(node, "workeroutput", None) or {}
        self._errors.update(dict.fromkeys(output.get(ERRORS, ())))
        self._unfit.update(dict.fromkeys(output.get(UNFIT, ())))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn usage errors of workers into exit code 4, chains without a verdict into 1.

        How those chains ended is shown: after an interruption xdist calls nobody for a worker that
        is down, but has what it handed over.
        """
        for node in self._nodes:
            for ending in (getattr(node, "workeroutput", None) or {}).get(ENDINGS, ()):
                show_ending(session.config, ending)
        if self._errors:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self._unfit and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell usage errors of workers, and what went wrong at their end, each once."""
        for error in filter(None, (*self._errors, *self._unfit)):
            terminalreporter.write_line(f"ERROR: {error}", red=True)


def shared_request(config: pytest.Config, request: SoakRequest) -> SoakRequest:
    """Return *request* as the controller read it, in a worker; as it is, elsewhere."""
    given: dict[str, Any] | None = getattr(config, "workerinput", {}).get(KEY)
    if given is None:
        return request
    overrides = tuple(OverridesText(**text) for text in given["overrides"])
    return replace(
        request,
        run_id=given["run_id"],
        folder=Path(given["folder"]),
        overrides=overrides,
        replay=given["replay"] and Path(given["replay"]),
        unfinished=given["unfinished"],
        late=given["late"],
    )


def report_usage_error(config: pytest.Config, error: SoakUsageError) -> None:
    """Hand a worker's usage error to the controller: raised here, it would be exit 3."""
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined] # xdist's
    output.setdefault(ERRORS, []).append(str(error))


def report_unfit(config: pytest.Config, fault: str) -> None:
    """Tell the controller that a chain in this worker got no verdict, or that it had a *fault*."""
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined] # xdist's
    output.setdefault(UNFIT, []).append(fault)


def report_ending(config: pytest.Config, ending: dict[str, Any]) -> None:
    """Hand over how a chain in this worker ended whose gate never spoke."""
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined] # xdist's
    output.setdefault(ENDINGS, []).append(ending)


def join(config: pytest.Config, request: SoakRequest) -> None:
    """Take part in the distribution on the controller, where tests are distributed.

    Raises:
        SoakUsageError: ``--dist each`` would run every chain several times in one folder.
    """
    if config.getoption("dist", "no") == "each":
        msg = "--dist each: runs every chain once per worker, in one folder; allowed: any other"
        raise SoakUsageError(msg)
    config.pluginmanager.register(Distribution(request), "soak-distribution")

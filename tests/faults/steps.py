"""The named steps at which the suite kills a soak, one line for each.

A step is a place in a call of the product's own: before it, after it, or half-way through the
bytes that it writes. A function that is renamed or no longer called fails the suite, which asks
every step to be hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class When(Enum):
    """The place of a step in a call."""

    BEFORE = auto()
    HALF = auto()
    AFTER = auto()


class Phase(Enum):
    """What a process must do to reach a step."""

    BEGIN = auto()
    """Begin a new run."""
    RUN = auto()
    """Run an iteration."""
    APPLY = auto()
    """Run one that changes parameters."""
    END = auto()
    """Give the verdict."""
    RESUME = auto()
    """Resume a run."""
    HEAL = auto()
    """Resume a run whose last record was torn."""
    ASIDE = auto()
    """Begin a run in the place of an unfinished one, which is moved aside."""
    BACK = auto()
    """Resume a run that was moved aside."""


@dataclass(frozen=True, slots=True)
class Step:
    """One named step.

    Args:
        phase: When a process comes by.
        name: What happens there, in words.
        when: Where in the call.
        call: ``module:function``, then a pattern for the call's texts and paths, if it matters.
        during: Another such call that it must happen in, if it matters.
        up_to: How often a process comes by at least, in that phase.
    """

    phase: Phase
    name: str
    when: When
    call: str
    during: str = ""
    up_to: int = 1


BEGIN, RUN, APPLY, END = Phase.BEGIN, Phase.RUN, Phase.APPLY, Phase.END
RESUME, HEAL, ASIDE, BACK = Phase.RESUME, Phase.HEAL, Phase.ASIDE, Phase.BACK
BEFORE, HALF, AFTER = When.BEFORE, When.HALF, When.AFTER

LOOP = "pytest_soak.engine.loop:SoakLoop"
COURSE = "pytest_soak.engine.controller:Controller"
STORE = "pytest_soak.store.store:ChainStore"
JOURNAL = "pytest_soak.store.journal:Journal"
RECORD = "pytest_soak.store.journal:write_all"
DRAFT = "pytest_soak.store.files:write_all"
REPLACED = "os:replace */runtime_overrides.json"
WRITTEN = f"{STORE}.write runtime_overrides.json"
COMMIT = f"{STORE}.commit"
SYSTEM = "tests.faults.subject:Ledger"

# fmt: off
STEPS = (
    Step(BEGIN, "nothing is recorded yet", BEFORE, f"{STORE}.start"),
    Step(BEGIN, "half of run_started is written", HALF, RECORD, f"{JOURNAL}.append run_started"),
    Step(BEGIN, "run_started is not synced", BEFORE, "os:fsync", f"{JOURNAL}.append run_started"),
    Step(BEGIN, "run_started stands alone", AFTER, f"{JOURNAL}.append run_started"),
    Step(BEGIN, "the first overrides are written", AFTER, WRITTEN),
    Step(BEGIN, "the run has started", AFTER, f"{STORE}.start"),
    Step(RUN, "the system has not run", BEFORE, f"{LOOP}.run"),
    Step(RUN, "the system runs", BEFORE, f"{SYSTEM}.measure"),
    Step(RUN, "the system has run", AFTER, f"{SYSTEM}.run"),
    Step(RUN, "nothing is decided", BEFORE, f"{COURSE}.decide"),
    Step(RUN, "the decision is taken", AFTER, f"{COURSE}.decide"),
    Step(RUN, "the state is not synced", BEFORE, "os:fsync", f"{STORE}.save_state"),
    Step(RUN, "the state is saved", AFTER, f"{STORE}.save_state"),
    Step(RUN, "half of the record is written", HALF, RECORD, f"{JOURNAL}.append iteration"),
    Step(RUN, "the record is not synced", BEFORE, "os:fsync", f"{JOURNAL}.append iteration"),
    Step(RUN, "the record is durable, no effect yet", AFTER, f"{JOURNAL}.append iteration"),
    Step(APPLY, "the backup is a draft", BEFORE, "os:replace */backups/*"),
    Step(APPLY, "the backup is written", AFTER, "os:replace */backups/*"),
    Step(APPLY, "half of the overrides' draft", HALF, DRAFT, WRITTEN),
    Step(APPLY, "the overrides are a draft", BEFORE, REPLACED, COMMIT),
    Step(APPLY, "the overrides are replaced", AFTER, REPLACED, COMMIT),
    Step(RUN, "the report is written", AFTER, f"{STORE}.write EDGE_REPORT_*"),
    Step(RUN, "a summary is a draft", BEFORE, "os:replace */ITER_SUMMARY_*", COMMIT),
    Step(RUN, "a summary is written", AFTER, f"{STORE}.write ITER_SUMMARY_*"),
    Step(RUN, "the iteration is settled", AFTER, f"{STORE}.commit"),
    Step(RUN, "between two iterations", AFTER, "_pytest.runner:runtestprotocol"),
    Step(END, "run_ended is not written", BEFORE, f"{LOOP}.finish"),
    Step(END, "half of run_ended is written", HALF, RECORD, f"{JOURNAL}.append run_ended"),
    Step(END, "run_ended is not synced", BEFORE, "os:fsync", f"{JOURNAL}.append run_ended"),
    Step(END, "run_ended stands, no TUNING_REPORT", AFTER, f"{JOURNAL}.append run_ended"),
    Step(END, "TUNING_REPORT is a draft", BEFORE, "os:replace */TUNING_REPORT.json"),
    Step(END, "TUNING_REPORT is written, no KPI_GATE", AFTER, f"{STORE}.write TUNING_REPORT.json"),
    Step(END, "KPI_GATE is written", AFTER, f"{STORE}.write KPI_GATE.json"),
    Step(END, "the verdict is given", AFTER, f"{LOOP}.finish"),
    Step(END, "the store is closed", AFTER, f"{LOOP}.close"),
    Step(RESUME, "the journal is not opened", BEFORE, f"{JOURNAL}.__init__"),
    Step(RESUME, "the journal is taken up", BEFORE, f"{STORE}.start"),
    Step(RESUME, "a file is being rebuilt", BEFORE, "os:replace", f"{STORE}.start"),
    Step(RESUME, "a file is rebuilt", AFTER, "os:replace", f"{STORE}.start"),
    Step(RESUME, "the files are rebuilt", AFTER, f"{STORE}.start"),
    Step(RESUME, "the loop is rebuilt", AFTER, f"{LOOP}._restore"),
    Step(RESUME, "half of run_resumed is written", HALF, RECORD, f"{JOURNAL}.append run_resumed"),
    Step(RESUME, "run_resumed is written", AFTER, f"{JOURNAL}.append run_resumed"),
    Step(HEAL, "the torn end is found", BEFORE, f"{JOURNAL}._heal"),
    Step(HEAL, "half of the healed journal's draft", HALF, DRAFT, f"{JOURNAL}._heal"),
    Step(HEAL, "the healed journal is a draft", BEFORE, "os:replace */journal.jsonl"),
    Step(HEAL, "the torn end is replaced", AFTER, "os:replace */journal.jsonl"),
    Step(HEAL, "damage_found stands", AFTER, f"{JOURNAL}._heal"),
    Step(ASIDE, "an earlier run is being put aside", AFTER, "shutil:move * */runs/*", up_to=3),
    Step(ASIDE, "an earlier run is put aside", AFTER, "pytest_soak.store.store:clear_for"),
    Step(BACK, "a run is being brought back", AFTER, "shutil:move */runs/* *", up_to=3),
)
# fmt: on

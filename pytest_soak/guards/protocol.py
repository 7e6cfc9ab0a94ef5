"""The protocol of guards, and the base of the core's guards."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias

from pytest_soak.model.decision import Decision
from pytest_soak.model.history import History
from pytest_soak.model.pack import Pack
from pytest_soak.model.settings import Setting

Enabled: TypeAlias = Annotated[bool, Setting("whether the guard acts")]
"""The setting that every guard has."""


class Guard(Protocol):
    """A rule that may cut, hold or veto deltas. Pure: no clock, no file, no memory.

    It may have three more members:

    - ``Settings``, a frozen dataclass of the keys of ``[guards.<name>]`` in a pack. Its fields are
      described by `pytest_soak.model.settings`. Without it the only key is ``enabled``, which
      every guard has.
    - ``faults(settings)``, which yields a `Mistake` for each fault that the types of the fields do
      not exclude. Its ``where`` is the key within the guard's table.
    - ``headroom(history, parameters, settings)``, which returns how far it lets parameters go in
      the next step, as `Headroom`.
    """

    def review(self, history: History, decision: Decision, settings: Any) -> Decision:  # noqa: ANN401 - each has its own
        """Return the decision, or a reduced one.

        Args:
            history: Every iteration so far; the decision follows ``history.latest``.
            decision: The decision after the guards before this one.
            settings: The guard's ``Settings`` from the pack.
        """


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of a guard without any."""


class CoreGuard:
    """The base of the core's guards.

    Attributes:
        name: Its name, which is also its reason.
        Settings: The dataclass of its settings.
        required: Whether it cannot be switched off.
        merges: Whether it turns the requests into changes.
        rolls_back: Whether it may go back to the parameters of an earlier iteration.
    """

    name: ClassVar[str]
    Settings: ClassVar[type] = NoSettings
    required: ClassVar[bool] = False
    merges: ClassVar[bool] = False
    rolls_back: ClassVar[bool] = False

    def __init__(self, pack: Pack) -> None:
        """Take the domain."""
        self._pack = pack

"""What a guard is, and what the guards of the core have in common."""

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

    It may have three things more:

    - ``Settings``, a frozen dataclass: what ``[guards.<name>]`` of a pack may say. Its fields are
      described by `pytest_soak.model.settings`. Without it nothing can be set but ``enabled``,
      which every guard has.
    - ``faults(settings)``, which yields as `Mistake` what the types of the fields cannot say. Its
      ``where`` is the key within the guard's table.
    - ``headroom(history, parameters, settings)``, which returns how far it lets parameters go in
      the next step, as `Headroom`.
    """

    def review(self, history: History, decision: Decision, settings: Any) -> Decision:  # noqa: ANN401 - each has its own
        """Return the decision, or one with less in it.

        Args:
            history: Every iteration so far; ``history.latest`` is the one decided on.
            decision: What the guards before this one have left.
            settings: The guard's ``Settings``, as the pack sets them.
        """


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of a guard that has none."""


class CoreGuard:
    """The base of the core's guards.

    Attributes:
        name: Its name, which is also the reason that it gives.
        Settings: What can be set.
        required: Whether it cannot be switched off.
        merges: Whether it makes the changes out of the requests.
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

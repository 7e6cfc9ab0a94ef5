"""The tuner of rules: trigger tables and zone tables are this engine with different data."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_soak.model.parameters import Bounds, plain_number, step
from pytest_soak.model.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_soak.model.history import History
    from pytest_soak.model.pack import Pack, Rule, Table
    from pytest_soak.model.parameters import Corridor

WIDE = 1e300
"""A bound that stops nothing."""


class TableTuner:
    """Proposes the steps of the fired rules of one table, within the table's own limits."""

    def __init__(self, pack: Pack, table: Table) -> None:
        """Take the *table* and, from its *pack*, the parameters' grids."""
        self._pack = pack
        self._table = table

    @property
    def corridor(self) -> Corridor:
        """The bounds of its steps."""
        return self._table.corridor

    @property
    def announce(self) -> bool:
        """Whether its triggers have marker lines of their own."""
        return self._table.announce

    @property
    def requires(self) -> tuple[str, ...]:
        """Every metric in a condition of a rule."""
        conditions = (c for rule in self._table.rules for c in (*rule.all, *rule.any))
        return tuple(dict.fromkeys(condition.metric for condition in conditions))

    def propose(self, history: History, parameters: Mapping[str, float]) -> Proposal:
        """Sum up the steps of the rules that fire after the latest iteration."""
        fired = self._fired(history)
        multi_fail = self._table.multi_fail
        if multi_fail and len(fired) >= multi_fail.triggers:
            return Proposal(
                deltas=dict(multi_fail.step),
                reasons=(multi_fail.reason,),
                withheld=(multi_fail.reason, *(rule.reason for rule in fired)),
            )
        return self._sum(fired, parameters)

    def _fired(self, history: History) -> list[Rule]:
        fired = [rule for rule in self._table.rules if _fires(rule, history)]
        usual = [rule for rule in fired if not rule.only_if_no_other]
        return usual or fired

    def _sum(self, fired: list[Rule], parameters: Mapping[str, float]) -> Proposal:
        values: dict[str, float] = {}
        reasons: dict[str, list[str]] = {}
        withheld: list[str] = []
        most = self._table.max_changes_per_field
        for rule in fired:
            for name in _touched(rule):
                if _outranked(rule, name, fired):
                    continue
                if most and len(reasons.get(name, ())) >= most:
                    withheld.append(f"max_changes_per_field: {name} ({rule.reason})")
                    continue
                old = values.get(name, parameters[name])
                new = self._stepped(rule, name, old)
                if new != old:
                    values[name] = new
                    reasons.setdefault(name, []).append(rule.reason)
        deltas = {}
        for name, new in values.items():
            deltas[name], cut = self._capped(name, new, parameters[name])
            if cut:
                withheld.append(f"step_cap: {name}")
        return Proposal(
            deltas={name: delta for name, delta in deltas.items() if delta},
            reasons=tuple(dict.fromkeys(rule.reason for rule in fired)),
            reason_of={name: "+".join(parts) for name, parts in reasons.items()},
            withheld=tuple(withheld),
        )

    def _stepped(self, rule: Rule, name: str, old: float) -> float:
        """Return the value of *name* after *rule* alone, including its stops."""
        parameter = self._pack.parameters[name]
        stops = Bounds(rule.not_below.get(name, -WIDE), rule.not_above.get(name, WIDE))
        new = step(parameter, stops, old, rule.step.get(name, 0)).new
        return max(new, rule.at_least.get(name, new))

    def _capped(self, name: str, new: float, old: float) -> tuple[float, bool]:
        """Return the step from *old* to *new*, cut at the table's cap, and whether it was cut."""
        parameter = self._pack.parameters[name]
        apart = plain_number(Decimal(str(new)) - Decimal(str(old)))
        wanted = step(parameter, Bounds(-WIDE, WIDE), old, apart).delta
        cap = self._table.step_cap.get(name, WIDE)
        delta = Bounds(-cap, cap).clamp(wanted)
        return delta, delta != wanted


def _fires(rule: Rule, history: History) -> bool:
    if not all(condition.holds(history) for condition in rule.all):
        return False
    return not rule.any or any(condition.holds(history) for condition in rule.any)


def _touched(rule: Rule) -> Iterable[str]:
    return dict.fromkeys((*rule.step, *rule.at_least))


def _outranked(rule: Rule, name: str, fired: list[Rule]) -> bool:
    return any(other.priority > rule.priority and name in _touched(other) for other in fired)

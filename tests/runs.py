"""Soaks of the demo pack whose files differ in kind: what must hold for the files of any run."""

from __future__ import annotations

from dataclasses import dataclass

from tests.strategies import mock_system


@dataclass(frozen=True)
class Run:
    """A soak of the demo pack, and what must be among its files to make it worth a look."""

    args: tuple[str, ...] = ("--auto-tune",)
    mischief: str = ""
    verdict: str = "PASS"
    sees: str = ""
    """Text that the journal must hold."""

    @property
    def conftest(self) -> str:
        """A system that keeps a state and whose second report is changed by the mischief."""
        return mock_system(
            after=f"if iteration == 2:\n    {self.mischief or 'pass'}",
            returns='report, {"runs": iteration}',
        )


RUNS = {
    "tuned": Run(sees='"applied": true'),
    "untuned": Run((), verdict="FAIL", sees='"auto_tune_off"'),
    "recommend": Run(("--soak-recommend",), verdict="FAIL", sees='"recommend_only"'),
    "seeded": Run(('--soak-overrides={"workers": 99}',), verdict="FAIL", sees='"workers": 16'),
    "held": Run(("--auto-tune", '--soak-overrides={"batch_size": 7}'), sees='"note": "hold"'),
    "gate": Run(("--auto-tune", "--soak-gate=warn:latency_p95_ms<=100"), verdict="WARN"),
    "null": Run(
        mischief="report['totals']['error_rate'] = None", verdict="INCONCLUSIVE", sees="is null"
    ),
    "silent": Run(mischief="del report['parameters'], report['n']", sees='"unknown"'),
    "deaf": Run(
        mischief="report['parameters']['workers'] = 1", verdict="INCONCLUSIVE", sees='"false"'
    ),
    "no report": Run(mischief="report = None", verdict="INCONCLUSIVE", sees='"report": null'),
    "shares": Run(mischief="report['totals']['blocked'] = {'risk': {'count': 1, 'share': 0.5}}"),
}

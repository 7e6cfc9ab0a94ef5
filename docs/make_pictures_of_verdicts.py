"""Create docs/verdict-*.svg: one run for each way in which a criterion speaks.

    pip install matplotlib && python docs/make_pictures_of_verdicts.py

The shipped criteria judge what is drawn; the verdict above each picture is theirs.
"""  # noqa: INP001

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from pytest_soak.gates.criteria import make_kpi
from pytest_soak.model.chain import Rules, WholeRun, judge_whole_run
from pytest_soak.model.stretch import Reading, RunValues, Stretch
from pytest_soak.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pytest_soak.model.verdict import RunJudgement

mpl.rcParams.update({"svg.hashsalt": "soak", "svg.fonttype": "none", "font.size": 10})
mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
mpl.rcParams.update({"font.family": "DejaVu Sans"})
GREY, BLUE, RED, GREEN, ORANGE = "#808890", "#3b8fe0", "#e5484d", "#2fa45a", "#d98300"
"""Colours that can be read on white and on black."""
COLOURS = {Verdict.PASS: GREEN, Verdict.WARN: ORANGE, Verdict.FAIL: RED, None: GREY}
LIMIT = 300
NUMBERS = random.Random(4)  # noqa: S311 - nothing to protect
HERE = Path(__file__).parent


def noisy(level: float, n: int, sigma: float = 9) -> list[float]:
    """Return *n* values around a *level*."""
    return [NUMBERS.gauss(level, sigma) for _ in range(n)]


def judge(values: Sequence[float], first: int = 1, **more: Any) -> RunJudgement:  # noqa: ANN401
    """Return what the last criterion of a KPI says of *values* from iteration *first* on."""
    where = {key: more.pop(key) for key in ("earlier",) if key in more}
    readings = tuple(Reading(number, value) for number, value in enumerate(values, first))
    last = first + len(values) - 1
    run = Stretch(first, last, readings, readings, due=len(values), **where)
    kpi = make_kpi("latency", {"fail": f"> {LIMIT}", **more})
    return kpi.judge_run(replace(run, metric="latency"))[-1]


class Picture:
    """One picture of one or more panels."""

    def __init__(self, panels: int = 1) -> None:
        """Begin a picture of some *panels* beside each other."""
        self.figure = Figure(figsize=(8, 2.9), layout="constrained")
        self.figure.patch.set_alpha(0)
        self.axes: list[Axes] = list(self.figure.subplots(1, panels, sharey=True, squeeze=False)[0])
        for axes in self.axes:
            axes.patch.set_alpha(0)
            axes.tick_params(colors=GREY)
            axes.spines[["left", "bottom"]].set_color(GREY)
            axes.set_xlabel("iteration", color=GREY)
        self.axes[0].set_ylabel("latency in ms", color=GREY)

    def panel(self, number: int, verdict: Verdict | None, title: str) -> Axes:
        """Return a panel with the word of its *verdict* and a *title* above it."""
        axes = self.axes[number]
        word = verdict.name if verdict is not None else "not judged"
        axes.set_title(f"{word}\n{title}", color=COLOURS[verdict], loc="left", fontsize=11)
        return axes

    def save(self, name: str) -> None:
        """Write the picture."""
        path = HERE / f"verdict-{name}.svg"
        self.figure.savefig(path, metadata={"Date": None, "Creator": None})
        svg = path.read_text(encoding="utf-8").replace("'DejaVu Sans'", "sans-serif")
        svg = re.sub(r"\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}", svg)  # small files
        path.write_text(re.sub(r"\s*\n\s*", "\n", svg), encoding="utf-8")


def draw(axes: Axes, values: Sequence[float], first: int = 1, colour: str = BLUE) -> None:
    """Draw *values* as points; red where they are beyond the limit."""
    places = range(first, first + len(values))
    axes.plot(places, values, color=colour, linewidth=1, alpha=0.6)
    colours = [RED if value > LIMIT and colour == BLUE else colour for value in values]
    axes.scatter(places, values, c=colours, s=14, zorder=3)


def limit(axes: Axes, text: str = f"FAIL above {LIMIT}") -> None:
    """Draw the limit."""
    axes.axhline(LIMIT, color=RED, linewidth=1, linestyle="--")
    note(axes, 0.99, LIMIT, text, RED, ha="right", va="bottom")


def note(axes: Axes, x: float, y: float, text: str, colour: str, **how: Any) -> None:  # noqa: ANN401
    """Write a *text*; *x* is a share of the width, *y* a value."""
    place = axes.get_yaxis_transform()
    axes.text(x, y, text, color=colour, transform=place, **how)


def night() -> None:
    """Draw ten bad iterations in the middle, and a few that are tolerated."""
    picture = Picture(2)
    bad = noisy(150, 20) + noisy(420, 10) + noisy(150, 20)
    axes = picture.panel(0, judge(bad).verdict, "bad in the night, good at the end")
    draw(axes, bad)
    limit(axes)
    note(axes, 0.5, 455, "10 of 50 are beyond the limit", RED, ha="center")
    spikes = noisy(150, 50)
    spikes[12], spikes[33] = 380, 410
    budget = {"share": 0.05}
    verdict = judge(spikes, tolerate=budget).verdict
    axes = picture.panel(1, verdict, "2 of 50 are bad, 5 % are tolerated")
    draw(axes, spikes)
    limit(axes)
    axes.set_ylim(80, 490)
    picture.save("limits")


def warm_up() -> None:
    """Draw a cold start, with and without a warm-up."""
    picture = Picture(2)
    cold = [480.0, 410, 360, 320, 290]
    values = [*cold, *noisy(160, 35)]
    axes = picture.panel(0, judge(values).verdict, "a cold start counts, unless ...")
    draw(axes, values)
    limit(axes)
    axes = picture.panel(1, judge(values[5:], 6).verdict, "... --soak-warm-up=5 leaves it out")
    draw(axes, cold, colour=GREY)
    draw(axes, values[5:], 6)
    axes.axvspan(0.5, 5.5, color=GREY, alpha=0.25, linewidth=0)
    axes.text(6.5, 440, "warm-up: not judged", color=GREY)
    limit(axes)
    axes.set_ylim(80, 520)
    picture.save("warm-up")


def trend() -> None:
    """Draw a leak with its forecast, and a run that is too short to tell."""
    picture = Picture(2)
    leak = [value + 1.5 * place for place, value in enumerate(noisy(120, 60))]
    rule = {"fail": "> 0.5 / iteration"}
    judged = judge(leak, trend=rule)
    axes = picture.panel(0, judged.verdict, "every iteration is good, but it leaks")
    draw(axes, leak)
    assert judged.value is not None  # noqa: S101 - for mypy
    middle, level = 30.5, sum(leak) / len(leak)
    end = middle + (LIMIT - level) / judged.value
    axes.plot([1, 60], [level + judged.value * (x - middle) for x in (1, 60)], color=RED)
    ahead = [level + judged.value * (60 - middle), LIMIT]
    axes.plot([60, end], ahead, color=RED, linestyle=":", linewidth=2)
    axes.axvspan(60.5, end + 12, color=GREY, alpha=0.15, linewidth=0)
    first, _, rest = judged.detail.partition(" (")[0].partition(" in ")
    axes.text(63, 95, f"forecast: {first}\nin {rest}", color=RED)
    axes.text(3, 235, f"{judged.value:+.1f} ms per iteration", color=RED)
    limit(axes)
    short = leak[:12]
    axes = picture.panel(1, judge(short, trend=rule).verdict, "12 iterations; a trend needs 24")
    draw(axes, short, colour=GREY)
    axes.set_xlim(0, 60)
    limit(axes)
    axes.set_ylim(80, 340)
    picture.save("trend")


def baseline() -> None:
    """Draw a run that is worse than five earlier ones, and one of which nobody can tell."""
    picture = Picture(2)
    alike, unlike = (150, 147, 153, 149, 151), (150, 118, 176, 133, 168)
    for number, (means, now, title) in enumerate(
        (
            (alike, 180, "worse than the 5 runs before"),
            (unlike, 180, "earlier runs differ as much"),
        )
    ):
        runs = [noisy(mean, 16, 6) for mean in (*means, now)]
        earlier = tuple(RunValues.of(str(i), run) for i, run in enumerate(runs[:-1]))
        judged = judge(runs[-1], earlier=earlier, baseline={"fail": "worse by 10 %"})
        axes = picture.panel(number, judged.verdict, title)
        for place, run in enumerate(runs, 1):
            colour = COLOURS[judged.verdict] if place == len(runs) else BLUE
            spread = [place - 0.25 + i / 32 for i in range(16)]
            axes.scatter(spread, run, s=7, color=colour, alpha=0.5, linewidths=0)
            axes.plot([place - 0.3, place + 0.3], [sum(run) / 16] * 2, color=colour, linewidth=3)
        axes.set_xticks(range(1, 7), ["-5", "-4", "-3", "-2", "-1", "this run"])
        axes.set_xlabel("run; a bar is its mean", color=GREY)
        axes.axvspan(5.5, 6.5, color=GREY, alpha=0.15, linewidth=0)
        word = judged.detail.partition(":")[0]
        change = f"{word}: {judged.value:+.0f} % [{judged.low:+.0f}, {judged.high:+.0f}]"
        note(axes, 0.03, 202, change, COLOURS[judged.verdict], weight="bold")
    picture.axes[0].set_ylim(95, 215)
    picture.save("baseline")


def whole_run() -> None:
    """Draw a tuner that cures every failure an iteration late."""
    picture = Picture()
    values = [350.0] * 2 + noisy(180, 58)
    for place in range(6, 52, 3):
        values[place] = NUMBERS.gauss(350, 9)
    outcomes = [
        SimpleNamespace(
            summary=SimpleNamespace(iteration=number),
            judged=SimpleNamespace(verdict=Verdict.FAIL if value > LIMIT else Verdict.PASS),
        )
        for number, value in enumerate(values, 1)
    ]
    judged = judge_whole_run(outcomes, Rules(window=6, whole_run=WholeRun(0.2)))
    assert judged is not None  # noqa: S101 - for mypy
    title = f"the tuner cures every failure too late: {judged.detail}, more than a fifth"
    axes = picture.panel(0, judged.verdict, title)
    draw(axes, values)
    limit(axes)
    axes.axvspan(52.5, 60.5, color=GREEN, alpha=0.18, linewidth=0)
    axes.text(56.5, 105, "settled stretch:\nall good", color=GREEN, ha="center")
    axes.set_ylim(90, 400)
    picture.save("whole-run")


if __name__ == "__main__":
    for picture_of in (night, warm_up, whole_run, trend, baseline):
        picture_of()

"""The options and their ini keys: the table of settings, and what a run without a soak needs.

Every pytest run of every user imports this module, so it imports nothing but `typing`. Values are
read in `pytest_soak.config.request`, which only a soak imports.

PYTEST_DONT_REWRITE: it asserts nothing, and every pytest run imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Setting:
    """A setting with an option, an ini key (``soak_<name>``) and a marker argument.

    A plain class, because making a dataclass or a named tuple takes 1 to 2 ms.
    """

    def __init__(
        self,
        name: str,
        metavar: str,
        help_text: str,
        *,
        many: bool = False,
        texts: bool = False,
        kind: type[str | int | float] = str,
        marker: bool = True,
    ) -> None:
        """Describe a setting.

        Args:
            name: Its name in the marker; option and ini key are derived from it.
            metavar: What the help shows as the option's value.
            help_text: What it does, in one line.
            many: Whether it may be given several times.
            texts: Whether ini file and marker may give a list of texts, as they may for *many*.
            kind: The type of its value.
            marker: Whether it may be set on the marker.
        """
        self.name = name
        self.metavar = metavar
        self.help = help_text
        self.many = many
        self.texts = many or texts
        self.kind = kind
        self.marker = marker

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return f"--soak-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        """The key in the ini file."""
        return f"soak_{self.name}"


SETTINGS = (
    Setting("pack", "NAME|FILE", "domain: parameters, rules, KPIs (default: demo)"),
    Setting("system", "NAME", "what is soaked (default: the pack's)"),
    Setting("scenario", "NAME", "conditions it runs under (default: the pack's)"),
    Setting("profile", "NAME|FILE", "base of the parameters (default: the pack's)"),
    Setting(
        "tuner", "NAME[,NAME]", "who proposes under --auto-tune (default: the pack's)", texts=True
    ),
    Setting(
        "gate", "METRIC>=X", "what is good, replaces a KPI's FAIL limit; warn:METRIC>=X", many=True
    ),
    Setting("observe", "N", "iterations at the end in which nothing is applied", kind=int),
    Setting(
        "warm_up", "N", "iterations at the start that are neither judged nor tuned on", kind=int
    ),
    Setting(
        "baseline",
        "RUN|PATH|required|none",
        "the runs that KPIs with a baseline are compared with (default: the last good ones)",
    ),
    Setting("seed", "N", "seed of the run (default: 0)", kind=int),
    Setting(
        "slot",
        "SECONDS",
        "length of a slot of --soak-hours (default: 300)",
        kind=float,
        marker=False,
    ),
    Setting("dir", "PATH", "folder of the artifacts (default: artifacts/soak)", marker=False),
)

DEFAULT_DIR = "artifacts/soak"
COMMAND = "soak_command"
"""The key in the ini file for the program of the system ``command``."""
LENGTH = "--soak-iterations=N or --soak-hours=H"
MARKER = (
    "soak(system=, scenario=, tuner=, pack=, profile=, gate=, observe=, warm_up=, baseline=, "
    "seed=, skippable=): this test is a soak; the arguments are settings of its own, see the docs "
    "of pytest-soak"
)
SKIPPABLE = "skippable"
"""The marker's argument that allows a mark to skip the chain; not a setting of a run."""
SKIP_REASON = f"a soak: run it with {LENGTH} [--auto-tune]"
FLAGS = {
    "--soak-iterations": "soak_iterations",
    "--soak-hours": "soak_hours",
    "--auto-tune": "auto_tune",
    "--soak-recommend": "soak_recommend",
    "--soak-abort": "soak_abort",
    "--soak-resume": "soak_resume",
    "--soak-overrides": "soak_overrides",
    "--soak-replay": "soak_replay",
    **{setting.flag: setting.ini for setting in SETTINGS},
}
"""Every option, with the name under which pytest keeps its value."""


def add_options(parser: pytest.Parser) -> None:
    """Add the options and their ini keys."""
    group = parser.getgroup("soak", "soak runs with closed-loop auto-tuning (pytest-soak)")
    group.addoption(
        "--soak-iterations", metavar="N", type=int, help="soak: run each chain for N iterations"
    )
    group.addoption(
        "--soak-hours", metavar="H", type=float, help="soak: run each chain for H hours of slots"
    )
    group.addoption(
        "--auto-tune", action="store_true", help="soak: apply what the tuners propose, guarded"
    )
    group.addoption(
        "--soak-recommend",
        action="store_true",
        help="soak: record what the tuners propose, apply nothing",
    )
    group.addoption(
        "--soak-resume",
        metavar="force",
        nargs="?",
        const="yes",
        help="soak: resume the newest unfinished run; =force: even if settings changed",
    )
    group.addoption(
        "--soak-abort",
        action="store_true",
        help="soak: end a chain as soon as its verdict cannot be better than FAIL",
    )
    group.addoption("--soak-overrides", metavar="FILE|JSON", help="soak: overrides to start from")
    group.addoption(
        "--soak-replay", metavar="PATH", help="soak: the recorded run of --soak-system=replay"
    )
    parser.addini(COMMAND, "soak: program and arguments of --soak-system=command", "args", [])
    for setting in SETTINGS:
        text = f"soak: {setting.help}"
        if setting.many:
            group.addoption(setting.flag, metavar=setting.metavar, action="append", help=text)
        else:
            group.addoption(setting.flag, metavar=setting.metavar, type=setting.kind, help=text)
        if setting.texts:
            parser.addini(setting.ini, text, type="linelist", default="")
        else:
            parser.addini(setting.ini, text, default="")


def given_flags(config: pytest.Config) -> list[str]:
    """Return the options that have a value, from the command line or from ``addopts``."""
    values = {flag: config.getoption(name) for flag, name in FLAGS.items()}
    return [flag for flag, value in values.items() if value is not None and value is not False]


def soaks(config: pytest.Config) -> bool:
    """Tell whether a soak was asked for and this process is no worker of pytest-xdist."""
    lengths = config.getoption("soak_iterations"), config.getoption("soak_hours")
    return lengths != (None, None) and not hasattr(config, "workerinput")

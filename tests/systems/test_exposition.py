"""What a program exposes becomes a value, or a line that says why not; never a guess."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pytest_soak.packs.http import Kind
from pytest_soak.systems.http.exposition import (
    MAX_LINE,
    Measure,
    Scrape,
    Series,
    Unmeasured,
    Value,
    check_shown,
    measure,
    read_text,
    restarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GAUGE = Measure(Kind.GAUGE, Series("depth"))
RATE = Measure(Kind.RATE, Series("hits_total"))
INCREASE = Measure(Kind.INCREASE, Series("hits_total"))
RATIO = Measure(Kind.RATIO, Series("hits_total", {"code": ("500", "503")}), Series("hits_total"))
P95 = Measure(Kind.QUANTILE, Series("took"), quantile=0.95)
MEAN = Measure(Kind.RATIO, Series("took_sum"), Series("took_count"))
HITS = "# TYPE hits_total counter\n"
OM = "application/openmetrics-text"


def between(how: Measure, start: str, end: str, *, since: float = -math.inf) -> Value:
    """Return what *how* measures in two seconds between two texts."""
    return measure(how, read_text(start.encode(), 5), read_text(end.encode(), 7, since))


def buckets(*counts: tuple[str, float], labels: str = "") -> str:
    rows = (f'took_bucket{{{labels}le="{bound}"}} {count}\n' for bound, count in counts)
    return "# TYPE took histogram\n" + "".join(rows)


def test_each_kind_is_what_it_says() -> None:
    start, end = f"{HITS}hits_total 3\ndepth 9\n", f"{HITS}hits_total 10\ndepth 4\n"
    assert between(GAUGE, start, end) == Value(4)
    assert between(INCREASE, start, end) == Value(7)
    assert between(RATE, start, end) == Value(3.5)
    assert between(replace(RATE, factor=60), start, end) == Value(210)


def test_a_ratio_is_of_two_increases_and_has_the_second_one_as_n() -> None:
    start = 'hits_total{code="200"} 10\nhits_total{code="500"} 1\n'
    end = 'hits_total{code="200"} 16\nhits_total{code="500"} 2\nhits_total{code="503"} 1\n'
    every = replace(RATIO, together=True, from_zero=True)
    assert between(every, start, end) == Value(0.25, 8)
    assert between(every, end, end) == Value(None, 0)
    seconds = end.replace("16", "16.5")
    assert between(every, start, seconds) == Value(2 / 8.5, None)


def test_a_counter_may_be_written_without_its_total() -> None:
    assert between(
        replace(RATE, series=Series("hits")),
        "# TYPE hits counter\nhits 1\n",
        HITS + "hits_total 5\n",
    ) == Value(2)


def test_labels_choose_among_series_and_a_sum_takes_all() -> None:
    start = 'depth{q="a",z="1"} 0\ndepth{q="b",z="1"} 0\n'
    end = 'depth{q="a",z="1"} 2\ndepth{q="b",z="1"} 5\n'
    assert between(replace(GAUGE, series=Series("depth", {"q": ("b",)})), start, end) == Value(5)
    both = replace(GAUGE, series=Series("depth", {"z": ("1",)}), together=True)
    assert between(both, start, end) == Value(7)


def test_a_quantile_is_taken_of_the_slot_alone_and_interpolated() -> None:
    start = buckets(("1.0", 100), ("2", 100), ("4", 100), ("+Inf", 100))
    end = buckets(("1.0", 110), ("2", 115), ("4", 120), ("+Inf", 120))
    assert between(replace(P95, quantile=0.875), start, end) == Value(3, 20)
    assert between(replace(P95, quantile=0.25), start, end) == Value(0.5, 20)
    below = buckets(("-1", 0), ("+Inf", 0)), buckets(("-1", 4), ("+Inf", 4))
    assert between(P95, *below) == Value(-1, 4)
    assert between(P95, end, end) == Value(None, 0)


def test_histograms_are_summed_bucket_by_bucket() -> None:
    start = buckets(("1", 0), ("2", 0), ("+Inf", 0), labels='path="/",')
    end = buckets(("1", 10), ("2", 10), ("+Inf", 10), labels='path="/",')
    more = buckets(("1.0", 0), ("2", 10), ("+Inf", 10), labels='path="/x",')
    both = replace(P95, together=True, from_zero=True, quantile=0.75)
    assert between(both, start, end + more) == Value(1.5, 20)
    assert between(both, "", "# TYPE took histogram\n") == Value(None, 0)
    with pytest.raises(Unmeasured, match="different buckets"):
        between(both, start, end + more.replace('"2"', '"3"'))


REGISTERED = st.lists(st.floats(0.001, 9), min_size=1, max_size=60)


@given(REGISTERED, REGISTERED, st.floats(0.01, 0.99))
def test_a_quantile_of_a_real_client_lies_in_the_bucket_of_the_true_one(
    earlier: list[float], seen: list[float], quantile: float
) -> None:
    registry = CollectorRegistry()
    bounds = (0.5, 1, 2, 4, 10)
    took = Histogram("took", "How long it took.", buckets=bounds, registry=registry)
    hits = Counter("hits", "How many.", registry=registry)
    depth = Gauge("depth", "How deep.", registry=registry)

    def take(values: Sequence[float]) -> bytes:
        for value in values:
            took.observe(value)
            hits.inc(value)
            depth.set(value)
        return generate_latest(registry)

    start, end = read_text(take(earlier), 0), read_text(take(seen), 1)
    value = measure(replace(P95, quantile=quantile), start, end)
    true = sorted(seen)[math.ceil(quantile * len(seen) - 1e-9) - 1]
    bound = min(bound for bound in bounds if bound >= true)
    assert value.n == len(seen)
    assert value.value is not None
    assert max((0.0, *(one for one in bounds if one < bound))) <= value.value <= bound
    assert measure(RATE, start, end).value == pytest.approx(sum(seen))
    assert measure(GAUGE, start, end).value == seen[-1]
    assert measure(MEAN, start, end).value == pytest.approx(statistics.fmean(seen))
    assert measure(MEAN, start, end).n == len(seen)


ONE = HITS + "hits_total 5\n"
CODES = 'hits_total{code="200"} 5\nhits_total{code="500"} 5\n'
TOLD = {
    "absent": (GAUGE, "", "", "^depth is not there; allowed: a series that the program shows$"),
    "misspelt": (RATE, "hit_total 1\n", "hit_total 2\n", "is not there, did you mean 'hit_total'"),
    "of another length": (GAUGE, "", f"{'depth' * 99} 2\n", "^depth is not there; allowed"),
    "absent with these labels": (
        replace(RATE, series=Series("hits_total", {"code": ("9", "8")})),
        CODES,
        CODES,
        r"^hits_total\{code='9\|8'\} is not there; hits_total is, with other labels or none; ",
    ),
    "never there": (
        replace(RATE, from_zero=True),
        "",
        "",
        "^hits_total is not there; allowed: a series that the program shows$",
    ),
    "several": (
        RATE,
        CODES,
        CODES,
        r"hits_total is 2 series, such as hits_total\{code='200'\} and",
    ),
    "several gauges": (GAUGE, "", 'depth{a="1"} 1\ndepth 2\n', "depth is 2 series"),
    "twice": (GAUGE, "", "depth 1\ndepth 1\n", "depth is there twice"),
    "NaN": (GAUGE, "", "depth NaN\n", "depth is nan; allowed: a finite number"),
    "infinite": (GAUGE, "", "depth +Inf\n", "depth is inf"),
    "NaN of a counter": (RATE, HITS + "hits_total NaN\n", ONE, "hits_total is nan"),
    "reset": (RATE, ONE, HITS + "hits_total 4\n", "hits_total fell from 5 to 4: it was reset"),
    "new": (RATE, HITS, ONE, "was not there at the start of the slot; .* from_zero = true"),
    "gone": (replace(RATE, from_zero=True), ONE, HITS, "^hits_total is not there; hits_total is"),
    "one is gone": (
        replace(RATE, together=True),
        CODES,
        CODES.splitlines(keepends=True)[0],
        r"hits_total\{code='500'\} was there at the start of the slot, and is gone",
    ),
    "a gauge that counts": (GAUGE, "", "# TYPE depth counter\ndepth_total 1\n", "depth is not"),
    "a counter as a gauge": (
        replace(GAUGE, series=Series("hits_total")),
        ONE,
        ONE,
        "hits_total is a counter; allowed: a gauge",
    ),
    "a gauge as a counter": (
        replace(RATE, series=Series("depth")),
        "# TYPE depth gauge\ndepth 1\n",
        "# TYPE depth gauge\ndepth 2\n",
        "depth is a gauge; allowed: a counter",
    ),
    "above the largest bucket": (
        P95,
        buckets(("1", 0), ("+Inf", 0)),
        buckets(("1", 9), ("+Inf", 10)),
        "quantile 0.95 of took is above its largest bucket, 1",
    ),
    "one bucket": (P95, buckets(("+Inf", 0)), buckets(("+Inf", 3)), "largest bucket, none"),
    "no last bucket": (P95, buckets(("1", 0)), buckets(("1", 9)), "not cumulative up to"),
    "not cumulative": (
        P95,
        buckets(("1", 0), ("+Inf", 0)),
        buckets(("1", 9), ("+Inf", 8)),
        "not cumulative up to",
    ),
    "odd bounds": (P95, buckets(("x", 0)), buckets(("x", 9)), "a bucket ends at 'x'"),
    "no histogram": (P95, "took 3\n", "took 4\n", "took is not there; took is, with other"),
    "several histograms": (
        P95,
        buckets(("+Inf", 0)) + buckets(("+Inf", 0), labels='a="1",'),
        buckets(("+Inf", 0)) + buckets(("+Inf", 0), labels='a="1",'),
        "took is 2 series",
    ),
}


@pytest.mark.parametrize(("how", "start", "end", "why"), TOLD.values(), ids=list(TOLD))
def test_a_doubtful_metric_has_no_value(how: Measure, start: str, end: str, why: str) -> None:
    with pytest.raises(Unmeasured, match=why):
        between(how, start, end)


def test_a_sample_from_before_the_slot_is_stale_at_its_end() -> None:
    old, new = "hits_total 5 1700000000000\n", "hits_total 9 1700000009000\n"
    assert between(RATE, old, new, since=1700000001) == Value(2)
    with pytest.raises(Unmeasured, match="hits_total is stale: its sample is older than the slot"):
        between(RATE, old, old, since=1700000001)


@pytest.mark.parametrize("how", [GAUGE, INCREASE], ids=["gauge", "counter"])
@pytest.mark.parametrize("form", ["text", "OpenMetrics"])
def test_a_sample_that_is_as_old_at_both_ends_is_stale_however_new_it_says_to_be(
    how: Measure, form: str
) -> None:
    def at(time: int) -> Scrape:
        if form == "text":
            return read_text(f"depth 5 {time}000\n{HITS}hits_total 5 {time}000\n".encode(), time)
        text = f"# TYPE depth gauge\ndepth 5 {time}\n# TYPE hits counter\nhits_total 5 {time}.0\n"
        return read_text(f"{text}# EOF\n".encode(), time, kind=OM)

    ahead = 9_000_000_000
    assert measure(how, at(ahead), at(ahead + 1)).value is not None
    with pytest.raises(Unmeasured, match="is stale: its sample has the same time at the start"):
        measure(how, at(ahead), at(ahead))


BORN = """
# TYPE hits_total counter
hits_total{{code="200"}} {0}
hits_total{{code="500"}} 5
# TYPE hits_created gauge
hits_created{{code="200"}} {1}
hits_created{{code="500"}} 1.7e9
# TYPE took histogram
took_bucket{{le="1"}} {0}
took_bucket{{le="+Inf"}} {0}
took_sum {0}
took_count {0}
# TYPE took_created gauge
took_created {1}
"""
BORN_OM = """# TYPE hits counter
hits_total{{code="200"}} {0}
hits_created{{code="200"}} {1}
hits_total{{code="500"}} 5
hits_created{{code="500"}} 1.7e9
# TYPE took histogram
took_bucket{{le="1.0"}} {0}
took_bucket{{le="+Inf"}} {0}
took_sum {0}
took_count {0}
took_created {1}
# EOF
"""
OKS = replace(INCREASE, series=Series("hits_total", {"code": ("200",)}))


@pytest.mark.parametrize(("text", "kind"), [(BORN, "text/plain"), (BORN_OM, OM)])
@pytest.mark.parametrize(
    ("how", "who"),
    [
        (OKS, r"hits_total\{code='200'\} was reset, as hits_created says"),
        (P95, r"took_bucket\{le='.*'\} was reset, as took_created says"),
        (MEAN, "took_sum was reset, as took_created says"),
    ],
)
def test_a_counter_that_says_when_it_began_is_no_longer_the_same_where_that_changes(
    how: Measure, who: str, text: str, kind: str
) -> None:
    def said(value: int, born: str) -> Scrape:
        return read_text(text.format(value, born).encode(), kind=kind)

    start = said(5, "1.7e9")
    assert measure(how, start, said(9, "1.7e9")).value is not None
    with pytest.raises(Unmeasured, match=who):
        measure(how, start, said(9, "1.700000001e9"))
    others = replace(INCREASE, series=Series("hits_total", {"code": ("500",)}))
    assert measure(others, start, said(9, "1.700000001e9")) == Value(0)


def test_what_is_called_created_and_is_no_time_is_a_metric_like_others() -> None:
    jobs = replace(INCREASE, series=Series("jobs_total"))
    assert (
        between(jobs, "jobs_total 3\njobs_created 4\n", "jobs_total 5\njobs_created 9\n").value == 2
    )


@pytest.mark.parametrize(
    "body",
    [b"<html>busy</html>\n", b'{"a": 1}\n', b"hello world\n", b"\xff\xfe 1\n", b"a 12"],
)
def test_what_is_no_text_of_prometheus_is_not_read(body: bytes) -> None:
    with pytest.raises(Unmeasured, match=r"is no text of Prometheus|broke off"):
        read_text(body)


SPOKEN = """# TYPE depth gauge
depth 3 1.5
# TYPE hits counter
hits_total 5 # {trace="a"} 1.0
hits_created 1.5
# EOF
"""


def test_openmetrics_is_read_by_its_own_rules() -> None:
    scrape = read_text(SPOKEN.encode(), 7, kind=OM)
    assert measure(GAUGE, Scrape({}, {}), scrape) == Value(3)
    assert measure(INCREASE, read_text(f"{HITS}hits_total 1\n".encode()), scrape) == Value(4)
    assert read_text(SPOKEN.encode().rstrip(), kind=OM) == read_text(SPOKEN.encode(), kind=OM)
    with pytest.raises(Unmeasured, match="depth is stale"):  # its times are seconds
        measure(GAUGE, scrape, replace(scrape, since=1.75))


def test_a_native_histogram_is_no_value() -> None:
    text = (
        "# TYPE took histogram\n"
        "took {count:2,sum:3.0,schema:0,zero_threshold:0.1,zero_count:2}\n"
        "# EOF\n"
    )
    none = "took is not there|no text of Prometheus"  # older parsers know nothing of it
    with pytest.raises(Unmeasured, match=none):
        measure(
            replace(RATE, series=Series("took")), Scrape({}, {}), read_text(text.encode(), kind=OM)
        )


def test_a_histogram_that_may_fall_counts_nothing() -> None:
    text = buckets(("1.0", 9), ("+Inf", 9)).replace("histogram", "gaugehistogram") + "# EOF\n"
    scrape = read_text(text.encode(), kind=OM)
    with pytest.raises(Unmeasured, match="took_bucket is a gaugehistogram; allowed: a counter"):
        measure(P95, scrape, scrape)


@given(st.integers(0, len(SPOKEN) - 2))
def test_openmetrics_that_is_cut_anywhere_is_not_read(at: int) -> None:
    with pytest.raises(Unmeasured, match="broke off: it does not end with # EOF"):
        read_text(SPOKEN[:at].encode(), kind=OM)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("depth 1\ndepth 9\n# EOF\n", "there are 2 samples of 1 series"),
        ("depth 1\n# EOF\ndepth 9\n# EOF\n", "no text of Prometheus: Received line after # EOF"),
    ],
)
def test_openmetrics_against_its_rules_is_not_read(text: str, why: str) -> None:
    with pytest.raises(Unmeasured, match=why):
        read_text(text.encode(), kind=OM)


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        ("", "", False),
        ("1.5", "1.5", False),
        ("1.5", "2.5", True),
        ("1.5", "", True),
        ("1700000000.25", "1700000001.2", False),
        ("1700000001.2", "1700000000.25", False),
        ("1700000000.25", "1700000001.25", True),
        ("1700000001.25", "1700000000.25", True),
        ("NaN", "1.5", False),
        ("1.5", "NaN", False),
        ("NaN", "NaN", False),
    ],
)
def test_another_start_time_is_another_process(before: str, after: str, anew: bool) -> None:
    texts = [f"process_start_time_seconds {at}\n" if at else "" for at in (before, after)]
    assert restarted(*(read_text(text.encode()) for text in texts)) is anew


@pytest.mark.parametrize("known", [(True, False), (False, True)], ids=["goes", "appears"])
@pytest.mark.parametrize("how", [OKS, P95, MEAN])
def test_a_counter_whose_time_of_creation_is_known_only_once_was_not_reset(
    how: Measure, known: tuple[bool, bool]
) -> None:
    def said(value: int, *, shown: bool) -> Scrape:
        lines = BORN.format(value, "1.7e9").splitlines(keepends=True)
        return read_text(
            "".join(line for line in lines if shown or "_created" not in line).encode()
        )

    assert measure(how, said(5, shown=known[0]), said(9, shown=known[1])).value is not None


# What is asked for before a run by the hour.

SHOWN = f"{HITS}{CODES}depth NaN 1\n{buckets(('+Inf', 0))}# TYPE lag gauge\nlag 1\n"


@pytest.mark.parametrize(
    "how",
    [
        GAUGE,
        P95,
        replace(RATE, together=True),
        replace(RATIO, together=True),
        replace(RATE, series=Series("hits", {"code": ("200",)})),
        replace(RATE, series=Series("hits_total", {"code": ("404",)}), from_zero=True),
    ],
)
def test_what_is_shown_may_have_no_value_yet(how: Measure) -> None:
    check_shown(how, read_text(SHOWN.encode(), since=math.inf))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (replace(GAUGE, series=Series("dept")), "dept is not there, did you mean 'depth'"),
        (replace(RATE, series=Series("hits_total", {"code": ("4",)})), "say from_zero = true"),
        (RATE, "hits_total is 2 series, such as"),
        (RATIO, "hits_total is 2 series, such as"),
        (replace(RATIO, of=Series("calls_total")), "calls_total is not there"),
        (replace(P95, series=Series("hits")), "hits is not there"),
        (replace(RATE, series=Series("lag")), "lag is a gauge; allowed: a counter. Use gauge"),
        (replace(GAUGE, series=Series("hits_total")), "is a counter; allowed: a gauge. Use rate"),
    ],
)
def test_what_is_not_shown_is_told_with_the_way_to_mend_it(how: Measure, why: str) -> None:
    with pytest.raises(Unmeasured, match=why):
        check_shown(how, read_text(SHOWN.encode()))


# Large answers.


class OutOfTime(Unmeasured):
    """Raised by a check, as where the timeout is over."""


def after(lines: int) -> Callable[[], None]:
    """Return a check whose time is over after *lines* calls."""
    left = iter(range(lines))

    def check() -> None:
        if next(left, None) is None:
            raise OutOfTime

    return check


@pytest.mark.parametrize("kind", ["text/plain", OM])
def test_an_answer_is_read_only_while_there_is_time(kind: str) -> None:
    rows = "".join(f'depth{{a="{n}"}} 1\n' for n in range(99))
    body = f"# TYPE depth gauge\n{rows}# EOF\n".encode()
    assert len(read_text(body, kind=kind, check=after(101)).samples["depth"]) == 99
    with pytest.raises(OutOfTime):
        read_text(body, kind=kind, check=after(100))


@pytest.mark.parametrize("how", [GAUGE, INCREASE, P95, MEAN])
def test_series_are_searched_only_while_there_is_time(how: Measure) -> None:
    scrape = read_text(f"{BORN.format(5, '1.7e9')}depth 1\n".encode())
    every = replace(how, together=True)
    measure(every, scrape, scrape)
    with pytest.raises(OutOfTime):
        measure(every, scrape, replace(scrape, check=after(0)))
    with pytest.raises(OutOfTime):
        check_shown(every, replace(scrape, check=after(0)))
    if how is not GAUGE:
        with pytest.raises(OutOfTime):
            measure(every, replace(scrape, check=after(0)), scrape)


@pytest.mark.parametrize("kind", ["text/plain", OM])
def test_a_line_is_only_read_up_to_a_length(kind: str) -> None:
    def body(length: int) -> bytes:
        return f"# HELP depth {'x' * (length - 14)}\ndepth 1\n# EOF\n".encode()

    assert measure(GAUGE, Scrape({}, {}), read_text(body(MAX_LINE), kind=kind)).value == 1
    with pytest.raises(Unmeasured, match="a line of the answer has 65537 characters; allowed: 655"):
        read_text(body(MAX_LINE + 1), kind=kind)


def test_an_exemplar_in_the_text_format_is_told_and_its_time_not_taken_for_the_samples() -> None:
    exemplar = b'took_bucket{le="1"} 4 # {trace="a"} 0.5 1600000000.0\n'
    with pytest.raises(Unmeasured, match=r"has an exemplar, # \{\.\.\.\}; allowed: in OpenMetrics"):
        read_text(b"depth 1\n" + exemplar, since=1.7e9)
    label = b'depth{says="a \\" # {b}"} 1\n# HELP depth # {\n'
    assert [sample.value for sample in read_text(label).samples["depth"]] == [1]

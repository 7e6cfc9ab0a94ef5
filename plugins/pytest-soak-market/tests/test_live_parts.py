"""The parts of the live market, without a process: pack, settings, wire, gateways."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from dataclasses import fields, replace
from itertools import pairwise
from math import inf
from random import Random
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import convert
from pytest_soak_market.market.bot import MarketMaker
from pytest_soak_market.market.clock import VirtualClock, WallClock
from pytest_soak_market.market.memory import Memory, Quote
from pytest_soak_market.market.messages import Message, Request, RequestKind, Topic
from pytest_soak_market.market.parameters import MakerParameters
from pytest_soak_market.market.settings import MarketSettings
from pytest_soak_market.market.system import WARM_UP_S
from pytest_soak_market.market.units import LOT
from pytest_soak_market.market.venue import Venue
from pytest_soak_market.plugin import LIVE_PACK, PACK, make_fastmm, make_live

from pytest_soak import SoakUsageError
from pytest_soak.packs.loader import load_pack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytest.importorskip("websockets", reason="needs the extra live of pytest-soak-market")

from pytest_soak_market.live.exchange import Exchange
from pytest_soak_market.live.fastmm_exchange import (
    SYMBOL,
    configuration,
    to_toml,
)
from pytest_soak_market.live.fastmm_gateway import (
    FastmmGateway,
    OthersBook,
)
from pytest_soak_market.live.gateway import GatewayLost, OurGateway
from pytest_soak_market.live.settings import FastmmSettings, LiveSettings
from pytest_soak_market.live.trader import SlotRecorder, Trader
from pytest_soak_market.live.wire import messages_of, requests_of, to_frame
from websockets.exceptions import ConnectionClosedError

BASE = load_pack(PACK)
OWN = load_pack(LIVE_PACK)


def test_the_live_pack_is_the_other_one_but_for_what_it_says() -> None:
    assert (OWN.name, OWN.source) == ("market-maker-live", f"{LIVE_PACK} over {PACK}")
    assert OWN.tables == BASE.tables
    assert OWN.parameters == BASE.parameters
    assert OWN.profiles == BASE.profiles
    assert set(OWN.metrics) == {*BASE.metrics, "feed_gap_ms", "ack_p95_ms"}
    assert OWN.noise == {}
    assert "net_bps" not in {kpi.metric for kpi in OWN.kpis}


@pytest.mark.parametrize("scenario", sorted(OWN.scenarios))
def test_shipped_scenarios_are_valid_settings(scenario: str) -> None:
    assert make_live(OWN, scenario).check(OWN.profiles["S1"].fields) is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"faults": {"drop": 1.0}},
            ".faults: unknown key 'drop'; allowed: drop_after_s, drop_for_s, ",
        ),
        ({"faults": 1}, ".faults: 1 given; allowed: a table"),
        ({"faults": {"reject_share": 2.0}}, ".faults.reject_share: 2.0 given; allowed: 1 or less"),
        ({"volatility": 1.0}, ": unknown key 'volatility', did you mean 'volatility_bps'?"),
    ],
)
def test_wrong_settings_say_what_is_wrong(settings: dict[str, Any], complaint: str) -> None:
    pack = replace(OWN, scenarios={"odd": {"market-live": settings}})
    with pytest.raises(SoakUsageError, match=re.escape(f"scenarios.odd.market-live{complaint}")):
        make_live(pack, "odd")


def test_an_exchange_of_others_takes_no_faults() -> None:
    names = [entry.name for entry in fields(LiveSettings)]
    assert [entry.name for entry in fields(FastmmSettings)] == names[:-1]
    assert names[-1] == "faults"


@pytest.mark.parametrize(
    ("make", "missing", "extra"),
    [
        (make_live, "websockets", "live"),
        (make_live, "psutil", "live"),
        (make_fastmm, "fastmm_live", "fastmm"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_to_install_it(
    make: Callable[..., object], missing: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "pytest_soak_market.plugin.find_spec", lambda name: None if name == missing else there(name)
    )
    told = rf"needs {missing}, which is not installed: pip install 'pytest-soak-market\[{extra}\]'"
    with pytest.raises(SoakUsageError, match=told):
        make(OWN, "calm")


def test_a_pack_without_a_live_market_says_which_scenarios_there_are() -> None:
    with pytest.raises(SoakUsageError, match="scenarios for the system market-live: none"):
        make_live(BASE, "calm")


def test_frames_give_back_what_was_put_in() -> None:
    messages = [
        Message(1.5, 2.5, Topic.FILL, 7, -3, 4, -0.5, 2.0, is_taker=True, since_s=1.25),
        Message(1.75, 2.5, Topic.ENDED, 7, cause="filled"),
    ]
    requests = [Request(RequestKind.REPLACE, 1.5, 8, 1, 4, 2, 7)]
    assert messages_of(to_frame(messages)) == messages
    assert requests_of(to_frame(requests)) == requests


def test_work_burns_at_least_its_time() -> None:
    clock = WallClock()
    before = clock.now()
    clock.work(0.0)
    clock.work(0.02)
    assert clock.worked_s == 0.02
    assert 0.015 < clock.took_s <= clock.now() - before


# ---- what a maker makes of a connection that begins anew


def test_orders_that_a_broken_connection_lost_are_forgotten() -> None:
    memory = Memory(tokens=1.0, is_hedging=True)
    memory.quotes[1][5] = Quote(1, 100, 0.0)
    used = MakerParameters.from_mapping(BASE.profiles["S1"].fields)
    maker = MarketMaker(MarketSettings(), used, Random(1), memory, VirtualClock())
    maker.hear(Message(1.0, 5e6, Topic.OPEN))
    assert (memory.quotes, memory.is_hedging) == ({1: {}, -1: {}}, False)
    maker.hear(Message(1.1, 5e6, Topic.ENDED, 5))  # told late: it knows nothing of it any more
    memory.decided_s = 0.0
    assert maker.think(Message(1.2, 5e6, Topic.ENDED, 5)) == []
    assert not maker.blocks


def test_a_venue_that_was_asleep_goes_on_from_now() -> None:
    heard: list[Message] = []
    venue = Venue(MarketSettings(), Random(1), 0.0, heard.append)
    venue.skip_to(100.0)
    assert venue.next_s == 100.0
    while not heard:
        venue.step(100.0)
    assert venue.next_s > 100.0


def test_a_venue_cancels_all_that_its_maker_has() -> None:
    heard: list[Message] = []
    venue = Venue(MarketSettings(), Random(1), 0.0, heard.append)
    venue.serve(0.5, Request(RequestKind.NEW, 0.4, 1, 1, 4_990_000, 10))
    venue.cancel_all(1.0)
    assert [(m.topic, m.order_id, m.cause, m.since_s) for m in heard] == [
        (Topic.ENDED, 1, "cancelled", 0.5)
    ]


# ---- gateways


@pytest.mark.parametrize("gateway", [OurGateway(9), FastmmGateway(9)], ids=["ours", "fastmm"])
def test_without_a_connection_a_gateway_is_lost(gateway: Any) -> None:
    async def use() -> None:
        with pytest.raises(GatewayLost):
            await gateway.connect()  # nobody listens on this port
        with pytest.raises(GatewayLost, match="not connected"):
            await gateway.send([Request(RequestKind.CANCEL, 0.0, 1)])
        await gateway.close()

    asyncio.run(use())


class BrokenSocket:
    async def send(self, _: str) -> None:
        raise ConnectionClosedError(None, None)

    async def close(self) -> None:
        """Nothing is left to be closed."""


def test_a_connection_that_broke_is_noticed_when_it_is_written_to() -> None:
    ours, others = OurGateway(9), FastmmGateway(9)
    ours._socket = others._api = cast("Any", BrokenSocket())
    for gateway in (ours, others):
        trader = Trader(MarketSettings(), gateway, "market-live")
        trader._is_connected = True
        slot = SlotRecorder(0.0, 2.0, 1e5, 0, 5e6)
        asyncio.run(trader._send(slot, [Request(RequestKind.CANCEL, 0.0, 1)]))
        assert (slot.losses, trader._is_connected) == (1, False)


def test_a_maker_that_does_not_read_is_thrown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_soak_market.live.exchange._MAX_UNREAD", 2)
    ours = Exchange(convert({}, LiveSettings), 0)
    aborted: list[int] = []
    transport = SimpleNamespace(abort=lambda: aborted.append(len(ours._unread)))
    ours._disconnect()  # with nobody there, nothing happens
    ours._connection = cast("Any", SimpleNamespace(transport=transport))
    for _ in range(3):
        ours._publish(Message(1.0, 5e6, Topic.MARKET))
    assert aborted == [3]


class Connection:
    """A maker's end of a connection, on which it asks for things and hears until something came."""

    def __init__(self, heard: int, *requests: Request) -> None:
        self.request = SimpleNamespace(path=f"/?received={heard}")
        self.told: list[Message] = []
        self._requests = requests
        self._heard = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        yield to_frame(self._requests)
        await asyncio.wait_for(self._heard.wait(), 10)

    async def send(self, frame: str) -> None:
        self.told += messages_of(frame)
        self._heard.set()


def test_orders_of_a_lost_connection_are_cancelled_and_the_next_connection_learns_of_it() -> None:
    async def connect_twice() -> list[Message]:
        ours = Exchange(convert({}, LiveSettings), 0)
        quote = Request(RequestKind.NEW, 0.0, 1, 1, 4_990_000, 10)
        first, second = Connection(0, quote), Connection(1)  # it heard that its order was taken
        for connection in (first, second):
            await ours.handle(cast("Any", connection))
        return second.told

    told = asyncio.run(connect_twice())
    assert [(message.topic, message.order_id, str(message.cause)) for message in told] == [
        (Topic.ENDED, 1, "cancelled"),
        (Topic.OPEN, 0, ""),
    ]


# ---- what a slot is measured by


def test_a_feed_that_is_silent_until_its_slot_ends_is_a_gap() -> None:
    slot = SlotRecorder(0.0, 4.0, 1e5, 0, 5e6)
    gaps = []
    for at_s in (0.7, 1.0, 3.5):
        slot.note(Message(at_s, 5e6, Topic.MARKET))
        gaps.append(slot.measure()[0]["feed_gap_ms"])
    assert gaps == pytest.approx([3300.0, 3000.0, 2500.0])


class Feed:
    """A gateway that tells of the market every 20 ms, by the clock, and remembers when."""

    def __init__(self, *, drops: bool = False, late_s: float = 0.0) -> None:
        self.told_s: list[float] = []
        self.connections = 0
        self.muted_after = inf  # this many messages
        self.muted_until_s = inf
        self._drops = drops  # the connection, while it is muted
        self._late_s = late_s  # so old is what the first connection tells

    def _is_muted(self) -> bool:
        return len(self.told_s) >= self.muted_after and monotonic() < self.muted_until_s

    async def connect(self) -> None:
        if self._is_muted() and self._drops:
            raise GatewayLost
        self.connections += 1

    async def receive(self, seconds: float) -> list[Message]:
        if self._is_muted() and self._drops:
            raise GatewayLost
        if self._is_muted():
            await asyncio.sleep(min(seconds, self.muted_until_s - monotonic()))
        if self._is_muted():
            return []
        await asyncio.sleep(0.02)
        self.told_s.append(monotonic() - self._late_s * (self.connections == 1))
        return [Message(self.told_s[-1], 5e6, Topic.MARKET)]

    async def send(self, _: list[Request]) -> None:
        """Nothing is done with requests."""

    async def close(self) -> None:
        """Nothing is left to be closed."""

    def longest_ms(self, since_s: float = 0.0) -> float:
        """Return the longest time between two messages, the later one after *since_s*."""
        pairs = [(one, two) for one, two in pairwise(self.told_s) if two > since_s]
        return 1e3 * max(later - earlier for earlier, later in pairs)


MEASURED_S = 0.2
QUIET_S = 0.3  # after which a drain is over


def gap_ms(trader: Trader) -> float:
    """Return the gap of a short slot."""
    fields = BASE.profiles["S1"].fields
    report: Any = asyncio.run(trader.trade(1, 7, fields, WARM_UP_S + MEASURED_S))
    return float(report["totals"]["feed_gap_ms"])


@pytest.mark.parametrize("drops", [False, True], ids=["silent", "dropped"])
def test_an_outage_across_slots_is_one_gap_from_the_last_data_to_the_next(*, drops: bool) -> None:
    """It lasts from the first slot over the drain into the warm-up of the second."""
    feed = Feed(drops=drops)
    trader = Trader(MarketSettings(), feed, "market-live")
    feed.muted_after = 3
    first_ms = gap_ms(trader)
    assert first_ms >= 1e3 * (MEASURED_S + (0 if drops else QUIET_S))
    feed.muted_until_s = monotonic() + WARM_UP_S / 2
    second_ms = gap_ms(trader)
    assert second_ms == pytest.approx(feed.longest_ms())
    assert second_ms >= first_ms + 1e3 * WARM_UP_S / 2
    third_s = monotonic()
    assert gap_ms(trader) == pytest.approx(feed.longest_ms(third_s))  # it is over
    assert feed.connections == 1 + drops


def behind(monkeypatch: pytest.MonkeyPatch) -> tuple[Feed, Trader]:
    """Return a maker that gave up its feed: a slot was over before it had heard all of it."""
    monkeypatch.setattr("pytest_soak_market.live.trader.DRAIN_S", QUIET_S)
    feed = Feed(late_s=1e3)
    trader = Trader(MarketSettings(), feed, "market-live")
    assert gap_ms(trader) == pytest.approx(feed.longest_ms())
    return feed, trader


def test_what_a_drain_gives_up_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, trader = behind(monkeypatch)
    feed.told_s.clear()
    assert gap_ms(trader) == pytest.approx(feed.longest_ms())
    assert feed.connections == 2


def test_an_exchange_that_is_gone_after_a_drain_gave_up_is_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, trader = behind(monkeypatch)
    feed._drops, feed.muted_after = True, 0
    assert gap_ms(trader) >= 1e3 * MEASURED_S


def test_fills_in_what_a_drain_gives_up_are_in_the_next_slots_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exchange has sent them already, and does not repeat them."""
    monkeypatch.setattr("pytest_soak_market.live.trader.DRAIN_S", 0.0)
    cost_ms, sold = 100.0, 10  # more work than a slot has time for

    class Sold(Feed):
        async def receive(self, seconds: float) -> list[Message]:
            if self.connections == 1:
                fill = Message(monotonic(), 5e6, Topic.FILL, 1, -1, 5_000_000, 0.0, 5e6)
                return [*[fill] * sold, Message(monotonic(), 5e6, Topic.MARKET)]
            return await super().receive(seconds)

    settings = MarketSettings(feed_cost_ms=cost_ms)
    trader = Trader(settings, Sold(), "market-live")
    gap_ms(trader)
    memory = trader._memory
    assert memory
    assert memory.lots > -sold
    for _ in range(9):  # two will do where the machine is not busy
        gap_ms(trader)
        if memory.lots <= -sold:
            break
    assert memory.lots == -sold
    assert trader._cash == pytest.approx(settings.capital + sold * settings.price * LOT)


def update(at_ms: float, bids: list[list[str]], asks: list[list[str]]) -> dict[str, Any]:
    return {"e": "depthUpdate", "E": at_ms, "b": bids, "a": asks}


def test_own_orders_are_left_out_of_the_mid() -> None:
    book = OthersBook()
    assert book.mid(7.0) == 7.0
    book.take(update(1, [["99.00", "1"]], [["101.00", "1"]]), "b", "a")
    assert book.mid(0.0) == 10_000
    book.add(1, 9_950, 100_000)
    book.take(update(2, [["99.50", "1"]], []), "b", "a")
    assert book.mid(0.0) == 10_000
    book.remove(3, 1, 9_950, 100_000)
    assert book.mid(0.0) == 10_000  # until the depth has come so far
    book.take(update(3, [["99.50", "0.5"]], []), "b", "a")
    assert book.mid(0.0) == 10_025  # what is there now is another's


def heard(gateway: FastmmGateway, *frames: dict[str, Any] | None) -> list[Message]:
    async def hear() -> list[Message]:
        gateway._frames = asyncio.Queue()  # one belongs to one loop
        messages = []
        for frame in frames:
            gateway._frames.put_nowait(frame)
            messages += await gateway.receive(0.01)
        return messages

    return asyncio.run(hear())


def asked(gateway: FastmmGateway, request: Request) -> None:
    class Socket:
        async def send(self, frame: str) -> None:
            assert SYMBOL in frame

    gateway._api = cast("Any", Socket())
    asyncio.run(gateway.send([request]))


def report(what: str, state: str, order_id: int, **more: object) -> dict[str, Any]:
    event = {
        "e": "executionReport",
        "E": 1000,
        "c": str(order_id),
        "C": str(order_id),
        "x": what,
        "X": state,
        "z": "0",
        **more,
    }
    return {"event": event}


def told(messages: list[Message]) -> list[tuple[Topic, int, str]]:
    return [(message.topic, message.order_id, str(message.cause)) for message in messages]


QUOTE = Request(RequestKind.NEW, 0.0, 1, 1, 9_900, 10)
HEDGE = Request(RequestKind.HEDGE, 0.0, 2, -1, 9_900, 10)
REFUSED = {"id": 0, "error": {"code": -2010}}


def test_reports_of_fastmm_become_messages_of_our_market() -> None:
    gateway = FastmmGateway(9)
    asked(gateway, QUOTE)
    fill = report("TRADE", "PARTIALLY_FILLED", 1, l="0.00004", L="99.00", n="-0.5", z="0.00004")
    answer = {"id": 1, "result": {"transactTime": 1000}}
    first = heard(gateway, answer, report("NEW", "NEW", 1), fill)
    assert told(first) == [(Topic.ACK, 1, ""), (Topic.FILL, 1, "")]
    assert (first[0].venue_s, first[0].since_s) == (1.0, 0.0)
    assert (first[1].lots, first[1].price, first[1].fee, first[1].is_taker) == (
        4,
        9900,
        -0.5,
        False,
    )
    done = report("TRADE", "FILLED", 1, l="0.00006", L="99.00", n="0", z="0.0001")
    assert told(heard(gateway, done)) == [(Topic.FILL, 1, ""), (Topic.ENDED, 1, "filled")]
    assert heard(gateway, done) == []  # of an order that is no more
    assert heard(gateway, {"event": {"e": "outboundAccountPosition"}}) == []


def test_an_order_may_be_replaced_cancelled_or_pushed_out_by_the_exchange() -> None:
    for what, cause in (("CANCELED", "cancelled"), ("TRADE_PREVENTION", "cancelled")):
        gateway = FastmmGateway(9)
        asked(gateway, QUOTE)
        ended = heard(gateway, report("NEW", "NEW", 1), report(what, "GONE", 1))
        assert told(ended) == [(Topic.ENDED, 1, cause)]
    gateway = FastmmGateway(9)
    asked(gateway, QUOTE)
    heard(gateway, report("NEW", "NEW", 1))
    asked(gateway, Request(RequestKind.REPLACE, 0.0, 3, 1, 9_800, 10, 1))
    ended = heard(gateway, report("CANCELED", "CANCELED", 1))
    assert told(ended) == [(Topic.ENDED, 1, "replaced")]
    asked(gateway, Request(RequestKind.CANCEL, 0.0, 3))
    assert told(heard(gateway, {**REFUSED, "id": 3})) == [(Topic.ACK, 3, "")]  # it ends by itself


def test_a_refused_order_has_ended_and_a_refused_hedge_is_over() -> None:
    gateway = FastmmGateway(9)
    asked(gateway, QUOTE)
    refused = told(heard(gateway, {**REFUSED, "id": 1}))
    assert refused == [(Topic.ACK, 1, ""), (Topic.ENDED, 1, "")]
    asked(gateway, HEDGE)
    refused = told(heard(gateway, {**REFUSED, "id": 2}))
    assert refused == [(Topic.ACK, 2, ""), (Topic.HEDGED, 2, "")]
    assert heard(gateway, {"id": 99}) == []  # nobody asked


def test_a_hedge_trades_as_a_taker_and_never_rests() -> None:
    gateway = FastmmGateway(9)
    asked(gateway, HEDGE)
    traded = report("TRADE", "PARTIALLY_FILLED", 2, l="0.00004", L="99.00", n="0.1")
    messages = heard(
        gateway, report("NEW", "NEW", 2), traded, report("EXPIRED", "EXPIRED", 2, z="0.00004")
    )
    assert told(messages) == [(Topic.FILL, 2, ""), (Topic.HEDGED, 2, "")]
    assert (messages[0].lots, messages[0].is_taker) == (-4, True)


def test_market_data_of_fastmm_says_who_took() -> None:
    gateway = FastmmGateway(9)
    trade = {"e": "trade", "E": 5, "q": "0.00003", "m": True}
    depth = update(6, [["99.00", "1"]], [["101.00", "1"]])
    first, second = heard(gateway, {"stream": "", "data": trade}, {"stream": "", "data": depth})
    assert (first.topic, first.lots, first.venue_s) == (Topic.MARKET, -3, 0.005)
    assert (second.mid, second.lots) == (10_000, 0)
    with pytest.raises(GatewayLost, match="a connection broke"):
        heard(gateway, None)


def test_the_settings_of_fastmm_are_those_of_our_market_as_toml() -> None:
    text = to_toml(configuration(MarketSettings(price=40_000.0, taker_rate=30.0)))
    assert 'start_mid = "40000.00"' not in text  # quoted keys within lines
    assert '"start_mid": ' not in text
    assert '"start_mid" = "40000.00"' in text
    assert '"market_rate_per_s" = 30.0' in text
    assert '"lot" = "0.00001"' in text

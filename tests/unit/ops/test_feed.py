"""The price feed: what sources say, what it is smoothed to, and what is proposed when."""

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from steelyard.client import IndexQuote
from steelyard.client.errors import OutcomeUnknown, Rejected
from steelyard.ops.errors import CaptureError, OpsError
from steelyard.ops.feed import clock as clocks
from steelyard.ops.feed.clock import ALARM, Clock
from steelyard.ops.feed.feeder import Feeder
from steelyard.ops.feed.messages import NoPrice, price_of
from steelyard.ops.feed.plan import FeedPlan, Smoothing, SourcePlan, captures_plan, read_plan
from steelyard.ops.feed.smoothing import Exponential, Last, Median
from steelyard.ops.feed.sources import recorded

TICK = Decimal("0.5")


class Door:
    """Takes proposals and keeps them; refuses, or does not answer, when told to."""

    def __init__(self) -> None:
        self.said: list[list[IndexQuote]] = []
        self.faults: list[Exception] = []
        self.heard = asyncio.Event()

    async def set_index_sources(self, index: int, quotes: list[IndexQuote]) -> int:
        """Take a proposal."""
        assert index == 7
        if self.faults:
            raise self.faults.pop(0)
        self.said.append(quotes)
        self.heard.set()
        return len(self.said)


def source(name: str = "a", **more: Any) -> SourcePlan:  # noqa: ANN401 - whatever a source is
    given: dict[str, Any] = {"price": "p", "number": 1, "url": "http://127.0.0.1:1/"}
    return SourcePlan(name=name, **{**given, **more})


def capture(path: Path, *lines: tuple[int, object]) -> Path:
    text = "".join(f"{stamp} {json.dumps(body)}\n" for stamp, body in lines)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def ticker(bid: str, ask: str) -> object:
    return {"stream": "btcusdt@bookTicker", "data": {"b": bid, "a": ask}}


def feed(plan: FeedPlan, door: Door) -> tuple[Feeder, list[str]]:
    said: list[str] = []
    return Feeder(plan, 7, TICK, door, Clock(log_time_ns, said.append), said.append), said


async def log_time_ns() -> int:
    """Return the time of a log whose leader's clock agrees with ours."""
    return time.time_ns()


# What a message says.


def test_a_price_is_found_by_its_place_and_exactly_as_it_was_written() -> None:
    plan = source(price="result.1.last")

    assert price_of(plan, b'{"result": [1, {"last": "0.1"}]}') == Decimal("0.1")
    assert price_of(plan, b'{"result": [1, {"last": 12345678.1234567890123}]}') == Decimal(
        "12345678.1234567890123"
    )
    assert price_of(plan, '{"result": [1, {"last": 7}]}') == 7


def test_two_places_are_the_mean_of_both() -> None:
    assert price_of(source(price=("b", "a")), b'{"b": "100.0", "a": 101}') == Decimal("100.5")


def test_messages_of_another_kind_are_passed_over() -> None:
    plan = source(only={"stream": "*@trade", "data.m": "True"})

    assert price_of(plan, b'{"stream": "x@depth", "p": "no price"}') is None
    assert price_of(plan, b'{"stream": "x@trade", "data": {"m": true}, "p": 5}') == 5
    assert price_of(plan, b'{"stream": "x@trade", "data": {"m": false}, "p": 5}') is None
    assert price_of(plan, b"[]") is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"p": null}',
        b'{"p": true}',
        b'{"p": "x"}',
        b'{"p": "NaN"}',
        b'{"p": "Infinity"}',
        b'{"p": 0}',
        b'{"p": -1}',
        b'{"p": [1]}',
        b'{"p": "' + b"1" * 50 + b'"}',
        b"\xff",
    ],
)
def test_a_message_without_a_price_is_told(message: bytes) -> None:
    with pytest.raises(NoPrice):
        price_of(source(), message)


# Smoothing.


def test_the_median_counts_what_lies_in_the_window_and_always_the_last_price() -> None:
    median = Median(10)
    for price, time_s in ((100, 0), (500, 1), (102, 2), (104, 3)):
        median.add(price, time_s)

    assert median.price(3) == 103
    assert median.price(10.5) == 104
    assert median.price(1000) == 104


def test_the_mean_over_time_forgets_and_comes_to_the_last_price() -> None:
    mean = Exponential(10)
    mean.add(100, 0)
    mean.add(200, 50)

    assert mean.price(50) == 100
    assert mean.price(60) == pytest.approx(200 - 100 / 2.718281828)
    assert mean.price(1000) == pytest.approx(200)


def test_one_wild_price_moves_the_median_not_and_the_mean_hardly() -> None:
    median, mean, last = Median(10), Exponential(10), Last()
    for n, price in enumerate([100.0] * 20 + [1000.0, 100.0]):
        for each in (median, mean, last):
            each.add(price, n * 0.1)

    assert median.price(2.1) == 100
    assert 100 < mean.price(2.1) < 110
    assert last.price(2.1) == 100


# Plans.


def plan_file(folder: Path, text: str) -> Path:
    path = folder / "feed.toml"
    path.write_text(text)
    return path


def test_a_plan_is_read_and_its_files_stand_beside_it(tmp_path: Path) -> None:
    path = plan_file(
        tmp_path,
        """
        smoothing = "exponential"
        window_s = 1.5
        [[sources]]
        name = "one"
        url = "wss://one.example/"
        say = ['{"subscribe": 1}']
        price = ["b", "a"]
        only = { type = "ticker" }
        [[sources]]
        name = "two"
        file = "two.gz"
        price = "data.p"
        weight = 3
        """,
    )

    plan = read_plan(path)

    assert (plan.smoothing, plan.window_s, plan.every_s) == (Smoothing.EXPONENTIAL, 1.5, 0.25)
    assert [(each.number, each.weight) for each in plan.sources] == [(1, 1), (2, 3)]
    assert plan.sources[0].price == ("b", "a")
    assert plan.sources[1].file == str(tmp_path / "two.gz")


ONE = '[[sources]]\nname = "one"\nprice = "p"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sources = []", "1 to 64"),
        (ONE, "a file or a url"),
        (ONE + 'url = "http://x/"\nfile = "y"', "a file or a url"),
        (ONE + 'url = "ftp://x/"', "begins with"),
        (ONE + 'url = "http://x/"\nweight = -1', "too small"),
        (ONE + 'url = "http://x/"\nweight = 0', "no source has a weight"),
        (ONE + 'url = "http://x/"\npoll_s = 0.0', "too small"),
        (ONE + 'url = "http://x/"\n' + ONE + 'url = "http://y/"', "one name"),
        ("every_s = 0.0\n" + ONE + 'url = "http://x/"', "above zero"),
        (ONE + 'url = "http://x/"\nprize = 1', "unknown field"),
        ("sources = 1", "Expected `array`"),
        ("sources = [", "feed.toml"),
    ],
)
def test_a_plan_that_cannot_be_followed_says_why(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(OpsError, match=fault):
        read_plan(plan_file(tmp_path, text))


# Recorded files.


def test_a_recorded_market_is_fed_to_its_end(tmp_path: Path) -> None:
    path = capture(
        tmp_path / "market.gz",
        (1, {"lastUpdateId": 1, "bids": [], "asks": []}),
        (2, ticker("100", "101")),
        (3, {"stream": "btcusdt@depth", "data": {"b": [["1", "1"]], "a": []}}),
        (4, ticker("101", "102")),
    )

    async def work() -> tuple[Feeder, Door, list[str]]:
        door = Door()
        plan = captures_plan([path])
        feeder, said = feed(FeedPlan(sources=plan.sources, smoothing=Smoothing.NONE), door)
        await feeder.run(None, 0, asyncio.Event())
        return feeder, door, said

    feeder, door, said = asyncio.run(work())

    # The middle of the last best prices is 101.5, and a tick 0.5.
    assert [quote.price_ticks for quote in door.said[-1]] == [203]
    (row,) = feeder.report()["sources"]
    assert (row["messages"], row["faults"], row["price_ticks"]) == (2, 0, 203)
    assert feeder.accepted == len(door.said) >= 1
    assert said == []


def test_a_recorded_market_runs_at_its_own_pace(tmp_path: Path) -> None:
    gap_ns = 200_000_000
    path = capture(tmp_path / "market.gz", *[(1 + n * gap_ns, ticker("100", "101")) for n in range(4)])

    async def work() -> float:
        feeder, _ = feed(captures_plan([path]), Door())
        begun_s = time.monotonic()
        await feeder.run(None, 2, asyncio.Event())
        return time.monotonic() - begun_s

    assert asyncio.run(work()) > 0.29


@pytest.mark.parametrize(
    "body", [b"x {}\n", b"17{}\n", gzip.compress(b"1 {}\n" * 1000, mtime=0)[:-20], b"\x1f\x8bnot"]
)
def test_a_file_that_is_no_recording_is_told(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(body)

    with pytest.raises(CaptureError, match="broken"):
        list(recorded(path))


def test_a_file_that_breaks_ends_the_feed_with_the_fault(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_bytes(b"1 {}\nx\n")
    feeder, _ = feed(captures_plan([path]), Door())

    with pytest.raises(CaptureError, match="line 2"):
        asyncio.run(feeder.run(None, 0, asyncio.Event()))


# Pages and streams.


@asynccontextmanager
async def served(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve every path on a free port; the value is host and port."""
    server = web.Server(handler)
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


async def fed(plan: FeedPlan, door: Door, until: Callable[[Feeder], bool]) -> tuple[Feeder, list[str]]:
    """Feed until something holds, for at most ten seconds."""
    feeder, said = feed(plan, door)
    stop = asyncio.Event()
    running = asyncio.create_task(feeder.run(10, 1, stop))
    while not until(feeder) and not running.done():
        await asyncio.sleep(0.01)
    stop.set()
    await running
    return feeder, said


def test_a_page_is_asked_again_and_again_and_a_failure_is_survived() -> None:
    answers = itertools.chain(["no JSON", None], map(str, itertools.count(100)))

    async def page(request: web.BaseRequest) -> web.StreamResponse:
        assert request.path == "/ticker"
        answer = next(answers)
        if answer is None:
            raise web.HTTPServiceUnavailable
        return web.Response(text=answer if not answer.isdigit() else json.dumps({"p": answer}))

    async def work() -> tuple[Feeder, Door, list[str]]:
        door = Door()
        async with served(page) as where:
            plan = FeedPlan(
                sources=[source(url=f"http://{where}/ticker", poll_s=0.02)],
                smoothing=Smoothing.NONE,
                every_s=0.02,
            )
            feeder, said = await fed(plan, door, lambda _: len(door.said) >= 3)
        return feeder, door, said

    feeder, door, said = asyncio.run(work())

    prices = [quotes[0].price_ticks for quotes in door.said]
    assert prices[0] >= 200
    assert prices == sorted(prices)
    assert feeder.sources[0].faults == 2
    # The first fault is told, the others are counted.
    assert [text for text in said if "source a" in text] == [said[0]]
    assert "not JSON" in said[0]


def test_a_stream_is_told_what_to_say_and_listened_to_again_after_it_breaks() -> None:
    heard: list[str] = []

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        heard.append(await socket.receive_str())
        for price in (50, 60):
            await socket.send_str(json.dumps({"p": price + 100 * len(heard)}))
        await socket.close()
        return socket

    async def work() -> tuple[Feeder, Door]:
        door = Door()
        async with served(stream) as where:
            plan = FeedPlan(
                sources=[source(url=f"ws://{where}/", say=["hello"])],
                smoothing=Smoothing.NONE,
                every_s=0.02,
            )
            feeder, _ = await fed(plan, door, lambda feeder: feeder.sources[0].messages >= 4)
        return feeder, door

    feeder, door = asyncio.run(work())

    assert heard[:2] == ["hello", "hello"]
    assert feeder.sources[0].faults >= 1
    assert door.said[0][0].price_ticks == 2 * 160


def test_a_source_that_falls_silent_is_told_once_and_again_when_it_speaks() -> None:
    speaks = [True]

    async def page(_request: web.BaseRequest) -> web.StreamResponse:
        if not speaks[0]:
            raise web.HTTPServiceUnavailable
        return web.Response(text='{"p": 5}')

    async def work() -> tuple[Feeder, Door, list[str]]:
        door = Door()
        async with served(page) as where:
            plan = FeedPlan(sources=[source(url=f"http://{where}/", poll_s=0.01)], every_s=0.02, silent_s=0.2)
            feeder, said = feed(plan, door)
            stop = asyncio.Event()
            running = asyncio.create_task(feeder.run(20, 1, stop))
            await door.heard.wait()
            speaks[0] = False
            while not feeder.sources[0].is_silent:
                await asyncio.sleep(0.01)
            before = len(door.said)
            await asyncio.sleep(0.1)
            assert len(door.said) == before, "what nobody says anything new about is not repeated"
            speaks[0] = True
            while feeder.sources[0].is_silent:
                await asyncio.sleep(0.01)
            stop.set()
            await running
        return feeder, door, said

    feeder, _, said = asyncio.run(work())

    assert feeder.sources[0].silences == 1
    assert sum("is silent" in text for text in said) == 1
    assert "speaks again" in said[-1]


# Proposals.


def test_a_proposal_says_what_each_source_said_last_and_when() -> None:
    async def page(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=json.dumps({"p": {"/one": 10, "/two": 20}[request.path]}))

    async def work() -> Door:
        door = Door()
        async with served(page) as where:
            plan = FeedPlan(
                sources=[
                    source("one", url=f"http://{where}/one", number=4, poll_s=0.02),
                    source("two", url=f"http://{where}/two", number=9, weight=2, poll_s=0.02),
                ],
                every_s=0.02,
            )
            await fed(plan, door, lambda _: bool(door.said) and len(door.said[-1]) == 2)
        return door

    before_ns = time.time_ns()
    door = asyncio.run(work())

    quotes = door.said[-1]
    assert [(quote.source, quote.price_ticks, quote.weight) for quote in quotes] == [(4, 20, 1), (9, 40, 2)]
    assert all(before_ns <= quote.time_ns <= time.time_ns() for quote in quotes)


def test_a_refusal_and_an_outcome_that_is_not_known_are_counted_and_the_feed_goes_on() -> None:
    async def page(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text='{"p": 5}')

    async def work() -> tuple[Feeder, list[str]]:
        door = Door()
        door.faults = [OutcomeUnknown("nobody leads"), Rejected("UNKNOWN_INDEX"), Rejected("UNKNOWN_INDEX")]
        async with served(page) as where:
            plan = FeedPlan(sources=[source(url=f"http://{where}/", poll_s=0.01)], every_s=0.02)
            return await fed(plan, door, lambda feeder: feeder.accepted >= 2)

    feeder, said = asyncio.run(work())

    found = feeder.report()
    assert found["outcome_unknown"] == 1
    assert found["refused"] == {"UNKNOWN_INDEX": 2}
    assert sum("refuses" in text for text in said) == 1
    assert sum("no answer yet" in text for text in said) == 1


def test_a_source_without_weight_alone_is_not_proposed() -> None:
    async def page(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/dumb":
            raise web.HTTPServiceUnavailable
        return web.Response(text='{"p": 5}')

    async def work() -> Door:
        door = Door()
        async with served(page) as where:
            plan = FeedPlan(
                sources=[
                    source("light", url=f"http://{where}/", weight=0, poll_s=0.01),
                    source("dumb", url=f"http://{where}/dumb", number=2, poll_s=0.01),
                ],
                every_s=0.01,
            )
            await fed(plan, door, lambda feeder: feeder.sources[0].messages >= 10)
        return door

    assert asyncio.run(work()).said == []


# The clock.

SECOND_NS = 10**9


def beside(log_ahead_ns: int, *, slow_ns: int = 0) -> tuple[Clock, list[str]]:
    """Return a clock after one look at a log so far ahead of it, that an entry took so long to reach."""
    said: list[str] = []

    async def log_time() -> int:
        return time.time_ns() + log_ahead_ns

    clock = Clock(log_time, said.append)
    asyncio.run(clock.compare(time.time_ns() - slow_ns))
    return clock, said


def test_a_clock_that_agrees_with_the_logs_time_says_nothing_however_slow_the_group_is() -> None:
    for slow_ns in (0, 60 * SECOND_NS):
        for log_ahead_ns in (0, -slow_ns, -slow_ns // 2, SECOND_NS - 1, -slow_ns - SECOND_NS // 2):
            clock, said = beside(log_ahead_ns, slow_ns=slow_ns)
            assert (clock.looks, clock.alarms, said) == (1, 0, [])


def test_a_clock_that_is_ahead_or_behind_by_more_than_a_second_is_an_alarm_with_a_name() -> None:
    ahead, said = beside(-62 * SECOND_NS, slow_ns=60 * SECOND_NS)
    assert (ahead.alarms, ahead.is_wrong) == (1, True)
    assert ahead.report()["ahead_s_worst"] == pytest.approx(2, abs=0.5)
    assert said == [f"ALARM {ALARM}: {clocks.words(ahead.worst_ns)}"]
    assert "ahead of the log's time; quotes more than a second ahead do not count" in said[0]

    behind, said = beside(2 * SECOND_NS)
    assert (behind.alarms, behind.is_wrong) == (1, True)
    assert behind.report()["ahead_s_worst"] == pytest.approx(-2, abs=0.5)
    assert "behind the log's time; quotes count as so much older" in said[0]


def test_an_alarm_is_said_once_and_that_it_is_over_and_a_log_that_does_not_answer_is_no_alarm() -> None:
    said: list[str] = []
    answers: list[int | None] = [0, None, -5 * SECOND_NS, -7 * SECOND_NS, 0, 5 * SECOND_NS]

    async def log_time() -> int:
        answer = answers.pop(0)
        if answer is None:
            raise OutcomeUnknown("nobody leads")
        return time.time_ns() + answer

    async def look() -> Clock:
        clock = Clock(log_time, said.append)
        while answers:
            await clock.compare(time.time_ns(), at_once=True)
        await clock.compare(time.time_ns())  # too soon to look again: nobody is asked
        return clock

    clock = asyncio.run(look())
    assert [text.split(":")[0] for text in said] == [
        "the log's time is not known",
        f"ALARM {ALARM}",
        "our clock agrees with the log's time again",
        f"ALARM {ALARM}",
    ]
    found = clock.report()
    assert (found["looks"], found["alarms"], found["wrong"]) == (5, 2, True)
    assert found["ahead_s_worst"] == pytest.approx(7, abs=0.5)


def test_a_feed_looks_at_the_logs_time_when_a_proposal_was_taken_and_at_its_end(tmp_path: Path) -> None:
    path = capture(tmp_path / "market.gz", *((n, ticker("10", "11")) for n in range(3)))
    door = Door()
    feeder, _ = feed(captures_plan([path]), door)
    asyncio.run(feeder.run(None, 0, asyncio.Event()))
    assert feeder.accepted >= 1
    assert feeder.report()["clock"]["looks"] >= 1

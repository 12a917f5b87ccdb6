"""A recorded market driven through a group: its book as resting orders, its trades as orders that take.

Two accounts: *market* rests an order for every level of the recorded book, post-only; *flow* sends an
immediate-or-cancel order at the price of every printed trade.  What the trades took is put back at the next
diff, so that after each diff the exchange's book equals the recorded one.

Order in the log matters between the two accounts, and they have a session each.  Within one session
commands are pipelined; the other session's turn begins when everything before it is acknowledged.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from steelyard.client import (
    Cancelled,
    CancelOrder,
    Client,
    Instrument,
    OrderKind,
    Placed,
    PlaceOrder,
    Refused,
    Reply,
    Session,
    Side,
    TimeInForce,
)
from steelyard.ops import machine
from steelyard.ops.capture import Best, Capture, Change, Event, Print, Survey
from steelyard.ops.claims import Replayed, failures_of_replay
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.kills import Kills
from steelyard.ops.lanes import Lane
from steelyard.ops.market import MarketPlan, open_market
from steelyard.ops.mirror import Cancel, Mirror, Step
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.verdict import AckBook, gather, judge
from steelyard.replication.config import GROUP_FILE

FINDINGS_MAX: Final = 5
#: What captured instruments are paid in.
QUOTE: Final = "USDT"
#: Commands per message.
BATCH: Final = 100


class Expected(NamedTuple):
    """What the reply to a command has to say, as the mirror sees it."""

    line: int
    executed_lots: int
    executed_ticks_lots: int
    open_lots: int


class Driver:
    """Sends a recorded market's commands and compares everything that comes back with the mirror."""

    def __init__(
        self,
        client: Client,
        instrument: Instrument,
        market: Session,
        flow: Session,
        acks: AckBook,
        survey: Survey,
    ) -> None:
        self._client = client
        self._instrument = instrument
        self._market = Lane(market, acks, batch=BATCH, on_reply=self._check)
        self._flow = Lane(flow, acks, batch=BATCH, on_reply=self._check)
        self._survey = survey
        self._mirror = Mirror(size_max_lots=instrument.size_max_lots)
        self._turn = self._market
        self._next_flow_order = 1
        self.volume_lots = 0
        self.commands = 0
        self.hand_overs = 0
        self.top_of_book_checked = 0
        self.top_of_book_equal = 0
        self.refused: Counter[str] = Counter()
        self.unexpected = 0
        self.findings: list[str] = []

    @property
    def lanes(self) -> list[Lane[Expected]]:
        """Both accounts' lanes."""
        return [self._market, self._flow]

    @property
    def trades(self) -> int:
        """How many resting orders were hit."""
        return self._mirror.fills

    async def run(self, events: Iterable[Event], on_line: Callable[[int], None]) -> None:
        """Drive all events; returns when everything is acknowledged."""
        for event in events:
            on_line(event.line)
            if isinstance(event, Print):
                await self._trade(event)
            else:
                steps = self._mirror.reconcile(event.bids, event.asks)
                if steps:
                    await self._take_turn(self._market)
                    await self._rest(event.line, steps)
                best = self._survey.best.get(event.update) if isinstance(event, Change) else None
                if best is not None:
                    await self._compare_top(event.line, best)
        await self._turn.drain()

    async def _take_turn(self, lane: Lane[Expected]) -> None:
        if self._turn is not lane:
            await self._turn.drain()
            self._turn = lane
            self.hand_overs += 1

    async def _trade(self, event: Print) -> None:
        await self._take_turn(self._flow)
        left_lots = event.size_lots
        while left_lots:
            size_lots = min(left_lots, self._instrument.size_max_lots)
            left_lots -= size_lots
            executed_lots, ticks_lots = self._mirror.take(
                buying=event.buying, limit_ticks=event.price_ticks, size_lots=size_lots
            )
            order = PlaceOrder(
                self._instrument.instrument,
                Side.BUY if event.buying else Side.SELL,
                size_lots,
                event.price_ticks,
                self._next_flow_order,
                OrderKind.LIMIT,
                TimeInForce.IOC,
            )
            self._next_flow_order += 1
            self.commands += 1
            await self._flow.put(order, Expected(event.line, executed_lots, ticks_lots, 0))

    async def _rest(self, line: int, steps: list[Step]) -> None:
        instrument = self._instrument.instrument
        put = self._market.put
        for step in steps:
            if isinstance(step, Cancel):
                await put(CancelOrder(step.order), Expected(line, 0, 0, step.open_lots))
            else:
                order = PlaceOrder(
                    instrument,
                    Side.BUY if step.buying else Side.SELL,
                    step.size_lots,
                    step.price_ticks,
                    step.order,
                    OrderKind.LIMIT,
                    TimeInForce.GTC,
                    post_only=True,
                )
                await put(order, Expected(line, 0, 0, step.size_lots))
        self.commands += len(steps)

    async def _compare_top(self, line: int, best: Best) -> None:
        await self._turn.drain()
        book = await self._client.book(self._instrument, depth=1)
        found = (*(book.bids[0] if book.bids else (0, 0)), *(book.asks[0] if book.asks else (0, 0)))
        self.top_of_book_checked += 1
        if found == tuple(best):
            self.top_of_book_equal += 1
        else:
            self._find(f"line {line}: best prices are {found}, recorded {tuple(best)}")

    def _check(self, reply: Reply, expected: Expected) -> None:
        if isinstance(reply, Placed):
            self.volume_lots += reply.executed_lots
            found = (reply.executed_lots, reply.executed_atoms, reply.open_lots)
        elif isinstance(reply, Cancelled):
            found = (0, 0, reply.open_lots)
        else:
            if isinstance(reply, Refused):
                self.refused[reply.reason] += 1
            self._surprise(reply, expected)
            return
        executed_atoms = expected.executed_ticks_lots * self._instrument.tick_lot_atoms
        if found != (expected.executed_lots, executed_atoms, expected.open_lots):
            self._surprise(reply, expected)

    def _surprise(self, reply: Reply, expected: Expected) -> None:
        self.unexpected += 1
        self._find(f"line {expected.line}: expected {expected}, got {reply}")

    def _find(self, finding: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


async def replay_capture(
    terminal: Terminal, capture: Capture, *, kill_leader_at: float | None, directory: Path | None
) -> dict[str, Any]:
    """Replay a capture through a group and judge it.

    Args:
        terminal: Where progress is shown.
        capture: What to replay.
        kill_leader_at: The part of the lines, 0 to 1, after which the leader is killed; None: never.
        directory: A running group to use, or where to found one and leave its data; None: a temporary one.

    Returns:
        The outcome as plain values; ``ok`` only if every claim of the verdict holds, every reply is what
        the mirror expected, and at least 99 % of the recorded best prices were met.

    Raises:
        CaptureError: The capture is not what it should be.
        GroupError: The group cannot be used.

    """
    with terminal.busy(f"reading {capture.name}"):
        survey = await asyncio.to_thread(capture.survey)
    if directory is not None and (directory / GROUP_FILE).exists():
        group = LocalGroup.open(directory)
        if not group.run.alive():
            raise GroupError(
                f"the group in {directory} does not run; 'steelyard up --data {directory}' starts it"
            )
        return await _replay(terminal, group, capture, survey, kill_leader_at)
    with scratch_group(directory) as scratch:
        result = await _replay(terminal, scratch.group, capture, survey, kill_leader_at)
        scratch.keep_unless(result["ok"], terminal)
        return result


async def _replay(
    terminal: Terminal, group: LocalGroup, capture: Capture, survey: Survey, kill_leader_at: float | None
) -> dict[str, Any]:
    async with group.client() as operator:
        with terminal.busy("waiting for the group"):
            await group.wait_ready(operator)
        opened = await open_market(group, operator, _plan(survey))
        acks = AckBook()
        async with (
            opened.client("market") as market_client,
            opened.client("flow") as flow_client,
            await market_client.session("replay", batch_max=BATCH) as market_session,
            await flow_client.session("replay", batch_max=BATCH) as flow_session,
        ):
            driver = Driver(
                market_client,
                opened.instrument,
                market_session,
                flow_session,
                acks,
                survey,
            )
            kills = Kills(group, operator, driver.lanes)
            kill_line = None if kill_leader_at is None else round(survey.lines * kill_leader_at)
            started_s = time.monotonic()
            with terminal.progress(f"replaying {capture.name}", survey.lines) as advance:
                await driver.run(capture.events(survey.scales), kills.once_at(kill_line, advance))
            seconds = time.monotonic() - started_s
            await kills.settle()
        await group.wait_level(operator, acks.last_index)
        await group.wait_logged(acks.last_index)
    with terminal.busy("reading the logs of all replicas"):
        verdict = judge(acks, await asyncio.to_thread(gather, group.node_directories))
    failures = failures_of_replay(
        Replayed(
            verdict,
            commands=driver.commands,
            unexpected=driver.unexpected,
            kills_wanted=0 if kill_leader_at is None else 1,
            kills=kills.count,
            recovered=len(kills.recoveries_ms),
            best_recorded=len(survey.best),
            best_checked=driver.top_of_book_checked,
            best_equal=driver.top_of_book_equal,
        )
    )
    return {
        "capture": capture.name,
        **msgspec.structs.asdict(verdict),
        "trades": driver.trades,
        "volume": str(opened.instrument.size(driver.volume_lots)),
        "top_of_book_checked": driver.top_of_book_checked,
        "top_of_book_equal": driver.top_of_book_equal,
        "leader_kills": kills.count,
        "recovery_ms": kills.recoveries_ms[0] if kills.recoveries_ms else None,
        "orders_per_second": round(verdict.acknowledged / seconds),
        "seconds": round(seconds, 2),
        "commands": driver.commands,
        "hand_overs": driver.hand_overs,
        "refused": dict(driver.refused),
        "unexpected_replies": driver.unexpected,
        "mismatches": driver.findings,
        "tick": str(opened.instrument.tick),
        "lot": str(opened.instrument.lot),
        "machine": machine.describe(),
        "failures": failures,
        "ok": not failures,
    }


def _plan(survey: Survey) -> MarketPlan:
    """Return a market with the capture's scales that admits its highest price."""
    base = survey.symbol.removesuffix(QUOTE) if survey.symbol.endswith(QUOTE) else survey.symbol
    return MarketPlan(
        base=base or "BASE",
        quote=QUOTE,
        price_decimals=survey.scales.price_decimals,
        size_decimals=survey.scales.size_decimals,
        price_max_ticks=survey.highest_ticks,
        accounts=("market", "flow"),
    )

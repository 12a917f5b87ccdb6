"""What every order is promised, read off the events of traffic that does everything at once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.helpers.duel import Duel
from tests.helpers.spot_traffic import SpotTraffic, placed_by

from steelyard.core import snapshot, wire
from steelyard.core.commands import OrderTerms, PlaceOrder, PlaceOrderOnTerms
from steelyard.core.entry import Applied, Entry
from steelyard.core.events import (
    AnyEvent,
    AuctionEnded,
    InstrumentStateChanged,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderReplenished,
    OrderRested,
    Traded,
    TradePrevented,
)
from steelyard.core.units import InstrumentState, SelfTrade, Side, TimeInForce

SEEDS = (31, 32, 33, 34)
COMMANDS = 4_000


@dataclass
class Watched:
    """What is known of one living order."""

    accepted: OrderAccepted
    post_only: bool
    terms: OrderTerms
    limit_ticks: int
    rested: bool = False
    lots: int = 0
    atoms: int = 0
    fee_atoms: int = 0


class Auditor:
    """Follows every order by its number and checks each event against what the order was promised."""

    def __init__(self) -> None:
        self.time_ns = 0
        self.living: dict[int, Watched] = {}
        self.states: dict[int, InstrumentState] = {}
        self.auction_ticks: dict[int, int] = {}
        self.wishes: dict[tuple[int, int], PlaceOrder] = {}
        self.seen: Counter[str] = Counter()

    def note(self, entry: Entry, applied: Applied) -> None:
        """Follow one entry, whose orders are told apart by the client's ids."""
        self.time_ns = entry.time_ns
        for request in entry.requests:
            for order in placed_by(request.command):
                self.wishes[order.account, order.order] = order
        for event in events_of(applied):
            self.follow(event)

    def follow(self, event: AnyEvent) -> None:
        """Check and note one event."""
        match event:
            case InstrumentStateChanged():
                self.states[event.instrument] = event.after
                self.auction_ticks.pop(event.instrument, None)
            case AuctionEnded():
                self.auction_ticks[event.instrument] = event.price_ticks
            case OrderAccepted():
                wish = self.wishes[event.account, event.order]
                terms = wish.terms if isinstance(wish, PlaceOrderOnTerms) else OrderTerms()
                self.living[event.number] = Watched(event, wish.post_only, terms, event.limit_ticks)
            case OrderReplaced():
                order = self.living[event.number] = self.living.pop(event.before)
                order.limit_ticks, order.rested = event.limit_ticks, False
            case OrderReplenished():
                self.living[event.number] = self.living.pop(event.before)
            case OrderAmended():
                self.living[event.number].terms = event.terms
            case OrderRested():
                order = self.living[event.number]
                assert order.accepted.time_in_force == TimeInForce.GTC, event
                assert event.price_ticks == order.limit_ticks, event
                order.rested = True
            case TradePrevented():
                self.seen["prevented"] += 1
                assert event.mode != SelfTrade.NONE, event
            case Traded():
                self.trade(event)
            case OrderFilled() | OrderCancelled() | OrderExpired():
                # Every order ends once.
                self.end(self.living.pop(event.number), filled=isinstance(event, OrderFilled))
            case _:
                pass

    def trade(self, event: Traded) -> None:
        """Check that a trade may be, and what it does to both orders."""
        maker, taker = self.living[event.maker_number], self.living[event.taker_number]
        in_auction = event.instrument in self.auction_ticks
        self.seen["auction trades"] += in_auction
        if in_auction:
            assert self.states[event.instrument] == InstrumentState.AUCTION, event
            assert event.price_ticks == self.auction_ticks[event.instrument], event
            assert event.maker_number < event.taker_number, event
        else:
            assert self.states[event.instrument] == InstrumentState.OPEN, event
            assert event.price_ticks == maker.limit_ticks, event
            assert not taker.post_only, "post-only never takes"
            assert not taker.rested, event
        assert maker.rested, event
        for order, fee_atoms in ((maker, event.maker_fee_atoms), (taker, event.taker_fee_atoms)):
            buying = order.accepted.side == Side.BUY
            # A triggered market order's limit is not said.
            if order.terms.trigger is None:
                better = order.limit_ticks - event.price_ticks
                assert better * (1 if buying else -1) >= 0, event
            assert order.terms.expires_ns == 0 or self.time_ns < order.terms.expires_ns, "it was over"
            order.lots += event.size_lots
            order.atoms += event.notional_atoms
            order.fee_atoms += fee_atoms
        assert event.taker_fee_atoms >= 0, event
        assert event.maker_fee_atoms + event.taker_fee_atoms >= 0, event
        if event.maker == event.taker and taker.terms.self_trade is not None:
            assert taker.terms.self_trade == SelfTrade.NONE, event

    def end(self, order: Watched, *, filled: bool) -> None:
        """Check what an order has come to."""
        accepted = order.accepted
        if accepted.time_in_force == TimeInForce.FOK:
            self.seen["all at once"] += filled
            assert filled == (order.lots > 0), "all at once or nothing"
        if order.terms.budget_atoms:
            self.seen["budgets"] += order.lots > 0
            spent = order.atoms + (order.fee_atoms if accepted.side == Side.BUY else 0)
            assert spent <= order.terms.budget_atoms, "a budget is never overspent"


def events_of(applied: Applied) -> Iterator[AnyEvent]:
    """Yield everything that an entry came to, in its order."""
    yield from applied.due
    for outcome in applied.outcomes:
        yield from outcome.events


def test_every_order_is_treated_as_it_was_promised() -> None:
    seen = Counter[str]()
    for seed in SEEDS:
        both, auditor = Duel(), Auditor()
        script = SpotTraffic(seed).script()
        entry = next(script)
        while both.commands < COMMANDS:
            applied = both.step(entry)
            auditor.note(entry, applied)
            entry = script.send(applied)
        seen += auditor.seen
    assert min(seen[what] for what in ("all at once", "budgets", "auction trades", "prevented")) > 20, seen


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_something_is_due_when_the_exchange_says_so_and_never_before(seed: int) -> None:
    both = Duel()
    script = SpotTraffic(seed).script()
    entry = next(script)
    quiet = busy = 0
    while both.commands < COMMANDS:
        entry = script.send(both.step(entry))
        if both.entries % 3:
            continue
        alone = snapshot.load(snapshot.dump(both.fast))
        hint_ns, due_ns = both.fast.next_due_ns(), alone.next_due_ns()
        # A member that has been there for long may still look at what has gone since, but misses nothing.
        assert due_ns is None or (hint_ns is not None and hint_ns <= due_ns), (hint_ns, due_ns)
        after_ns = alone.time_ns + 1
        if due_ns is None or due_ns > after_ns:
            assert alone.apply(alone.applied_index + 1, Entry(1, after_ns, [])).due == []
            quiet += 1
        elif due_ns < after_ns:
            applied, _ = alone.apply_bytes(alone.applied_index + 1, wire.encode_entry(Entry(1, after_ns, [])))
            assert applied.due != [], "work was left"
            busy += 1
    assert quiet > 20
    assert busy > 5


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_work_that_is_left_comes_to_an_end_without_commands(seed: int) -> None:
    both = Duel()
    script = SpotTraffic(seed).script()
    entry = next(script)
    while both.commands < COMMANDS:
        entry = script.send(both.step(entry))
    # Everything that was announced, armed or dated has come by then.
    time_ns = entry.time_ns
    for _ in range(2_000):
        time_ns += 10**11
        both.step(Entry(2, time_ns, []))
        if both.fast.next_due_ns() is None:
            break
    assert both.fast.next_due_ns() is None
    both.compare_states()

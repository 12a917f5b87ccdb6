"""Orders that depend on each other: alternatives with one pledge, and orders that follow another."""

from itertools import count

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    CAROL,
    USD,
    Venue,
    buy,
    complete,
    kinds,
    on_terms,
    order,
    sell,
)

from steelyard.core import Outcome, Reject, snapshot
from steelyard.core.commands import (
    NO_TERMS,
    OrderTerms,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    SetAccountTier,
    SetFeeTier,
    SetInstrumentRules,
    SetSelfTrade,
)
from steelyard.core.entry import Many, Placed, Refused, Waiting
from steelyard.core.events import AnyEvent, OrderExpired, OrderTermsSet
from steelyard.core.units import (
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderKind,
    OrderState,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

OCO, OTO, OTOCO = ListKind.OCO, ListKind.OTO, ListKind.OTOCO
IOC = TimeInForce.IOC


def plain(command: PlaceOrder) -> PlaceOrderOnTerms:
    return on_terms(command, NO_TERMS)


def stop(command: PlaceOrder, trigger_ticks: int, kind: TriggerKind = TriggerKind.STOP) -> PlaceOrderOnTerms:
    return on_terms(command, OrderTerms(trigger=kind, trigger_ticks=trigger_ticks))


class Floor:
    """A market whose last price is 100; Alice places lists, Bob and Carol make the prices."""

    def __init__(self) -> None:
        self.venue: Venue = complete()
        self._ids = count(1000)
        self.trade_at(100)

    def trade_at(self, ticks: int) -> list[AnyEvent]:
        """Make a trade, and so the last price; return what happened with it."""
        self.venue.place(BOB, sell(next(self._ids), 1, ticks))
        return self.venue.place(CAROL, buy(next(self._ids), 1, ticks, IOC)).events

    def place(self, kind: ListKind, *legs: PlaceOrderOnTerms) -> Outcome:
        """Place a list of Alice's."""
        return self.venue.ask(
            ALICE, PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=kind, legs=list(legs))
        )

    def refused(self, kind: ListKind, *legs: PlaceOrderOnTerms) -> tuple[Reject, int]:
        """Place a list of Alice's that must be refused without a trace; return why, and the leg at fault."""
        before = self.venue.business()
        outcome = self.place(kind, *legs)
        assert isinstance(outcome.reply, Refused), outcome
        assert outcome.events == []
        assert self.venue.business() == before
        return outcome.reply.reason, outcome.reply.expected

    def bracket(self) -> None:
        """Place an OCO of Alice's: a sell at 130, and a stop at 90 that sells down to 80."""
        self.place(OCO, plain(sell(1, 5, 130)), stop(sell(2, 5, 80), 90))

    def living(self) -> list[int]:
        """Return the ids of Alice's living orders."""
        return sorted(self.venue.exchange.state.accounts[ALICE].orders)

    @property
    def held(self) -> tuple[int, int]:
        """What Alice holds: base and quote."""
        return self.venue.held_atoms(ALICE, BTC), self.venue.held_atoms(ALICE, USD)


def ended(events: list[AnyEvent]) -> list[tuple[int, Reject]]:
    """Return the ids and reasons of the orders that expired."""
    return [(event.order, event.reason) for event in events if isinstance(event, OrderExpired)]


def test_a_list_has_a_number_before_its_legs_and_all_are_accepted_before_one_acts() -> None:
    floor = Floor()

    outcome = floor.place(OCO, plain(sell(1, 5, 130)), stop(sell(2, 5, 80), 90))

    assert kinds(outcome.events) == [
        "OrderListAccepted",
        "OrderAccepted",
        "OrderTermsSet",
        "OrderAccepted",
        "OrderTermsSet",
        "OrderRested",
    ]
    assert isinstance(outcome.reply, Many)
    first, second = outcome.reply.legs
    assert isinstance(first, Placed)
    assert isinstance(second, Waiting)
    assert (first.number, first.open_lots, second.number) == (4, 5, 5)
    assert list(floor.venue.exchange.state.lists) == [3]


def test_alternatives_pledge_once_the_larger_of_both() -> None:
    floor = Floor()
    floor.bracket()
    assert floor.held == (5, 0)

    floor.place(OCO, plain(buy(3, 5, 80)), stop(buy(4, 5, 120), 110))
    assert floor.held == (5, 600)


def test_a_fill_ends_the_other_first_and_the_pledge_becomes_its_own() -> None:
    floor = Floor()
    floor.place(OCO, plain(buy(3, 5, 80)), stop(buy(4, 5, 120), 110))

    events = floor.venue.place(BOB, sell(500, 2, 80)).events

    assert kinds(events) == ["OrderAccepted", "OrderExpired", "Traded", "OrderFilled"]
    assert ended(events) == [(4, Reject.OTHER_LEG)]
    assert floor.held == (0, 3 * 80)
    assert not floor.venue.exchange.state.lists


def test_the_trigger_of_one_ends_the_other_first() -> None:
    floor = Floor()
    floor.bracket()

    events = floor.trade_at(90)

    assert kinds(events[-2:]) == ["OrderExpired", "OrderTriggered"]
    assert ended(events) == [(1, Reject.OTHER_LEG)]
    assert kinds(floor.venue.tick()) == ["OrderReplaced", "OrderRested"]
    assert (floor.living(), floor.held) == ([2], (5, 0))


def test_two_alternatives_that_are_met_together_do_not_both_wake() -> None:
    floor = Floor()
    floor.place(OCO, stop(buy(1, 5, 120), 110), stop(buy(2, 5, 120), 105))

    events = floor.trade_at(115)

    assert kinds(events[-2:]) == ["OrderExpired", "OrderTriggered"]
    assert ended(events) == [(1, Reject.OTHER_LEG)]


@pytest.mark.parametrize(("which", "other"), [(1, 2), (2, 1)])
def test_whichever_is_cancelled_the_other_ends_first(which: int, other: int) -> None:
    floor = Floor()
    floor.bracket()

    events = floor.venue.cancel(ALICE, which).events

    assert kinds(events) == ["OrderExpired", "OrderCancelled"]
    assert ended(events) == [(other, Reject.OTHER_LEG)]
    assert (floor.living(), floor.held) == ([], (0, 0))


def test_lots_lost_to_self_trade_prevention_count_as_a_fill() -> None:
    floor = Floor()
    floor.bracket()
    floor.venue.ask(ALICE, SetSelfTrade(account=ALICE, mode=SelfTrade.DECREMENT))

    events = floor.venue.place(ALICE, buy(3, 2, 130)).events

    assert kinds(events) == [
        "OrderAccepted",
        "OrderExpired",
        "TradePrevented",
        "OrderReduced",
        "OrderExpired",
    ]
    assert ended(events) == [(2, Reject.OTHER_LEG), (3, Reject.SELF_TRADE)]
    assert floor.held == (3, 0)


def test_an_alternative_may_not_trade_at_once() -> None:
    floor = Floor()
    floor.venue.place(BOB, buy(500, 1, 95))

    assert floor.refused(OCO, plain(sell(1, 5, 95)), stop(sell(2, 5, 80), 90)) == (
        Reject.POST_ONLY_WOULD_TRADE,
        1,
    )


def test_the_second_of_two_waits_until_the_first_is_filled_completely() -> None:
    floor = Floor()
    outcome = floor.place(OTO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)))
    assert isinstance(outcome.reply, Many)
    assert isinstance(outcome.reply.legs[1], Waiting)
    assert floor.held == (0, 475)

    floor.venue.place(BOB, sell(500, 4, 95))
    assert floor.venue.exchange.next_due_ns() is None
    floor.venue.place(BOB, sell(501, 1, 95))
    events = floor.venue.tick()

    assert kinds(events) == ["OrderTermsSet", "OrderReplaced", "OrderRested"]
    assert isinstance(events[0], OrderTermsSet)
    assert (events[0].state, events[0].list_number) == (OrderState.WORKING, 0)
    assert floor.held == (5, 0)


def test_a_first_that_is_filled_at_once_lets_the_second_go() -> None:
    floor = Floor()
    floor.venue.place(BOB, sell(500, 5, 95))

    outcome = floor.place(OTO, plain(buy(1, 5, 95)), stop(sell(2, 5, 80), 90))
    assert kinds(outcome.events[5:]) == ["Traded", "OrderFilled", "OrderFilled"]

    (event,) = floor.venue.tick()
    assert isinstance(event, OrderTermsSet)
    assert event.state == OrderState.WAITING
    assert floor.held == (5, 0)
    assert kinds(floor.trade_at(90))[-1] == "OrderTriggered"


def test_a_first_that_ends_otherwise_takes_the_second_with_it() -> None:
    floor = Floor()
    floor.place(OTO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)))

    events = floor.venue.cancel(ALICE, 1).events

    assert kinds(events) == ["OrderCancelled", "OrderExpired"]
    assert ended(events) == [(2, Reject.OTHER_LEG)]
    assert floor.living() == []


def test_a_second_that_is_cancelled_leaves_the_first() -> None:
    floor = Floor()
    floor.place(OTO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)))

    assert kinds(floor.venue.cancel(ALICE, 2).events) == ["OrderCancelled"]

    assert floor.living() == [1]
    floor.venue.place(BOB, sell(500, 5, 95))
    assert floor.venue.tick() == []


def test_a_second_that_cannot_be_paid_for_when_its_turn_comes_expires() -> None:
    floor = Floor()
    floor.place(OTO, plain(buy(1, 5, 95)), plain(sell(2, 10_000, 110)))
    floor.venue.place(ALICE, sell(3, 10_000, 200))
    for number in range(4, 103):
        floor.venue.place(ALICE, sell(number, 10_000, 200))
    floor.venue.place(BOB, sell(500, 5, 95))

    assert ended(floor.venue.tick()) == [(2, Reject.INSUFFICIENT_FUNDS)]


def test_a_second_is_judged_when_its_turn_comes() -> None:
    floor = Floor()
    floor.place(OTO, plain(buy(1, 5, 95)), stop(sell(2, 5, 80), 97))
    floor.trade_at(98)
    floor.venue.place(BOB, sell(500, 5, 95))

    assert ended(floor.venue.tick()) == [(2, Reject.TRIGGER_ALREADY_MET)]


def test_a_second_pledges_for_the_fees_of_the_moment_it_is_admitted() -> None:
    floor = Floor()
    floor.place(OTO, plain(sell(1, 5, 110)), plain(buy(2, 5, 100)))
    floor.venue.accepted(SetFeeTier(tier=1, instrument=BTC_USD, maker_ppm=0, taker_ppm=10_000))
    floor.venue.accepted(SetAccountTier(account=ALICE, tier=1))
    floor.venue.place(BOB, buy(500, 5, 110))

    assert kinds(floor.venue.tick()) == ["OrderTermsSet", "OrderReplaced", "OrderRested"]

    assert floor.held == (0, 5 * (100 + 1))


def bracketed(floor: Floor) -> None:
    """Place a buy of Alice's at 95 that is followed by two alternative sells, and let it be filled."""
    floor.place(OTOCO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)), stop(sell(3, 5, 80), 90))
    floor.venue.place(BOB, sell(500, 5, 95))


def test_alternatives_that_follow_are_admitted_together_with_one_pledge() -> None:
    floor = Floor()
    bracketed(floor)
    assert len(floor.venue.exchange.state.work) == 2

    events = floor.venue.tick()

    assert kinds(events) == ["OrderTermsSet", "OrderTermsSet", "OrderReplaced", "OrderRested"]
    assert floor.held == (5, 0)
    events = floor.trade_at(90)
    assert kinds(events[-2:]) == ["OrderExpired", "OrderTriggered"]
    assert ended(events) == [(2, Reject.OTHER_LEG)]


def test_alternatives_that_follow_end_together_with_the_first_fault() -> None:
    floor = Floor()
    floor.place(OTOCO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)), stop(sell(3, 5, 80), 97))
    floor.trade_at(98)
    floor.venue.place(BOB, sell(500, 5, 95))

    events = floor.venue.tick()

    assert ended(events) == [(2, Reject.TRIGGER_ALREADY_MET), (3, Reject.TRIGGER_ALREADY_MET)]
    assert not floor.venue.exchange.state.lists
    assert not floor.venue.exchange.state.work


@pytest.mark.parametrize("filled", [False, True])
def test_a_pending_alternative_that_is_cancelled_takes_the_other_with_it(filled: bool) -> None:
    floor = Floor()
    floor.place(OTOCO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)), stop(sell(3, 5, 80), 90))
    if filled:
        floor.venue.place(BOB, sell(500, 5, 95))
        # Nothing is admitted while the instrument is not open.
        floor.venue.exchange.state.markets.instruments[BTC_USD].state = InstrumentState.HALTED

    events = floor.venue.cancel(ALICE, 3).events

    assert kinds(events) == ["OrderExpired", "OrderCancelled"]
    assert ended(events) == [(2, Reject.OTHER_LEG)]
    assert floor.living() == ([] if filled else [1])
    assert not floor.venue.exchange.state.work


def test_a_followed_order_keeps_its_list_when_it_gets_a_new_number() -> None:
    floor = Floor()
    iceberg = on_terms(buy(1, 6, 95), OrderTerms(display_lots=2))
    floor.place(OTO, iceberg, plain(sell(2, 5, 110)))

    floor.venue.place(BOB, sell(500, 5, 95))
    floor.venue.place(BOB, sell(501, 1, 95))

    assert kinds(floor.venue.tick()) == ["OrderTermsSet", "OrderReplaced", "OrderRested"]


LIMIT, STOPPED = plain(sell(1, 5, 130)), stop(sell(2, 5, 80), 90)


@pytest.mark.parametrize(
    ("kind", "legs"),
    [
        (OCO, [LIMIT]),
        (OCO, [LIMIT, STOPPED, stop(sell(3, 5, 80), 90)]),
        (OTOCO, [LIMIT, STOPPED]),
        (OCO, [LIMIT, plain(sell(2, 5, 131))]),
        (OCO, [LIMIT, stop(buy(2, 5, 120), 110)]),
        (OCO, [LIMIT, stop(sell(1, 5, 80), 90)]),
        (OCO, [plain(sell(1, 5, 130, label="a")), stop(sell(2, 5, 80, label="a"), 90)]),
        (OCO, [plain(sell(1, 5, 130, IOC)), STOPPED]),
        (OCO, [LIMIT, msgspec.structs.replace(STOPPED, account=BOB)]),
        (OCO, [LIMIT, msgspec.structs.replace(STOPPED, instrument=InstrumentId(2))]),
        (OTO, [STOPPED, LIMIT]),
        (OTO, [plain(sell(1, 5, 130, IOC)), plain(sell(2, 5, 131))]),
        (
            OTO,
            [
                LIMIT,
                on_terms(
                    order(Side.BUY, 2, 0, kind=OrderKind.MARKET, time_in_force=IOC),
                    OrderTerms(budget_atoms=100),
                ),
            ],
        ),
        (OTOCO, [LIMIT, plain(sell(2, 5, 131)), plain(sell(3, 5, 132))]),
    ],
)
def test_legs_that_make_no_list_are_malformed_as_a_whole(
    kind: ListKind, legs: list[PlaceOrderOnTerms]
) -> None:
    assert Floor().refused(kind, *legs) == (Reject.MALFORMED, 0)


def test_the_first_leg_with_a_fault_is_named() -> None:
    floor = Floor()
    floor.venue.place(ALICE, sell(7, 1, 200))

    assert floor.refused(OCO, plain(sell(7, 5, 130)), stop(sell(2, 0, 80), 90)) == (Reject.DUPLICATE_ORDER, 1)
    assert floor.refused(OCO, LIMIT, stop(sell(2, 0, 80), 90)) == (Reject.SIZE_OUT_OF_RANGE, 2)
    assert floor.refused(OCO, LIMIT, stop(sell(2, 5, 80), 100)) == (Reject.TRIGGER_ALREADY_MET, 2)
    assert floor.refused(OTO, plain(buy(1, 1, 90)), plain(sell(2, 5, 0))) == (Reject.PRICE_OUT_OF_RANGE, 2)
    assert floor.refused(
        OTO, plain(buy(1, 1, 90)), on_terms(sell(2, 5, 100), OrderTerms(callback_ppm=1))
    ) == (Reject.MALFORMED, 2)


def test_the_leg_that_would_pledge_is_named_when_there_are_no_funds() -> None:
    floor = Floor()

    assert floor.refused(OCO, plain(buy(1, 9_000, 90)), stop(buy(2, 9_000, 120), 110)) == (
        Reject.INSUFFICIENT_FUNDS,
        2,
    )
    assert floor.refused(OTO, plain(buy(1, 10_000, 101)), plain(sell(2, 5, 110))) == (
        Reject.INSUFFICIENT_FUNDS,
        1,
    )


def test_the_legs_before_it_count_as_living_orders() -> None:
    floor = Floor()
    floor.venue.accepted(SetInstrumentRules(instrument=BTC_USD, orders_max=2))

    assert floor.refused(OTOCO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110)), stop(sell(3, 5, 80), 90)) == (
        Reject.TOO_MANY_ORDERS,
        3,
    )
    assert isinstance(floor.place(OTO, plain(buy(1, 5, 95)), plain(sell(2, 5, 110))).reply, Many)


def test_only_the_account_itself_may_place_its_lists() -> None:
    floor = Floor()
    command = PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=OCO, legs=[LIMIT, STOPPED])

    reply = floor.venue.ask(BOB, command).reply

    assert isinstance(reply, Refused)
    assert (reply.reason, reply.expected) == (Reject.NOT_PERMITTED, 1)


def test_lists_survive_a_snapshot() -> None:
    floor = Floor()
    floor.bracket()
    floor.place(OTOCO, plain(buy(11, 5, 95)), plain(sell(12, 5, 110)), stop(sell(13, 5, 80), 90))
    first = floor.venue.exchange
    loaded = snapshot.load(snapshot.dump(first))

    went_on: list[list[AnyEvent]] = []
    for exchange in (first, loaded):
        floor.venue.exchange = exchange
        went_on += [floor.venue.place(BOB, sell(700, 5, 95)).events, floor.venue.tick(), floor.trade_at(90)]

    assert went_on[3:5] == went_on[:2]
    assert kinds(went_on[-1]) == kinds(went_on[2])
    assert ended(went_on[2]) == ended(went_on[-1]) == [(1, Reject.OTHER_LEG), (12, Reject.OTHER_LEG)]

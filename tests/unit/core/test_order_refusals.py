"""Orders that are refused: for each reason one command, the same answer every time, and nothing changed."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, Venue, buy, listing, market, order, refusal, sell

from steelyard.core import Reject, limits
from steelyard.core.commands import CancelOrder, PlaceOrder
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    InstrumentState,
    OrderId,
    OrderKind,
    OrderNumber,
    Permission,
    Side,
    TimeInForce,
)

GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
ENORMOUS = (2**62, 2**63 - 1, 2**64 - 1)


def busy() -> Venue:
    """Return a market where Alice has order 1 with a label, and Bob is on the other side."""
    venue = market(listing(notional_min_atoms=10, price_max_ticks=1000, size_max_lots=500))
    venue.place(ALICE, buy(1, 10, 100, label="one"))
    venue.place(BOB, sell(1, 10, 110))
    return venue


def market_order(
    side: Side, time_in_force: TimeInForce, *, limit_ticks: int = 0, post_only: bool = False
) -> PlaceOrder:
    return order(
        side, 2, 1, limit_ticks, kind=OrderKind.MARKET, time_in_force=time_in_force, post_only=post_only
    )


BAD_PLACEMENTS = [
    (buy(0, 1, 50), Reject.MALFORMED),
    (buy(-1, 1, 50), Reject.MALFORMED),
    *[(buy(number, 1, 50), Reject.MALFORMED) for number in ENORMOUS],
    (buy(2, 1, 50, label="x" * 37), Reject.MALFORMED),
    (buy(2, 1, 50, label="naïve"), Reject.MALFORMED),
    (buy(2, 1, 50, label="line\n"), Reject.MALFORMED),
    (buy(2, 1, 50, IOC, post_only=True), Reject.MALFORMED),
    (buy(2, 1, 50, FOK, post_only=True), Reject.MALFORMED),
    (market_order(Side.BUY, GTC), Reject.MALFORMED),
    (market_order(Side.BUY, IOC, limit_ticks=1), Reject.MALFORMED),
    (market_order(Side.BUY, IOC, limit_ticks=-1), Reject.MALFORMED),
    (market_order(Side.SELL, IOC, post_only=True), Reject.MALFORMED),
    (order(Side.BUY, 2, 1, 50, instrument=InstrumentId(9)), Reject.UNKNOWN_INSTRUMENT),
    (order(Side.BUY, 2, 1, 50, instrument=InstrumentId(0)), Reject.UNKNOWN_INSTRUMENT),
    (order(Side.BUY, 2, 1, 50, instrument=InstrumentId(2**63)), Reject.UNKNOWN_INSTRUMENT),
    (buy(1, 1, 50), Reject.DUPLICATE_ORDER),
    (buy(2, 1, 50, label="one"), Reject.DUPLICATE_LABEL),
    (buy(2, 1, 0), Reject.PRICE_OUT_OF_RANGE),
    (buy(2, 1, -5), Reject.PRICE_OUT_OF_RANGE),
    (buy(2, 1, 1001), Reject.PRICE_OUT_OF_RANGE),
    *[(buy(2, 1, price), Reject.PRICE_OUT_OF_RANGE) for price in ENORMOUS],
    (buy(2, 0, 50), Reject.SIZE_OUT_OF_RANGE),
    (buy(2, -3, 50), Reject.SIZE_OUT_OF_RANGE),
    (buy(2, 501, 50), Reject.SIZE_OUT_OF_RANGE),
    *[(sell(2, size, 150), Reject.SIZE_OUT_OF_RANGE) for size in ENORMOUS],
    (buy(2, 1, 9), Reject.NOTIONAL_OUT_OF_RANGE),
    (buy(2, 1, 110, post_only=True), Reject.POST_ONLY_WOULD_TRADE),
    (sell(2, 1, 100, post_only=True), Reject.POST_ONLY_WOULD_TRADE),
]


@pytest.mark.parametrize(("command", "reason"), BAD_PLACEMENTS)
def test_a_bad_order_is_refused_and_changes_nothing(command: PlaceOrder, reason: Reject) -> None:
    venue = busy()
    before = venue.business()

    assert refusal(venue.place(ALICE, command)) == reason

    assert venue.business() == before


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (CancelOrder(account=ALICE), Reject.MALFORMED),
        (CancelOrder(account=ALICE, order=OrderId(1), number=OrderNumber(1)), Reject.MALFORMED),
        (CancelOrder(account=ALICE, order=OrderId(1), label="one"), Reject.MALFORMED),
        (CancelOrder(account=ALICE, number=OrderNumber(1), label="one"), Reject.MALFORMED),
        (CancelOrder(account=ALICE, order=OrderId(2)), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=ALICE, order=OrderId(-1)), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=ALICE, order=OrderId(2**64 - 1)), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=ALICE, number=OrderNumber(99)), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=ALICE, number=OrderNumber(2)), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=ALICE, label="two"), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=ALICE, label="x" * 100), Reject.UNKNOWN_ORDER),
        (CancelOrder(account=BOB, order=OrderId(1)), Reject.NOT_PERMITTED),
    ],
)
def test_a_bad_cancel_is_refused_and_changes_nothing(command: CancelOrder, reason: Reject) -> None:
    venue = busy()
    before = venue.business()

    assert refusal(venue.ask(ALICE, command)) == reason

    assert venue.business() == before


def test_nobody_trades_for_another_account() -> None:
    venue = busy()

    for account in (BOB, AccountId(4242), AccountId(1), AccountId(-1)):
        command = msgspec.structs.replace(buy(2, 1, 50), account=account)
        assert refusal(venue.ask(ALICE, command)) == Reject.NOT_PERMITTED


def test_trading_needs_the_permission_to_trade() -> None:
    venue = busy()
    venue.keys[ALICE] = venue.create_key(ALICE, int(Permission.READ | Permission.OPERATE))

    assert refusal(venue.place(ALICE, buy(2, 1, 50))) == Reject.NOT_PERMITTED
    assert refusal(venue.cancel(ALICE, 1)) == Reject.NOT_PERMITTED


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (buy(2, 10_000, 1000), Reject.SIZE_OUT_OF_RANGE),
        (buy(2, 500, 1000), Reject.INSUFFICIENT_FUNDS),
        (sell(2, 101, 1000), Reject.INSUFFICIENT_FUNDS),
        (market_order(Side.SELL, IOC), None),
    ],
)
def test_funds_are_asked_for_last(command: PlaceOrder, reason: Reject | None) -> None:
    venue = market(listing(price_max_ticks=1000, size_max_lots=500), funds_atoms=100)
    before = venue.business()

    outcome = venue.place(ALICE, command)

    if reason is None:
        assert outcome.events
    else:
        assert refusal(outcome) == reason
        assert venue.business() == before


def test_a_market_buy_must_be_able_to_pay_its_protection_price() -> None:
    venue = market(listing(market_protection_ppm=100_000), funds_atoms=1099)
    venue.place(BOB, sell(1, 1, 1000))
    command = market_order(Side.BUY, IOC)

    assert refusal(venue.place(ALICE, command)) == Reject.INSUFFICIENT_FUNDS
    venue.deposit(ALICE, listing().quote, 1)
    assert len(venue.place(ALICE, command).events) == 4


@pytest.mark.parametrize(
    "state",
    [InstrumentState.PRE_OPEN, InstrumentState.CANCEL_ONLY, InstrumentState.HALTED, InstrumentState.CLOSED],
)
@pytest.mark.parametrize("post_only", [False, True])
def test_orders_are_refused_in_states_without_trading(state: InstrumentState, post_only: bool) -> None:
    venue = market()
    if state == InstrumentState.PRE_OPEN:
        venue.accepted(listing(instrument=InstrumentId(2), symbol="OTHER"))
    else:
        venue.move(state)
    instrument = InstrumentId(2) if state == InstrumentState.PRE_OPEN else InstrumentId(1)
    command = order(Side.BUY, 1, 1, 1, post_only=post_only, instrument=instrument)

    assert refusal(venue.place(ALICE, command)) == Reject.INSTRUMENT_STATE


def test_while_post_only_nobody_takes() -> None:
    venue = market()
    venue.move(InstrumentState.POST_ONLY)

    assert refusal(venue.place(ALICE, buy(1, 1, 1))) == Reject.INSTRUMENT_STATE
    assert refusal(venue.place(ALICE, buy(1, 1, 1, IOC))) == Reject.INSTRUMENT_STATE
    assert refusal(venue.place(ALICE, market_order(Side.BUY, IOC))) == Reject.INSTRUMENT_STATE
    assert venue.place(ALICE, buy(1, 1, 1, post_only=True)).events


FAULTS_IN_ORDER = [
    ("order", OrderId(0), Reject.MALFORMED),
    ("account", BOB, Reject.NOT_PERMITTED),
    ("instrument", InstrumentId(9), Reject.UNKNOWN_INSTRUMENT),
    ("order", OrderId(1), Reject.DUPLICATE_ORDER),
    ("label", "one", Reject.DUPLICATE_LABEL),
    ("limit_ticks", 1001, Reject.PRICE_OUT_OF_RANGE),
    ("size_lots", 0, Reject.SIZE_OUT_OF_RANGE),
]


def test_of_several_faults_the_first_in_the_list_is_reported() -> None:
    venue = busy()
    reasons: list[Reject] = []
    for first in range(len(FAULTS_IN_ORDER)):
        command = buy(2, 1, 50)
        # The later faults first, so that the earlier ones overwrite them.
        for field, value, _ in reversed(FAULTS_IN_ORDER[first:]):
            command = msgspec.structs.replace(command, **{field: value})
        reasons.append(refusal(venue.ask(ALICE, msgspec.structs.replace(command, account=command.account))))

    assert reasons == [reason for _, _, reason in FAULTS_IN_ORDER]
    assert reasons == sorted(reasons)


def test_an_account_has_a_bounded_number_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.orders.ORDERS_PER_ACCOUNT_MAX", 2)
    venue = market()
    venue.place(ALICE, buy(1, 1, 1))
    venue.place(ALICE, buy(2, 1, 1))

    assert refusal(venue.place(ALICE, buy(3, 1, 1))) == Reject.TOO_MANY_ORDERS
    assert venue.place(BOB, buy(3, 1, 1)).events
    venue.cancel(ALICE, 1)
    assert venue.place(ALICE, buy(3, 1, 1)).events


def test_all_accounts_together_have_a_bounded_number_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.orders.ORDERS_MAX", 2)
    monkeypatch.setattr("steelyard.core.handlers.orders.ORDERS_PER_ACCOUNT_MAX", 2)
    venue = market()
    venue.place(ALICE, buy(1, 1, 1))
    venue.place(BOB, buy(1, 1, 1))

    assert refusal(venue.place(ALICE, buy(2, 1, 1))) == Reject.TOO_MANY_ORDERS


def test_the_limits_are_what_memory_allows() -> None:
    assert limits.ORDERS_PER_ACCOUNT_MAX <= limits.ORDERS_MAX
    assert limits.ORDERS_PER_ACCOUNT_MAX * 400 <= 80 * 10**6
    assert limits.ORDERS_MAX * 400 <= 800 * 10**6

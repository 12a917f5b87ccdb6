"""What a trader says in decimals becomes the exchange's integers, or a sentence that says why not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from steelyard.client import (
    GOOD_TILL_CANCELLED,
    Amended,
    AmendOrder,
    Asset,
    CancelOrder,
    Instrument,
    InstrumentState,
    OrderKind,
    OrderTerms,
    PlaceOrder,
    PriceOffStep,
    PriceSource,
    SelfTrade,
    Side,
    SizeOffStep,
    TimeInForce,
    TriggerKind,
    Waiting,
    amend,
    cancel,
    nanoseconds,
    order,
    stop,
    take_profit,
)

BTC_USDT = Instrument(
    instrument=3,
    symbol="BTC-USDT",
    base=Asset(1, "BTC", 8),
    quote=Asset(2, "USDT", 6),
    tick_mantissa=5,
    tick_decimals=1,
    lot_mantissa=1,
    lot_decimals=2,
    lot_atoms=10**6,
    tick_lot_atoms=5000,
    price_max_ticks=10**6,
    size_max_lots=10**6,
    notional_min_atoms=0,
    maker_ppm=0,
    taker_ppm=0,
    market_protection_ppm=50_000,
    state=InstrumentState.OPEN,
)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOON_NS = 1_769_860_800_000_000_000


def buy(**words: Any) -> PlaceOrder:  # noqa: ANN401 - words of an order
    """Return an order to buy one, at ten unless it says otherwise."""
    given: dict[str, Any] = {"size": Decimal(1), "limit": Decimal(10)} | words
    return order(BTC_USDT, Side.BUY, **{name: value for name, value in given.items() if value is not None})


def terms(**words: Any) -> OrderTerms | None:  # noqa: ANN401 - words of an order
    """Return the terms that these words come to."""
    return buy(**words).terms


def test_a_common_order_has_no_terms() -> None:
    assert buy() == PlaceOrder(instrument=3, side=Side.BUY, size_lots=100, limit_ticks=20)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"trigger": stop(Decimal("9.5"))}, OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=19)),
        (
            {"trigger": take_profit(at_ticks=7, source=PriceSource.MARK)},
            OrderTerms(trigger=TriggerKind.TAKE_PROFIT, trigger_ticks=7, trigger_source=PriceSource.MARK),
        ),
        (
            {"trigger": stop(), "trail": Decimal("0.015")},
            OrderTerms(trigger=TriggerKind.STOP, callback_ppm=15_000),
        ),
        ({"iceberg": Decimal("0.25")}, OrderTerms(display_lots=25)),
        ({"good_till": NOON}, OrderTerms(expires_ns=NOON_NS)),
        ({"good_till": 17}, OrderTerms(expires_ns=17)),
        ({"post_only": "slide"}, OrderTerms(slide=True)),
        ({"self_trade": SelfTrade.DECREMENT}, OrderTerms(self_trade=SelfTrade.DECREMENT)),
    ],
)
def test_each_term_is_said_in_its_own_words(words: dict[str, object], said: OrderTerms) -> None:
    assert terms(**words) == said


def test_a_budget_is_a_market_order_without_a_size() -> None:
    command = buy(size=None, limit=None, budget=Decimal("12.5"))
    assert (command.kind, command.time_in_force) == (OrderKind.MARKET, TimeInForce.IOC)
    assert (command.size_lots, command.limit_ticks) == (0, 0)
    assert command.terms == OrderTerms(budget_atoms=12_500_000)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"budget": Decimal(1)}, "give the size once"),
        ({"size": None}, "give the size once"),
        ({"limit": None}, "give the price once"),
        ({"market": True}, "a market order has no limit"),
        ({"trail": Decimal("0.01")}, "needs a trigger"),
        ({"trigger": stop(Decimal(9), at_ticks=18)}, "give the trigger once"),
        ({"trigger": stop(), "trail": Decimal("0.01"), "trail_ppm": 1}, "give the trail once"),
        ({"trigger": stop(), "trail": 0.01}, "a trail is a Decimal"),
        ({"iceberg": Decimal(1), "iceberg_lots": 1}, "give it once: iceberg= or iceberg_lots="),
        ({"good_till": datetime(2026, 1, 31)}, "needs its zone"),  # noqa: DTZ001 - that is the point
    ],
)
def test_too_little_and_too_much_is_said_in_a_sentence(words: dict[str, object], sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        buy(**words)


def test_numbers_off_step_are_not_sent() -> None:
    with pytest.raises(PriceOffStep, match="moves in ticks of"):
        buy(trigger=stop(Decimal("9.7")))
    with pytest.raises(SizeOffStep, match="trades in lots of"):
        buy(iceberg=Decimal("0.001"))
    with pytest.raises(SizeOffStep, match="6 decimals"):
        buy(size=None, limit=None, budget=Decimal("0.0000001"))
    with pytest.raises(ValueError, match="six decimals"):
        buy(trigger=stop(), trail=Decimal("0.0000001"))


def test_times_are_exact_to_the_microsecond() -> None:
    assert nanoseconds(NOON + timedelta(microseconds=1)) == NOON_NS + 1_000


def test_an_amendment_names_its_order_and_what_changes() -> None:
    waiting = Waiting(1, 2, 3, number=77)
    assert amend(waiting, size_lots=5, new_label="") == AmendOrder(number=77, size_lots=5, new_label="")
    assert amend(label="x", instrument=BTC_USDT, limit=Decimal(11), trigger=Decimal(12)) == AmendOrder(
        label="x", limit_ticks=22, trigger_ticks=24
    )
    assert amend(5, good_till=GOOD_TILL_CANCELLED).expires_ns == -1
    with pytest.raises(TypeError, match="size= needs instrument="):
        amend(5, size=Decimal(1))
    with pytest.raises(TypeError, match="give it once: limit= or limit_ticks="):
        amend(5, instrument=BTC_USDT, limit=Decimal(1), limit_ticks=1)


def test_a_cancel_takes_whatever_named_the_order() -> None:
    for named in (Waiting(1, 2, 3, number=77), Amended(1, 2, 3, 77, 0, 0, 0, 1)):
        assert cancel(named) == CancelOrder(number=77)

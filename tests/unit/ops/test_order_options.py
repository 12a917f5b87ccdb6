"""Orders in the words of the command line."""

import time
from decimal import Decimal
from typing import Any

import click
import pytest
from tests.unit.client.test_orders import BTC_USDT, NOON_NS

from steelyard.client import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    order,
    stop,
    take_profit,
)
from steelyard.ops.order_options import MOMENT, leg


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("buy 1 --limit 10", {"size": Decimal(1), "limit": Decimal(10)}),
        ("buy --budget 25", {"budget": Decimal(25)}),
        ("buy 1 --fok", {"size": Decimal(1), "market": True, "time_in_force": TimeInForce.FOK}),
        ("buy 1 --limit 10 --slide", {"size": Decimal(1), "limit": Decimal(10), "post_only": "slide"}),
        ("buy 1 --stop 11", {"size": Decimal(1), "market": True, "trigger": stop(Decimal(11))}),
        (
            "buy 1 --take-profit 9 --mark",
            {
                "size": Decimal(1),
                "market": True,
                "trigger": take_profit(Decimal(9), source=PriceSource.MARK),
            },
        ),
        (
            "buy 1 --trail 1.5%",
            {"size": Decimal(1), "market": True, "trigger": stop(), "trail": Decimal("0.015")},
        ),
        (
            "buy 1 --limit 10 --show 0.25 --self-trade expire-both "
            "--good-till 2026-01-31T12:00:00Z --label 'a b'",
            {
                "size": Decimal(1),
                "limit": Decimal(10),
                "iceberg": Decimal("0.25"),
                "self_trade": SelfTrade.EXPIRE_BOTH,
                "good_till": NOON_NS,
                "label": "a b",
            },
        ),
    ],
)
def test_a_leg_is_the_order_that_it_says(text: str, meant: dict[str, Any]) -> None:
    assert leg(text)(BTC_USDT) == order(BTC_USDT, Side.BUY, **meant)


def test_a_leg_may_cancel_and_amend() -> None:
    assert leg("cancel 17")(BTC_USDT) == CancelOrder(number=17)
    assert leg("cancel --label x")(BTC_USDT) == CancelOrder(label="x")
    assert leg("amend 17 --size 2 --limit 11")(BTC_USDT) == AmendOrder(
        number=17, size_lots=200, limit_ticks=22
    )
    assert leg("amend --order 5 --good-till-cancelled")(BTC_USDT) == AmendOrder(order=5, expires_ns=-1)


def test_a_sale_is_no_purchase() -> None:
    assert leg("sell 1 --limit 10")(BTC_USDT) == PlaceOrder(3, Side.SELL, 100, 20)


@pytest.mark.parametrize(
    "text",
    [
        "buy",
        "buy 1 --budget 2",
        "buy x",
        "buy nan",
        "buy 1 --stop 2 --take-profit 3",
        "buy 1 --good-till tomorrow",
        "buy 1 --good-till 2026-01-31T12:00:00",
        "cancel",
        "cancel 1 --label x",
        "hold 1",
        "buy 1 --label 'open",
    ],
)
def test_a_leg_that_makes_no_sense_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        leg(text)


def test_a_time_from_now_on_is_counted_in_its_unit() -> None:
    before_ns = time.time_ns()
    assert 0 <= MOMENT.convert("+5m", None, None) - before_ns - 300 * 10**9 < 60 * 10**9

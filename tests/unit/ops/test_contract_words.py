"""Orders about positions on the command line, and what is said of contracts to the person."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import click
import pytest
from tests.unit.client.test_orders import BTC_USDT

from steelyard import client
from steelyard.client import (
    AdjustBucket,
    Asset,
    Contract,
    ContractKind,
    LiquidationEnd,
    LiquidationEvent,
    LiquidationStep,
    MarginEvent,
    MarginMode,
    MoveMargin,
    PositionEvent,
    PositionLeg,
    PositionStep,
    PriceSource,
    RiskEvent,
    RiskLevel,
    SetContractModes,
    SetLeverage,
    Side,
    order,
    stop,
)
from steelyard.client.market_model import Funding, Liquidation, MarketUpdate, Prices
from steelyard.ops import contract_views, market_watch, words
from steelyard.ops.order_options import leg

PERP = replace(BTC_USDT, symbol="PERP", contract=Contract(ContractKind.LINEAR, 1, BTC_USDT.quote, 5000))
INVERSE = replace(
    BTC_USDT,
    symbol="INV",
    base=Asset(1, "BTC", 8),
    contract=Contract(ContractKind.INVERSE, 1, BTC_USDT.base, 10**8),
)
LISTED = {3: PERP}
AT = (5, 0, 7)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("buy 1 --limit 10 --leg long", {"size": Decimal(1), "limit": Decimal(10), "leg": PositionLeg.LONG}),
        ("buy 1 --reduce-only", {"size": Decimal(1), "market": True, "reduce_only": True}),
        (
            "buy --close --stop 11 --index",
            {"close_position": True, "trigger": stop(Decimal(11), source=PriceSource.INDEX)},
        ),
        ("buy --close --trail 1%", {"close_position": True, "trigger": stop(), "trail": Decimal("0.01")}),
    ],
)
def test_a_leg_about_a_position_is_the_order_that_it_says(text: str, meant: dict[str, Any]) -> None:
    assert leg(text)(PERP) == order(PERP, Side.BUY, **meant)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("buy --close", "--close waits for a price"),
        ("buy 1 --close --stop 3", "say SIZE, or --budget, or --close"),
        ("buy --close --stop 3 --limit 2", "--close is at the market"),
        ("buy --close --stop 3 --reduce-only", "--close is at the market"),
        ("buy 1 --stop 3 --mark --index", "an order waits for one price"),
        ("buy 1 --leg net", "'net' is not one of"),
    ],
)
def test_what_does_not_go_together_is_said(text: str, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        leg(text)
    assert said in caught.value.format_message()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"close_position": True}, "needs a trigger"),
        ({"close_position": True, "size_lots": 1, "trigger": stop(Decimal(1))}, "give the size once"),
        ({"close_position": True, "limit": Decimal(1), "trigger": stop(Decimal(1))}, "has no limit"),
    ],
)
def test_the_sdk_says_what_closing_needs(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        order(PERP, Side.SELL, **given)


def test_an_order_that_closes_is_a_market_order_without_a_size() -> None:
    closing = order(PERP, Side.SELL, close_position=True, trigger=stop(at_ticks=9), leg=PositionLeg.LONG)
    assert (closing.size_lots, closing.limit_ticks, closing.kind) == (0, 0, client.OrderKind.MARKET)
    assert words.order(closing, LISTED) == (
        "sell the whole position at the market stop 4.5 about the long position"
    )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (SetLeverage(3, 10), "leverage of PERP: 10"),
        (SetLeverage(3, 0, PositionLeg.SHORT), "leverage of PERP short: none"),
        (SetContractModes(3, MarginMode.ISOLATED, True), "PERP: isolated margin, hedge mode"),
        (MoveMargin(2, 1_500_000), "move 1.500000 USDT to the margin wallet"),
        (MoveMargin(2, -1_500_000), "move 1.500000 USDT from the margin wallet"),
        (AdjustBucket(3, 1_000_000), "add 1.000000 USDT to the bucket of PERP"),
        (AdjustBucket(3, -1_000_000, PositionLeg.LONG), "take 1.000000 USDT from the bucket of PERP long"),
    ],
)
def test_what_is_asked_is_said(command: client.Command, said: str) -> None:
    assert words.asked(command, LISTED) == said


def position(step: PositionStep, **more: Any) -> PositionEvent:  # noqa: ANN401 - fields of the event
    return PositionEvent(*AT, step, 3, PositionLeg.NET, **more)


def liquidation(step: LiquidationStep, **more: Any) -> LiquidationEvent:  # noqa: ANN401 - fields of the event
    return LiquidationEvent(*AT, step, 8, **more)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (position(PositionStep.TRADED, qty_lots=-150, realised_atoms=5), "-1.50, realised 0.000005"),
        (position(PositionStep.FUNDED, funding_atoms=-5), "received 0.000005 of funding"),
        (position(PositionStep.FUNDED, funding_atoms=5), "paid 0.000005 of funding"),
        (position(PositionStep.SETTLED, qty_lots=100, price_ticks=9), "1.00 settled at 4.5"),
        (
            position(PositionStep.DELEVERAGED, lots=100, ranked=9),
            "1.00 closed against opposite positions, rea",
        ),
        (
            position(PositionStep.DELEVERAGED, lots=100, place=2, ranked=9),
            "1.00 closed against a bankrupt position as number 2 of 9, realised",
        ),
        (position(PositionStep.LEVERAGE), "leverage none"),
        (position(PositionStep.BUCKET, bucket_atoms=7), "0.000007 in its bucket"),
        (position(PositionStep.MODES, margin=1), "cross margin"),
        (position(PositionStep.LOSS_SHARED, amount_atoms=7), "bore 0.000007 of a loss"),
        (MarginEvent(*AT, 2, 3, 4, 5), "margin wallet: 0.000003 USDT, has 0.000005 USDT"),
        (
            RiskEvent(*AT, 2, 0, 1, RiskLevel.SAFE, RiskLevel.WARNING, 600_000),
            "the margin wallet of USDT: safe to warning",
        ),
        (
            RiskEvent(*AT, 2, 3, 2, RiskLevel.SAFE, RiskLevel.LIQUIDATING, 10**9),
            "the position in PERP long: safe to liquidating",
        ),
        (
            liquidation(LiquidationStep.STARTED, asset=2),
            "liquidation 8 of the margin wallet of USDT started",
        ),
        (
            liquidation(LiquidationStep.PAID, instrument=3, lots=100, received_atoms=9),
            "liquidation 8: 1.00 of PERP closed for 0.000009 USDT",
        ),
        (
            liquidation(LiquidationStep.DELEVERAGED, instrument=3, lots=100),
            "liquidation 8: 1.00 of PERP closed against others for 0.000000 USDT",
        ),
        (
            liquidation(LiquidationStep.DEBT, asset=2, insurance_atoms=3, debt_atoms=4),
            "liquidation 8: the insurance fund paid 0.000003 USDT, 0.000004 USDT stayed open",
        ),
        (liquidation(LiquidationStep.ENDED, how=LiquidationEnd.FUND), "liquidation 8 ended: fund"),
    ],
)
def test_what_happened_to_a_position_is_said(event: client.Event, said: str) -> None:
    assert said in words.happened(event, LISTED)


def test_every_step_of_a_position_and_a_liquidation_has_its_words() -> None:
    for step in PositionStep:
        assert words.happened(position(step, margin=1), LISTED)
    for each in LiquidationStep:
        assert words.happened(liquidation(each, asset=2, instrument=3, how=1), LISTED)


def test_notionals_of_contracts_are_in_what_they_settle_in() -> None:
    placed = client.Placed(1, 2, 3, 4, executed_lots=100, executed_atoms=5, fee_atoms=6, open_lots=0)
    assert "for 0.00000005 BTC, fee 0.00000006" in words.answered(placed, INVERSE)
    assert INVERSE.settle.symbol == "BTC"
    assert BTC_USDT.settle.symbol == PERP.settle.symbol == "USDT"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"step": LiquidationStep.STEPPED, "side": Side.SELL, "lots": 100, "mark": 9, "limit": 8},
            "sells 1.00 at 4.0 or better, mark 4.5",
        ),
        (
            {"step": LiquidationStep.PAID, "lots": 100, "received": 7, "insurance": -2},
            "1.00 brought 0.000007 USDT, the fund gave 0.000002",
        ),
        ({"step": LiquidationStep.DELEVERAGED, "lots": 100, "others": 3}, "closed against 3 opposite"),
        (
            {"step": LiquidationStep.DEBT, "insurance": 2, "debt": 4},
            "the fund paid 0.000002 USDT, 0.000004 stayed open",
        ),
        ({"step": LiquidationStep.SHARED, "debt": 4, "others": 3}, "3 who had a gain bore 0.000004 USDT"),
        ({"step": LiquidationStep.STARTED}, "started"),
        ({"step": LiquidationStep.STARTED, "wallet": True}, "of a margin wallet of USDT started"),
        ({"step": LiquidationStep.ENDED, "wallet": True, "how": LiquidationEnd.ADL}, "ended: adl"),
        (
            {"step": LiquidationStep.DEBT, "wallet": True, "insurance": 2, "debt": 4},
            "the fund paid 0.000002 USDT, 0.000004 stayed open",
        ),
        (
            {"step": LiquidationStep.REPAID, "wallet": True, "insurance": 2},
            "the fund repaid 0.000002 USDT of what had stayed open",
        ),
    ],
)
def test_a_public_step_of_a_liquidation_is_said(row: dict[str, Any], said: str) -> None:
    wallet = row.get("wallet", False)
    step = Liquidation(
        1,
        2,
        0 if wallet else 3,
        4,
        row["step"],
        row.get("side"),
        row.get("lots", 0),
        row.get("mark", 0),
        row.get("limit", 0),
        row.get("received", 0),
        0,
        row.get("insurance", 0),
        row.get("debt", 0),
        row.get("others", 0),
        PERP.settle.asset if wallet else 0,
        row.get("how"),
    )
    values = contract_views.liquidation_values(step, LISTED)
    assert said in contract_views.liquidation_words(values)
    assert values["symbol"] == (None if wallet else PERP.symbol)


def test_a_watched_contract_is_told_in_values_and_in_lines() -> None:
    update = MarketUpdate(
        5,
        7,
        False,
        prices=[Prices(9, 8, True)],
        funding=[
            Funding(False, 1_000_000, 2_000_000, 0, 0, 0, 0, 60 * 10**9),
            Funding(True, 0, 0, 2_000_000, 9, -(10**9), 4, 60 * 10**9),
        ],
        open_interest_lots=150,
        liquidations=[
            Liquidation(5, 7, 3, 8, LiquidationStep.DELEVERAGED, None, 100, 9, 0, -4, 0, 0, 0, 2, 0, None),
            Liquidation(
                5, 7, 0, 0, LiquidationStep.REPAID, None, 0, 0, 0, 0, 0, 3, 0, 0, PERP.settle.asset, None
            ),
        ],
    )
    values = market_watch.update_values(PERP, update)
    assert values["prices"] == [{"mark": "4.5", "index": "4.0", "index_stale": True}]
    assert values["open_interest"] == "1.50"
    assert values["funding"][0]["premium"] == "0.10000 %"
    assert values["funding"][1]["owed_per_lot"] == "-0.000001000000000"
    assert market_watch.lines_of(values) == [
        "[dim]         5[/]  prices  mark 4.5, index 4.0 [red]stale[/]",
        "[dim]         5[/]  funding predicted 0.20000 %, last 0.00000 %, next 1970-01-01 00:01:00",
        "[dim]         5[/]  funding settled at 0.20000 %, a long owes -0.000001000000000 per lot, "
        "next 1970-01-01 00:01:00",
        "[dim]         5[/]  open interest 1.50",
        "[dim]         5[/]  [bold]liquidation 8[/] 1.00 closed against 2 opposite positions",
        "[dim]         5[/]  [bold]bad debt[/] the fund repaid 0.000003 USDT of what had stayed open",
    ]

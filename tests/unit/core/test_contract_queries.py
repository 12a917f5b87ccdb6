"""What an account is told of its margins and positions, and of an order before it places it."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, USD, buy, order, sell
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import queries
from steelyard.core.commands import (
    MarginTerms,
    MarginTier,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    SetContractModes,
    SetLeverage,
)
from steelyard.core.queries import GetAccount, MarginInfo, PositionInfo, Trial, TryOrder
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    ContractKind,
    InstrumentId,
    Leg,
    LiquidationId,
    MarginMode,
    OrderId,
    OrderKind,
    RiskLevel,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

NOT_LIQUIDATED = LiquidationId(0)


def told(venue: ContractVenue, account: AccountId = ALICE) -> queries.AccountInfo:
    answer = venue.query(account, GetAccount(account=account))
    assert isinstance(answer, queries.AccountInfo)
    return answer


def at(command: PlaceOrder, instrument: InstrumentId = PERP) -> PlaceOrder:
    return msgspec.structs.replace(command, instrument=instrument)


def meet(venue: ContractVenue, lots: int, price_ticks: int, instrument: InstrumentId = PERP) -> None:
    """Let Alice buy (above zero) or sell lots from Bob."""
    number = venue.exchange.state.last_number + 1
    first, second = (sell, buy) if lots > 0 else (buy, sell)
    venue.place(BOB, at(first(number, abs(lots), price_ticks), instrument))
    venue.place(ALICE, at(second(number, abs(lots), price_ticks), instrument))


def test_an_account_without_margin_is_told_nothing_of_it() -> None:
    info = told(contract_market(wallet_atoms=0))

    assert (info.margins, info.positions) == ([], [])


def test_a_cross_position_with_an_order_is_told_in_full() -> None:
    venue = contract_market(wallet_atoms=1_000)
    meet(venue, 10, 100)
    meet(venue, 5, 102)
    venue.ask(ALICE, SetLeverage(account=ALICE, instrument=PERP, leverage=20))
    venue.place(ALICE, at(buy(90, 3, 101)))
    venue.mark(98)

    info = told(venue)

    assert info.margins == [
        MarginInfo(
            asset=USD,
            wallet_atoms=1_000,
            equity_atoms=960,
            maintenance_atoms=15,
            used_atoms=89 + 9,
            available_atoms=862,
            withdrawable_atoms=960 - 147,
            level=RiskLevel.SAFE,
            ratio_ppm=15_625,
            liquidation=NOT_LIQUIDATED,
        )
    ]
    assert info.positions == [
        PositionInfo(
            instrument=PERP,
            leg=Leg.NET,
            margin=MarginMode.CROSS,
            hedge=False,
            leverage=20,
            qty_lots=15,
            cash_flow_atoms=-1_510,
            entry_numerator=1_510,
            entry_denominator=15,
            entry_ticks=101,
            mark_ticks=98,
            pnl_atoms=-40,
            unsettled_atoms=0,
            maintenance_atoms=15,
            initial_atoms=89,
            bucket_atoms=0,
            held_atoms=0,
            # (1510 - 1000) / (15 * 0.99) = 34.3
            liquidation_ticks=35,
            open_buy_lots=3,
            open_sell_lots=0,
            level=RiskLevel.SAFE,
            ratio_ppm=15_625,
            liquidation=NOT_LIQUIDATED,
        )
    ]


def test_isolated_legs_are_told_one_by_one() -> None:
    venue = contract_market(wallet_atoms=1_000)
    venue.ask(ALICE, SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED, hedge=True))
    venue.ask(ALICE, SetLeverage(account=ALICE, instrument=PERP, leverage=10, leg=Leg.SHORT))
    venue.place(BOB, at(buy(1, 4, 100)))
    venue.ask(
        ALICE,
        PlaceContractOrder(
            account=ALICE,
            instrument=PERP,
            order=OrderId(1),
            side=Side.SELL,
            size_lots=6,
            limit_ticks=100,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.GTC,
            leg=Leg.SHORT,
        ),
    )

    long, short = told(venue).positions

    assert (long.leg, long.hedge, long.margin, long.qty_lots) == (Leg.LONG, True, MarginMode.ISOLATED, 0)
    assert (long.entry_ticks, long.liquidation_ticks, long.ratio_ppm) == (0, 0, 0)
    assert (short.leg, short.qty_lots, short.bucket_atoms, short.held_atoms) == (Leg.SHORT, -4, 40, 20)
    # (40 + 400) / (4 * 1.01) = 108.9
    assert (short.liquidation_ticks, short.ratio_ppm, short.open_sell_lots) == (108, 100_000, 2)
    assert told(venue).margins[0].wallet_atoms == 940


def test_the_entry_of_an_inverse_position_is_a_mean_of_prices() -> None:
    venue = contract_market(perpetual(ContractKind.INVERSE), decimals=8, wallet_atoms=10**8)
    meet(venue, 10, 100, INVERSE_PERP)
    meet(venue, 10, 300, INVERSE_PERP)

    [position] = told(venue).positions

    # 20 dollars for 10/100 + 10/300 of a coin, the second rounded down.
    assert position.entry_numerator == 20 * 10**8
    assert position.entry_denominator == position.cash_flow_atoms == 10_000_000 + 3_333_333
    assert position.entry_ticks == 150
    assert told(venue).margins[0].asset == BTC


# --- before an order is placed ----------------------------------------------------------------------------


def tried(venue: ContractVenue, command: PlaceOrder | PlaceContractOrder) -> Trial:
    before = venue.everything()
    answer = venue.query(ALICE, TryOrder(command=command))
    assert isinstance(answer, Trial)
    assert venue.everything() == before
    return answer


def stands(venue: ContractVenue) -> tuple[int, int]:
    """Return what is available to Alice, and where her only position is liquidated."""
    info = told(venue)
    return info.margins[0].available_atoms, info.positions[0].liquidation_ticks if info.positions else 0


def fees_market(margin: MarginTerms | None = None, wallet_atoms: int = 5_000) -> ContractVenue:
    """Return a market with fees on which Bob and Carol quote 96 … 98 and 101 … 103."""
    rules = contract_rules() if margin is None else contract_rules(margin=margin)
    terms = perpetual(rules=rules, taker_ppm=10_000, maker_ppm=-5_000)
    venue = contract_market(terms, wallet_atoms=wallet_atoms)
    venue.pay_in(BOB, 1_000_000)
    venue.pay_in(CAROL, 1_000_000)
    for number, (trader, price) in enumerate([(BOB, 101), (CAROL, 102), (BOB, 103)], start=1):
        venue.place(trader, at(sell(number, 10, price)))
        venue.place(trader, at(buy(10 + number, 10, price - 2 * number - 1)))
    return venue


SCALED = MarginTerms(
    tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)],
    open_interest_low_atoms=1_000,
    open_interest_high_atoms=4_000,
)


@pytest.mark.parametrize("mode", MarginMode)
@pytest.mark.parametrize("lots", [0, 7, -7])
@pytest.mark.parametrize("margin", [None, SCALED], ids=["plain", "scaled"])
@pytest.mark.parametrize(
    "command",
    [
        buy(50, 5, 101),
        buy(50, 25, 102),
        buy(50, 5, 95),
        sell(50, 5, 98),
        sell(50, 15, 98),
        sell(50, 20, 110),
        buy(50, 25, 102, TimeInForce.IOC),
        sell(50, 15, 97, TimeInForce.FOK),
        order(Side.BUY, 50, 12, kind=OrderKind.MARKET, time_in_force=TimeInForce.IOC),
    ],
    ids=str,
)
def test_what_is_said_is_how_it_comes(
    mode: MarginMode, lots: int, margin: MarginTerms | None, command: PlaceOrder
) -> None:
    venue = fees_market(margin)
    venue.ask(ALICE, SetContractModes(account=ALICE, instrument=PERP, margin=mode))
    venue.ask(ALICE, SetLeverage(account=ALICE, instrument=PERP, leverage=4))
    if lots:
        meet(venue, lots, 100)
    venue.place(ALICE, at(sell(60, 2, 120)))

    said = tried(venue, at(command))

    assert said.refused is None
    venue.place(ALICE, at(command))
    assert (said.available_atoms, said.liquidation_ticks) == stands(venue)


def test_what_an_order_takes_is_its_margin_loss_and_fees() -> None:
    venue = fees_market()

    # 500 at 2 %, 25 lost to the mark at once, 2 of fees per lot.
    assert tried(venue, at(buy(50, 5, 105))).margin_atoms == 10 + 25 + 10
    venue.ask(ALICE, SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED))
    # Per lot 2.1 rounded up, 5 lost at once, 1.05 of fees rounded up.
    assert tried(venue, at(buy(50, 5, 105))).margin_atoms == 5 * (3 + 5 + 2)


def test_an_order_that_waits_takes_nothing_yet() -> None:
    venue = fees_market()
    meet(venue, 10, 100)
    stop = PlaceContractOrder(
        account=ALICE,
        instrument=PERP,
        order=OrderId(50),
        side=Side.SELL,
        size_lots=10,
        limit_ticks=0,
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
        terms=OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=90),
        reduce_only=True,
    )

    said = tried(venue, stop)

    assert (said.waits, said.margin_atoms) == (True, 0)
    assert (said.available_atoms, said.liquidation_ticks) == stands(venue)


def test_of_a_refused_order_nothing_else_is_said() -> None:
    venue = fees_market(wallet_atoms=10)

    assert tried(venue, at(buy(50, 50, 101))) == Trial(Reject.INSUFFICIENT_MARGIN, 0, False, 0, 0, 0, 0, None)


@pytest.mark.parametrize("prevention", SelfTrade)
def test_meeting_oneself_is_foreseen(prevention: SelfTrade) -> None:
    venue = fees_market()
    meet(venue, 5, 100)
    venue.place(ALICE, at(sell(40, 4, 101)))
    taker = PlaceContractOrder(
        account=ALICE,
        instrument=PERP,
        order=OrderId(50),
        side=Side.BUY,
        size_lots=16,
        limit_ticks=101,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC,
        terms=OrderTerms(self_trade=prevention),
    )
    said = tried(venue, taker)

    venue.ask(ALICE, taker)

    assert (said.available_atoms, said.liquidation_ticks) == stands(venue)


def test_funding_that_is_owed_is_paid_before_anything_trades() -> None:
    venue = fees_market()
    meet(venue, 7, 100)
    # Longs owe what shorts are owed.
    venue.contract().cumulative_nanoatoms = 9_876_543_210
    said = tried(venue, at(sell(50, 3, 98)))

    venue.place(ALICE, at(sell(50, 3, 98)))

    assert told(venue).positions[0].unsettled_atoms == 0
    assert (said.available_atoms, said.liquidation_ticks) == stands(venue)

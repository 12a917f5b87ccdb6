"""Scales, margin schedules, fills and what a scope is worth, by worked examples."""

import pytest
from tests.helpers.contract_parts import (
    ALICE,
    PERPETUAL,
    SETTLE,
    Market,
    contract_of,
    position_of,
    terms,
    trade,
)

from steelyard.core.commands import ListContract
from steelyard.core.contracts import equity, fill, scales, schedule
from steelyard.core.contracts.contract import Contract
from steelyard.core.ledger import Balance
from steelyard.core.matching import Margin, Order, Position
from steelyard.core.units import (
    AssetId,
    ContractKind,
    IndexId,
    InstrumentId,
    Leg,
    LiquidationId,
    OrderId,
    OrderNumber,
    RiskLevel,
    Side,
)

UNIT = 10**8
PLAIN = terms((0, 10_000, 20_000))


def listing(kind: ContractKind, tick: tuple[int, int], lot: tuple[int, int]) -> ListContract:
    return ListContract(
        instrument=PERPETUAL,
        symbol="P",
        base=AssetId(1),
        quote=AssetId(2),
        tick_mantissa=tick[0],
        tick_decimals=tick[1],
        lot_mantissa=lot[0],
        lot_decimals=lot[1],
        price_max_ticks=10**6,
        size_max_lots=10**4,
        notional_min_atoms=0,
        maker_ppm=0,
        taker_ppm=0,
        market_protection_ppm=0,
        contract=kind,
        index=IndexId(1),
        rules=contract_of(kind, 1, PLAIN).rules,
    )


def linear(scale: int = 1) -> Contract:
    return contract_of(ContractKind.LINEAR, scale, PLAIN)


def resting(position: Position, side: Side, price_ticks: int, lots: int, fee_atoms: int = 0) -> Order:
    """Put an order among a position's own, without a book."""
    number = len(position.orders) + 1
    order = Order(
        position.account,
        position.instrument,
        OrderId(number),
        OrderNumber(number),
        "",
        side,
        price_ticks,
        lots,
        lots,
        fee_atoms,
        Balance(),
        Balance(),
    )
    position.begin(order)
    return order


# --- scales -----------------------------------------------------------------------------------------------


def test_a_cent_a_thousandth_and_eight_decimals_make_a_thousand_atoms() -> None:
    assert scales.contract_scale(listing(ContractKind.LINEAR, (1, 2), (1, 3)), 8) == 1000
    assert scales.notional_atoms(linear(1000), 145_684, 3) == 437_052_000


def test_dollar_lots_and_half_dollar_ticks_make_two_hundred_million() -> None:
    assert scales.contract_scale(listing(ContractKind.INVERSE, (5, 1), (1, 0)), 8) == 200_000_000
    inverse = contract_of(ContractKind.INVERSE, 200_000_000, PLAIN)
    assert scales.notional_atoms(inverse, 20_001, 7) == 69_996
    assert scales.mark_notional_atoms(inverse, 7, 20_001) == 69_997


@pytest.mark.parametrize("kind", ContractKind)
def test_a_scale_that_is_no_integer_is_none(kind: ContractKind) -> None:
    assert scales.contract_scale(listing(kind, (3, 2), (1, 7)), 4) is None


def test_an_inverse_long_wins_when_the_price_rises() -> None:
    inverse = contract_of(ContractKind.INVERSE, 200_000_000, PLAIN)
    position = position_of(Margin(ALICE, SETTLE))

    trade(inverse, position, 20_000, 20_000)

    assert position.cash_flow_atoms == 200_000_000
    assert scales.value_atoms(inverse, 20_000, 25_000) == -160_000_000
    assert equity.gain_atoms(inverse, position, 25_000) == 40_000_000


# --- schedule ---------------------------------------------------------------------------------------------


def test_a_published_schedule_in_dollars() -> None:
    published = terms((0, 4_000, 8_000), (50_000 * UNIT, 5_000, 10_000), (250_000 * UNIT, 10_000, 20_000))

    assert schedule.maintenance_atoms(published, 100_000 * UNIT, 1) == (500 - 50) * UNIT
    assert schedule.maintenance_atoms(published, 260_000 * UNIT, 1) == (2_600 - 1_300) * UNIT


def test_a_published_schedule_in_coins() -> None:
    published = terms((0, 11_000, 20_000), (40 * UNIT, 25_000, 40_000), (50 * UNIT, 50_000, 60_000))

    assert schedule.maintenance_atoms(published, 49 * UNIT, 1) == 122_500_000 - 56_000_000
    assert schedule.maintenance_atoms(published, 60 * UNIT, 1) == 300_000_000 - 181_000_000


@pytest.mark.parametrize(
    ("lots", "initial", "maintenance"), [(25, 53_125, 28_125), (350, 1_312_500, 962_500)]
)
def test_rates_that_rise_with_the_size(lots: int, initial: int, maintenance: int) -> None:
    margin = terms((0, 10_000, 20_000), slope_ppb=50_000)

    assert schedule.initial_atoms(margin, 100_000 * lots, lots, 0, 0) == initial
    assert schedule.maintenance_atoms(margin, 100_000 * lots, lots) == maintenance


@pytest.mark.parametrize(
    ("longs", "rate"), [(0, 50_000), (100, 50_000), (150, 525_000), (200, 10**6), (900, 10**6)]
)
def test_the_initial_rate_follows_open_interest(longs: int, rate: int) -> None:
    margin = terms((0, 10_000, 50_000), low_atoms=100, high_atoms=200)

    assert schedule.scaled_rate_ppm(margin, longs) == rate
    assert schedule.initial_atoms(margin, 1_000_000, 1, 0, longs) == rate


def test_a_chosen_leverage_asks_for_more_and_never_for_less() -> None:
    assert schedule.initial_atoms(PLAIN, 1_000_001, 1, 0, 0) == 20_001
    assert schedule.initial_atoms(PLAIN, 1_000_001, 1, 3, 0) == 333_334
    assert schedule.initial_atoms(PLAIN, 1_000_001, 1, 60, 0) == 20_001


def test_the_highest_leverage_is_that_of_the_tier() -> None:
    margin = terms((0, 1_000, 3_000), (1_000, 2_000, 7_000))

    assert schedule.max_leverage(margin, 999, 1) == 333
    assert schedule.max_leverage(margin, 1_000, 1) == 142
    assert schedule.max_leverage(terms((0, 1_000, 3_000), slope_ppb=50_001), 1_000, 2) == 10**6 // 3_101


def test_nothing_needs_nothing() -> None:
    margin = terms((0, 1_000, 3_000), low_atoms=1, high_atoms=2)

    assert schedule.maintenance_atoms(margin, 0, 0) == 0
    assert schedule.initial_atoms(margin, 0, 0, 5, 9) == 0


# --- fills ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fills", "realised", "left"),
    [
        ([(3, -100), (-1, 40), (-2, 80)], [0, 6, 14], [(3, -100), (2, -66), (0, 0)]),
        ([(-3, 100), (1, -40), (2, -60)], [0, -7, 7], [(-3, 100), (-2, 67), (0, 0)]),
        # A flip at 20 for 7: two of five close for 8, three open for 12.
        ([(-2, 10), (5, -20)], [0, 2], [(-2, 10), (3, -12)]),
        # 7 for five: floor(7 * 2 / 5) closes, the rest opens.
        ([(2, -10), (-5, 7)], [0, -8], [(2, -10), (-3, 5)]),
    ],
)
def test_a_fill_realises_its_share(
    fills: list[tuple[int, int]], realised: list[int], left: list[tuple[int, int]]
) -> None:
    contract, margin = linear(), Margin(ALICE, SETTLE)
    position = position_of(margin)
    seen: list[tuple[int, int]] = []
    got: list[int] = []

    for lots, flow in fills:
        got.append(fill.fill(contract, position, lots, flow, 0, 0))
        seen.append((position.qty_lots, position.cash_flow_atoms))

    assert (got, seen) == (realised, left)
    assert margin.wallet_atoms == sum(realised) == -contract.clearing_atoms
    assert contract.open_interest_lots == max(position.qty_lots, 0)
    assert (ALICE, Leg.NET) in contract.positions or position.qty_lots == 0


def test_funding_is_owed_rounded_up_and_paid_once() -> None:
    contract, margin = linear(), Margin(ALICE, SETTLE)
    position = position_of(margin)
    trade(contract, position, 7, 1_001)
    contract.cumulative_nanoatoms = 100_100_000

    assert fill.owed_atoms(contract, position) == 1
    assert fill.settle(contract, position) == 1
    assert fill.owed_atoms(contract, position) == 0
    assert (margin.wallet_atoms, contract.funding_atoms) == (-1, 1)


def test_a_short_receives_rounded_down() -> None:
    contract, margin = linear(), Margin(ALICE, SETTLE)
    position = position_of(margin, isolated=True)
    trade(contract, position, -17, 1_001)
    contract.cumulative_nanoatoms = 100_100_000

    assert fill.settle(contract, position) == -1
    assert (position.bucket_atoms, margin.wallet_atoms, contract.funding_atoms) == (1, 0, -1)


def isolated(bucket: int, lots: int, price: int, held: int = 0) -> tuple[Contract, Position]:
    contract, margin = linear(), Margin(ALICE, SETTLE)
    position = position_of(margin, isolated=True)
    trade(contract, position, lots, price)
    position.bucket_atoms, position.held_atoms = bucket, held
    return contract, position


@pytest.mark.parametrize(
    ("bucket", "lots", "price", "fee", "pledge", "left", "wallet", "held"),
    [
        # Two of four close with a gain of 20: half of what the fee leaves of the bucket goes along.
        (100, -2, 110, 3, 0, 49, 68, 50),
        # A loss below the share: the rest of the share goes to the wallet.
        (100, -2, 90, 0, 0, 50, 30, 50),
        # A loss above the share stays in the bucket.
        (30, -2, 90, 0, 0, 10, 0, 50),
        # A bucket that funding has taken below zero bears its part of that: 20 * 2 of gain less 5.
        (-10, -2, 120, 0, 0, -5, 35, 50),
        # All of it, with a gain and with a loss that the bucket lacks.
        (100, -4, 110, 0, 0, 0, 140, 50),
        (30, -4, 90, 0, 0, -10, 0, 50),
        # The pledge of closed lots is free again.
        (100, -2, 100, 0, 5, 50, 60, 40),
        # Opening: the pledge becomes bucket, and that pays the fee.
        (100, 2, 100, 3, 10, 117, 0, 30),
        # A flip: four close, one opens, the fee is the new bucket's.
        (100, -5, 110, 3, 10, 7, 180, 0),
    ],
)
def test_an_isolated_fill_moves_bucket_pledge_and_fee(
    bucket: int, lots: int, price: int, fee: int, pledge: int, left: int, wallet: int, held: int
) -> None:
    contract, position = isolated(bucket, 4, 100, held=50)

    fill.fill(contract, position, lots, -lots * price, fee, pledge)

    assert (position.bucket_atoms, position.margin.wallet_atoms, position.held_atoms) == (left, wallet, held)


def test_the_bucket_keeps_everything_while_the_engine_has_the_position() -> None:
    contract, position = isolated(100, 4, 100)
    position.liquidation = LiquidationId(1)

    fill.fill(contract, position, -4, 440, 0, 0)

    assert (position.bucket_atoms, position.margin.wallet_atoms) == (140, 0)


# --- scopes -----------------------------------------------------------------------------------------------


def test_a_wallet_is_worth_itself_and_its_positions() -> None:
    contract, margin = linear(10), Margin(ALICE, SETTLE)
    margin.wallet_atoms = 5_000
    position = position_of(margin)
    trade(contract, position, 10, 1_000)
    contract.cumulative_nanoatoms = 3 * 10**9
    marks = {PERPETUAL: Market(contract, 990)}

    assert equity.equity_atoms(margin, marks) == 5_000 - 1_000 - 30
    assert equity.maintenance_atoms(margin, marks) == 990
    assert equity.standing_atoms(margin, marks) == (3_970, 990)
    assert equity.used_atoms(margin, marks) == 1_980
    assert equity.available_atoms(margin, marks) == 1_990


def test_an_isolated_position_leaves_the_wallet_alone() -> None:
    contract, margin = linear(10), Margin(ALICE, SETTLE)
    margin.wallet_atoms = 5_000
    position = position_of(margin, isolated=True)
    trade(contract, position, 10, 1_000)
    position.bucket_atoms = 300
    marks = {PERPETUAL: Market(contract, 990)}

    assert equity.equity_atoms(margin, marks) == equity.available_atoms(margin, marks) == 5_000
    assert equity.standing_atoms(position, marks) == (-700, 990)
    assert equity.withdrawable_atoms(margin, marks) == 5_000


def test_orders_use_the_worst_case_their_loss_and_their_fees() -> None:
    contract, margin = linear(1), Margin(ALICE, SETTLE)
    position = position_of(margin)
    trade(contract, position, 10, 1_000)
    resting(position, Side.BUY, 1_010, 5, fee_atoms=2)
    resting(position, Side.BUY, 900, 5, fee_atoms=2)
    resting(position, Side.SELL, 995, 4, fee_atoms=3)
    marks = {PERPETUAL: Market(contract, 1_000)}

    assert equity.worst_lots(position) == 20
    assert equity.open_loss_atoms(contract, position, 1_000) == 5 * 10 + 4 * 5
    assert equity.used_atoms(margin, marks) == 400 + 70 + 32
    assert equity.available_atoms(margin, marks) == -502


def test_an_inverse_order_loses_the_difference_of_notionals() -> None:
    contract = contract_of(ContractKind.INVERSE, 200_000_000, PLAIN)

    assert equity.order_loss_atoms(contract, Side.BUY, 7, 20_001, 20_000) == 70_000 - 69_996
    assert equity.order_loss_atoms(contract, Side.SELL, 7, 19_999, 20_000) == 70_004 - 70_000
    assert equity.order_loss_atoms(contract, Side.BUY, 7, 20_001, 20_001) == 1
    assert equity.order_loss_atoms(contract, Side.SELL, 7, 21_000, 20_000) == 0


def test_what_may_leave_is_no_unrealised_profit_and_leaves_a_tenth_of_the_notional() -> None:
    contract, margin = linear(1), Margin(ALICE, SETTLE)
    margin.wallet_atoms = 5_000
    trade(contract, position_of(margin), 10, 1_000)
    market = Market(contract, 1_000)
    marks = {PERPETUAL: market}

    assert equity.withdrawable_atoms(margin, marks) == 4_000
    market.mark_ticks = 1_100
    assert equity.withdrawable_atoms(margin, marks) == 5_000 - 1_100
    market.mark_ticks = 900
    assert equity.withdrawable_atoms(margin, marks) == 4_000 - 900
    assert equity.withdrawable_atoms(margin, marks, more_atoms=50) == 3_150
    margin.level = RiskLevel.DANGER
    assert equity.withdrawable_atoms(margin, marks) == 0


@pytest.mark.parametrize(
    ("worth", "need", "ratio"),
    [(100, 60, 600_000), (3, 1, 333_333), (0, 0, 0), (0, 1, 10**9), (-1, 0, 10**9), (1, 10**6, 10**9)],
)
def test_the_ratio_is_floored_and_has_a_highest_value(worth: int, need: int, ratio: int) -> None:
    assert equity.ratio_ppm(worth, need) == ratio


def test_a_pledge_per_lot_is_margin_loss_and_fee() -> None:
    contract = linear(10)
    position = position_of(Margin(ALICE, SETTLE), isolated=True)

    def pledge(side: Side, limit: int, opposite: int) -> int:
        return equity.isolated_pledge_atoms(contract, position, side, 5, limit, opposite, 1_000, 500)

    assert pledge(Side.BUY, 1_000, 1_001) == 201 + 0 + 6
    assert pledge(Side.BUY, 1_010, 1_005) == 202 + 100 + 6
    assert pledge(Side.BUY, 900, 0) == 200 + 0 + 5
    assert pledge(Side.SELL, 990, 1_005) == 201 + 100 + 6
    assert pledge(Side.SELL, 1, 0) == 200 + 9_990 + 5
    assert pledge(Side.SELL, 1_100, 0) == 220 + 0 + 6
    position.leverage = 3
    assert pledge(Side.BUY, 1_000, 0) == 3_334 + 0 + 5


def test_other_scopes_do_not_ask_for_a_mark() -> None:
    contract, margin = linear(1), Margin(ALICE, SETTLE)
    position_of(margin).leverage = 5
    marks = {PERPETUAL: Market(contract, 0), InstrumentId(6): Market(contract, 0)}

    assert equity.available_atoms(margin, marks) == equity.used_atoms(margin, marks) == 0
    assert equity.standing_atoms(margin, marks) == (0, 0)

"""The naive exchange's arithmetic of contracts, by the worked examples that its rules were published with."""

from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace
from tests.helpers.contract_world import CONTRACTS, INDICES, TIERED

from steelyard.core.commands import (
    NO_TERMS,
    ContractRules,
    FundingTerms,
    IndexQuote,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
)
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    FundingRule,
    InstrumentId,
    InstrumentState,
    Leg,
    MarginMode,
    OrderKind,
    Side,
    TimeInForce,
)
from steelyard.simulation.twin import Twin
from steelyard.simulation.twin_contracts import Contract, Index, Liquidation, Position, filled, weighted_index
from steelyard.simulation.twin_parts import Market, Order, no_rules

MONEY = AssetId(2)
TRADER, ONE, TWO, THREE = (AccountId(1000 + n) for n in range(4))
FIRST, SECOND = InstrumentId(11), InstrumentId(12)
WALLET = (TRADER, MONEY, InstrumentId(0), Leg.NET)
SECOND_NS = 10**9


def flat(maintenance_ppm: int, **more: Any) -> ContractRules:  # noqa: ANN401 - fields of the rules
    """Return rules with one rate for all sizes."""
    tier = MarginTier(floor_atoms=0, maintenance_ppm=maintenance_ppm, initial_ppm=2 * maintenance_ppm)
    return replace(TIERED, margin=MarginTerms(tiers=[tier]), **more)


def twin_of(
    rules: ContractRules,
    mark: int,
    scale: int = 1,
    kind: ContractKind = ContractKind.LINEAR,
    top: int = 10**9,
) -> Twin:
    """Return an exchange with two contracts of these rules, both at a mark, and nobody in them."""
    twin = Twin()
    twin.time_ns = 1
    twin.indices[1] = Index(INDICES[0], price=mark, stale=False)
    for instrument in (FIRST, SECOND):
        spec = replace(CONTRACTS[0], instrument=instrument, contract=kind, price_max_ticks=top)
        market = Market(spec, 0, scale, no_rules(instrument))
        market.state, market.mark = InstrumentState.OPEN, mark
        twin.markets[instrument] = market
        twin.contracts[instrument] = Contract(spec, scale, MONEY, rules)
    return twin


def hold(
    twin: Twin, account: AccountId, instrument: InstrumentId, lots: int, cash: int, leg: Leg = Leg.NET
) -> Position:
    """Give an account a position."""
    p = twin.position(account, instrument, leg)
    p.lots, p.cash = lots, cash
    return p


def isolate(twin: Twin, p: Position, bucket: int) -> None:
    """Let a position stand on a bucket of its own."""
    twin.modes[p.account, p.instrument] = (MarginMode.ISOLATED, False)
    p.bucket = bucket


# ---- scales and positions


def test_notionals_are_exact_when_linear_and_floored_once_when_inverse() -> None:
    spec = CONTRACTS[0]
    inverse = replace(spec, contract=ContractKind.INVERSE)

    assert Contract(spec, 1000, MONEY, TIERED).notional(145_684, 3) == 437_052_000
    assert Contract(inverse, 200_000_000, MONEY, TIERED).notional(20_001, 7) == 69_996


def test_a_position_realises_the_floor_of_its_share_and_all_of_it_at_last() -> None:
    long = Position(TRADER, FIRST, Leg.NET)
    assert filled(long, 3, -100) == 0
    assert filled(long, -1, 40) == 6
    assert (long.lots, long.cash) == (2, -66)
    assert filled(long, -2, 80) == 14
    assert (long.lots, long.cash) == (0, 0)

    short = Position(TRADER, FIRST, Leg.NET)
    assert filled(short, -3, 100) == 0
    assert filled(short, 1, -40) == -7
    assert (short.lots, short.cash) == (-2, 67)
    assert filled(short, 2, -60) == 7


def test_an_inverse_long_wins_as_the_price_rises() -> None:
    scale = 200_000_000
    twin = twin_of(flat(10_000), 25_000, scale, ContractKind.INVERSE)
    contract = twin.contracts[FIRST]
    long = hold(twin, TRADER, FIRST, 0, 0)
    filled(long, 20_000, contract.flow(20_000, contract.notional(20_000, 20_000)))

    assert long.cash == 200_000_000
    assert contract.value(long.lots, 25_000) == -160_000_000
    assert twin.pnl(long) == 40_000_000


# ---- prices and funding


def quotes(*prices: int) -> list[IndexQuote]:
    """Return quotes of equal weight, as of now."""
    return [IndexQuote(source=n, price_ticks=p, weight=1, time_ns=0) for n, p in enumerate(prices)]


def test_one_source_that_is_far_off_has_no_weight_and_two_leave_the_median() -> None:
    assert weighted_index(quotes(10_000, 10_100, 10_610), 9, 50_000, 1) == (10_050, 9)
    assert weighted_index(quotes(10_000, 10_100, 12_000, 12_000), 9, 50_000, 1) == (11_050, 9)
    assert weighted_index(quotes(10_000), 9, 50_000, 9) == (0, 0)


def test_the_mark_is_the_median_of_three() -> None:
    hour_ns = 3600 * SECOND_NS
    rules = flat(10_000, funding=FundingTerms(interval_ns=hour_ns), mark_band_ppm=50_000)
    twin = twin_of(rules, 1_000_000)
    market, contract = twin.markets[FIRST], twin.contracts[FIRST]
    contract.rate, contract.bases, market.last = 100_000, [30], 1_000_100
    twin.time_ns, contract.funding_ns = hour_ns // 2, hour_ns

    assert twin.mark_by_rule(market, contract) == 1_000_050


@pytest.mark.parametrize(
    ("terms", "premiums", "rate"),
    [
        (FundingTerms(), [-300_000], 100_000),
        (FundingTerms(), [800_000], 300_000),
        (FundingTerms(rule=FundingRule.DEAD_BAND), [250_000], 0),
        (FundingTerms(rule=FundingRule.DEAD_BAND), [400_000], 150_000),
        (FundingTerms(rule=FundingRule.DEAD_BAND), [-600_000], -350_000),
        (
            FundingTerms(rule=FundingRule.SAMPLED, interest_ppb=0, tails_ppm=125_000),
            [100, 200, 300, 400, 10_000, -9_000, 200, 300],
            250,
        ),
        (FundingTerms(cap_ppb=1_000), [800_000], 1_000),
        (FundingTerms(), [], 0),
    ],
)
def test_rates_follow_from_samples(terms: FundingTerms, premiums: list[int], rate: int) -> None:
    twin = twin_of(flat(10_000, funding=terms), 1_000)
    contract = twin.contracts[FIRST]
    contract.samples = list(enumerate(premiums))

    assert twin.funding_rate(contract) == rate


def test_who_pays_funding_pays_up_and_who_is_paid_gets_the_floor() -> None:
    twin = twin_of(flat(10_000), 1_001)
    market, contract = twin.markets[FIRST], twin.contracts[FIRST]
    rows = [hold(twin, account, FIRST, lots, 0) for account, lots in ((TRADER, 7), (ONE, -3), (TWO, -4))]

    contract.cumulative = twin.owed_per_lot(market, contract, 100_000, 1)

    assert contract.cumulative == 100_100_000
    assert [twin.settle(p) for p in rows] == [1, 0, 0]
    assert contract.funding == 1


# ---- margin


def test_tiers_deduct_what_lower_tiers_have_cost_too_much() -> None:
    tiers = [
        MarginTier(floor_atoms=floor, maintenance_ppm=rate, initial_ppm=2 * rate)
        for floor, rate in ((0, 4_000), (50_000, 5_000), (250_000, 10_000))
    ]
    contract = Contract(CONTRACTS[0], 1, MONEY, replace(TIERED, margin=MarginTerms(tiers=tiers)))

    assert contract.margin(1_000_000, 1, initial=False) == 1_000_000 * 10_000 // 10**6 - 1_300
    assert contract.margin(250_000, 1, initial=False) == 250_000 * 5_000 // 10**6 - 50


def test_a_slope_raises_both_rates_with_each_lot() -> None:
    tier = MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)
    terms = MarginTerms(tiers=[tier], slope_ppb=50_000)
    contract = Contract(CONTRACTS[0], 1, MONEY, replace(TIERED, margin=terms))

    assert contract.margin(25 * 100_000, 25, initial=True) == 53_125
    assert contract.margin(350 * 100_000, 350, initial=True) == 1_312_500
    assert contract.margin(25 * 100_000, 25, initial=False) == 28_125


def test_a_crowd_raises_the_initial_rate_to_all_of_it() -> None:
    tier = MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=50_000)
    terms = MarginTerms(tiers=[tier], open_interest_low_atoms=1_000, open_interest_high_atoms=2_000)
    contract = Contract(CONTRACTS[0], 1, MONEY, replace(TIERED, margin=terms))

    assert [contract.crowd_ppm(n) for n in (1_000, 1_500, 2_000, 9_000)] == [50_000, 525_000, 10**6, 10**6]


#: Wallet, other positions' (lots, cash, mark), own (lots, cash) and what the price must be; in hundredths.
LIQUIDATIONS = [
    # other: PnL -1000 and maintenance margin 310 (at a mark of 31000)
    (1_000_000, (1, -3_200_000, 3_100_000), [(2, -10_000_000, Leg.NET)], Fraction(461_161_616, 100)),
    (500_000, None, [(-1, 5_000_000, Leg.NET)], Fraction(544_554_455, 100)),
    (
        1_000_000,
        None,
        [(2, -10_000_000, Leg.LONG), (-1, 5_200_000, Leg.SHORT)],
        Fraction(391_752_577, 100),
    ),
]


@pytest.mark.parametrize(("wallet", "other", "own", "price"), LIQUIDATIONS)
def test_a_scope_is_lost_just_beyond_its_liquidation_price(
    wallet: int, other: tuple[int, int, int] | None, own: list[tuple[int, int, Leg]], price: Fraction
) -> None:
    # Atoms are small, so that the margins' rounding weighs nothing.
    twin = twin_of(flat(10_000), 5_000_000, 1000)
    twin.margins[TRADER, MONEY] = 1000 * wallet
    twin.modes[TRADER, FIRST] = (MarginMode.CROSS, len(own) > 1)
    for lots, cash, leg in own:
        hold(twin, TRADER, FIRST, lots, 1000 * cash, leg)
    if other is not None:
        hold(twin, TRADER, SECOND, other[0], 1000 * other[1])
        twin.markets[SECOND].mark = other[2]
    net = sum(lots for lots, _, _ in own)
    safe = -(-price.numerator // price.denominator) if net > 0 else price.numerator // price.denominator

    twin.markets[FIRST].mark = safe
    assert not twin.is_lost(WALLET)
    twin.markets[FIRST].mark = safe - 1 if net > 0 else safe + 1
    assert twin.is_lost(WALLET)


# ---- liquidation


def run_of(twin: Twin, scope: Any) -> Liquidation:  # noqa: ANN401 - a scope
    """Return a run of the engine over a scope."""
    return Liquidation(1, scope, seen=twin.equity(scope))


def test_a_step_closes_the_fewest_lots_that_reach_the_target() -> None:
    engine = LiquidationTerms(penalty_ppm=2_000, buffer_ppm=100_000)
    twin = twin_of(flat(10_000, liquidation=engine), 1_000)
    p = hold(twin, TRADER, FIRST, 1_000, -1_000_000)
    twin.margins[TRADER, MONEY] = 8_000
    row = run_of(twin, WALLET)

    assert twin.fewest_lots(row, p) == 334
    assert 8_000 - 334 * 1_000 * 2_000 // 10**6 == 7_332
    assert twin.need_without(row, p, 334) * 110 // 100 == 7_326


def test_the_bankruptcy_price_is_where_margin_is_gone() -> None:
    # Leverage 50 at 10000.
    twin = twin_of(flat(5_000), 10_000)
    p = hold(twin, TRADER, FIRST, 1, -10_000)
    isolate(twin, p, 200)
    row = run_of(twin, twin.scope_of(p))

    assert twin.bankruptcy(row, p, 1) == 9_800
    assert twin.limit_of(p, 1, 9_800) == 9_800


def test_inverse_bankruptcy_prices_are_rounded_so_that_nobody_pays_for_them() -> None:
    # Leverage 10 at 10000.
    scale = 10**12
    for lots, price in ((100, 9_091), (-100, 11_111)):
        twin = twin_of(flat(5_000), 10_000, scale, ContractKind.INVERSE)
        contract = twin.contracts[FIRST]
        notional = contract.notional(10_000, 100)
        p = hold(twin, TRADER, FIRST, lots, contract.flow(lots, notional))
        isolate(twin, p, notional // 10)
        row = run_of(twin, twin.scope_of(p))

        assert twin.limit_of(p, 100, twin.bankruptcy(row, p, 100)) == price


def test_a_cross_account_shares_its_equity_among_its_positions() -> None:
    twin = twin_of(flat(10_000), 192)
    twin.markets[SECOND].mark = 104
    twin.contracts[SECOND].rules = flat(20_000)
    long, short = hold(twin, TRADER, FIRST, 100, -20_000), hold(twin, TRADER, SECOND, -50, 5_000)
    twin.margins[TRADER, MONEY] = 1_200
    row = run_of(twin, WALLET)

    assert twin.equity(WALLET) == 200
    assert [twin.maintenance(p) for p in (long, short)] == [192, 104]
    # 200 * 192 / 296 = 129.7, 200 * 104 / 296 = 70.3
    assert twin.bankruptcy(row, long, 100) == 19_200 - 129
    assert twin.bankruptcy(row, short, 50) == -5_200 - 70


def test_who_has_most_profit_and_leverage_gives_up_lots_first() -> None:
    twin = twin_of(flat(10_000), 80)
    bankrupt = hold(twin, TRADER, FIRST, 10, -1_000)
    isolate(twin, bankrupt, 100)
    rows = []
    for account, lots, entry, bucket in ((ONE, 6, 120, 150), (TWO, 8, 100, 100), (THREE, 4, 85, 40)):
        p = hold(twin, account, FIRST, -lots, lots * entry)
        isolate(twin, p, bucket)
        rows.append(p)
    twin.contracts[FIRST].clearing = -1_000 + 720 + 800 + 340
    scope = twin.scope_of(bankrupt)
    twin.start_liquidation(scope)
    row = twin.queue[0]

    assert [giver.score for giver in twin.ranking(bankrupt)] == [492_307, 410_255, 313_722]
    assert twin.bankruptcy(row, bankrupt, 10) == 900
    twin.deleverage(row, bankrupt)

    one, two, three = rows
    assert (two.lots, one.lots, three.lots) == (0, -4, -4)
    # Realised: 80 go with the bucket to the wallet, and 60 with their share of the bucket.
    assert twin.wallet(TWO, MONEY) == 100 + 80
    assert twin.wallet(ONE, MONEY) == 150 * 2 // 6 + 60
    assert twin.equity(scope) == 0
    assert twin.owned.get((5, MONEY), 0) == 0


def test_nobody_may_sell_so_far_below_the_mark_that_the_fund_pays_for_it() -> None:
    twin = twin_of(flat(10_000), 1_000)
    hold(twin, TRADER, FIRST, 10, -10_000)
    twin.margins[TRADER, MONEY] = 200
    order = Order(
        account=TRADER,
        instrument=FIRST,
        order=1,
        label="",
        side=Side.SELL,
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
        post_only=False,
        terms=NO_TERMS,
        price=900,
        size=10,
        open=10,
        reduce_only=True,
    )

    twin.check_margin(order)

    # Ten lots may lose 200.
    assert order.price == 980

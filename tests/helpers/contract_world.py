"""The contracts of the small world: linear and inverse, tiered and sloped, of either rule of marks."""

from typing import Final

from tests.helpers.world import BASE, OTHER, QUOTE, SECOND_NS, opening

from steelyard.core.commands import (
    AnyCommand,
    ContractRules,
    FundingTerms,
    FundInsurance,
    LiquidationTerms,
    ListContract,
    ListIndex,
    MarginTerms,
    MarginTier,
)
from steelyard.core.units import (
    ContractKind,
    FundingRule,
    IndexId,
    InstrumentId,
    MarkRule,
)

#: Where indices begin.
CENTRE_TICKS: Final = 200
MINUTE_NS: Final = 60 * SECOND_NS

INDICES: Final = (
    ListIndex(index=IndexId(1), symbol="BTC-USD-INDEX", tick_mantissa=1, tick_decimals=2),
    ListIndex(
        index=IndexId(2),
        symbol="ETH-USD-INDEX",
        tick_mantissa=7,
        tick_decimals=5,
        stale_ns=20 * SECOND_NS,
        outlier_ppm=100_000,
    ),
)

TIERS: Final = [
    MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000),
    MarginTier(floor_atoms=12_345, maintenance_ppm=25_000, initial_ppm=50_000),
    MarginTier(floor_atoms=40_000, maintenance_ppm=50_000, initial_ppm=100_000),
]

#: From an order's margin to the end of a position it is some ticks here.
HEAVY: Final = MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=60_000, initial_ppm=100_000)])

TIERED: Final = ContractRules(
    margin=MarginTerms(tiers=TIERS),
    position_max_lots=60,
    open_interest_max_lots=120,
    funding=FundingTerms(interval_ns=MINUTE_NS),
)
SLOPED: Final = ContractRules(
    margin=MarginTerms(
        tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)],
        slope_ppb=1_500_000,
        open_interest_low_atoms=50_000,
        open_interest_high_atoms=400_000,
    ),
    position_max_lots=80,
    open_interest_max_lots=150,
    mark_band_ppm=20_000,
    funding=FundingTerms(
        rule=FundingRule.SAMPLED, interval_ns=3 * MINUTE_NS, interest_ppb=12_500, impact_atoms=6_000
    ),
    liquidation=LiquidationTerms(
        step_ppm=200_000, adl_share_ppm=300_000, fund_drawdown_ppm=1_000_000, fund_step_ppm=400_000
    ),
)
AT_ENTRY: Final = ContractRules(
    margin=MarginTerms(tiers=TIERS, at_entry=True),
    position_max_lots=60,
    open_interest_max_lots=90,
    mark_rule=MarkRule.FED,
    funding=FundingTerms(rule=FundingRule.DEAD_BAND, interval_ns=2 * MINUTE_NS),
    liquidation=LiquidationTerms(penalty_ppm=9_999, adl_share_ppm=500_000),
)
INVERSE: Final = ContractRules(
    margin=MarginTerms(
        tiers=[
            MarginTier(floor_atoms=0, maintenance_ppm=15_000, initial_ppm=30_000),
            MarginTier(floor_atoms=700, maintenance_ppm=40_000, initial_ppm=90_000),
        ]
    ),
    position_max_lots=100,
    open_interest_max_lots=200,
    funding=FundingTerms(interval_ns=MINUTE_NS, weighted=False, impact_atoms=200),
    liquidation=LiquidationTerms(buffer_ppm=50_000, hysteresis_ppm=20_000, fund_step_ppm=20_000),
)

CONTRACTS: Final = (
    ListContract(
        instrument=InstrumentId(11),
        symbol="BTC-PERP",
        base=BASE,
        quote=QUOTE,
        tick_mantissa=1,
        tick_decimals=2,
        lot_mantissa=1,
        lot_decimals=3,
        price_max_ticks=2_000,
        size_max_lots=50,
        notional_min_atoms=2_000,
        maker_ppm=-100,
        taker_ppm=750,
        market_protection_ppm=100_000,
        contract=ContractKind.LINEAR,
        index=IndexId(1),
        rules=TIERED,
    ),
    ListContract(
        instrument=InstrumentId(12),
        symbol="BTC-INVERSE",
        base=BASE,
        quote=QUOTE,
        tick_mantissa=1,
        tick_decimals=2,
        lot_mantissa=1,
        lot_decimals=1,
        price_max_ticks=2_000,
        size_max_lots=60,
        notional_min_atoms=0,
        maker_ppm=1_000,
        taker_ppm=2_000,
        contract=ContractKind.INVERSE,
        index=IndexId(1),
        rules=INVERSE,
    ),
    ListContract(
        instrument=InstrumentId(13),
        symbol="ETH-PERP",
        base=OTHER,
        quote=QUOTE,
        tick_mantissa=7,
        tick_decimals=5,
        lot_mantissa=1,
        lot_decimals=1,
        price_max_ticks=1_500,
        size_max_lots=40,
        notional_min_atoms=0,
        maker_ppm=0,
        taker_ppm=500,
        contract=ContractKind.LINEAR,
        index=IndexId(2),
        rules=AT_ENTRY,
    ),
    ListContract(
        instrument=InstrumentId(14),
        symbol="BTC-SLOPE",
        base=BASE,
        quote=QUOTE,
        tick_mantissa=10,
        tick_decimals=3,
        lot_mantissa=1,
        lot_decimals=3,
        price_max_ticks=3_000,
        size_max_lots=50,
        notional_min_atoms=0,
        maker_ppm=-200,
        taker_ppm=300,
        contract=ContractKind.LINEAR,
        index=IndexId(1),
        rules=SLOPED,
    ),
)


def contract_listings() -> list[AnyCommand]:
    """Return the commands that add indices and contracts to the small world."""
    return [
        *INDICES,
        *[command for listing in CONTRACTS for command in (listing, *opening(listing.instrument))],
    ]


def insurance() -> list[AnyCommand]:
    """Return the commands that give the funds a little."""
    return [
        FundInsurance(asset=QUOTE, amount_atoms=12_000),
        FundInsurance(asset=BASE, amount_atoms=20),
    ]

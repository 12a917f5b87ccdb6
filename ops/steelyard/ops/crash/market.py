"""The market that will crash: two linear contracts and an inverse one, on two indices."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from steelyard.client import (
    ContractKind,
    ContractRules,
    FundingRule,
    FundingTerms,
    InstrumentState,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
)
from steelyard.client.admin import Admin

USDT: Final = 1
BTC: Final = 2
ETH: Final = 3
USDT_DECIMALS: Final = 6
COIN_DECIMALS: Final = 8
_ASSETS: Final = (
    (USDT, "USDT", USDT_DECIMALS),
    (BTC, "BTC", COIN_DECIMALS),
    (ETH, "ETH", COIN_DECIMALS),
)

#: A source that has said nothing for so long counts no more.
STALE_NS: Final = 3 * 10**9
#: A source so far from the median of all has no weight.
OUTLIER_PPM: Final = 50_000
MAKER_PPM: Final = 100
TAKER_PPM: Final = 400
MINUTE_NS: Final = 60 * 10**9


class IndexPlan(NamedTuple):
    """An index and the price from which it falls."""

    number: int
    symbol: str
    tick: Decimal
    start: float


class ContractPlan(NamedTuple):
    """A contract of the scenario; ``market`` is the place of its index in ``INDICES``."""

    instrument: int
    symbol: str
    kind: ContractKind
    base: int
    quote: int
    market: int
    lot: Decimal
    price_max_ticks: int
    open_interest_max_lots: int
    funding: FundingTerms

    @property
    def settle(self) -> int:
        """The asset of its margin."""
        return self.quote if self.kind is ContractKind.LINEAR else self.base

    @property
    def tick(self) -> float:
        """The price step."""
        return float(INDICES[self.market].tick)

    def lots(self, notional: float, price: float) -> int:
        """Return how many lots have about so much notional (in dollars) at a price, at least one."""
        lot = float(self.lot)
        return max(1, int(notional / (lot * price if self.kind is ContractKind.LINEAR else lot)))


INDICES: Final = (
    IndexPlan(1, "BTC-USD", Decimal("0.1"), 60_000.0),
    IndexPlan(2, "ETH-USD", Decimal("0.01"), 3_000.0),
)
STARTS: Final = tuple(index.start for index in INDICES)

CONTRACTS: Final = (
    ContractPlan(
        10,
        "BTC-USDT-PERP",
        ContractKind.LINEAR,
        BTC,
        USDT,
        0,
        Decimal("0.001"),
        2_000_000,
        4_000_000_000,
        FundingTerms(interval_ns=MINUTE_NS),
    ),
    ContractPlan(
        11,
        "ETH-USDT-PERP",
        ContractKind.LINEAR,
        ETH,
        USDT,
        1,
        Decimal("0.01"),
        2_000_000,
        4_000_000_000,
        FundingTerms(rule=FundingRule.SAMPLED, interval_ns=MINUTE_NS),
    ),
    ContractPlan(
        12,
        "BTC-USD-INVERSE",
        ContractKind.INVERSE,
        BTC,
        USDT,
        0,
        Decimal(10),
        2_000_000,
        90_000_000,
        FundingTerms(rule=FundingRule.DEAD_BAND, interval_ns=MINUTE_NS),
    ),
)

#: Notional in dollars from which (maintenance, initial) rates hold: 100x for the small, 10x for the largest.
TIERS: Final = (
    (0, 4_000, 10_000),
    (50_000, 6_000, 20_000),
    (250_000, 10_000, 40_000),
    (2_000_000, 25_000, 50_000),
    (20_000_000, 50_000, 100_000),
)


def dollars_atoms(asset: int, dollars: float) -> int:
    """Return about so many dollars in atoms of USDT or, at the starting price, of BTC."""
    if asset == USDT:
        return int(dollars * 10**USDT_DECIMALS)
    return int(dollars / INDICES[0].start * 10**COIN_DECIMALS)


def rules_of(contract: ContractPlan) -> ContractRules:
    """Return a contract's rules."""
    return ContractRules(
        margin=MarginTerms(
            tuple(
                MarginTier(dollars_atoms(contract.settle, floor), maintenance_ppm, initial_ppm)
                for floor, maintenance_ppm, initial_ppm in TIERS
            )
        ),
        position_max_lots=contract.open_interest_max_lots,
        open_interest_max_lots=contract.open_interest_max_lots,
        funding=contract.funding,
        # Less than the lowest maintenance rate: otherwise closing a lot costs more margin than it frees.
        liquidation=LiquidationTerms(penalty_ppm=2_000, step_ppm=50_000),
    )


async def open_market(admin: Admin, fund: Sequence[tuple[int, int]]) -> None:
    """List everything, open it for orders, and pay (asset, atoms) into the insurance funds."""
    for asset, symbol, decimals in _ASSETS:
        await admin.list_asset(asset, symbol, decimals)
    for index in INDICES:
        await admin.list_index(
            index.number, index.symbol, tick=index.tick, stale_ns=STALE_NS, outlier_ppm=OUTLIER_PPM
        )
    for contract in CONTRACTS:
        await admin.list_contract(
            contract.instrument,
            contract.symbol,
            contract.base,
            contract.quote,
            contract=contract.kind,
            index=INDICES[contract.market].number,
            rules=rules_of(contract),
            tick=INDICES[contract.market].tick,
            lot=contract.lot,
            price_max_ticks=contract.price_max_ticks,
            size_max_lots=contract.open_interest_max_lots,
            maker_ppm=MAKER_PPM,
            taker_ppm=TAKER_PPM,
        )
        for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN):
            await admin.set_instrument_state(contract.instrument, state)
    for asset, atoms in fund:
        await admin.fund_insurance(asset, atoms)

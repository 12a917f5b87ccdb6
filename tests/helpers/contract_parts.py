"""Contracts, positions and marks without an exchange around them, for the arithmetic alone."""

from collections.abc import Sequence

from steelyard.core.commands import ContractRules, ListIndex, MarginTerms, MarginTier
from steelyard.core.contracts.contract import Contract, Index
from steelyard.core.contracts.fill import fill
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.matching import Margin, Position
from steelyard.core.units import AccountId, AssetId, ContractKind, IndexId, InstrumentId, Leg

ALICE = AccountId(1001)
SETTLE = AssetId(2)
PERPETUAL = InstrumentId(5)


class Market:
    """What of an instrument the arithmetic sees: a contract and its mark."""

    def __init__(self, contract: Contract, mark_ticks: int) -> None:
        self.contract: Contract | None = contract
        self.mark_ticks = mark_ticks


def tier(floor_atoms: int, maintenance_ppm: int, initial_ppm: int) -> MarginTier:
    return MarginTier(floor_atoms=floor_atoms, maintenance_ppm=maintenance_ppm, initial_ppm=initial_ppm)


def terms(
    *tiers: tuple[int, int, int],
    slope_ppb: int = 0,
    low_atoms: int = 0,
    high_atoms: int = 0,
    at_entry: bool = False,
) -> MarginTerms:
    """Return margin terms of (floor, maintenance rate, initial rate) tiers."""
    return MarginTerms(
        tiers=[tier(*row) for row in tiers],
        slope_ppb=slope_ppb,
        open_interest_low_atoms=low_atoms,
        open_interest_high_atoms=high_atoms,
        at_entry=at_entry,
    )


def contract_of(kind: ContractKind, scale: int, margin: MarginTerms) -> Contract:
    index = Index(ListIndex(index=IndexId(1), symbol="I", tick_mantissa=1, tick_decimals=0))
    rules = ContractRules(margin=margin, position_max_lots=10**9, open_interest_max_lots=10**9)
    return Contract(kind, scale, SETTLE, index, rules)


def position_of(
    margin: Margin, leg: Leg = Leg.NET, instrument: InstrumentId = PERPETUAL, *, isolated: bool = False
) -> Position:
    position = margin.position(instrument, leg)
    position.is_isolated = isolated
    return position


def trade(contract: Contract, position: Position, signed_lots: int, price_ticks: int) -> int:
    """Let a position buy (above zero) or sell lots at a price, without a fee; return what was realised."""
    notional = notional_atoms(contract, price_ticks, abs(signed_lots))
    return fill(contract, position, signed_lots, flow_atoms(contract, signed_lots, notional), 0, 0)


def marks_of(*markets: tuple[InstrumentId, Market]) -> dict[InstrumentId, Market]:
    return dict(markets)


def first_tier(cum_atoms: int, rate_ppm: int, before_ppm: int) -> Sequence[tuple[int, int, int]]:
    """Return two tiers of which the second has this maintenance rate and this ``cum``."""
    floor_atoms = cum_atoms * 10**6 // (rate_ppm - before_ppm)
    return (0, before_ppm, 500_000), (floor_atoms, rate_ppm, 500_000)

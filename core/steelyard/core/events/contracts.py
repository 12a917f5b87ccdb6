"""Perpetual contracts: their prices, positions, margin, funding and liquidations."""

import msgspec

from steelyard.core.commands.contracts import ContractRules, IndexQuote
from steelyard.core.events.base import Event
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    IndexId,
    InstrumentId,
    Leg,
    LiquidationEnd,
    LiquidationId,
    MarginMode,
    OrderId,
    OrderNumber,
    RiskLevel,
    Side,
    TradeId,
)


class IndexListed(Event, frozen=True, kw_only=True, tag=70):
    """An index exists, without a price."""

    index: IndexId
    symbol: str
    tick_mantissa: int
    tick_decimals: int


class ContractListed(Event, frozen=True, kw_only=True, tag=71):
    """A perpetual contract exists, in state PRE_OPEN; ``scale`` is ``k`` or ``S``."""

    instrument: InstrumentId
    symbol: str
    contract: ContractKind
    index: IndexId
    base: AssetId
    quote: AssetId
    settle: AssetId
    scale: int
    rules: ContractRules

    @property
    def lot_atoms(self) -> int:
        """Atoms of the base per lot: a contract moves none."""
        return 0


class ContractRulesSet(Event, frozen=True, kw_only=True, tag=72):
    """A contract has these rules now."""

    instrument: InstrumentId
    rules: ContractRules


class IndexSet(Event, frozen=True, kw_only=True, tag=73):
    """An index was worked out; ``price_ticks`` zero: it never had a price, ``stale``: it has the last one.

    ``quotes`` are what the sources said, all of them, so that anybody can work it out again.
    """

    index: IndexId
    price_ticks: int
    stale: bool
    quotes: list[IndexQuote]


class IndexStale(Event, frozen=True, kw_only=True, tag=74):
    """The last source of an index has become too old: its contracts take only orders that reduce."""

    index: IndexId


class PremiumSampled(Event, frozen=True, kw_only=True, tag=75):
    """A contract's premium at a sample, and the funding rate that the interval would end with by now."""

    instrument: InstrumentId
    premium_ppb: int
    predicted_ppb: int


class FundingSet(Event, frozen=True, kw_only=True, tag=76):
    """Longs owe shorts ``delta_nanoatoms`` more per lot (below zero: the other way round).

    ``cumulative_nanoatoms`` is the sum of all those so far.  A position pays when it changes, or in the sweep
    at the end of the interval.
    """

    instrument: InstrumentId
    rate_ppb: int
    mark_ticks: int
    delta_nanoatoms: int
    cumulative_nanoatoms: int


class FundingPaid(Event, frozen=True, kw_only=True, tag=77):
    """A position gave ``paid_atoms`` to FUNDING (below zero: took from it)."""

    account: AccountId
    instrument: InstrumentId
    leg: Leg
    paid_atoms: int


class FundingSwept(Event, frozen=True, kw_only=True, tag=78):
    """Every position has paid; what roundings left in FUNDING went to ROUNDING."""

    instrument: InstrumentId
    rounding_atoms: int


class LeverageSet(Event, frozen=True, kw_only=True, tag=79):
    """A position has this leverage; ``bucket_atoms`` came from the margin wallet for it."""

    account: AccountId
    instrument: InstrumentId
    leg: Leg
    leverage: int
    bucket_atoms: int


class ContractModesSet(Event, frozen=True, kw_only=True, tag=80):
    """An account has these modes in a contract."""

    account: AccountId
    instrument: InstrumentId
    margin: MarginMode
    hedge: bool


class MarginMoved(Event, frozen=True, kw_only=True, tag=81):
    """Free funds went to the margin wallet (below zero: back); the amounts are those afterwards."""

    account: AccountId
    asset: AssetId
    amount_atoms: int
    free_atoms: int
    wallet_atoms: int


class BucketAdjusted(Event, frozen=True, kw_only=True, tag=82):
    """The margin wallet gave to an isolated position's bucket (below zero: took from it)."""

    account: AccountId
    instrument: InstrumentId
    leg: Leg
    amount_atoms: int
    bucket_atoms: int


class OrderContractSet(Event, frozen=True, kw_only=True, tag=83):
    """Follows ``OrderAccepted`` (and ``OrderTermsSet``) of an order that says more about its position."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    leg: Leg
    reduce_only: bool
    close_position: bool
    liquidation: LiquidationId


# Not keyword-only: a call with more than 15 keywords makes CPython build a dict, which takes far longer.
class PositionsTraded(Event, frozen=True, tag=84):
    """Follows ``Traded`` of a contract: what became of both positions.

    First each paid the funding it owed (``FUNDING`` takes, below zero gives), then CLEARING gave what was
    realised (below zero: took).  ``qty_lots`` and ``cash_flow_atoms`` are those afterwards.
    """

    trade: TradeId
    instrument: InstrumentId
    maker: AccountId
    maker_leg: Leg
    maker_qty_lots: int
    maker_cash_flow_atoms: int
    maker_realised_atoms: int
    maker_funding_atoms: int
    taker: AccountId
    taker_leg: Leg
    taker_qty_lots: int
    taker_cash_flow_atoms: int
    taker_realised_atoms: int
    taker_funding_atoms: int


class RiskLevelChanged(Event, frozen=True, kw_only=True, tag=85):
    """A scope (a margin wallet; with an instrument: an isolated position) crossed a threshold.

    ``ratio_ppm`` is ``maintenance * 10**6 / equity`` rounded down; without equity ``10**9``.
    """

    account: AccountId
    asset: AssetId
    instrument: InstrumentId
    leg: Leg
    before: RiskLevel
    after: RiskLevel
    ratio_ppm: int


class LiquidationStarted(Event, frozen=True, kw_only=True, tag=86):
    """A scope's equity is below its maintenance margin; the engine will take it in its turn."""

    liquidation: LiquidationId
    account: AccountId
    asset: AssetId
    instrument: InstrumentId
    leg: Leg
    equity_atoms: int
    maintenance_atoms: int


class LiquidationStepped(Event, frozen=True, kw_only=True, tag=87):
    """The engine closes ``lots`` of a position; the order's own events follow.

    ``bankruptcy_atoms`` is the cash that the lots must bring for nobody to lose by it (below zero: cost);
    ``limit_ticks`` the worst price that the order takes, 0 if no price brings enough: then there is no order.
    """

    liquidation: LiquidationId
    instrument: InstrumentId
    leg: Leg
    side: Side
    lots: int
    equity_atoms: int
    maintenance_atoms: int
    mark_ticks: int
    bankruptcy_atoms: int
    limit_ticks: int


class LiquidationPaid(Event, frozen=True, kw_only=True, tag=88):
    """Follows a step's order: what its fills brought, and what INSURANCE took (below zero: gave) for them.

    ``received_atoms`` is the cash of ``lots`` lots (below zero: cost), ``bankruptcy_atoms`` their share.
    """

    liquidation: LiquidationId
    account: AccountId
    instrument: InstrumentId
    lots: int
    received_atoms: int
    bankruptcy_atoms: int
    insurance_atoms: int


class AdlRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One opposite position that gave lots, its place in the ranking (1 is first), and what it was and gave.

    ``cash_atoms`` is what the account received for its ``lots`` (below zero: paid), at the bankruptcy price;
    ``realised_atoms`` and ``funding_atoms`` are as in ``PositionsTraded``.
    """

    place: int
    account: AccountId
    leg: Leg
    qty_lots: int
    score_ppm: int
    lots: int
    cash_atoms: int
    realised_atoms: int
    funding_atoms: int


class AdlSettled(Event, frozen=True, kw_only=True, tag=89):
    """A bankrupt position was closed against the best ranked opposite ones, without a fee and off the tape.

    ``ranked`` opposite positions were asked in their turn; ``givers`` are those that gave, in the order of
    their places.  The last two are the bankrupt's own.
    """

    liquidation: LiquidationId
    instrument: InstrumentId
    account: AccountId
    leg: Leg
    mark_ticks: int
    lots: int
    cash_atoms: int
    ranked: int
    givers: list[AdlRow]
    realised_atoms: int
    funding_atoms: int


class DebtTaken(Event, frozen=True, kw_only=True, tag=90):
    """A scope without positions had less than nothing: INSURANCE paid a part, BAD_DEBT the rest."""

    liquidation: LiquidationId
    account: AccountId
    asset: AssetId
    instrument: InstrumentId
    insurance_atoms: int
    debt_atoms: int


class LossShared(Event, frozen=True, kw_only=True, tag=91):
    """BAD_DEBT took ``debt_atoms`` from who has a gain in the contract: (account, leg, atoms), by account."""

    liquidation: LiquidationId
    instrument: InstrumentId
    asset: AssetId
    debt_atoms: int
    shares: list[tuple[AccountId, Leg, int]]


class LiquidationEnded(Event, frozen=True, kw_only=True, tag=92):
    """The engine is done with a scope."""

    liquidation: LiquidationId
    account: AccountId
    asset: AssetId
    instrument: InstrumentId
    leg: Leg
    how: LiquidationEnd
    equity_atoms: int
    maintenance_atoms: int


class WithdrawalGateSet(Event, frozen=True, kw_only=True, tag=93):
    """Margin wallets of an asset are closed to withdrawals, or open again."""

    asset: AssetId
    on: bool


class KillSwitchSet(Event, frozen=True, kw_only=True, tag=94):
    """New orders of an account, in an instrument, or (both zero) all, are off, or on again."""

    on: bool
    account: AccountId
    instrument: InstrumentId


class InsuranceFunded(Event, frozen=True, kw_only=True, tag=95):
    """OMNIBUS gave to INSURANCE (below zero: took); what it has afterwards."""

    asset: AssetId
    amount_atoms: int
    insurance_atoms: int


class DebtRepaid(Event, frozen=True, kw_only=True, tag=98):
    """INSURANCE gave ``atoms`` to BAD_DEBT: all of the debt, or all that it had."""

    asset: AssetId
    atoms: int


class PositionSettled(Event, frozen=True, kw_only=True, tag=96):
    """A position of a closed contract ended at its final price: funding, then CLEARING, as in a trade."""

    account: AccountId
    instrument: InstrumentId
    leg: Leg
    qty_lots: int
    price_ticks: int
    realised_atoms: int
    funding_atoms: int


class ContractSettled(Event, frozen=True, kw_only=True, tag=97):
    """A closed contract has no positions left; what roundings left went to ROUNDING.

    Of ``rounding_atoms`` FUNDING had ``funding_atoms``, and CLEARING the rest.
    """

    instrument: InstrumentId
    price_ticks: int
    rounding_atoms: int
    funding_atoms: int = 0

"""Perpetual contracts: what they are, their prices, their margin, and orders about positions."""

import msgspec

from steelyard.core.commands.base import Command
from steelyard.core.commands.markets import ListInstrument
from steelyard.core.commands.orders import PlaceOrderOnTerms
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    FundingRule,
    IndexId,
    InstrumentId,
    Leg,
    MarginMode,
    MarkRule,
)


class _Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A part of a command."""


class MarginTier(_Part, frozen=True, kw_only=True):
    """From a notional of ``floor_atoms`` on, these rates hold for what is above it."""

    floor_atoms: int
    maintenance_ppm: int
    initial_ppm: int


class MarginTerms(_Part, frozen=True, kw_only=True):
    """How much margin a position needs.

    * ``tiers``: the first begins at zero; floors, maintenance and initial rates rise.
    * ``slope_ppb``: in place of further tiers: both rates rise by this much per lot of the position.
    * ``open_interest_low_atoms``, ``open_interest_high_atoms``: between these notionals of all longs the
      initial rate rises from its base to 100 %; both zero: it does not.
    * ``at_entry``: maintenance margin follows the notional at entry instead of that at the mark.
    """

    tiers: list[MarginTier]
    slope_ppb: int = 0
    open_interest_low_atoms: int = 0
    open_interest_high_atoms: int = 0
    at_entry: bool = False


class FundingTerms(_Part, frozen=True, kw_only=True):
    """How longs and shorts pay each other; rates are per ``interval_ns``.

    * AVERAGED: the (by ``weighted``: linearly weighted) mean premium, pulled to ``interest_ppb`` by at most
      ``clamp_ppb``.
    * DEAD_BAND: the premium beyond ``dead_band_ppb``, accrued with each sample; a rate per 8 hours.
    * SAMPLED: the mean of the minutes' median premiums without ``tails_ppm`` of them at each end, plus
      ``interest_ppb``.

    ``cap_ppb`` bounds the rate on both sides.  ``impact_atoms`` is the notional whose mean price is compared
    with the index; zero: the best prices are.
    """

    rule: FundingRule = FundingRule.AVERAGED
    interval_ns: int = 8 * 3600 * 10**9
    interest_ppb: int = 100_000
    clamp_ppb: int = 500_000
    dead_band_ppb: int = 250_000
    tails_ppm: int = 250_000
    cap_ppb: int = 20_000_000
    impact_atoms: int = 0
    weighted: bool = True


class LiquidationTerms(_Part, frozen=True, kw_only=True):
    """How a position is taken from who cannot carry it.

    * ``penalty_ppm`` of the notional of each fill goes to the fund, as far as the position's margin has it.
    * ``buffer_ppm``: a step closes the fewest lots after which equity is this much above maintenance margin.
    * ``step_ppm``: a step closes at least this share of the position; zero: no more than the buffer asks for.
    * ``adl_share_ppm``: in one round an opposite position gives at most this share of itself.
    * ``fund_drawdown_ppm``: the fund pays for a step only while it is less than this below its peak of 8 h.
    * ``fund_step_ppm``: and at most this share of the notional of the step's lots at the mark.
    * Risk levels by ``maintenance * 10**6 / equity``; a level is left ``hysteresis_ppm`` under its threshold.
    """

    penalty_ppm: int = 2_000
    buffer_ppm: int = 100_000
    step_ppm: int = 0
    adl_share_ppm: int = 1_000_000
    fund_drawdown_ppm: int = 500_000
    fund_step_ppm: int = 50_000
    warning_ppm: int = 600_000
    danger_ppm: int = 750_000
    critical_ppm: int = 900_000
    hysteresis_ppm: int = 50_000


class ContractRules(_Part, frozen=True, kw_only=True):
    """Everything about a contract that may change, and that acts from its log index on.

    ``position_max_lots`` bounds one position with its open orders, ``open_interest_max_lots`` all longs
    together.  A mark lies within ``mark_band_ppm`` of the index.
    """

    margin: MarginTerms
    position_max_lots: int
    open_interest_max_lots: int
    mark_rule: MarkRule = MarkRule.MEDIAN
    mark_band_ppm: int = 50_000
    funding: FundingTerms = FundingTerms()
    liquidation: LiquidationTerms = LiquidationTerms()


class ListIndex(Command, frozen=True, kw_only=True, tag=27):
    """List an index price, in steps of ``tick_mantissa / 10**tick_decimals``.

    A source that is older than ``stale_ns`` of log time counts no more, one that is more than
    ``outlier_ppm`` from the median of all has no weight.
    """

    index: IndexId
    symbol: str
    tick_mantissa: int
    tick_decimals: int
    stale_ns: int = 10 * 10**9
    outlier_ppm: int = 50_000


class ListContract(ListInstrument, frozen=True, kw_only=True, tag=28):
    """List a perpetual contract, in state PRE_OPEN; its tick is that of its index.

    LINEAR, settled in the quote: ``k = tick * lot * 10**quote.decimals`` must be an integer, the lot counts
    base units.  INVERSE, settled in the base: the lot counts quote units, and
    ``S = lot * 10**base.decimals / tick`` must be an integer.
    ``price_max_ticks * open_interest_max_lots * k`` (inverse: ``open_interest_max_lots * S``) is at most
    10**18.
    """

    contract: ContractKind
    index: IndexId
    rules: ContractRules


class SetContractRules(Command, frozen=True, kw_only=True, tag=29):
    """Set everything of a contract that may change, all at once."""

    instrument: InstrumentId
    rules: ContractRules


class IndexQuote(_Part, frozen=True, kw_only=True):
    """What one source says: its price at ``time_ns``, and how much it counts."""

    source: int
    price_ticks: int
    weight: int
    time_ns: int


class SetIndexSources(Command, frozen=True, kw_only=True, tag=70):
    """Say what the sources of an index say now, all of them; asked for by a key with FEED."""

    index: IndexId
    quotes: list[IndexQuote]


class PlaceContractOrder(PlaceOrderOnTerms, frozen=True, kw_only=True, tag=71):
    """Place an order about a position.

    * ``leg``: which one; NET in one-way mode, LONG or SHORT in hedge mode.
    * ``reduce_only``: never enlarges or turns the position.
    * ``close_position``: with a trigger; the size (zero here) is the whole position when it is triggered.
    """

    leg: Leg = Leg.NET
    reduce_only: bool = False
    close_position: bool = False


class SetLeverage(Command, frozen=True, kw_only=True, tag=72):
    """Choose the leverage of a position, 1 or more; initial margin is at least notional / leverage."""

    account: AccountId
    instrument: InstrumentId
    leverage: int
    leg: Leg = Leg.NET


class SetContractModes(Command, frozen=True, kw_only=True, tag=73):
    """Choose cross or isolated margin, and one position or two, while there is neither position nor order."""

    account: AccountId
    instrument: InstrumentId
    margin: MarginMode
    hedge: bool = False


class MoveMargin(Command, frozen=True, kw_only=True, tag=74):
    """Move free funds to the margin wallet of their asset (above zero), or back (below zero)."""

    account: AccountId
    asset: AssetId
    amount_atoms: int


class AdjustBucket(Command, frozen=True, kw_only=True, tag=75):
    """Add to the bucket of an isolated position from the margin wallet (above zero), or remove (below)."""

    account: AccountId
    instrument: InstrumentId
    amount_atoms: int
    leg: Leg = Leg.NET


class SetKillSwitch(Command, frozen=True, kw_only=True, tag=76):
    """Switch new orders off, or on again: of an account, in an instrument, or (both zero) all.

    Cancels pass, liquidations go on.
    """

    on: bool
    account: AccountId = AccountId(0)
    instrument: InstrumentId = InstrumentId(0)


class FundInsurance(Command, frozen=True, kw_only=True, tag=77):
    """Pay into the insurance fund of an asset from the outside world (above zero), or out (below zero)."""

    asset: AssetId
    amount_atoms: int

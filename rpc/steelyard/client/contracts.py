"""What a perpetual contract is and where it stands: its rules, index and funding, the insurance funds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from steelyard.client.words import FundingRule, MarkRule
from steelyard.v1 import common_pb2, market_data_pb2

_MINUTE_NS: Final = 60 * 10**9


@dataclass(frozen=True, slots=True)
class MarginTier:
    """From a notional of ``floor_atoms`` on, these rates hold for what is above it."""

    floor_atoms: int
    maintenance_ppm: int
    initial_ppm: int


@dataclass(frozen=True, slots=True)
class MarginTerms:
    """How much margin a position needs.

    The first tier begins at zero; floors and rates rise.  With a ``slope_ppb``, in place of further tiers,
    both rates rise by so much per lot.  Between the two notionals of open interest the initial rate rises
    to 100 %; both zero: it does not.  ``at_entry``: maintenance margin follows the notional at entry.
    """

    tiers: tuple[MarginTier, ...]
    slope_ppb: int = 0
    open_interest_low_atoms: int = 0
    open_interest_high_atoms: int = 0
    at_entry: bool = False


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """How longs and shorts pay each other; rates are per ``interval_ns``, and within ``cap_ppb``.

    * AVERAGED: the (by ``weighted``: linearly weighted) mean premium, pulled to ``interest_ppb`` by at most
      ``clamp_ppb``.
    * DEAD_BAND: the premium beyond ``dead_band_ppb``, accrued with each sample; a rate per 8 hours.
    * SAMPLED: the mean of the minutes' medians without ``tails_ppm`` at each end, plus ``interest_ppb``.

    ``impact_atoms`` is the notional whose mean price is compared with the index; zero: the best prices are.
    """

    rule: FundingRule = FundingRule.AVERAGED
    interval_ns: int = 480 * _MINUTE_NS
    interest_ppb: int = 100_000
    clamp_ppb: int = 500_000
    dead_band_ppb: int = 250_000
    tails_ppm: int = 250_000
    cap_ppb: int = 20_000_000
    impact_atoms: int = 0
    weighted: bool = True


@dataclass(frozen=True, slots=True)
class LiquidationTerms:
    """How a position is taken from who cannot carry it.

    ``penalty_ppm`` of the notional of each fill goes to the insurance fund.  A step closes the fewest lots
    after which equity is ``buffer_ppm`` above maintenance margin, and at least ``step_ppm`` of the position.
    In one round of auto-deleveraging an opposite position gives at most ``adl_share_ppm`` of itself.  The
    fund pays while it is less than ``fund_drawdown_ppm`` below its peak, and for a step at most
    ``fund_step_ppm`` of the notional of its lots.  Then the risk levels, by maintenance margin per equity; a
    level is left ``hysteresis_ppm`` under its threshold.  The penalty is below the first maintenance rate.
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


@dataclass(frozen=True, slots=True)
class ContractRules:
    """Everything about a contract that may change; ``mark_band_ppm``: the mark lies so near the index."""

    margin: MarginTerms
    position_max_lots: int
    open_interest_max_lots: int
    mark_rule: MarkRule = MarkRule.MEDIAN
    mark_band_ppm: int = 50_000
    funding: FundingTerms = FundingTerms()
    liquidation: LiquidationTerms = LiquidationTerms()


@dataclass(frozen=True, slots=True)
class IndexQuote:
    """What one source of an index says: its price at ``time_ns``, and how much it counts."""

    source: int
    price_ticks: int
    weight: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Index:
    """An index price; ``price_ticks`` zero: none yet.  ``stale``: no source is young enough any more."""

    index: int
    symbol: str
    tick_mantissa: int
    tick_decimals: int
    stale_ns: int
    outlier_ppm: int
    price_ticks: int
    stale: bool
    quotes: tuple[IndexQuote, ...]


@dataclass(frozen=True, slots=True)
class ContractStanding:
    """Where a contract stands; prices and times of zero are none.

    ``rate_ppb`` is the last interval's funding rate, ``predicted_ppb`` what the running one would end with
    now, at ``funding_ns`` of log time; ``cumulative_nanoatoms`` what a long of one lot has owed so far.
    """

    instrument: int
    rules: ContractRules
    mark_ticks: int
    index_ticks: int
    index_stale: bool
    rate_ppb: int
    predicted_ppb: int
    funding_ns: int
    cumulative_nanoatoms: int
    open_interest_lots: int
    positions: int
    settle_ticks: int
    kill_switch: bool


@dataclass(frozen=True, slots=True)
class InsuranceFund:
    """The insurance fund of an asset: what it has, the debt that nobody has borne (zero or below), its peak.

    ``gate``: margin wallets of the asset are closed to withdrawals.
    """

    asset: int
    insurance_atoms: int
    debt_atoms: int
    peak_atoms: int
    gate: bool


@dataclass(frozen=True, slots=True)
class Contracts:
    """Where everything about contracts stands, as of ``log_index``: by instrument, by index, by asset."""

    log_index: int
    log_time_ns: int
    contracts: dict[int, ContractStanding]
    indices: dict[int, Index]
    funds: dict[int, InsuranceFund]
    kill_switch: bool
    """New orders of everybody are switched off."""


def rules_message(rules: ContractRules) -> common_pb2.ContractRules:
    """Return a contract's rules for the wire."""
    margin, funding, liquidation = rules.margin, rules.funding, rules.liquidation
    return common_pb2.ContractRules(
        margin=common_pb2.MarginTerms(
            tiers=[
                common_pb2.MarginTier(
                    floor_atoms=tier.floor_atoms,
                    maintenance_ppm=tier.maintenance_ppm,
                    initial_ppm=tier.initial_ppm,
                )
                for tier in margin.tiers
            ],
            slope_ppb=margin.slope_ppb,
            open_interest_low_atoms=margin.open_interest_low_atoms,
            open_interest_high_atoms=margin.open_interest_high_atoms,
            at_entry=margin.at_entry,
        ),
        position_max_lots=rules.position_max_lots,
        open_interest_max_lots=rules.open_interest_max_lots,
        mark_rule=cast("common_pb2.MarkRule.ValueType", rules.mark_rule),
        mark_band_ppm=rules.mark_band_ppm,
        funding=common_pb2.FundingTerms(
            rule=cast("common_pb2.FundingRule.ValueType", funding.rule),
            interval_ns=funding.interval_ns,
            interest_ppb=funding.interest_ppb,
            clamp_ppb=funding.clamp_ppb,
            dead_band_ppb=funding.dead_band_ppb,
            tails_ppm=funding.tails_ppm,
            cap_ppb=funding.cap_ppb,
            impact_atoms=funding.impact_atoms,
            weighted=funding.weighted,
        ),
        liquidation=common_pb2.LiquidationTerms(
            penalty_ppm=liquidation.penalty_ppm,
            buffer_ppm=liquidation.buffer_ppm,
            step_ppm=liquidation.step_ppm,
            adl_share_ppm=liquidation.adl_share_ppm,
            fund_drawdown_ppm=liquidation.fund_drawdown_ppm,
            fund_step_ppm=liquidation.fund_step_ppm,
            warning_ppm=liquidation.warning_ppm,
            danger_ppm=liquidation.danger_ppm,
            critical_ppm=liquidation.critical_ppm,
            hysteresis_ppm=liquidation.hysteresis_ppm,
        ),
    )


def rules_of(wire: common_pb2.ContractRules) -> ContractRules:
    """Return a contract's rules."""
    margin, funding, liquidation = wire.margin, wire.funding, wire.liquidation
    return ContractRules(
        margin=MarginTerms(
            tuple(
                MarginTier(tier.floor_atoms, tier.maintenance_ppm, tier.initial_ppm) for tier in margin.tiers
            ),
            margin.slope_ppb,
            margin.open_interest_low_atoms,
            margin.open_interest_high_atoms,
            margin.at_entry,
        ),
        position_max_lots=wire.position_max_lots,
        open_interest_max_lots=wire.open_interest_max_lots,
        mark_rule=MarkRule(wire.mark_rule),
        mark_band_ppm=wire.mark_band_ppm,
        funding=FundingTerms(
            FundingRule(funding.rule),
            funding.interval_ns,
            funding.interest_ppb,
            funding.clamp_ppb,
            funding.dead_band_ppb,
            funding.tails_ppm,
            funding.cap_ppb,
            funding.impact_atoms,
            funding.weighted,
        ),
        liquidation=LiquidationTerms(
            liquidation.penalty_ppm,
            liquidation.buffer_ppm,
            liquidation.step_ppm,
            liquidation.adl_share_ppm,
            liquidation.fund_drawdown_ppm,
            liquidation.fund_step_ppm,
            liquidation.warning_ppm,
            liquidation.danger_ppm,
            liquidation.critical_ppm,
            liquidation.hysteresis_ppm,
        ),
    )


def quote_messages(quotes: Iterable[IndexQuote]) -> list[common_pb2.IndexQuote]:
    """Return what sources say for the wire."""
    return [
        common_pb2.IndexQuote(
            source=quote.source, price_ticks=quote.price_ticks, weight=quote.weight, time_ns=quote.time_ns
        )
        for quote in quotes
    ]


def contracts_of(response: market_data_pb2.ListContractsResponse) -> Contracts:
    """Return where everything about contracts stands."""
    return Contracts(
        response.log_index,
        response.log_time_ns,
        {
            row.instrument: ContractStanding(
                row.instrument,
                rules_of(row.rules),
                row.mark_ticks,
                row.index_ticks,
                row.index_stale,
                row.rate_ppb,
                row.predicted_ppb,
                row.funding_ns,
                row.cumulative_nanoatoms,
                row.open_interest_lots,
                row.positions,
                row.settle_ticks,
                row.kill_switch,
            )
            for row in response.contracts
        },
        {
            row.index: Index(
                row.index,
                row.symbol,
                row.tick_mantissa,
                row.tick_decimals,
                row.stale_ns,
                row.outlier_ppm,
                row.price_ticks,
                row.stale,
                tuple(
                    IndexQuote(quote.source, quote.price_ticks, quote.weight, quote.time_ns)
                    for quote in row.quotes
                ),
            )
            for row in response.indices
        },
        {
            row.asset: InsuranceFund(row.asset, row.insurance_atoms, row.debt_atoms, row.peak_atoms, row.gate)
            for row in response.funds
        },
        response.kill_switch,
    )

"""What makes the listing of a perpetual contract acceptable, and its rules."""

from itertools import pairwise
from typing import Final

from steelyard.core.commands import (
    ContractRules,
    FundingTerms,
    LiquidationTerms,
    ListContract,
    ListIndex,
    MarginTerms,
)
from steelyard.core.instruments.spot import fees_are_allowed, is_malformed
from steelyard.core.limits import (
    DECIMALS_MAX,
    FUNDING_NANOATOMS_MAX,
    INTEGER_MAX,
    NOTIONAL_ATOMS_MAX,
    PAUSE_NS_MAX,
    TIERS_MAX,
    is_id,
    is_symbol,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import PPM, AssetId, ContractKind

_PPB: Final = 10**9
_MINUTE_NS: Final = 60 * 10**9
_DAY_NS: Final = 24 * 3600 * 10**9
#: Without so many of the medians at either end none would be left.
_TAILS_PPM: Final = 500_000


def settle_asset(listing: ListContract) -> AssetId:
    """Return the asset in which a contract is settled: its quote, or if it is inverse its base."""
    return listing.quote if listing.contract == ContractKind.LINEAR else listing.base


def index_is_malformed(listing: ListIndex) -> bool:
    """Return whether an index makes no sense whatever is listed already."""
    return not (
        is_id(listing.index)
        and is_symbol(listing.symbol)
        and 0 < listing.tick_mantissa <= INTEGER_MAX
        and 0 <= listing.tick_decimals <= DECIMALS_MAX
        and 0 < listing.stale_ns <= PAUSE_NS_MAX
        and 0 < listing.outlier_ppm <= PPM
    )


def contract_is_malformed(listing: ListContract) -> bool:
    """Return whether a contract makes no sense whatever is listed already."""
    return (
        is_malformed(listing)
        or max(listing.tick_mantissa, listing.lot_mantissa) > INTEGER_MAX
        or contract_rules_are_malformed(listing.rules)
    )


def has_tick_of(listing: ListContract, index: ListIndex) -> bool:
    """Return whether a contract's prices and its index's are counted in equal steps."""
    ours: int = listing.tick_mantissa * 10**index.tick_decimals
    theirs: int = index.tick_mantissa * 10**listing.tick_decimals
    return ours == theirs


def contract_fault(listing: ListContract, scale: int | None) -> Reject | None:
    """Return why a contract with this scale cannot be listed, or None if it can."""
    if scale is None:
        return Reject.SCALE_NOT_INTEGER
    if bounds_are_too_wide(listing, listing.rules, scale):
        return Reject.BOUNDS_TOO_WIDE
    if not fees_are_allowed(listing):
        return Reject.FEE_OUT_OF_RANGE
    if not margin_is_allowed(listing.rules):
        return Reject.MARGIN_OUT_OF_RANGE
    return None


def bounds_are_too_wide(listing: ListContract, rules: ContractRules, scale: int) -> bool:
    """Return whether a price, all longs, or the funding of a lot, could be more than the ledger holds.

    ::

        price_max < 2**62
        price_max * open_interest_max * k <= 10**18       linear
        open_interest_max * S <= 10**18                   inverse, at the lowest price
        price_max * k * cap_ppb <= 2**61                  (inverse: S * cap_ppb)
    """
    price_ticks = listing.price_max_ticks if listing.contract == ContractKind.LINEAR else 1
    return (
        listing.price_max_ticks > INTEGER_MAX
        or price_ticks * rules.open_interest_max_lots * scale > NOTIONAL_ATOMS_MAX
        or price_ticks * scale * rules.funding.cap_ppb > FUNDING_NANOATOMS_MAX
        or listing.size_max_lots > rules.open_interest_max_lots
    )


def margin_is_allowed(rules: ContractRules) -> bool:
    """Return whether the margin terms make a schedule, and a step can leave anything of a position.

    If the penalty of a lot were not less than the margin that it sets free, every step would close all.
    """
    margin = rules.margin
    return _is_schedule(margin) and rules.liquidation.penalty_ppm < margin.tiers[0].maintenance_ppm


def _is_schedule(terms: MarginTerms) -> bool:
    """Return whether what a position needs never falls as it grows."""
    tiers = terms.tiers
    low_atoms, high_atoms = terms.open_interest_low_atoms, terms.open_interest_high_atoms
    return (
        tiers[0].floor_atoms == 0
        and all(0 < tier.maintenance_ppm < tier.initial_ppm for tier in tiers)
        and all(
            low.floor_atoms < high.floor_atoms
            and low.maintenance_ppm <= high.maintenance_ppm
            and low.initial_ppm <= high.initial_ppm
            for low, high in pairwise(tiers)
        )
        and (terms.slope_ppb == 0 or len(tiers) == 1)
        and (low_atoms == high_atoms == 0 or low_atoms < high_atoms)
    )


def contract_rules_are_malformed(rules: ContractRules) -> bool:
    """Return whether a contract's rules contradict themselves, whatever the contract is."""
    return not (
        0 < rules.position_max_lots <= rules.open_interest_max_lots <= INTEGER_MAX
        and 0 <= rules.mark_band_ppm <= PPM
        and _margin_is_in_range(rules.margin)
        and _funding_makes_sense(rules.funding)
        and _liquidation_makes_sense(rules.liquidation)
    )


def _margin_is_in_range(terms: MarginTerms) -> bool:
    return (
        0 < len(terms.tiers) <= TIERS_MAX
        and all(
            0 <= tier.floor_atoms <= INTEGER_MAX
            and 0 <= tier.maintenance_ppm <= PPM
            and 0 <= tier.initial_ppm <= PPM
            for tier in terms.tiers
        )
        and 0 <= terms.slope_ppb <= _PPB
        and 0 <= terms.open_interest_low_atoms <= INTEGER_MAX
        and 0 <= terms.open_interest_high_atoms <= INTEGER_MAX
    )


def _funding_makes_sense(terms: FundingTerms) -> bool:
    rates = (terms.interest_ppb, terms.clamp_ppb, terms.dead_band_ppb, terms.cap_ppb)
    return (
        0 < terms.interval_ns <= _DAY_NS
        and terms.interval_ns % _MINUTE_NS == 0
        and all(0 <= rate_ppb <= _PPB for rate_ppb in rates)
        and 0 <= terms.tails_ppm < _TAILS_PPM
        and 0 <= terms.impact_atoms <= INTEGER_MAX
    )


def _liquidation_makes_sense(terms: LiquidationTerms) -> bool:
    rates = (
        terms.penalty_ppm,
        terms.buffer_ppm,
        terms.step_ppm,
        terms.fund_drawdown_ppm,
        terms.fund_step_ppm,
    )
    return (
        all(0 <= rate_ppm <= PPM for rate_ppm in rates)
        # A share of nothing would let the rounds go on for ever.
        and 0 < terms.adl_share_ppm <= PPM
        and 0 <= terms.hysteresis_ppm < terms.warning_ppm < terms.danger_ppm < terms.critical_ppm <= PPM
    )

"""The scales of a spot instrument, and what makes a listing acceptable."""

from typing import NamedTuple

from steelyard.core.commands import ListInstrument, SetInstrumentRules
from steelyard.core.limits import (
    BAND_PPM_MAX,
    DECIMALS_MAX,
    FEE_PPM_MAX,
    INTEGER_MAX,
    NOTIONAL_ATOMS_MAX,
    PAUSE_NS_MAX,
    is_id,
    is_symbol,
)
from steelyard.core.rejects import Reject
from steelyard.core.rounding import exact_div
from steelyard.core.units import PPM


class Scales(NamedTuple):
    """Base atoms per lot, and quote atoms per tick and lot."""

    lot_atoms: int
    tick_lot_atoms: int


def spot_scales(listing: ListInstrument, base_decimals: int, quote_decimals: int) -> Scales | None:
    """Return the instrument's scales, or None unless both are integers.

    ::

        lot_atoms      = lot * 10**base_decimals
        tick_lot_atoms = tick * lot * 10**quote_decimals
    """
    lot_atoms = exact_div(listing.lot_mantissa * 10**base_decimals, 10**listing.lot_decimals)
    tick_lot_atoms = exact_div(
        listing.tick_mantissa * listing.lot_mantissa * 10**quote_decimals,
        10 ** (listing.tick_decimals + listing.lot_decimals),
    )
    if lot_atoms is None or tick_lot_atoms is None:
        return None
    return Scales(lot_atoms, tick_lot_atoms)


def is_malformed(listing: ListInstrument) -> bool:
    """Return whether a listing makes no sense whatever is listed already."""
    return not (
        is_id(listing.instrument)
        and is_symbol(listing.symbol)
        and listing.base != listing.quote
        and listing.tick_mantissa > 0
        and 0 <= listing.tick_decimals <= DECIMALS_MAX
        and listing.lot_mantissa > 0
        and 0 <= listing.lot_decimals <= DECIMALS_MAX
        and listing.price_max_ticks > 0
        and listing.size_max_lots > 0
        and 0 <= listing.notional_min_atoms <= NOTIONAL_ATOMS_MAX
        and 0 <= listing.market_protection_ppm <= PPM
    )


def listing_fault(listing: ListInstrument, scales: Scales | None) -> Reject | None:
    """Return why an instrument with these scales cannot be listed, or None if it can."""
    if scales is None:
        return Reject.SCALE_NOT_INTEGER
    if (
        listing.price_max_ticks * listing.size_max_lots * scales.tick_lot_atoms > NOTIONAL_ATOMS_MAX
        or listing.size_max_lots * scales.lot_atoms > NOTIONAL_ATOMS_MAX
    ):
        return Reject.BOUNDS_TOO_WIDE
    return None if fees_are_allowed(listing) else Reject.FEE_OUT_OF_RANGE


def fees_are_allowed(listing: ListInstrument) -> bool:
    """Return whether a listing's rates are in range, and no rebate is above the taker's fee."""
    # A rebate above the lowest taker rate would let FEES pay for trades.
    return 0 <= listing.taker_ppm <= FEE_PPM_MAX and -listing.taker_ppm <= listing.maker_ppm <= FEE_PPM_MAX


def rules_are_malformed(rules: SetInstrumentRules) -> bool:
    """Return whether an instrument's protections contradict each other, whatever the instrument is."""
    factors = (
        (rules.buy_down_ppm, rules.buy_up_ppm),
        (rules.sell_down_ppm, rules.sell_up_ppm),
        (rules.execution_down_ppm, rules.execution_up_ppm),
    )
    times = (rules.halt_window_ns, rules.halt_ns, rules.auction_ns)
    halts = rules.halt_ppm > 0
    return not (
        0 < rules.price_step_ticks <= INTEGER_MAX
        and 0 < rules.size_step_lots <= INTEGER_MAX
        and 0 < rules.size_min_lots <= INTEGER_MAX
        and 0 <= rules.notional_max_atoms <= INTEGER_MAX
        and 0 <= rules.orders_max <= INTEGER_MAX
        and all(0 <= down <= BAND_PPM_MAX and 0 <= up <= BAND_PPM_MAX for down, up in factors)
        and all(down <= up or up == 0 for down, up in factors)
        and 0 <= rules.halt_ppm <= BAND_PPM_MAX
        and all(0 <= time_ns <= PAUSE_NS_MAX and (time_ns > 0) == halts for time_ns in times)
    )

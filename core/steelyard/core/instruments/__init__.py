"""What can be traded: assets, instruments, their scales and their states."""

from steelyard.core.instruments.bands import (
    NO_BOUNDS,
    Bounds,
    collar,
    execution_bounds,
    halt_bounds,
    halt_window,
    reference_ticks,
)
from steelyard.core.instruments.perpetual import (
    bounds_are_too_wide,
    contract_fault,
    contract_is_malformed,
    contract_rules_are_malformed,
    has_tick_of,
    index_is_malformed,
    margin_is_allowed,
    settle_asset,
)
from steelyard.core.instruments.registry import Markets
from steelyard.core.instruments.spec import MOVES, Asset, Instrument
from steelyard.core.instruments.spot import (
    Scales,
    is_malformed,
    listing_fault,
    rules_are_malformed,
    spot_scales,
)

__all__ = [
    "MOVES",
    "NO_BOUNDS",
    "Asset",
    "Bounds",
    "Instrument",
    "Markets",
    "Scales",
    "bounds_are_too_wide",
    "collar",
    "contract_fault",
    "contract_is_malformed",
    "contract_rules_are_malformed",
    "execution_bounds",
    "halt_bounds",
    "halt_window",
    "has_tick_of",
    "index_is_malformed",
    "is_malformed",
    "listing_fault",
    "margin_is_allowed",
    "reference_ticks",
    "rules_are_malformed",
    "settle_asset",
    "spot_scales",
]

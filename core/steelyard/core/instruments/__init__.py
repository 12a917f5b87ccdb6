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
    "collar",
    "execution_bounds",
    "halt_bounds",
    "halt_window",
    "is_malformed",
    "listing_fault",
    "reference_ticks",
    "rules_are_malformed",
    "spot_scales",
]

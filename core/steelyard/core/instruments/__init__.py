"""What can be traded: assets, instruments, their scales and their states."""

from steelyard.core.instruments.registry import Markets
from steelyard.core.instruments.spec import MOVES, Asset, Instrument
from steelyard.core.instruments.spot import Scales, is_malformed, listing_fault, spot_scales

__all__ = [
    "MOVES",
    "Asset",
    "Instrument",
    "Markets",
    "Scales",
    "is_malformed",
    "listing_fault",
    "spot_scales",
]

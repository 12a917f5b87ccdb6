"""What can be traded, and when."""

from steelyard.core.commands.base import Command
from steelyard.core.units import AssetId, InstrumentId, InstrumentState


class ListAsset(Command, frozen=True, kw_only=True, tag=20):
    """List an asset; one unit is ``10**decimals`` atoms, for ever."""

    asset: AssetId
    symbol: str
    decimals: int


class ListInstrument(Command, frozen=True, kw_only=True, tag=21):
    """List a spot instrument, in state PRE_OPEN.

    Its scales are decimals given as integers, so that nothing is lost on the way::

        tick = tick_mantissa / 10**tick_decimals     quote units per base unit
        lot  = lot_mantissa / 10**lot_decimals       base units

    Both ``lot * 10**base.decimals`` (base atoms per lot) and ``tick * lot * 10**quote.decimals`` (quote
    atoms per tick and lot) must be integers, and ``price_max_ticks * size_max_lots`` of the latter at
    most 10**18.
    """

    instrument: InstrumentId
    symbol: str
    base: AssetId
    quote: AssetId
    tick_mantissa: int
    tick_decimals: int
    lot_mantissa: int
    lot_decimals: int
    price_max_ticks: int
    size_max_lots: int
    notional_min_atoms: int
    maker_ppm: int
    taker_ppm: int
    market_protection_ppm: int = 50_000


class SetInstrumentState(Command, frozen=True, kw_only=True, tag=22):
    """Move an instrument through its life; closing it cancels its orders."""

    instrument: InstrumentId
    state: InstrumentState

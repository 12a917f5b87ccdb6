"""What can be traded, and when."""

from steelyard.core.commands.base import Command
from steelyard.core.units import AssetId, InstrumentId, InstrumentState, SelfTrade


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


class SetInstrumentRules(Command, frozen=True, kw_only=True, tag=23):
    """Set an instrument's protections, all at once; each default says nothing.

    * ``price_step_ticks``, ``size_step_lots``: coarser steps for new prices and sizes.
    * ``size_min_lots``, ``notional_max_atoms`` (fat finger), ``orders_max`` (open orders of one account).
    * Collar: a limit must lie within ``reference * [down, up]`` of its side, in ppm (1_000_000 is the
      reference itself).  The reference is the mark, else the last price, else there is no collar.
    * Execution band: a taker that would trade outside ``reference * [down, up]`` expires PRICE_BAND.
    * Halt: a taker that would trade more than ``halt_ppm`` from the anchor, which is the last price when the
      current window of ``halt_window_ns`` began, stops trading: HALTED for ``halt_ns``, then a call
      auction of ``auction_ns``, then OPEN.
    * ``self_trade``: what orders do that do not say.
    """

    instrument: InstrumentId
    price_step_ticks: int = 1
    size_step_lots: int = 1
    size_min_lots: int = 1
    notional_max_atoms: int = 0
    orders_max: int = 0
    buy_down_ppm: int = 0
    buy_up_ppm: int = 0
    sell_down_ppm: int = 0
    sell_up_ppm: int = 0
    execution_down_ppm: int = 0
    execution_up_ppm: int = 0
    halt_ppm: int = 0
    halt_window_ns: int = 0
    halt_ns: int = 0
    auction_ns: int = 0
    self_trade: SelfTrade = SelfTrade.NONE


class SetMark(Command, frozen=True, kw_only=True, tag=24):
    """Set an instrument's mark price; asked for by a key with FEED."""

    instrument: InstrumentId
    mark_ticks: int


class StartAuction(Command, frozen=True, kw_only=True, tag=25):
    """Collect orders for ``auction_ns`` of log time, then trade them at one price and go on to OPEN.

    From PRE_OPEN, HALTED, CANCEL_ONLY or POST_ONLY.
    """

    instrument: InstrumentId
    auction_ns: int


class ScheduleState(Command, frozen=True, kw_only=True, tag=26):
    """Announce that an instrument moves to ``state`` at log time ``at_ns``; zero takes that back."""

    instrument: InstrumentId
    state: InstrumentState
    at_ns: int

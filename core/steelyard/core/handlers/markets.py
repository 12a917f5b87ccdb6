"""What can be traded, and when."""

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import ListAsset, ListInstrument, SetInstrumentState
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import (
    AnyEvent,
    AssetListed,
    InstrumentListed,
    InstrumentStateChanged,
)
from steelyard.core.handlers.checks import is_too_late, may_operate
from steelyard.core.handlers.orders import take_out
from steelyard.core.instruments import MOVES, is_malformed, listing_fault, spot_scales
from steelyard.core.limits import ASSETS_MAX, DECIMALS_MAX, INSTRUMENTS_MAX, is_id, is_symbol
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import InstrumentState


def list_asset(
    state: State, command: ListAsset, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Make an asset known, with its smallest unit for ever."""
    if not is_id(command.asset) or not is_symbol(command.symbol):
        return Reject.MALFORMED
    if not 0 <= command.decimals <= DECIMALS_MAX:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    markets = state.markets
    if command.asset in markets.assets or command.symbol in markets.asset_symbols:
        return Reject.ASSET_EXISTS
    if len(markets.assets) >= ASSETS_MAX:
        return Reject.TOO_MANY_LISTINGS

    # Nothing below can fail.
    markets.list_asset(command.asset, command.symbol, command.decimals)
    state.ledger.open_asset(command.asset)
    out.append(AssetListed(asset=command.asset, symbol=command.symbol, decimals=command.decimals))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def list_instrument(
    state: State, command: ListInstrument, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """List a spot instrument, if its scales are whole numbers and its largest notional fits the ledger."""
    if is_malformed(command):
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    markets = state.markets
    base = markets.assets.get(command.base)
    quote = markets.assets.get(command.quote)
    if base is None or quote is None:
        return Reject.UNKNOWN_ASSET
    if command.instrument in markets.instruments or command.symbol in markets.instrument_symbols:
        return Reject.INSTRUMENT_EXISTS
    fault = listing_fault(command, spot_scales(command, base.decimals, quote.decimals))
    if fault is not None:
        return fault
    if len(markets.instruments) >= INSTRUMENTS_MAX:
        return Reject.TOO_MANY_LISTINGS

    # Nothing below can fail.
    instrument = markets.list_instrument(command, InstrumentState.PRE_OPEN)
    out.append(
        InstrumentListed(
            instrument=command.instrument,
            symbol=command.symbol,
            base=command.base,
            quote=command.quote,
            lot_atoms=instrument.lot_atoms,
            tick_lot_atoms=instrument.tick_lot_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_instrument_state(
    state: State, command: SetInstrumentState, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Move an instrument through its life; closing it cancels its orders, oldest first."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    instrument = state.markets.instruments.get(command.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    if command.state not in MOVES[instrument.state]:
        return Reject.STATE_MOVE

    # Nothing below can fail.
    out.append(
        InstrumentStateChanged(instrument=command.instrument, before=instrument.state, after=command.state)
    )
    instrument.state = command.state
    if command.state == InstrumentState.CLOSED:
        for order in sorted(instrument.book.orders(), key=lambda order: order.number):
            take_out(state, instrument, order, out)
    return Accepted(request=request.request, fingerprint=request.fingerprint)

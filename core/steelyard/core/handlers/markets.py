"""What can be traded, and when."""

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import (
    ListAsset,
    ListInstrument,
    ScheduleState,
    SetInstrumentRules,
    SetInstrumentState,
    StartAuction,
)
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import (
    AnyEvent,
    AssetListed,
    InstrumentListed,
    InstrumentRulesSet,
)
from steelyard.core.handlers import auctions, moves
from steelyard.core.handlers.checks import is_too_late, may_operate
from steelyard.core.instruments import (
    Instrument,
    is_malformed,
    listing_fault,
    rules_are_malformed,
    spot_scales,
)
from steelyard.core.limits import (
    ASSETS_MAX,
    DECIMALS_MAX,
    INSTRUMENTS_MAX,
    INTEGER_MAX,
    PAUSE_NS_MAX,
    is_id,
    is_symbol,
)
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import InstrumentId, InstrumentState


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
    """Move an instrument through its life; closing it ends its orders, oldest first."""
    instrument = _operated(state, command.instrument, request, key)
    if isinstance(instrument, Reject):
        return instrument
    if not moves.may_move(instrument, command.state):
        return Reject.STATE_MOVE

    # Nothing below can fail.
    moves.move(state, instrument, command.state, out)
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_instrument_rules(
    state: State, command: SetInstrumentRules, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Set an instrument's protections; orders that are in the book already stay."""
    if rules_are_malformed(command):
        return Reject.MALFORMED
    instrument = _operated(state, command.instrument, request, key)
    if isinstance(instrument, Reject):
        return instrument

    # Nothing below can fail.
    says_nothing = command == SetInstrumentRules(instrument=command.instrument)
    instrument.rules = None if says_nothing else command
    instrument.anchor_ticks = instrument.anchor_ns = 0
    instrument.counts = None
    if command.orders_max:
        instrument.counts = {}
        for order in state.orders.values():
            if order.instrument == command.instrument:
                instrument.counts[order.account] = instrument.counts.get(order.account, 0) + 1
    out.append(InstrumentRulesSet(rules=command))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def start_auction(
    state: State, command: StartAuction, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Collect orders for a while, then trade them at one price and open."""
    if not 0 < command.auction_ns <= PAUSE_NS_MAX:
        return Reject.MALFORMED
    instrument = _operated(state, command.instrument, request, key)
    if isinstance(instrument, Reject):
        return instrument
    if not moves.may_start_auction(instrument):
        return Reject.STATE_MOVE

    # Nothing below can fail.
    auctions.start_auction(state, instrument, command.auction_ns, out)
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def schedule_state(
    state: State, command: ScheduleState, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Announce an instrument's next state and when it comes, or take that back."""
    if not 0 <= command.at_ns <= INTEGER_MAX:
        return Reject.MALFORMED
    instrument = _operated(state, command.instrument, request, key)
    if isinstance(instrument, Reject):
        return instrument
    if command.at_ns != 0:
        if not moves.may_move(instrument, command.state) and not auctions.may_end(instrument, command.state):
            return Reject.STATE_MOVE
        if command.at_ns <= state.time_ns:
            return Reject.EXPIRY_IN_PAST

    # Nothing below can fail.
    moves.schedule(state, instrument, command.state, command.at_ns, out)
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def _operated(
    state: State, instrument_id: InstrumentId, request: Request, key: ApiKey
) -> Instrument | Reject:
    """Return the instrument about which an operator says something in time, or why that is refused."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    instrument = state.markets.instruments.get(instrument_id)
    return Reject.UNKNOWN_INSTRUMENT if instrument is None else instrument

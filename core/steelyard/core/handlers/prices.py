"""What the feed says: the sources of an index, and marks."""

from typing import Final

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import IndexQuote, SetIndexSources, SetMark
from steelyard.core.contracts.index import counting, index_ticks
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import AnyEvent, IndexSet, IndexStale, MarkSet
from steelyard.core.handlers.checks import is_too_late, may
from steelyard.core.handlers.conditional import price_moved
from steelyard.core.handlers.remark import look_at_marks, remark, set_mark_price
from steelyard.core.handlers.risk import judge_marked
from steelyard.core.limits import INTEGER_MAX, SAMPLE_NS, SOURCES_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.timing import next_multiple, watch_contract, watch_index
from steelyard.core.units import IndexId, InstrumentState, MarkRule, Permission, PriceSource

_FEED: Final = int(Permission.FEED)


def set_index_sources(
    state: State, command: SetIndexSources, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Work out an index from what its sources say now, and the marks of its contracts from that."""
    if _are_malformed(command.quotes):
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may(state.accounts[key.account], key, _FEED):
        return Reject.NOT_PERMITTED
    index = state.markets.indices.get(command.index)
    if index is None:
        return Reject.UNKNOWN_INDEX

    # Nothing below can fail.
    was_stale = index.is_stale
    listing = index.listing
    index.quotes = command.quotes
    counted = counting(command.quotes, listing.stale_ns, state.time_ns)
    index.is_stale = not counted
    index.stale_at_ns = 0
    if counted:
        index.price_ticks = index_ticks(counted, listing.outlier_ppm)
        index.stale_at_ns = max(quote.time_ns for quote in counted) + listing.stale_ns
        watch_index(state, index)
    out.append(
        IndexSet(
            index=command.index,
            price_ticks=index.price_ticks,
            stale=index.is_stale,
            quotes=command.quotes,
        )
    )
    if counted:
        contracts = [state.markets.instruments[id_] for id_ in index.contracts]
        if was_stale:
            for instrument in contracts:
                contract = instrument.contract
                assert contract is not None, instrument.instrument
                if contract.sample_ns != 0 and instrument.state != InstrumentState.CLOSED:
                    # What was not sampled while the index was stale never will be.
                    contract.sample_ns = next_multiple(SAMPLE_NS, state.time_ns)
                    watch_contract(state, instrument, contract)
        remark(state, contracts, out, judges_all=was_stale)
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def index_due(state: State, index_id: IndexId, due_ns: int, out: list[AnyEvent]) -> None:
    """Let an index be stale whose youngest quote has become too old, unless it has heard something since."""
    index = state.markets.indices[index_id]
    if index.is_stale or index.stale_at_ns != due_ns:
        watch_index(state, index)
        return
    index.is_stale = True
    index.stale_at_ns = 0
    out.append(IndexStale(index=index_id))


def set_mark(
    state: State, command: SetMark, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Set a mark price that comes from outside, and wake the orders that it meets."""
    if command.mark_ticks < 1:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may(state.accounts[key.account], key, _FEED):
        return Reject.NOT_PERMITTED
    instrument = state.markets.instruments.get(command.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    contract = instrument.contract
    if contract is not None and contract.rules.mark_rule == MarkRule.MEDIAN:
        return Reject.NOT_THIS_KIND
    if instrument.state == InstrumentState.CLOSED:
        return Reject.INSTRUMENT_STATE
    if command.mark_ticks > instrument.price_max_ticks:
        return Reject.PRICE_OUT_OF_RANGE

    # Nothing below can fail.
    if contract is None:
        instrument.mark_ticks = command.mark_ticks
        out.append(MarkSet(instrument=command.instrument, mark_ticks=command.mark_ticks))
        price_moved(state, instrument, PriceSource.MARK, out)
    else:
        changed = [instrument] if command.mark_ticks != instrument.mark_ticks else []
        set_mark_price(state, instrument, contract, command.mark_ticks, out)
        look_at_marks(state, [instrument], changed, out)
        judge_marked(state, changed, out)
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def _are_malformed(quotes: list[IndexQuote]) -> bool:
    """Return whether quotes make no sense, whatever the index is."""
    return not (
        0 < len(quotes) <= SOURCES_MAX
        and len({quote.source: None for quote in quotes}) == len(quotes)
        and all(
            0 < quote.price_ticks <= INTEGER_MAX
            and 0 <= quote.weight <= INTEGER_MAX
            and 0 <= quote.time_ns <= INTEGER_MAX
            for quote in quotes
        )
        and any(quote.weight > 0 for quote in quotes)
    )

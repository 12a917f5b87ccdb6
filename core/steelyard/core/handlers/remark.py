"""A mark step: new marks of contracts, and everything that follows from them."""

from typing import Final

from steelyard.core.contracts import mark
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.funding import DEAD_BAND_NS
from steelyard.core.events import AnyEvent, MarkSet
from steelyard.core.handlers import auctions
from steelyard.core.handlers.conditional import price_moved
from steelyard.core.handlers.risk import judge_marked
from steelyard.core.instruments import Instrument, halt_bounds
from steelyard.core.state import State
from steelyard.core.timing import begin_intervals
from steelyard.core.units import FundingRule, InstrumentState, MarkRule, PriceSource, Side

_CLOSED: Final = InstrumentState.CLOSED


def remark(
    state: State, instruments: list[Instrument], out: list[AnyEvent], *, judges_all: bool = False
) -> None:
    """Work out the marks of contracts, by id, and let everybody look at them.

    First ``MarkSet`` of those whose mark changed; then halts; then orders that wait for a mark or an index;
    then the scopes with lots in contracts whose mark changed (``judges_all``: in all of these) are judged.
    """
    living = [each for each in instruments if each.state != _CLOSED]
    changed: list[Instrument] = []
    for instrument in living:
        contract = instrument.contract
        assert contract is not None, instrument.instrument
        if contract.rules.mark_rule == MarkRule.MEDIAN and not contract.index.is_stale:
            mark_ticks = _mark_ticks(state, instrument, contract)
            if mark_ticks != instrument.mark_ticks:
                set_mark_price(state, instrument, contract, mark_ticks, out)
                changed.append(instrument)
    look_at_marks(state, living, changed, out)
    if judges_all:
        judge_marked(state, living, out)
    elif changed:
        judge_marked(state, changed, out)


def set_mark_price(
    state: State, instrument: Instrument, contract: Contract, mark_ticks: int, out: list[AnyEvent]
) -> None:
    """Give a contract its mark; with its first one it begins to be sampled and funded."""
    instrument.mark_ticks = mark_ticks
    if contract.sample_ns == 0:
        begin_intervals(state, instrument, contract)
    out.append(MarkSet(instrument=instrument.instrument, mark_ticks=mark_ticks))


def look_at_marks(
    state: State, instruments: list[Instrument], changed: list[Instrument], out: list[AnyEvent]
) -> None:
    """Halt contracts whose mark has left its window, then wake the orders that the prices meet."""
    for instrument in changed:
        if _halts(state, instrument):
            auctions.halt(state, instrument, instrument.mark_ticks, out)
    for instrument in instruments:
        price_moved(state, instrument, PriceSource.MARK, out)
        price_moved(state, instrument, PriceSource.INDEX, out)


def _mark_ticks(state: State, instrument: Instrument, contract: Contract) -> int:
    index_ticks = contract.index.price_ticks
    rules = contract.rules
    book = instrument.book
    return mark.within_band(
        mark.median_of_three(
            mark.funding_ticks(
                index_ticks,
                contract.rate_ppb,
                contract.funding_ns - state.time_ns,
                # A rate by DEAD_BAND is one per eight hours, whatever the interval is.
                DEAD_BAND_NS if rules.funding.rule == FundingRule.DEAD_BAND else rules.funding.interval_ns,
            ),
            mark.basis_ticks(index_ticks, contract.bases_ticks),
            mark.book_ticks(
                index_ticks, book.best_ticks(Side.BUY), book.best_ticks(Side.SELL), instrument.last_ticks
            ),
        ),
        index_ticks,
        rules.mark_band_ppm,
        instrument.price_max_ticks,
    )


def _halts(state: State, instrument: Instrument) -> bool:
    """Return whether a mark lies outside the window that trades have begun, and that is not over."""
    rules = instrument.rules
    if rules is None or rules.halt_ppm == 0 or instrument.state != InstrumentState.OPEN:
        return False
    if instrument.anchor_ticks == 0 or state.time_ns >= instrument.anchor_ns + rules.halt_window_ns:
        return False
    return not halt_bounds(instrument, instrument.anchor_ticks).allow(instrument.mark_ticks)

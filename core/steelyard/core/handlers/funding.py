"""Samples of a contract's book, rounds of funding, and the sweep that collects from every position."""

from typing import Final

from steelyard.core.contracts import funding
from steelyard.core.contracts.contract import Contract, Premiums
from steelyard.core.contracts.fill import settle
from steelyard.core.contracts.turns import first_position, next_turn
from steelyard.core.events import AnyEvent, FundingPaid, FundingSet, FundingSwept, PremiumSampled
from steelyard.core.handlers.remark import remark
from steelyard.core.handlers.risk import judge_marked
from steelyard.core.instruments import Instrument
from steelyard.core.limits import BASES_MAX, FUNDING_NANOATOMS_MAX, SAMPLE_NS
from steelyard.core.matching import BookSide, Position
from steelyard.core.rounding import mul_div_down
from steelyard.core.state import State
from steelyard.core.timing import begin_intervals, next_multiple, watch_contract
from steelyard.core.units import FundingRule, InstrumentId, InstrumentState, Side

_NOT_SAMPLED: Final = (InstrumentState.PRE_OPEN, InstrumentState.AUCTION, InstrumentState.CLOSED)


def sample_due(state: State, instrument_id: InstrumentId, due_ns: int, out: list[AnyEvent]) -> None:
    """Sample a contract: its mark, then its basis and premium; by DEAD_BAND funding accrues with it.

    A timer that is out of date, or whose index is stale, does nothing; nor does one of a closed contract,
    which a member that was restored does not have.
    """
    instrument = state.markets.instruments[instrument_id]
    contract = instrument.contract
    assert contract is not None, instrument_id
    is_closed = instrument.state == InstrumentState.CLOSED
    if contract.sample_ns != due_ns or contract.index.is_stale or is_closed:
        watch_contract(state, instrument, contract)
        return
    contract.sample_ns = next_multiple(SAMPLE_NS, state.time_ns)
    watch_contract(state, instrument, contract)
    if instrument.state not in _NOT_SAMPLED:
        remark(state, [instrument], out)
        _sample_basis(instrument, contract)
        _sample_premium(state, instrument, contract, due_ns, out)


def funding_due(state: State, instrument_id: InstrumentId, due_ns: int, out: list[AnyEvent]) -> None:
    """End a funding interval: its rate, what a lot owes by it, and a sweep that collects that.

    A timer that is out of date does nothing; while the index is stale the samples are forgotten, and that is
    all.
    """
    instrument = state.markets.instruments[instrument_id]
    contract = instrument.contract
    assert contract is not None, instrument_id
    if contract.funding_ns != due_ns or instrument.state == InstrumentState.CLOSED:
        watch_contract(state, instrument, contract)
        return
    terms = contract.rules.funding
    contract.funding_ns = next_multiple(terms.interval_ns, state.time_ns)
    watch_contract(state, instrument, contract)
    premiums = contract.premiums
    contract.premiums = Premiums()
    accrues = terms.rule == FundingRule.DEAD_BAND
    if accrues:
        rate_ppb = contract.predicted_ppb if premiums.count else 0
    else:
        rate_ppb = funding.interval_ppb(premiums, terms)
        contract.predicted_ppb = 0
    if contract.index.is_stale:
        return
    contract.rate_ppb = rate_ppb
    delta_nanoatoms = 0
    if not accrues:
        delta_nanoatoms = funding.delta_nanoatoms(
            contract.kind, contract.scale, instrument.mark_ticks, rate_ppb
        )
    _owe(state, instrument, contract, rate_ppb, delta_nanoatoms, out)
    if not contract.is_sweeping:
        state.markets.begin_sweeping(instrument)


def sweep_step(state: State, instrument: Instrument, out: list[AnyEvent]) -> None:
    """Let the next position of a sweep pay what it owes; when all have, end the sweep."""
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    position = _next_unswept(contract)
    if position is None:
        _end_sweep(state, instrument, contract, out)
        return
    paid_atoms = settle(contract, position)
    if paid_atoms:
        state.touched[position.scope] = None
        out.append(
            FundingPaid(
                account=position.account,
                instrument=position.instrument,
                leg=position.leg,
                paid_atoms=paid_atoms,
            )
        )


def change_terms(state: State, instrument: Instrument, contract: Contract) -> None:
    """Go on by other funding terms: the interval begins anew, without samples."""
    contract.premiums = Premiums()
    contract.predicted_ppb = 0
    if contract.sample_ns != 0:
        begin_intervals(state, instrument, contract)


def _sample_basis(instrument: Instrument, contract: Contract) -> None:
    bid_ticks = instrument.book.best_ticks(Side.BUY)
    ask_ticks = instrument.book.best_ticks(Side.SELL)
    if bid_ticks is None or ask_ticks is None:
        return
    middle_ticks = mul_div_down(bid_ticks + ask_ticks, 1, 2)
    contract.bases_ticks.append(middle_ticks - contract.index.price_ticks)
    if len(contract.bases_ticks) > BASES_MAX:
        contract.bases_ticks.popleft()


def _sample_premium(
    state: State, instrument: Instrument, contract: Contract, due_ns: int, out: list[AnyEvent]
) -> None:
    terms = contract.rules.funding
    index_ticks = contract.index.price_ticks
    accrues = terms.rule == FundingRule.DEAD_BAND
    if accrues:
        premium_ppb = funding.mark_premium_ppb(index_ticks, instrument.mark_ticks)
    else:
        book = instrument.book
        premium_ppb = funding.premium_ppb(
            index_ticks,
            _impact_ticks(contract, book.bids, selling=True),
            _impact_ticks(contract, book.asks, selling=False),
        )
    funding.add_sample(contract.premiums, terms, premium_ppb, due_ns)
    if accrues:
        contract.predicted_ppb = funding.dead_band_ppb(premium_ppb, terms)
    else:
        contract.predicted_ppb = funding.interval_ppb(contract.premiums, terms)
    out.append(
        PremiumSampled(
            instrument=instrument.instrument,
            premium_ppb=premium_ppb,
            predicted_ppb=contract.predicted_ppb,
        )
    )
    since_ns = contract.sampled_ns
    contract.sampled_ns = state.time_ns
    if accrues and since_ns:
        delta_nanoatoms = funding.delta_nanoatoms(
            contract.kind,
            contract.scale,
            instrument.mark_ticks,
            contract.predicted_ppb,
            min(state.time_ns - since_ns, funding.ACCRUAL_NS_MAX),
            funding.DEAD_BAND_NS,
        )
        if delta_nanoatoms:
            _owe(state, instrument, contract, contract.predicted_ppb, delta_nanoatoms, out)


def _impact_ticks(contract: Contract, side: BookSide, *, selling: bool) -> int | None:
    levels = ((abs(level.key), level.open_lots) for level in side.best_first())
    return funding.impact_ticks(
        contract.kind, contract.scale, levels, contract.rules.funding.impact_atoms, selling=selling
    )


def _owe(
    state: State,
    instrument: Instrument,
    contract: Contract,
    rate_ppb: int,
    delta_nanoatoms: int,
    out: list[AnyEvent],
) -> None:
    """Let longs owe more per lot, from now on or from the end of the sweep that runs."""
    if contract.is_sweeping:
        contract.pending_nanoatoms += delta_nanoatoms
    else:
        contract.cumulative_nanoatoms += delta_nanoatoms
    out.append(
        FundingSet(
            instrument=instrument.instrument,
            rate_ppb=rate_ppb,
            mark_ticks=instrument.mark_ticks,
            delta_nanoatoms=delta_nanoatoms,
            cumulative_nanoatoms=contract.cumulative_nanoatoms + contract.pending_nanoatoms,
        )
    )
    if delta_nanoatoms and not contract.is_sweeping:
        judge_marked(state, [instrument], out)


def _next_unswept(contract: Contract) -> Position | None:
    """Return the first position that has not paid all it owes, and whose turn it still is; or None."""
    while (position := first_position(contract)) is not None:
        if position.settled_nanoatoms != contract.cumulative_nanoatoms:
            return position
        next_turn(contract)
    return None


def _end_sweep(state: State, instrument: Instrument, contract: Contract, out: list[AnyEvent]) -> None:
    """Give what roundings have left in FUNDING to ROUNDING; what came meanwhile is owed from now on."""
    state.markets.end_sweeping(instrument)
    rounding_atoms = contract.funding_atoms
    assert rounding_atoms >= 0, (instrument.instrument, rounding_atoms)
    contract.funding_atoms = 0
    state.ledger.houses[contract.settle].rounding_atoms += rounding_atoms
    out.append(FundingSwept(instrument=instrument.instrument, rounding_atoms=rounding_atoms))
    if abs(contract.cumulative_nanoatoms) >= FUNDING_NANOATOMS_MAX:
        for position in contract.positions.values():
            position.settled_nanoatoms = 0
        contract.cumulative_nanoatoms = 0
    if contract.pending_nanoatoms:
        contract.cumulative_nanoatoms += contract.pending_nanoatoms
        contract.pending_nanoatoms = 0
        judge_marked(state, [instrument], out)

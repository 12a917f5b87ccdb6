"""What an entry does before its commands, because its time has come or its turn."""

from typing import Final

from steelyard.core.events import AnyEvent
from steelyard.core.handlers import liquidating
from steelyard.core.handlers.admission import admit
from steelyard.core.handlers.auctions import state_due, uncross_step
from steelyard.core.handlers.ending import end_order
from steelyard.core.handlers.funding import funding_due, sample_due, sweep_step
from steelyard.core.handlers.gates import gate_due
from steelyard.core.handlers.prices import index_due
from steelyard.core.handlers.risk import judge_touched
from steelyard.core.handlers.settling import settle_step
from steelyard.core.handlers.sweeps import countdown_due
from steelyard.core.limits import LIQUIDATION_STEPS_PER_ENTRY_MAX, WORK_PER_ENTRY_MAX
from steelyard.core.matching import Order
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.timers import CONTRACT, COUNTDOWN, GATE, INDEX, INSTRUMENT, SAMPLE, Timer
from steelyard.core.units import AccountId, AssetId, IndexId, InstrumentId, InstrumentState

_OPEN: Final = InstrumentState.OPEN


def next_due_ns(state: State) -> int | None:
    """Return the log time at which something is due, or None if nothing is.

    Work that can go on is due at once; orders of an instrument that is not open cannot.
    """
    markets = state.markets
    if markets.uncrossing or markets.sweeping or markets.settling or _first_in_work(state) is not None:
        return state.time_ns
    if liquidating.next_unit(state) is not None:
        return state.time_ns
    return state.timers.next_ns()


def run_due(state: State, out: list[AnyEvent]) -> list[AnyEvent]:
    """Do what is due now and return what happened, oldest first: ``out``, which is empty before.

    Everything urgent whose time has come; then up to ``WORK_PER_ENTRY_MAX`` units of liquidations (not more
    than ``LIQUIDATION_STEPS_PER_ENTRY_MAX``), auctions, expiries, admissions, sweeps of funding and
    settlements, in this order.  After each of them the scopes that it touched are judged.
    """
    due_ns = next_due_ns(state)
    if due_ns is None or due_ns > state.time_ns:
        return out
    while (timer := state.timers.pop_urgent(state.time_ns)) is not None:
        _fire(state, timer, out)
        if state.touched:
            judge_touched(state, out)
    steps_left = LIQUIDATION_STEPS_PER_ENTRY_MAX
    for _ in range(WORK_PER_ENTRY_MAX):
        liquidation = liquidating.next_unit(state) if steps_left else None
        if liquidation is not None:
            liquidating.do_unit(state, liquidation, out)
            steps_left -= 1
        elif not _do_unit(state, out):
            break
        if state.touched:
            judge_touched(state, out)
    return out


def _fire(state: State, timer: Timer, out: list[AnyEvent]) -> None:
    """Do what an urgent timer is for, if it still stands."""
    due_ns, kind, subject, detail = timer
    if kind == INSTRUMENT:
        state_due(state, InstrumentId(subject), due_ns, out)
    elif kind == INDEX:
        index_due(state, IndexId(subject), due_ns, out)
    elif kind == CONTRACT:
        (sample_due if detail == SAMPLE else funding_due)(state, InstrumentId(subject), due_ns, out)
    elif kind == GATE:
        gate_due(state, AssetId(subject), due_ns, out)
    else:
        assert kind == COUNTDOWN, timer
        countdown_due(state, AccountId(subject), InstrumentId(detail), due_ns, out)


def _do_unit(state: State, out: list[AnyEvent]) -> bool:
    """Do one unit of work; return whether there was one."""
    uncrossing = state.markets.uncrossing
    if uncrossing:
        uncross_step(state, state.markets.instruments[uncrossing[0]], out)
        return True
    order = _next_expired(state)
    if order is not None:
        end_order(state, order, Reject.EXPIRED, out)
        return True
    order = _first_in_work(state)
    if order is not None:
        admit(state, order, out)
        return True
    markets = state.markets
    if markets.sweeping:
        sweep_step(state, markets.instruments[markets.sweeping[0]], out)
        return True
    if markets.settling:
        settle_step(state, markets.instruments[markets.settling[0]], out)
        return True
    return False


def _next_expired(state: State) -> Order | None:
    """Return the next order whose time has come; a timer that is out of date is passed over."""
    while (timer := state.timers.pop_expiry(state.time_ns)) is not None:
        due_ns, number = timer
        order = state.orders.get(number)
        if order is not None and order.special is not None and order.special.terms.expires_ns == due_ns:
            return order
    return None


def _first_in_work(state: State) -> Order | None:
    if not state.work:
        return None
    instruments = state.markets.instruments
    number = state.work.first(lambda instrument: instruments[instrument].state == _OPEN)
    return None if number is None else state.orders[number]

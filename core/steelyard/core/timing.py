"""When indices, contracts and withdrawal gates are to be looked at, and everything else that is urgent."""

from typing import Final

from steelyard.core.contracts.contract import Contract, Index
from steelyard.core.instruments import Instrument
from steelyard.core.limits import SAMPLE_NS
from steelyard.core.rounding import mul_div_down
from steelyard.core.state import State
from steelyard.core.timers import CONTRACT, COUNTDOWN, FUNDING, GATE, INDEX, INSTRUMENT, SAMPLE, Timer
from steelyard.core.units import InstrumentState

_CLOSED: Final = InstrumentState.CLOSED


def next_multiple(step_ns: int, after_ns: int) -> int:
    """Return the first multiple of ``step_ns`` after a time."""
    return (mul_div_down(after_ns, 1, step_ns) + 1) * step_ns


def begin_intervals(state: State, instrument: Instrument, contract: Contract) -> None:
    """Sample and fund a contract from now on, because it has its first mark."""
    contract.sample_ns = next_multiple(SAMPLE_NS, state.time_ns)
    contract.funding_ns = next_multiple(contract.rules.funding.interval_ns, state.time_ns)
    watch_contract(state, instrument, contract)


def watch_contract(state: State, instrument: Instrument, contract: Contract) -> None:
    """Have a contract looked at when its next sample and the end of its funding interval are due."""
    for due_ns, detail in _dues(instrument, contract):
        state.timers.wake(due_ns, CONTRACT, instrument.instrument, detail)


def watch_index(state: State, index: Index) -> None:
    """Have an index looked at when it becomes stale, unless it is."""
    if not index.is_stale:
        state.timers.wake(index.stale_at_ns, INDEX, index.index)


def urgent_timers(state: State) -> list[Timer]:
    """Return every urgent timer that stands, worked out from the state."""
    instruments = state.markets.instruments.values()
    timers: list[Timer] = [
        (each.next_ns, INSTRUMENT, each.instrument, 0) for each in instruments if each.next_ns
    ]
    timers += [(due_ns, COUNTDOWN, account, id_) for (account, id_), due_ns in state.countdowns.items()]
    timers += [
        (index.stale_at_ns, INDEX, id_, 0)
        for id_, index in state.markets.indices.items()
        if not index.is_stale
    ]
    for each in instruments:
        contract = each.contract
        if contract is not None:
            timers += [
                (due_ns, CONTRACT, each.instrument, detail) for due_ns, detail in _dues(each, contract)
            ]
    timers += [
        (house.gate_ns, GATE, asset, 0)
        for asset, house in state.ledger.houses.items()
        if house.gate_on and house.gate_ns
    ]
    return timers


def recompute_turns(state: State) -> None:
    """Find the contracts that have units of work left, after a snapshot was loaded."""
    markets = state.markets
    by_id = sorted(markets.instruments.items())
    contracts = [(each, each.contract) for _, each in by_id if each.contract is not None]
    markets.sweeping = [each.instrument for each, contract in contracts if contract.is_sweeping]
    markets.settling = [each.instrument for each, contract in contracts if contract.is_settling]


def _dues(instrument: Instrument, contract: Contract) -> list[tuple[int, int]]:
    """Return (due_ns, detail) of what a contract waits for, once it has had a mark, while it lives.

    Nothing is sampled while its index is stale.
    """
    if contract.sample_ns == 0 or instrument.state == _CLOSED:
        return []
    dues = [(contract.funding_ns, FUNDING)]
    if not contract.index.is_stale:
        dues.append((contract.sample_ns, SAMPLE))
    return dues

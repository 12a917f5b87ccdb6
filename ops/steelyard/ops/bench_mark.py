"""How long a new mark takes over very many positions, one that concerns few and one that concerns many."""

import gc
import random
import statistics
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from steelyard.core.accounts import Account
from steelyard.core.contracts import adl, equity, ladder
from steelyard.core.contracts.fill import fill
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.contracts.trigger_index import Markets, TriggerIndex
from steelyard.core.events import AnyEvent, LiquidationStarted, RiskLevelChanged
from steelyard.core.handlers import risk
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Margin, Scope
from steelyard.core.state import State
from steelyard.core.units import PPM, AccountId, InstrumentId, Leg, RiskLevel
from steelyard.ops import bench_core, machine

_FIRST: Final = AccountId(10_000)
_LOTS_MAX: Final = 10
#: Margin wallets hold the notional at entry divided by one of these.
_LEVERAGES: Final = (2, 50)
#: So far the mark has fallen before anything is measured: some are being liquidated, more are near it.
_FALLEN_PPM: Final = 15_000
_JUMP_PPM: Final = 200_000
#: So many give at once; more than nearly ever.
_HEAD: Final = 10
_Found = list[tuple[AccountId, RiskLevel]]


class _Look(NamedTuple):
    """How long each way took to find whom a mark concerns, and how many there were."""

    indexed_ns: int
    plain_ns: int
    numpy_ns: int
    nominated: int
    changed: int
    liquidations: int


class _CountingIndex(TriggerIndex):
    """The trigger index, and how many it has nominated last."""

    __slots__ = ("count",)

    def nominated(self, changed: Iterable[InstrumentId], markets: Markets) -> list[Scope]:
        found = super().nominated(changed, markets)
        self.count = len(found)
        return found


class _Columns:
    """What a scan with numpy would have to keep of every position: lots, money and level."""

    def __init__(self, margins: list[Margin]) -> None:
        positions = [next(iter(margin.positions.values())) for margin in margins]
        self.qty: npt.NDArray[np.int64] = np.array([each.qty_lots for each in positions], np.int64)
        self.cash: npt.NDArray[np.int64] = np.array(
            [
                margin.wallet_atoms + each.cash_flow_atoms
                for margin, each in zip(margins, positions, strict=True)
            ],
            np.int64,
        )
        self.level: npt.NDArray[np.int64] = np.ones(len(margins), np.int64)


def run(
    positions: int = 200_000,
    rounds: int = 21,
    *,
    seed: int = 1,
    advanced: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Let marks move over ``positions`` cross positions in one contract, and find whom they concern.

    Three ways do it at the same marks: the trigger index, with all that follows from it for whoever it
    nominates (``indexed_ms``: nominated, judged, told, and its bounds written anew); a look at everybody with
    the exchange's own integers; a look at everybody with numpy, over columns that are kept up to date for
    nothing.  They must find the same.  First the mark falls ``rounds`` times by one tick, each a new low, of
    which the medians are given, then once by 20 %.  ``advanced`` is told how many looks have been taken.

    At last the shorts are ranked as for an auto-deleveraging (``ranking``: ``head`` of those ``ranked`` are
    looked at): everybody scored and sorted (``plain_ms``), when it is asked first (``first_ms``), at another
    mark (``new_mark_ms``), and after those of the head have changed (``next_ms``); the last two are medians.
    """
    state, instrument, margins = _stage(positions, random.Random(seed))
    columns = _Columns(margins)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        began_ns = perf_counter_ns()
        _take(state, instrument, margins, columns, instrument.mark_ticks)
        built_ns = perf_counter_ns() - began_ns
        start_ticks = instrument.mark_ticks * (PPM - _FALLEN_PPM) // PPM
        _take(state, instrument, margins, columns, start_ticks)
        looks: list[_Look] = []
        for number in range(1, rounds + 1):
            looks.append(_take(state, instrument, margins, columns, start_ticks - number))
            advanced(1)
        fallen_ticks = instrument.mark_ticks * (PPM - _JUMP_PPM) // PPM
        jump = _take(state, instrument, margins, columns, fallen_ticks)
        ranking = _rank(state, instrument, rounds)
    finally:
        gc.enable()
        gc.unfreeze()
    return {
        "positions": positions,
        "rounds": rounds,
        **_figures(looks),
        "indexed_ms_max": round(max(look.indexed_ns for look in looks) / 1e6, 3),
        "first_look_ms": round(built_ns / 1e6, 1),
        "jump": {"percent": -_JUMP_PPM * 100 // PPM, **_figures([jump])},
        "ranking": ranking,
        "flavour": bench_core.flavour(),
        "machine": msgspec.to_builtins(machine.describe()),
    }


def _figures(looks: list[_Look]) -> dict[str, Any]:
    """Return the medians of looks."""
    return {
        "indexed_ms": _median_ms([look.indexed_ns for look in looks]),
        "plain_scan_ms": _median_ms([look.plain_ns for look in looks]),
        "numpy_scan_ms": _median_ms([look.numpy_ns for look in looks]),
        "nominated": statistics.median_high(look.nominated for look in looks),
        "changed": statistics.median_high(look.changed for look in looks),
        "liquidations": statistics.median_high(look.liquidations for look in looks),
    }


def _median_ms(times_ns: list[int]) -> float:
    return round(statistics.median(times_ns) / 1e6, 3)


def _stage(positions: int, dice: random.Random) -> tuple[State, Instrument, list[Margin]]:
    """Return an exchange in which so many accounts have a position in one contract, half of them long."""
    exchange = bench_core.perpetual_market()
    state = exchange.state
    state.trigger_index = _CountingIndex()
    instrument = next(iter(state.markets.instruments.values()))
    contract = risk.contract_of(instrument)
    house = state.ledger.houses[contract.settle]
    lot_atoms = instrument.mark_ticks * contract.scale
    margins: list[Margin] = []
    for number in range(positions // 2 * 2):
        account = AccountId(_FIRST + number)
        state.accounts[account] = Account(account)
        margin = state.accounts[account].margin(contract.settle)
        if number % 2 == 0:
            lots = dice.randint(1, _LOTS_MAX)
        position = margin.position(instrument.instrument, Leg.NET)
        fill(
            contract,
            position,
            -lots if number % 2 else lots,
            lot_atoms * (lots if number % 2 else -lots),
            0,
            0,
        )
        margin.wallet_atoms = (
            lots * lot_atoms * PPM // (dice.randint(*_LEVERAGES) * PPM - dice.randrange(PPM))
        )
        house.omnibus_atoms -= margin.wallet_atoms
        margins.append(margin)
    return state, instrument, margins


def _take(
    state: State,
    instrument: Instrument,
    margins: list[Margin],
    columns: _Columns,
    mark_ticks: int,
) -> _Look:
    """Set a mark and find whom it concerns, in three ways."""
    instrument.mark_ticks = mark_ticks
    began_ns = perf_counter_ns()
    plain = _plain_scan(state, margins)
    plain_ns = perf_counter_ns() - began_ns
    began_ns = perf_counter_ns()
    levels = _numpy_levels(instrument, columns)
    found = np.flatnonzero(levels != columns.level)
    numpy_ns = perf_counter_ns() - began_ns
    out: list[AnyEvent] = []
    index = state.trigger_index
    assert isinstance(index, _CountingIndex), index
    began_ns = perf_counter_ns()
    risk.judge_marked(state, [instrument], out)
    indexed_ns = perf_counter_ns() - began_ns
    changed = sorted((event.account, event.after) for event in out if isinstance(event, RiskLevelChanged))
    assert changed == plain, "the index and a look at everybody find the same"
    by_columns = [(margins[place].account, RiskLevel(int(levels[place]))) for place in found.tolist()]
    assert changed == by_columns, "numpy finds the same"
    columns.level[found] = levels[found]
    state.touched.clear()
    return _Look(
        indexed_ns,
        plain_ns,
        numpy_ns,
        index.count,
        len(changed),
        sum(isinstance(event, LiquidationStarted) for event in out),
    )


def _rank(state: State, instrument: Instrument, rounds: int) -> dict[str, Any]:
    """Measure how long it takes to find who is deleveraged first."""
    began_ns = perf_counter_ns()
    plain = _plain_ranking(state, instrument)
    plain_ns = perf_counter_ns() - began_ns
    first_ns, _ = _rank_head(state, instrument)
    new_mark_ns: list[int] = []
    next_ns: list[int] = []
    for _ in range(rounds):
        instrument.mark_ticks -= 1
        taken_ns, head = _rank_head(state, instrument)
        new_mark_ns.append(taken_ns)
        for candidate in head:
            margin = state.accounts[candidate.account].margins[risk.contract_of(instrument).settle]
            margin.wallet_atoms += 1
            state.touched[margin] = None
        taken_ns, head = _rank_head(state, instrument)
        next_ns.append(taken_ns)
        state.touched.clear()
    assert head == _plain_ranking(state, instrument)[:_HEAD], "the ranking is as if everybody were scored"
    return {
        "ranked": len(plain),
        "head": len(head),
        "plain_ms": round(plain_ns / 1e6, 1),
        "first_ms": round(first_ns / 1e6, 1),
        "new_mark_ms": _median_ms(new_mark_ns),
        "next_ms": _median_ms(next_ns),
    }


def _rank_head(state: State, instrument: Instrument) -> tuple[int, list[adl.Candidate]]:
    """Return how long it took to find the first of the shorts, and who they are."""
    began_ns = perf_counter_ns()
    ranking = state.rankings.ranking(
        instrument.instrument, state.markets.instruments, state.touched, is_long=False
    )
    head = list(islice(ranking, _HEAD))
    return perf_counter_ns() - began_ns, head


def _plain_ranking(state: State, instrument: Instrument) -> list[adl.Candidate]:
    """Return all shorts that are not being liquidated, each scored, best first."""
    contract, mark_ticks = risk.contract_of(instrument), instrument.mark_ticks
    ranked: list[adl.Candidate] = []
    for (account, leg), position in contract.positions.items():
        if position.qty_lots < 0 and not position.scope.liquidation:
            gain_atoms = equity.gain_atoms(contract, position, mark_ticks)
            equity_atoms = equity.equity_atoms(position.scope, state.markets.instruments)
            notional_atoms = mark_notional_atoms(contract, -position.qty_lots, mark_ticks)
            score_ppm = adl.score_ppm(gain_atoms, position.cash_flow_atoms, notional_atoms, equity_atoms)
            ranked.append(adl.Candidate(account, leg, position.qty_lots, gain_atoms, equity_atoms, score_ppm))
    return sorted(ranked, key=adl.turn)


def _plain_scan(state: State, margins: list[Margin]) -> _Found:
    """Look at everybody with the exchange's own integers; return who changes to which level."""
    instruments = state.markets.instruments
    found: _Found = []
    for margin in margins:
        if margin.liquidation:
            continue
        have, need = equity.standing_atoms(margin, instruments)
        if have < need:
            level = RiskLevel.LIQUIDATING
        else:
            (position,) = margin.positions.values()
            at = risk.contract_of(instruments[position.instrument]).rules.liquidation
            level = ladder.level_after(margin.level, equity.ratio_ppm(have, need), at)
        if level != margin.level:
            found.append((margin.account, level))
    return found


def _numpy_levels(instrument: Instrument, columns: _Columns) -> npt.NDArray[np.int64]:
    """Return the level on which everybody stands at the mark, as numpy works it out.

    For positions within the first tier: nothing here comes near int64's end.
    """
    contract = risk.contract_of(instrument)
    terms, tiers = contract.rules.liquidation, contract.rules.margin.tiers
    value = columns.qty * (instrument.mark_ticks * contract.scale)
    notional = np.abs(value)
    assert notional.max() < tiers[1].floor_atoms, "one tier"
    have = value + columns.cash
    need = -(-notional * tiers[0].maintenance_ppm // PPM)
    ratio = need * PPM // np.maximum(have, 1)
    thresholds = np.array([0, terms.warning_ppm, terms.danger_ppm, terms.critical_ppm, PPM], np.int64)
    reached = np.searchsorted(thresholds[1:4], ratio, side="right") + 1
    stays = ratio > thresholds[columns.level - 1] - terms.hysteresis_ppm
    levels = np.where(stays, np.maximum(reached, columns.level), reached)
    levels = np.where(have < need, int(RiskLevel.LIQUIDATING), levels)
    return np.where(columns.level == int(RiskLevel.LIQUIDATING), columns.level, levels)

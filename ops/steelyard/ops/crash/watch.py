"""Sees every entry of a crash being applied, and keeps what a report and its pictures need."""

from time import perf_counter_ns
from typing import Final, NamedTuple

from steelyard.core import Applied, Entry, Exchange, events
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.units import AssetId, IndexId, InstrumentId
from steelyard.ops.crash.register import Register

#: (log time, value)
Series = list[tuple[int, int]]


class Closed(NamedTuple):
    """Lots that the engine closed: in the book, or (``adl``) against opposite positions."""

    time_ns: int
    instrument: InstrumentId
    mark_ticks: int
    lots: int
    notional_atoms: int
    adl: bool


class Watch:
    """What was seen.  ``apply`` is how entries are to be carried out."""

    def __init__(self) -> None:
        self.entries = 0
        self.events = 0
        self.longest_ns = 0
        self.longest_index = 0
        self.peak_events = 0
        #: Units of the engine that said something, in one entry at most.
        self.peak_units = 0
        self.index_sets = 0
        self.indices: dict[IndexId, Series] = {}
        #: How often an index became stale, and from when to when each was.
        self.stale = 0
        self.silences: dict[IndexId, list[tuple[int, int]]] = {}
        #: Funding intervals that ended.
        self.rounds = 0
        self.marks: dict[InstrumentId, Series] = {}
        self.open_interest: dict[InstrumentId, Series] = {}
        #: Lots that the bids of a contract show, as each word of the feed finds them.
        self.bids: dict[InstrumentId, Series] = {}
        self.register = Register()
        self.last_ns = 0
        self.steps = 0
        #: Steps in a contract whose index was stale; there must be none.
        self.blind_steps = 0
        self.closed: list[Closed] = []
        self.adls = 0
        self.adl_givers = 0
        self.shared_atoms: dict[AssetId, int] = {}
        self.debts_atoms: dict[AssetId, int] = {}
        self.gates = 0
        #: INSURANCE as the events make it, and what was paid in and out from outside.
        self.fund: dict[AssetId, Series] = {}
        self.outside_atoms: dict[AssetId, int] = {}
        self.fund_before: dict[AssetId, int] = {}
        self._fund_atoms: dict[AssetId, int] = {}
        #: The indices that are stale, and since when.
        self._blind: dict[IndexId, int] = {}

    def apply(self, exchange: Exchange, index: int, entry: Entry) -> Applied:
        """Carry an entry out, and keep what is worth keeping."""
        began_ns = perf_counter_ns()
        applied = exchange.apply(index, entry)
        took_ns = perf_counter_ns() - began_ns
        if took_ns > self.longest_ns:
            self.longest_ns, self.longest_index = took_ns, index
        self._see(exchange, applied)
        return applied

    def fund_atoms(self, asset: AssetId) -> int:
        """Return INSURANCE as the events make it."""
        return self._fund_atoms.get(asset, 0)

    def _see(self, exchange: Exchange, applied: Applied) -> None:
        self.entries += 1
        self.last_ns = applied.time_ns
        count = units = 0
        stepped: set[int] = set()
        for event in applied.events():
            count += 1
            if type(event) in _TOLD:
                if isinstance(event, events.LiquidationStepped):
                    units += 1
                    stepped.add(event.liquidation)
                elif isinstance(event, events.LiquidationEnded):
                    # An end without a step is a unit of its own.
                    units += event.liquidation not in stepped
                self._note(exchange, event, applied.time_ns)
        self.events += count
        self.peak_events = max(self.peak_events, count)
        self.peak_units = max(self.peak_units, units)
        for instrument_id, instrument in exchange.state.markets.instruments.items():
            contract = instrument.contract
            if contract is not None:
                series = self.open_interest.setdefault(instrument_id, [])
                if not series or series[-1][1] != contract.open_interest_lots:
                    series.append((applied.time_ns, contract.open_interest_lots))

    def _note(self, exchange: Exchange, event: events.AnyEvent, time_ns: int) -> None:
        match event:
            case events.MarkSet():
                self.marks.setdefault(event.instrument, []).append((time_ns, event.mark_ticks))
            case events.IndexSet():
                self._note_index(exchange, event, time_ns)
            case events.IndexStale():
                self.stale += 1
                self._blind[event.index] = time_ns
            case events.FundingSwept():
                self.rounds += 1
            case events.Deposited():
                self._outside(event.asset, event.amount_atoms)
            case events.Withdrawn():
                self._outside(event.asset, -event.amount_atoms)
            case events.InsuranceFunded():
                self._outside(event.asset, event.amount_atoms)
                self._fund_moves(event.asset, event.amount_atoms, time_ns)
            case events.WithdrawalGateSet():
                self.gates += event.on
            case events.LossShared():
                self.shared_atoms[event.asset] = self.shared_atoms.get(event.asset, 0) + event.debt_atoms
            case _:
                self._note_engine(exchange, event, time_ns)

    def _note_engine(self, exchange: Exchange, event: events.AnyEvent, time_ns: int) -> None:
        match event:
            case events.LiquidationStarted():
                if not self.register.started_ns:
                    self.fund_before = dict(self._fund_atoms)
                self.register.began(event.liquidation, time_ns)
            case events.LiquidationEnded():
                self.register.ended(event.liquidation, event.how, time_ns)
            case events.LiquidationStepped():
                self.steps += 1
                self.blind_steps += _index_of(exchange, event.instrument) in self._blind
            case events.LiquidationPaid():
                mark_ticks = self.marks[event.instrument][-1][1]
                settle = self._close(exchange, time_ns, event.instrument, mark_ticks, event.lots, adl=False)
                self._fund_moves(settle, event.insurance_atoms, time_ns)
            case events.AdlSettled():
                self._close(exchange, time_ns, event.instrument, event.mark_ticks, event.lots, adl=True)
                self.adls += 1
                self.adl_givers += len(event.givers)
            case events.DebtTaken():
                self.debts_atoms[event.asset] = self.debts_atoms.get(event.asset, 0) + event.debt_atoms
                self._fund_moves(event.asset, -event.insurance_atoms, time_ns)
            case events.DebtRepaid():
                self._fund_moves(event.asset, -event.atoms, time_ns)

    def _note_index(self, exchange: Exchange, event: events.IndexSet, time_ns: int) -> None:
        self.index_sets += 1
        self.indices.setdefault(event.index, []).append((time_ns, event.price_ticks))
        if event.stale:
            self._blind.setdefault(event.index, time_ns)
        elif event.index in self._blind:
            span = (self._blind.pop(event.index), time_ns)
            self.silences.setdefault(event.index, []).append(span)
        for instrument_id in exchange.state.markets.indices[event.index].contracts:
            bids = exchange.state.markets.instruments[instrument_id].book.bids
            lots = sum(level.open_lots for level in bids.levels.values())
            self.bids.setdefault(instrument_id, []).append((time_ns, lots))

    def _close(
        self,
        exchange: Exchange,
        time_ns: int,
        instrument_id: InstrumentId,
        mark_ticks: int,
        lots: int,
        *,
        adl: bool,
    ) -> AssetId:
        contract = exchange.state.markets.instruments[instrument_id].contract
        assert contract is not None, instrument_id
        atoms = mark_notional_atoms(contract, lots, mark_ticks)
        self.closed.append(Closed(time_ns, instrument_id, mark_ticks, lots, atoms, adl))
        return contract.settle

    def _outside(self, asset: AssetId, atoms: int) -> None:
        self.outside_atoms[asset] = self.outside_atoms.get(asset, 0) + atoms

    def _fund_moves(self, asset: AssetId, atoms: int, time_ns: int) -> None:
        self._fund_atoms[asset] = self._fund_atoms.get(asset, 0) + atoms
        self.fund.setdefault(asset, []).append((time_ns, self._fund_atoms[asset]))


def _index_of(exchange: Exchange, instrument_id: InstrumentId) -> IndexId:
    contract = exchange.state.markets.instruments[instrument_id].contract
    assert contract is not None, instrument_id
    return contract.index.index


#: What is worth a look.
_TOLD: Final = frozenset(
    (
        events.MarkSet,
        events.IndexSet,
        events.IndexStale,
        events.FundingSwept,
        events.Deposited,
        events.Withdrawn,
        events.InsuranceFunded,
        events.WithdrawalGateSet,
        events.LossShared,
        events.LiquidationStarted,
        events.LiquidationEnded,
        events.LiquidationStepped,
        events.LiquidationPaid,
        events.AdlSettled,
        events.DebtTaken,
        events.DebtRepaid,
    )
)

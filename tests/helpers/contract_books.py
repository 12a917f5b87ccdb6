"""Traffic of contracts a few commands at a time, and books that are kept of it from its events alone."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.helpers.contract_traffic import ContractTraffic

from steelyard.core import Exchange
from steelyard.core.entry import Applied
from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    ContractListed,
    ContractSettled,
    DebtRepaid,
    DebtTaken,
    Deposited,
    FundingPaid,
    FundingSwept,
    InsuranceFunded,
    LiquidationPaid,
    LossShared,
    PositionSettled,
    PositionsTraded,
    Withdrawn,
)
from steelyard.core.units import AssetId, InstrumentId


def one_by_one(seed: int, commands: int) -> Iterator[tuple[Exchange, Applied]]:
    """Yield the exchange of a seed and what it said, after each entry of a few commands."""
    exchange = Exchange()
    script = ContractTraffic(seed, entry_max=3).script()
    entry = next(script)
    while commands > 0:
        applied = exchange.apply(exchange.applied_index + 1, entry)
        yield exchange, applied
        commands -= len(entry.requests)
        entry = script.send(applied)


def happened(applied: Applied) -> list[AnyEvent]:
    """Return everything that an entry has brought."""
    return [*applied.due, *(event for outcome in applied.outcomes for event in outcome.events)]


@dataclass
class Books:
    """What events alone say of the system's accounts: by contract, and by asset."""

    settle: dict[InstrumentId, AssetId] = field(default_factory=dict)
    funding: Counter[InstrumentId] = field(default_factory=Counter)
    realised: Counter[InstrumentId] = field(default_factory=Counter)
    cleared: Counter[InstrumentId] = field(default_factory=Counter)
    rounding: Counter[AssetId] = field(default_factory=Counter)
    insurance: Counter[AssetId] = field(default_factory=Counter)
    debt: Counter[AssetId] = field(default_factory=Counter)
    outside: Counter[AssetId] = field(default_factory=Counter)

    def note(self, events: Iterable[AnyEvent]) -> None:
        """Follow events, and check that each family of them comes to nothing where it ends."""
        for event in events:
            match event:
                case Deposited():
                    self.outside[event.asset] += event.amount_atoms
                case Withdrawn():
                    self.outside[event.asset] -= event.amount_atoms
                case InsuranceFunded():
                    self.outside[event.asset] += event.amount_atoms
                    self.insurance[event.asset] += event.amount_atoms
                    assert self.insurance[event.asset] == event.insurance_atoms
                case ContractListed():
                    self.settle[event.instrument] = event.settle
                case DebtTaken():
                    self.insurance[event.asset] -= event.insurance_atoms
                    self.debt[event.asset] += event.debt_atoms
                    assert event.debt_atoms == 0 or self.insurance[event.asset] == 0
                case DebtRepaid():
                    self.insurance[event.asset] -= event.atoms
                    self.debt[event.asset] -= event.atoms
                    assert event.atoms > 0
                    assert self.insurance[event.asset] == 0 or self.debt[event.asset] == 0
                case LossShared():
                    assert event.debt_atoms == sum(atoms for _, _, atoms in event.shares)
                    self.debt[event.asset] -= event.debt_atoms
                case LiquidationPaid():
                    self.insurance[self.settle[event.instrument]] += event.insurance_atoms
                case _:
                    self._of_contract(event)

    def _of_contract(self, event: AnyEvent) -> None:
        match event:
            case PositionsTraded():
                self._paid(event.instrument, event.maker_funding_atoms, event.taker_funding_atoms)
                self.realised[event.instrument] += event.maker_realised_atoms + event.taker_realised_atoms
            case FundingPaid():
                self._paid(event.instrument, event.paid_atoms)
            case FundingSwept():
                self._rounded(event.instrument, event.rounding_atoms)
            case AdlSettled():
                givers = event.givers
                assert event.cash_atoms + sum(row.cash_atoms for row in givers) == 0
                assert event.lots == sum(row.lots for row in givers)
                self._paid(event.instrument, event.funding_atoms, *(row.funding_atoms for row in givers))
                result = event.realised_atoms + sum(row.realised_atoms for row in givers)
                self.realised[event.instrument] += result
            case PositionSettled():
                self._paid(event.instrument, event.funding_atoms)
                self.realised[event.instrument] += event.realised_atoms
            case ContractSettled():
                self._rounded(event.instrument, event.funding_atoms)
                cleared = event.rounding_atoms - event.funding_atoms
                # What all positions ever realised, and what was rounded away at last, comes to nothing.
                assert self.realised[event.instrument] + cleared == 0
                self.cleared[event.instrument] = cleared
                self.rounding[self.settle[event.instrument]] += cleared
            case _:
                pass

    def _paid(self, instrument: InstrumentId, *payments_atoms: int) -> None:
        self.funding[instrument] += sum(payments_atoms)

    def _rounded(self, instrument: InstrumentId, atoms: int) -> None:
        """Empty FUNDING: what all have paid since it was empty is what is rounded away now."""
        assert self.funding.pop(instrument, 0) == atoms
        assert atoms >= 0
        self.rounding[self.settle[instrument]] += atoms

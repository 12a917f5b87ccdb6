"""Whatever happens to contracts: every balance follows from events, and a snapshot is the whole of it."""

import msgspec
import pytest
from tests.helpers.contract_storm import CONTRACTS, TRADERS, Storm

from steelyard.core import snapshot
from steelyard.core.commands import SetInstrumentState
from steelyard.core.events import FundingPaid, FundingSwept, PositionsTraded
from steelyard.core.invariants import all_balances
from steelyard.core.ledger.postings import Balances
from steelyard.core.units import OPERATOR, InstrumentState

SEEDS = range(6)
COMMANDS = 700


def balances_of(storm: Storm) -> Balances:
    """Return what every account has of each asset, wherever there is something."""
    return {where: atoms for where, atoms in all_balances(storm.venue.exchange.state).items() if atoms}


def posted(had: Balances, moved: Balances) -> Balances:
    """Return what was there and what was moved since, wherever that makes something."""
    sums = {where: had.get(where, 0) + moved.get(where, 0) for where in had.keys() | moved.keys()}
    return {where: atoms for where, atoms in sums.items() if atoms}


@pytest.mark.parametrize("seed", SEEDS)
def test_replaying_the_postings_of_all_events_gives_every_balance(seed: int) -> None:
    storm = Storm(seed)
    had = balances_of(storm)
    storm.blow(COMMANDS)
    storm.settle_down()
    assert posted(had, storm.moved) == balances_of(storm)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_exchange_that_was_restored_on_the_way_goes_on_as_if_it_had_not_been(seed: int) -> None:
    storm = Storm(seed)
    for step in range(8):
        storm.blow(COMMANDS // 10)
        kept = snapshot.dump(storm.venue.exchange)
        other = storm.restored(step)
        other.venue.exchange.check_invariants()
        assert snapshot.dump(other.venue.exchange) == kept
        storm.random.seed(step)
        storm.blow(COMMANDS // 20)
        other.blow(COMMANDS // 20)
        assert other.venue.exchange.digest == storm.venue.exchange.digest
        assert snapshot.dump(other.venue.exchange) == snapshot.dump(storm.venue.exchange)


@pytest.mark.parametrize("seed", SEEDS)
def test_funding_never_keeps_more_than_an_atom_for_each_payment(seed: int) -> None:
    storm = Storm(seed)
    payments: dict[int, int] = {}
    for _ in range(COMMANDS):
        before = len(storm.events)
        storm.blow(1)
        for event in storm.events[before:]:
            if isinstance(event, PositionsTraded):
                payments[event.instrument] = payments.get(event.instrument, 0) + 2
            elif isinstance(event, FundingPaid):
                payments[event.instrument] = payments.get(event.instrument, 0) + 1
            elif isinstance(event, FundingSwept):
                assert 0 <= event.rounding_atoms <= payments.pop(event.instrument, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_when_contracts_are_closed_every_position_is_paid_and_nothing_is_kept(seed: int) -> None:
    storm = Storm(seed)
    storm.blow(COMMANDS // 2)
    had = balances_of(storm)
    storm.moved.clear()
    for instrument in CONTRACTS:
        state = storm.venue.instrument(instrument).state
        if state == InstrumentState.OPEN:
            storm.send(OPERATOR, SetInstrumentState(instrument=instrument, state=InstrumentState.HALTED))
        storm.send(OPERATOR, SetInstrumentState(instrument=instrument, state=InstrumentState.CLOSED))
    storm.settle_down()
    assert posted(had, storm.moved) == balances_of(storm)
    for instrument in CONTRACTS:
        contract = storm.venue.contract(instrument)
        assert not contract.positions
        assert (contract.clearing_atoms, contract.funding_atoms, contract.open_interest_lots) == (0, 0, 0)
    if not storm.venue.exchange.state.liquidations:
        margins = [
            margin
            for account in TRADERS
            for margin in storm.venue.exchange.state.accounts[account].margins.values()
        ]
        assert all(margin.wallet_atoms >= 0 for margin in margins)
        assert all(position.bucket_atoms == 0 for margin in margins for position in margin.positions.values())


def test_a_snapshot_of_contracts_is_canonical() -> None:
    storm = Storm(99)
    storm.blow(COMMANDS)
    body = snapshot.dump(storm.venue.exchange)
    assert msgspec.msgpack.decode(body)[0] == snapshot.SCHEMA_VERSION
    assert snapshot.dump(snapshot.load(body)) == body

"""The end of a contract: every position is closed at the final price."""

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.scales import value_atoms
from steelyard.core.contracts.turns import first_position
from steelyard.core.events import AnyEvent, ContractSettled, PositionSettled
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Position
from steelyard.core.state import State


def settle_step(state: State, instrument: Instrument, out: list[AnyEvent]) -> None:
    """Close the next position of a closed contract; when all are, end the contract.

    A sweep of funding that was running has ended before.
    """
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    assert not contract.is_sweeping, instrument.instrument
    position = first_position(contract)
    if position is None:
        _end(state, instrument, contract, out)
    else:
        _settle_position(state, contract, position, out)


def _settle_position(state: State, contract: Contract, position: Position, out: list[AnyEvent]) -> None:
    qty_lots = position.qty_lots
    funding_atoms = settle(contract, position)
    flow_atoms = value_atoms(contract, qty_lots, contract.settle_ticks)
    realised_atoms = fill(contract, position, -qty_lots, flow_atoms, 0, 0)
    state.touched[position.scope] = None
    out.append(
        PositionSettled(
            account=position.account,
            instrument=position.instrument,
            leg=position.leg,
            qty_lots=qty_lots,
            price_ticks=contract.settle_ticks,
            realised_atoms=realised_atoms,
            funding_atoms=funding_atoms,
        )
    )
    state.accounts[position.account].forget_silent(position)


def _end(state: State, instrument: Instrument, contract: Contract, out: list[AnyEvent]) -> None:
    """Give what roundings have left in FUNDING and in CLEARING to ROUNDING."""
    state.markets.end_settling(instrument)
    funding_atoms = contract.funding_atoms
    rounding_atoms = contract.clearing_atoms + funding_atoms
    assert rounding_atoms >= 0, (instrument.instrument, rounding_atoms)
    contract.clearing_atoms = contract.funding_atoms = 0
    state.ledger.houses[contract.settle].rounding_atoms += rounding_atoms
    out.append(
        ContractSettled(
            instrument=instrument.instrument,
            price_ticks=contract.settle_ticks,
            rounding_atoms=rounding_atoms,
            funding_atoms=funding_atoms,
        )
    )

"""What a snapshot holds from version 3 on: indices, contracts, margins, positions, and the engine's queue.

Left out is what follows from the rest: sums over orders and what isolated positions hold for them, positions
that have orders and nothing else, open interest, which positions have lots, and when what is due.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from steelyard.core.accounts import Account
from steelyard.core.commands import ContractRules, IndexQuote, ListContract, ListIndex
from steelyard.core.contracts.contract import Contract, Index, Premiums
from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.contracts.queue import Queue
from steelyard.core.images import Image
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import House
from steelyard.core.matching import Margin, Order, Position
from steelyard.core.state import State
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    Leg,
    LiquidationEnd,
    LiquidationId,
    OrderNumber,
    RiskLevel,
)

_Key = TypeVar("_Key", bound=int | tuple[int, int])
_Known = TypeVar("_Known")


class IndexRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An index and its price."""

    listing: ListIndex
    price_ticks: int
    is_stale: bool
    stale_at_ns: int
    quotes: list[IndexQuote]


class ContractRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a contract has beside its instrument; ``rules`` None: those of its listing."""

    instrument: InstrumentId
    rules: ContractRules | None
    clearing_atoms: int
    funding_atoms: int
    cumulative_nanoatoms: int
    pending_nanoatoms: int
    is_sweeping: bool
    rate_ppb: int
    predicted_ppb: int
    #: of the samples of the running interval: count, sum, end of the minute, the minute's, medians
    premiums: tuple[int, int, int, list[int], list[int]]
    bases_ticks: list[int]
    sample_ns: int
    sampled_ns: int
    funding_ns: int
    settle_ticks: int
    is_settling: bool


class PositionRow(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A position with lots or terms of its own; without lots ``settled_nanoatoms`` is zero."""

    instrument: InstrumentId
    leg: Leg
    is_isolated: bool
    leverage: int
    qty_lots: int
    cash_flow_atoms: int
    settled_nanoatoms: int
    bucket_atoms: int
    level: RiskLevel
    liquidation: LiquidationId


class MarginRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One account's margin of one settle asset; positions by (instrument, leg)."""

    account: AccountId
    asset: AssetId
    wallet_atoms: int
    level: RiskLevel
    liquidation: LiquidationId
    hedged: list[InstrumentId]
    positions: list[PositionRow]


class HouseRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the system's accounts of an asset have because of contracts."""

    asset: AssetId
    insurance_atoms: int
    debt_atoms: int
    peak_atoms: int
    peak_ns: int
    gate_on: bool
    gate_ns: int


class LiquidationRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A scope that the engine has, and how far it has come with it."""

    liquidation: LiquidationId
    account: AccountId
    asset: AssetId
    instrument: InstrumentId
    leg: Leg
    has_begun: bool
    is_parked: bool
    is_below_zero: bool
    has_closed: bool
    worst: LiquidationEnd
    stepped: InstrumentId


class ContractImage(Image, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Schema 4: schema 3 first, then what came with version 3."""

    indices: list[IndexRow]
    contracts: list[ContractRow]
    #: wherever there is something
    houses: list[HouseRow]
    margins: list[MarginRow]
    #: number, leg, reduce_only, close_position of uncommon orders that say something of it
    legs: list[tuple[OrderNumber, Leg, bool, bool]]
    #: account, instrument
    kill_switches: list[tuple[AccountId, InstrumentId]]
    #: in the order of the queue
    liquidations: list[LiquidationRow]
    last_liquidation: int


def contract_tables(state: State) -> dict[str, Any]:
    """Return the fields that ``ContractImage`` has and ``Image`` has not."""
    markets = state.markets
    return {
        "indices": [_index_row(index) for _, index in sorted(markets.indices.items())],
        "contracts": [
            _contract_row(instrument, instrument.contract)
            for _, instrument in sorted(markets.instruments.items())
            if instrument.contract is not None
        ],
        "houses": [
            _house_row(house) for _, house in sorted(state.ledger.houses.items()) if _says_something(house)
        ],
        "margins": [
            row
            for account in _in_order(state.accounts)
            if account.margins
            for margin in _in_order(account.margins)
            if (row := _margin_row(margin)) is not None
        ],
        "legs": sorted(
            (order.number, order.special.leg, order.special.reduce_only, order.special.close_position)
            for order in state.orders.values()
            if order.special is not None and _is_of_a_leg(order)
        ),
        "kill_switches": sorted(state.kill_switches),
        "liquidations": [_liquidation_row(each) for each in state.liquidations.rows],
        "last_liquidation": state.last_liquidation,
    }


def restore_indices(state: State, image: ContractImage) -> None:
    """Know every index again, before the contracts that lean on them are listed."""
    for row in image.indices:
        index = state.markets.list_index(row.listing)
        index.price_ticks = row.price_ticks
        index.is_stale = row.is_stale
        index.stale_at_ns = row.stale_at_ns
        index.quotes = list(row.quotes)


def restore_contracts(state: State, image: ContractImage) -> None:
    """Load what does not hang on orders: where contracts stand, margins with their positions, the fund."""
    instruments = state.markets.instruments
    contracts = [name for name, instrument in instruments.items() if instrument.contract is not None]
    assert [row.instrument for row in image.contracts] == contracts, contracts
    for row in image.contracts:
        contract = instruments[row.instrument].contract
        assert contract is not None, row.instrument
        _restore_contract(contract, row)
    for house in image.houses:
        assert house.asset in state.ledger.houses, house.asset
        _restore_house(state.ledger.houses[house.asset], house)
    for margin in image.margins:
        assert margin.account in state.accounts, margin.account
        _restore_margin(state, state.accounts[margin.account], margin)
    state.kill_switches = dict.fromkeys(image.kill_switches)
    state.liquidations = Queue(_liquidation_of(row) for row in image.liquidations)
    state.last_liquidation = image.last_liquidation


def restore_leg(state: State, order: Order) -> None:
    """Let an order whose leg is known know its position, which may have nothing but that order."""
    contract = state.markets.instruments[order.instrument].contract
    if contract is not None:
        leg = Leg.NET if order.special is None else order.special.leg
        margin = state.accounts[order.account].margin(contract.settle)
        order.position = margin.position(order.instrument, leg)


def restore_working(order: Order) -> None:
    """Count a working order, whose position is whole already, and what that holds for it."""
    position = order.position
    if position is not None:
        position.begin(order)
        if position.is_isolated:
            position.held_atoms += order.open_lots * order.lot_pledge_atoms


def _index_row(index: Index) -> IndexRow:
    return IndexRow(index.listing, index.price_ticks, index.is_stale, index.stale_at_ns, list(index.quotes))


def _contract_row(instrument: Instrument, contract: Contract) -> ContractRow:
    listing = instrument.listing
    assert isinstance(listing, ListContract), instrument.instrument
    premiums = contract.premiums
    return ContractRow(
        instrument.instrument,
        None if contract.rules == listing.rules else contract.rules,
        contract.clearing_atoms,
        contract.funding_atoms,
        contract.cumulative_nanoatoms,
        contract.pending_nanoatoms,
        contract.is_sweeping,
        contract.rate_ppb,
        contract.predicted_ppb,
        (
            premiums.count,
            premiums.sum_ppb,
            premiums.minute_ns,
            list(premiums.minute_ppb),
            list(premiums.medians_ppb),
        ),
        list(contract.bases_ticks),
        contract.sample_ns,
        contract.sampled_ns,
        contract.funding_ns,
        contract.settle_ticks,
        contract.is_settling,
    )


def _restore_contract(contract: Contract, row: ContractRow) -> None:
    if row.rules is not None:
        contract.rules = row.rules
    contract.clearing_atoms = row.clearing_atoms
    contract.funding_atoms = row.funding_atoms
    contract.cumulative_nanoatoms = row.cumulative_nanoatoms
    contract.pending_nanoatoms = row.pending_nanoatoms
    contract.is_sweeping = row.is_sweeping
    contract.rate_ppb = row.rate_ppb
    contract.predicted_ppb = row.predicted_ppb
    premiums = contract.premiums = Premiums()
    premiums.count, premiums.sum_ppb, premiums.minute_ns, minute_ppb, medians_ppb = row.premiums
    premiums.minute_ppb, premiums.medians_ppb = list(minute_ppb), list(medians_ppb)
    contract.bases_ticks = deque(row.bases_ticks)
    contract.sample_ns = row.sample_ns
    contract.sampled_ns = row.sampled_ns
    contract.funding_ns = row.funding_ns
    contract.settle_ticks = row.settle_ticks
    contract.is_settling = row.is_settling


def _says_something(house: House) -> bool:
    return house.gate_on or any(
        (house.insurance_atoms, house.debt_atoms, house.peak_atoms, house.peak_ns, house.gate_ns)
    )


def _house_row(house: House) -> HouseRow:
    return HouseRow(
        house.asset,
        house.insurance_atoms,
        house.debt_atoms,
        house.peak_atoms,
        house.peak_ns,
        house.gate_on,
        house.gate_ns,
    )


def _restore_house(house: House, row: HouseRow) -> None:
    house.insurance_atoms = row.insurance_atoms
    house.debt_atoms = row.debt_atoms
    house.peak_atoms = row.peak_atoms
    house.peak_ns = row.peak_ns
    house.gate_on = row.gate_on
    house.gate_ns = row.gate_ns


def _margin_row(margin: Margin) -> MarginRow | None:
    """Return a margin as a row, or None if there is nothing but positions that have orders alone."""
    positions = [
        _position_row(position)
        for position in _in_order(margin.positions)
        if position.says_more_than_orders()
    ]
    if not positions and not margin.says_more_than_positions():
        return None
    return MarginRow(
        margin.account,
        margin.asset,
        margin.wallet_atoms,
        margin.level,
        margin.liquidation,
        sorted(margin.hedged),
        positions,
    )


def _in_order(known: dict[_Key, _Known]) -> Iterable[_Known]:
    """Return what is known by the order of its keys; of most accounts there is one of everything."""
    return [known[key] for key in sorted(known)] if len(known) > 1 else known.values()


def _position_row(position: Position) -> PositionRow:
    return PositionRow(
        position.instrument,
        position.leg,
        position.is_isolated,
        position.leverage,
        position.qty_lots,
        position.cash_flow_atoms,
        position.settled_nanoatoms if position.qty_lots else 0,
        position.bucket_atoms,
        position.level,
        position.liquidation,
    )


def _restore_margin(state: State, account: Account, row: MarginRow) -> None:
    assert row.asset in state.markets.assets, row.asset
    margin = account.margin(row.asset)
    margin.wallet_atoms = row.wallet_atoms
    margin.level = row.level
    margin.liquidation = row.liquidation
    margin.hedged = dict.fromkeys(row.hedged)
    for each in row.positions:
        instrument = state.markets.instruments.get(each.instrument)
        assert instrument is not None, each.instrument
        contract = instrument.contract
        assert contract is not None, each.instrument
        assert contract.settle == row.asset, (each.instrument, row.asset)
        position = margin.position(each.instrument, each.leg)
        position.is_isolated = each.is_isolated
        position.leverage = each.leverage
        position.qty_lots = each.qty_lots
        position.cash_flow_atoms = each.cash_flow_atoms
        position.settled_nanoatoms = each.settled_nanoatoms
        position.bucket_atoms = each.bucket_atoms
        position.level = each.level
        position.liquidation = each.liquidation
        if each.qty_lots == 0:
            assert each.settled_nanoatoms == 0, (row.account, each.instrument)
        else:
            contract.positions[row.account, each.leg] = position
            contract.open_interest_lots += max(each.qty_lots, 0)


def _liquidation_row(each: Liquidation) -> LiquidationRow:
    return LiquidationRow(
        each.liquidation,
        each.account,
        each.asset,
        each.instrument,
        each.leg,
        each.has_begun,
        each.is_parked,
        each.is_below_zero,
        each.has_closed,
        each.worst,
        each.stepped,
    )


def _liquidation_of(row: LiquidationRow) -> Liquidation:
    each = Liquidation(row.liquidation, row.account, row.asset, row.instrument, row.leg)
    each.has_begun = row.has_begun
    each.is_parked = row.is_parked
    each.is_below_zero = row.is_below_zero
    each.has_closed = row.has_closed
    each.worst = row.worst
    each.stepped = row.stepped
    return each


def _is_of_a_leg(order: Order) -> bool:
    special = order.special
    return special is not None and (special.leg != Leg.NET or special.reduce_only or special.close_position)

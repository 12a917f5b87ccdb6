"""How an account's margin would stand after an order, played through with copies of what it touches."""

from copy import copy
from typing import Final, NamedTuple

from steelyard.core.contracts import equity
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.liquidation_price import liquidation_price
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.handlers.taking import Clash, Fill, Lapse, Plan
from steelyard.core.handlers.trading import fees
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Order, Position
from steelyard.core.state import State
from steelyard.core.units import InstrumentId, Side

_BUY: Final = Side.BUY


class Standing(NamedTuple):
    """What an order takes, and how its account stands afterwards.

    ``margin_atoms`` is what is available less what would be with the order in the book at its limit; of an
    isolated order that is not reduce-only its pledge.  ``liquidation_ticks`` is zero without such a price.
    """

    margin_atoms: int
    available_atoms: int
    liquidation_ticks: int


#: What is said of a spot order.
NOTHING: Final = Standing(0, 0, 0)


class _Market:
    """A copy of a contract at its instrument's mark."""

    def __init__(self, contract: Contract, mark_ticks: int) -> None:
        self.contract: Contract | None = contract
        self.mark_ticks = mark_ticks


def standing_after(state: State, instrument: Instrument, order: Order, plan: Plan | None) -> Standing:
    """Return how the account of a checked contract order stands when it has been carried out by its plan.

    Without a plan it waits, and takes nothing.
    """
    assert instrument.contract is not None, instrument.instrument
    assert order.position is not None, order.order
    rehearsal = _Rehearsal(state, instrument, instrument.contract, order.position)
    margin_atoms = 0
    if plan is not None:
        before_atoms = rehearsal.available_atoms()
        working = rehearsal.begin(order)
        margin_atoms = before_atoms - rehearsal.available_atoms()
        rehearsal.carry_out(order, working, plan)
    return Standing(margin_atoms, rehearsal.available_atoms(), rehearsal.liquidation_ticks(order.position))


class _Rehearsal:
    """Copies of a margin, of its positions with their orders, and of one contract."""

    def __init__(self, state: State, instrument: Instrument, contract: Contract, of: Position) -> None:
        self._state = state
        self._instrument = instrument
        self._contract = copy(contract)
        self._margin = copy(of.margin)
        self._positions: dict[Position, Position] = {}
        self._others_lots: dict[Position, int] = {}
        self._margin.positions = {}
        for position in (*of.margin.positions.values(), of):
            if position not in self._positions:
                self._positions[position] = self._copied(position)
        self._contract.positions = {
            (each.account, each.leg): each
            for each in self._margin.positions.values()
            if each.instrument == instrument.instrument and each.qty_lots
        }
        self._marks: dict[InstrumentId, Instrument | _Market] = {
            each.instrument: state.markets.instruments[each.instrument]
            for each in self._margin.positions.values()
        }
        self._marks[instrument.instrument] = _Market(self._contract, instrument.mark_ticks)

    def _copied(self, position: Position) -> Position:
        found = copy(position)
        found.margin = self._margin
        found.orders = {number: copy(order) for number, order in position.orders.items()}
        self._margin.positions[position.instrument, position.leg] = found
        return found

    def available_atoms(self) -> int:
        """Return what is available; an isolated order's pledge has left the wallet."""
        return equity.available_atoms(self._margin, self._marks)

    def liquidation_ticks(self, position: Position) -> int:
        """Return the liquidation price of a position's copy, zero if it has none."""
        found = liquidation_price(self._positions[position], self._marks)
        return 0 if found is None else found.ticks

    def begin(self, order: Order) -> Order:
        """Put a copy of a new order among the working ones, with its pledge, and return it."""
        assert order.position is not None, order.order
        working = copy(order)
        position = self._positions[order.position]
        position.begin(working)
        self._hold(position, working.open_lots * working.lot_pledge_atoms)
        return working

    def carry_out(self, order: Order, working: Order, plan: Plan) -> None:
        """Let everything happen to the copies that the plan does to this account."""
        for step in plan.steps:
            match step:
                case Fill(maker, lots, price_ticks):
                    notional = notional_atoms(self._contract, price_ticks, lots)
                    maker_fee, taker_fee = fees(self._state, self._instrument, maker, order, notional)
                    self._trade(maker, self._standing(maker), lots, notional, maker_fee)
                    self._trade(order, working, lots, notional, taker_fee)
                case Clash(maker, _, what):
                    self._lose(maker, self._standing(maker), what.maker_lots)
                    self._lose(order, working, what.taker_lots)
                case Lapse(maker):
                    self._lose(maker, self._standing(maker), maker.open_lots)
        self._lose(order, working, working.open_lots - plan.open_lots)

    def _standing(self, maker: Order) -> Order | None:
        """Return the copy of a resting order, None if it is not this account's."""
        position = None if maker.position is None else self._positions.get(maker.position)
        return None if position is None else position.orders.get(maker.order)

    def _trade(self, order: Order, copied: Order | None, lots: int, notional: int, fee_atoms: int) -> None:
        assert order.position is not None, order.number
        signed_lots = lots if order.side == _BUY else -lots
        if copied is None:
            self._meet(order.position, signed_lots)
            return
        position = self._positions[order.position]
        settle(self._contract, position)
        position.lose(copied, lots)
        copied.open_lots -= lots
        flow = flow_atoms(self._contract, signed_lots, notional)
        fill(self._contract, position, signed_lots, flow, fee_atoms, copied.lot_pledge_atoms)

    def _meet(self, other: Position, signed_lots: int) -> None:
        """Let somebody else's position trade, of which only the open interest is seen."""
        before_lots = self._others_lots.get(other, other.qty_lots)
        after_lots = before_lots + signed_lots
        self._others_lots[other] = after_lots
        self._contract.open_interest_lots += max(after_lots, 0) - max(before_lots, 0)

    def _lose(self, order: Order, copied: Order | None, lots: int) -> None:
        if copied is None or order.position is None or lots == 0:
            return
        position = self._positions[order.position]
        position.lose(copied, lots)
        copied.open_lots -= lots
        self._hold(position, -lots * copied.lot_pledge_atoms)

    def _hold(self, position: Position, atoms: int) -> None:
        if position.is_isolated:
            self._margin.wallet_atoms -= atoms
            position.held_atoms += atoms

"""What a trade in a contract does to the positions of both sides."""

from typing import Final, NamedTuple

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.scales import flow_atoms
from steelyard.core.events import AnyEvent, PositionsTraded
from steelyard.core.handlers import pledging
from steelyard.core.matching import Order, Position
from steelyard.core.state import State
from steelyard.core.units import Side, TradeId

_BUY: Final = Side.BUY


class Move(NamedTuple):
    """What one side of a trade made of its position, what it realised, and the funding that it paid first."""

    qty_lots: int
    cash_flow_atoms: int
    realised_atoms: int
    funding_atoms: int


def move_position(
    state: State, contract: Contract, order: Order, lots: int, notional_atoms: int, fee_atoms: int
) -> Move:
    """Let the position of an order that works take ``lots`` lots of it, and pay for them.

    FEES is the caller's to credit, and the order's own lots are the caller's to take.
    """
    position = position_of(order)
    funding_atoms = settle(contract, position)
    position.lose(order, lots)
    signed_lots = lots if order.side is _BUY else -lots
    flow = flow_atoms(contract, signed_lots, notional_atoms)
    realised_atoms = fill(contract, position, signed_lots, flow, fee_atoms, order.lot_pledge_atoms)
    pledging.touch(state, position)
    return Move(position.qty_lots, position.cash_flow_atoms, realised_atoms, funding_atoms)


def say_traded(
    trade: TradeId, maker: tuple[Order, Move], taker: tuple[Order, Move], out: list[AnyEvent]
) -> None:
    """Say what became of both positions."""
    (maker_order, maker_move), (taker_order, taker_move) = maker, taker
    out.append(
        PositionsTraded(
            trade,
            maker_order.instrument,
            maker_order.account,
            position_of(maker_order).leg,
            *maker_move,
            taker_order.account,
            position_of(taker_order).leg,
            *taker_move,
        )
    )


def position_of(order: Order) -> Position:
    """Return the position of an order that must have one."""
    assert order.position is not None, order.number
    return order.position

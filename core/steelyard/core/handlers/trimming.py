"""Reduce-only orders that their position has become too small for: how they shrink, and who foresees it."""

from typing import Final

from steelyard.core.events import AnyEvent, OrderReduced
from steelyard.core.handlers import ending
from steelyard.core.matching import Order, Position
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import Side

_BUY: Final = Side.BUY


def trim(state: State, position: Position, out: list[AnyEvent]) -> None:
    """Make the working reduce-only orders of a position fit its lots again, after these have changed.

    While they sum to more than the lots, or stand on the wrong side, the newest loses what is too much:
    ``OrderReduced``, or ``OrderExpired`` if nothing would be left of it.  It keeps its place in the queue.
    """
    while excess_lots := _excess_lots(position.qty_lots, position.reducing_lots):
        newest = max(
            (order for order in position.orders.values() if order.is_reduce_only),
            key=lambda order: order.number,
        )
        if newest.open_lots <= excess_lots:
            ending.end_order(state, newest, Reject.REDUCED_AWAY, out)
            continue
        position.lose(newest, excess_lots)
        state.markets.instruments[newest.instrument].book.reduce(newest, excess_lots)
        newest.size_lots -= excess_lots
        out.append(
            OrderReduced(
                account=newest.account,
                instrument=newest.instrument,
                order=newest.order,
                number=newest.number,
                size_lots=newest.size_lots,
                open_lots=newest.open_lots,
            )
        )


class Shadow:
    """A position as it would be in the course of a taker phase, with its reduce-only orders in the book.

    ``standing`` leads to (number, open lots, lots that show); who would have ended is there no more.
    """

    __slots__ = ("_last_number", "_qty_lots", "_sign", "standing")

    def __init__(self, position: Position, last_number: int) -> None:
        self._qty_lots = position.qty_lots
        self._last_number = last_number
        #: as ``Position.reducing_lots`` counts: sells above zero
        self._sign = 1 if position.reducing_lots > 0 else -1
        self.standing: dict[Order, tuple[int, int, int]] = {
            order: (order.number, order.open_lots, order.shown_lots)
            for order in position.orders.values()
            if order.is_reduce_only and order.level is not None
        }

    def trade(self, order: Order, lots: int) -> None:
        """Let an order of the position trade; a reduce-only iceberg shows its next slice, as a new order."""
        self._qty_lots += lots if order.side is _BUY else -lots
        if order not in self.standing:
            return
        number, open_lots, shown_lots = self.standing.pop(order)
        if open_lots == lots:
            return
        shown_lots -= lots
        if shown_lots == 0:
            assert order.special is not None, order.number
            shown_lots = min(order.special.terms.display_lots, open_lots - lots)
            self._last_number += 1
            number = self._last_number
        self.standing[order] = number, open_lots - lots, shown_lots

    def lose(self, order: Order, lots: int) -> None:
        """Let an order in the book lose lots without trading, what it hides first."""
        if order in self.standing:
            number, open_lots, shown_lots = self.standing.pop(order)
            if open_lots > lots:
                self.standing[order] = number, open_lots - lots, min(shown_lots, open_lots - lots)

    def trim(self) -> None:
        """Do what ``trim`` would do."""
        reducing_lots = self._sign * sum(open_lots for _, open_lots, _ in self.standing.values())
        excess_lots = _excess_lots(self._qty_lots, reducing_lots)
        while excess_lots:
            newest = max(self.standing, key=lambda order: self.standing[order][0])
            _, open_lots, _ = self.standing[newest]
            lots = min(open_lots, excess_lots)
            self.lose(newest, lots)
            excess_lots -= lots


def _excess_lots(qty_lots: int, reducing_lots: int) -> int:
    """Return how many lots of reduce-only orders are too many; ``reducing_lots`` counts sells above zero."""
    if reducing_lots > 0:
        return max(0, reducing_lots - max(0, qty_lots))
    return max(0, -reducing_lots - max(0, -qty_lots)) if reducing_lots else 0

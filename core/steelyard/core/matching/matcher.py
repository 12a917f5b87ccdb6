"""The taker phase: who trades with an incoming order, and how much.

Only lots move here; the handler pays for them.
"""

from typing import Final

from steelyard.core.matching.book import Book
from steelyard.core.matching.order import Order
from steelyard.core.units import Side

_BUY: Final = Side.BUY


def crosses(book: Book, side: Side, limit_ticks: int) -> bool:
    """Return whether an order of that side and limit would trade at once."""
    if side == _BUY:
        keys = book.asks.keys
        return bool(keys) and -keys[-1] <= limit_ticks
    keys = book.bids.keys
    return bool(keys) and keys[-1] >= limit_ticks


def can_fill(book: Book, side: Side, limit_ticks: int, size_lots: int) -> bool:
    """Return whether the whole of ``size_lots`` would trade within the limit at once."""
    reach = -limit_ticks if side == _BUY else limit_ticks
    for level in book.opposite(side).best_first():
        if level.key < reach:
            return False
        size_lots -= level.open_lots
        if size_lots <= 0:
            return True
    return False


def match(book: Book, side: Side, limit_ticks: int, size_lots: int) -> list[tuple[Order, int]]:
    """Take up to ``size_lots`` from the other side within the limit: best price first, oldest first.

    Returns each maker with the lots it gave, in the order of trading; a maker without lots left has left
    the book.
    """
    opposite = book.opposite(side)
    reach = -limit_ticks if side == _BUY else limit_ticks
    keys = opposite.keys
    fills: list[tuple[Order, int]] = []
    while size_lots > 0 and keys and keys[-1] >= reach:
        level = opposite.levels[keys[-1]]
        maker = level.oldest
        assert maker is not None, level.key
        # Calling min() takes longer than the rest of this step.
        lots = maker.open_lots if maker.open_lots < size_lots else size_lots  # noqa: FURB136
        maker.open_lots -= lots
        level.open_lots -= lots
        size_lots -= lots
        fills.append((maker, lots))
        if maker.open_lots == 0:
            book.remove(maker)
    return fills

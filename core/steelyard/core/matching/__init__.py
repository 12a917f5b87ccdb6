"""Order books: price first, then time."""

from steelyard.core.matching.book import Book, BookSide
from steelyard.core.matching.matcher import can_fill, crosses, match
from steelyard.core.matching.order import NO_BALANCE, Level, Order, Special, Trail
from steelyard.core.matching.position import Margin, Position, Scope
from steelyard.core.matching.triggers import Triggers, is_met, trailing_ticks

__all__ = [
    "NO_BALANCE",
    "Book",
    "BookSide",
    "Level",
    "Margin",
    "Order",
    "Position",
    "Scope",
    "Special",
    "Trail",
    "Triggers",
    "can_fill",
    "crosses",
    "is_met",
    "match",
    "trailing_ticks",
]

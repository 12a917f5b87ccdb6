"""Order books: price first, then time."""

from steelyard.core.matching.book import Book, BookSide
from steelyard.core.matching.matcher import can_fill, crosses, match
from steelyard.core.matching.order import Level, Order, Special
from steelyard.core.matching.triggers import Triggers

__all__ = ["Book", "BookSide", "Level", "Order", "Special", "Triggers", "can_fill", "crosses", "match"]

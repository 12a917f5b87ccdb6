"""Orders that wait for a price, found without looking at those that wait on."""

from steelyard.core.matching.order import Order


class Triggers:
    """The waiting orders of one instrument."""

    __slots__ = ("orders",)

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}

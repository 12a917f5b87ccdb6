"""Triggered and released orders on their way into the book, first come first served."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from steelyard.core.matching import Order
from steelyard.core.units import InstrumentId, OrderNumber


class Work:
    """Orders waiting for their turn, in the order in which they came, found by instrument.

    An order whose instrument is not open keeps its place without being looked at again and again: each
    instrument has a queue of its own, and places are numbered across all of them.
    """

    __slots__ = ("_last_place", "_queues")

    def __init__(self) -> None:
        #: order numbers and their places; no queue is empty
        self._queues: dict[InstrumentId, OrderedDict[OrderNumber, int]] = {}
        self._last_place = 0

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queues)

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(queue) for queue in self._queues.values())

    def __contains__(self, order: Order) -> bool:
        """Whether an order waits here."""
        return order.number in self._queues.get(order.instrument, ())

    def __iter__(self) -> Iterator[OrderNumber]:
        """Yield every number in the order of their places."""
        placed = [(place, number) for queue in self._queues.values() for number, place in queue.items()]
        return (number for _, number in sorted(placed))

    def append(self, order: Order) -> None:
        """Give an order the last place."""
        assert order not in self, order.number
        self._last_place += 1
        self._queues.setdefault(order.instrument, OrderedDict())[order.number] = self._last_place

    def place(self, order: Order) -> int | None:
        """Return the place of an order, which ``put_back`` takes, or None if it does not wait here."""
        queue = self._queues.get(order.instrument)
        return None if queue is None else queue.get(order.number)

    def put_back(self, order: Order, place: int) -> None:
        """Give an order the place that it had before it was taken out."""
        queue = self._queues.setdefault(order.instrument, OrderedDict())
        behind = [number for number, other in queue.items() if other > place]
        queue[order.number] = place
        for number in behind:
            queue.move_to_end(number)

    def remove(self, order: Order) -> None:
        """Take an order out, wherever it stands."""
        queue = self._queues[order.instrument]
        del queue[order.number]
        if not queue:
            del self._queues[order.instrument]

    def first(self, is_open: Callable[[InstrumentId], bool]) -> OrderNumber | None:
        """Return the first order whose instrument is open, or None."""
        best: tuple[int, OrderNumber] | None = None
        for instrument, queue in self._queues.items():
            number = next(iter(queue))
            if (best is None or queue[number] < best[0]) and is_open(instrument):
                best = queue[number], number
        return None if best is None else best[1]

    def refill(self, orders: Iterable[Order]) -> None:
        """Start again with these, in their order."""
        self._queues.clear()
        for order in orders:
            self.append(order)

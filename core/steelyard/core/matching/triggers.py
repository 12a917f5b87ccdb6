"""Orders that wait for a price, found without looking at those that wait on."""

from heapq import heapify, heappop, heappush
from typing import Final, overload

from steelyard.core.matching.order import Heap, Order, Trail
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.units import PPM, OrderNumber, PriceSource, Side, TriggerKind

#: A heap may hold as many forgotten orders as living ones, and so many more, before it is cleared of them.
_FORGOTTEN_MAX: Final = 64


def waits_for_rise(kind: TriggerKind, side: Side) -> bool:
    """Return whether an order of that kind and side wakes at or above its trigger; otherwise at or below."""
    return (kind == TriggerKind.STOP) == (side == Side.BUY)


def is_met(kind: TriggerKind, side: Side, trigger_ticks: int, price_ticks: int) -> bool:
    """Return whether a price wakes an order of that kind, side and trigger."""
    return price_ticks >= trigger_ticks if waits_for_rise(kind, side) else price_ticks <= trigger_ticks


def trailing_ticks(side: Side, extreme_ticks: int, callback_ppm: int) -> int:
    """Return the price at which a trailing order that has seen ``extreme_ticks`` triggers.

    A sell at or below ``extreme * (10**6 - callback) / 10**6`` rounded down, a buy at or above
    ``extreme * (10**6 + callback) / 10**6`` rounded up: for prices in ticks that is exact.
    """
    if side == Side.SELL:
        return mul_div_down(extreme_ticks, PPM - callback_ppm, PPM)
    return mul_div_up(extreme_ticks, PPM + callback_ppm, PPM)


class Triggers:
    """The waiting orders of one instrument.

    Heaps lead to the orders that a price meets first; an order that has left is forgotten there when it comes
    up.  Placing and leaving take O(log n), a price O(log n) for each order that it meets and for each group
    of trailing orders whose best price it beats.
    """

    __slots__ = ("_prices", "orders")

    def __init__(self) -> None:
        self.orders: dict[OrderNumber, Order] = {}
        self._prices = {source: _Waiting(self.orders) for source in PriceSource}

    def add(self, order: Order) -> None:
        """Let an order wait for its trigger, an active trailing order go on from its ``extreme_ticks``."""
        assert order.number not in self.orders, order.number
        special = order.special
        assert special is not None, order.number
        self.orders[order.number] = order
        waiting = self._prices[special.terms.trigger_source]
        if special.trail is None:
            waiting.wait(order)
        else:
            waiting.follow(order)

    def remove(self, order: Order) -> None:
        """Let an order wait no more, for whatever reason."""
        special = order.special
        assert special is not None, order.number
        del self.orders[order.number]
        self._prices[special.terms.trigger_source].forget(order)

    def met(self, source: PriceSource, price_ticks: int) -> list[Order]:
        """Return the orders that a new price meets, and let active trailing orders follow it.

        Those waiting for a rise by trigger ascending, then those waiting for a fall by trigger descending,
        equal ones by number.  A trailing order that is not active yet is met by its activation.  The caller
        must remove each of them that still waits when its turn comes, or add it again.
        """
        return self._prices[source].met(price_ticks)

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless every waiting order is found, and nobody else."""
        found = 0
        for source, waiting in self._prices.items():
            for order in {order.number: order for order in waiting.everybody()}.values():
                found += 1
                assert self.orders.get(order.number) is order, order.number
                assert order.special is not None, order.number
                assert order.special.terms.trigger_source == source, order.number
        assert found == len(self.orders), (found, len(self.orders))


class _Waiting:
    """Who waits for one price source."""

    __slots__ = ("_falls", "_highs", "_lows", "_orders", "_rises")

    def __init__(self, orders: dict[OrderNumber, Order]) -> None:
        self._orders = orders
        #: (trigger, number), negative triggers for falls; trailing orders wait here to become active
        self._rises: list[tuple[int, OrderNumber]] = []
        self._falls: list[tuple[int, OrderNumber]] = []
        self._highs = _Trails(Side.SELL, orders)
        self._lows = _Trails(Side.BUY, orders)

    def wait(self, order: Order) -> None:
        heap, key = self._place(order)
        heappush(heap, (key, order.number))

    def follow(self, order: Order) -> None:
        (self._highs if order.side == Side.SELL else self._lows).add(order)

    def forget(self, order: Order) -> None:
        assert order.special is not None, order.number
        if order.special.trail is not None:
            (self._highs if order.side == Side.SELL else self._lows).remove(order)
            return
        heap, _ = self._place(order)
        if len(heap) > 2 * len(self._orders) + _FORGOTTEN_MAX:
            heap[:] = [entry for entry in heap if entry[1] in self._orders]
            heapify(heap)

    def met(self, price_ticks: int) -> list[Order]:
        orders = self._orders
        rising: list[tuple[int, OrderNumber]] = []
        falling: list[tuple[int, OrderNumber]] = []
        for heap, reach, found in ((self._rises, price_ticks, rising), (self._falls, -price_ticks, falling)):
            while heap and heap[0][0] <= reach:
                found.append(heappop(heap))
        rising += self._lows.met(price_ticks)
        falling += self._highs.met(price_ticks)
        # An order that was taken out and put back is found twice, at one place.
        once = dict.fromkeys(sorted(rising) + sorted(falling))
        return [orders[number] for _, number in once if number in orders]

    def everybody(self) -> list[Order]:
        waiting = [self._orders[number] for _, number in self._rises + self._falls if number in self._orders]
        return waiting + self._highs.everybody() + self._lows.everybody()

    def _place(self, order: Order) -> tuple[list[tuple[int, OrderNumber]], int]:
        assert order.special is not None, order.number
        terms = order.special.terms
        assert terms.trigger is not None, order.number
        assert terms.trigger_ticks > 0, order.number
        if waits_for_rise(terms.trigger, order.side):
            return self._rises, terms.trigger_ticks
        return self._falls, -terms.trigger_ticks


class _Trails:
    """Active trailing orders of one side, grouped by the best price they have seen.

    ``sign`` makes one of both sides: times ``sign``, the best price of a group is the highest, and the price
    at which an order triggers is the lowest.
    """

    __slots__ = ("_behind", "_firing", "_orders", "_side", "_sign", "_trails")

    def __init__(self, side: Side, orders: dict[OrderNumber, Order]) -> None:
        self._orders = orders
        self._side = side
        self._sign = 1 if side == Side.SELL else -1
        #: by the best price times sign
        self._trails: dict[int, Trail] = {}
        #: the keys of the trails; the one to be beaten first comes first
        self._behind: list[int] = []
        #: (lower bound of the signed trigger price of a trail's tightest order, key of the trail)
        self._firing: list[tuple[int, int]] = []

    def add(self, order: Order) -> None:
        special = order.special
        assert special is not None, order.number
        trail = special.trail = self._trail(special.extreme_ticks)
        trail.waiting = _meld(trail.waiting, (1, special.terms.callback_ppm, order.number, None, None))
        trail.size += 1
        trail.count += 1
        if trail.waiting[2] == order.number:
            self._aim(trail)

    def remove(self, order: Order) -> None:
        special = order.special
        assert special is not None, order.number
        assert special.trail is not None, order.number
        trail = special.trail.end()
        special.extreme_ticks = trail.extreme_ticks
        trail.count -= 1
        if trail.count == 0:
            del self._trails[self._sign * trail.extreme_ticks]
        elif trail.size > 2 * trail.count + _FORGOTTEN_MAX:
            self._tidy(trail)
        bound = 2 * len(self._orders) + _FORGOTTEN_MAX
        if len(self._behind) > bound or len(self._firing) > bound:
            self._behind = sorted(self._trails)
            self._firing = []
            for other in self._trails.values():
                self._aim(other)

    def met(self, price_ticks: int) -> list[tuple[int, OrderNumber]]:
        """Return (signed trigger price, number) of those that trigger, after all have followed the price."""
        self._follow(price_ticks)
        found: list[tuple[int, OrderNumber]] = []
        reach = -self._sign * price_ticks
        while self._firing and self._firing[0][0] <= reach:
            _, key = heappop(self._firing)
            trail = self._trails.get(key)
            if trail is not None:
                self._fire(trail, reach, found)
        return found

    def everybody(self) -> list[Order]:
        assert all(
            trail.extreme_ticks * self._sign == key and trail.count > 0 for key, trail in self._trails.items()
        )
        return [
            self._orders[number]
            for trail in self._trails.values()
            for _, number in _entries(trail.waiting)
            if self._follows(number, trail)
        ]

    def _fire(self, trail: Trail, reach: int, found: list[tuple[int, OrderNumber]]) -> None:
        """Take from a trail whom the price meets, tightest first, and aim at the next one."""
        while trail.waiting is not None:
            _, callback_ppm, number, left, right = trail.waiting
            if self._follows(number, trail):
                trigger = self._trigger(trail, callback_ppm)
                if trigger > reach:
                    break
                found.append((trigger, number))
            trail.waiting = _meld(left, right)
            trail.size -= 1
        self._aim(trail)

    def _follow(self, price_ticks: int) -> None:
        """Make one trail of all that the price beats; no order is touched, and no trail twice."""
        key = self._sign * price_ticks
        beaten: list[Trail] = []
        while self._behind and self._behind[0] < key:
            trail = self._trails.pop(heappop(self._behind), None)
            if trail is not None:
                beaten.append(trail)
        if not beaten:
            return
        standing = self._trails.pop(key, None)
        if standing is not None:
            beaten.append(standing)
        best = max(beaten, key=lambda trail: trail.size)
        for trail in beaten:
            if trail is not best:
                best.waiting = _meld(best.waiting, trail.waiting)
                best.size += trail.size
                best.count += trail.count
                trail.joined, trail.waiting = best, None
        best.extreme_ticks = price_ticks
        self._trails[key] = best
        heappush(self._behind, key)
        self._aim(best)

    def _tidy(self, trail: Trail) -> None:
        """Forget those who have left for good."""
        entries = [entry for entry in _entries(trail.waiting) if self._follows(entry[1], trail)]
        trail.waiting = None
        trail.size = len(entries)
        for callback_ppm, number in entries:
            trail.waiting = _meld(trail.waiting, (1, callback_ppm, number, None, None))

    def _aim(self, trail: Trail) -> None:
        if trail.waiting is not None:
            trigger = self._trigger(trail, trail.waiting[1])
            heappush(self._firing, (trigger, self._sign * trail.extreme_ticks))

    def _trigger(self, trail: Trail, callback_ppm: int) -> int:
        return -self._sign * trailing_ticks(self._side, trail.extreme_ticks, callback_ppm)

    def _follows(self, number: OrderNumber, trail: Trail) -> bool:
        order = self._orders.get(number)
        if order is None or order.special is None or order.special.trail is None:
            return False
        return order.special.trail.end() is trail

    def _trail(self, extreme_ticks: int) -> Trail:
        key = self._sign * extreme_ticks
        trail = self._trails.get(key)
        if trail is None:
            trail = self._trails[key] = Trail(extreme_ticks)
            heappush(self._behind, key)
        return trail


@overload
def _meld(one: Heap | None, other: Heap) -> Heap: ...
@overload
def _meld(one: Heap | None, other: Heap | None) -> Heap | None: ...
def _meld(one: Heap | None, other: Heap | None) -> Heap | None:
    """Return one heap of the entries of two, along the right edges, which are of length O(log n)."""
    if one is None or other is None:
        return other if one is None else one
    if other[1:3] < one[1:3]:
        one, other = other, one
    _, key, number, left, right = one
    right = _meld(right, other)
    if left is None:
        return 1, key, number, right, None
    if left[0] < right[0]:
        left, right = right, left
    return right[0] + 1, key, number, left, right


def _entries(heap: Heap | None) -> list[tuple[int, OrderNumber]]:
    """Return the (key, number) of a heap, in no order."""
    entries: list[tuple[int, OrderNumber]] = []
    rest = [heap]
    while rest:
        node = rest.pop()
        if node is not None:
            _, key, number, left, right = node
            entries.append((key, number))
            rest += (left, right)
    return entries

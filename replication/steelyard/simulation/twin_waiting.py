"""How orders of the slow exchange end, what that does to their lists, and what wakes those that wait."""

from typing import Any

from steelyard.core import limits
from steelyard.core.events import (
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderTriggered,
    TrailingActivated,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentState,
    ListKind,
    OrderKind,
    OrderState,
    PriceSource,
)
from steelyard.simulation.twin_parts import MILLION, Market, Order, ceil_div
from steelyard.simulation.twin_risk import Risk


def of(order: Order) -> dict[str, Any]:
    """Return what every event says of its order."""
    return {
        "account": order.account,
        "instrument": order.instrument,
        "order": order.order,
        "number": order.number,
    }


class Waiting(Risk):
    """Ends of orders, lists and triggers."""

    # ---- ends

    def drop(self, order: Order) -> None:
        """Take an order out of everything; its id is a closed one."""
        self.orders.remove(order)
        if order in self.work:
            self.work.remove(order)
        order.resting = False
        if self.version >= 2 and not order.liquidation:
            account = self.accounts[order.account]
            account.recent = [*account.recent, order.order][-limits.RECENT_ORDERS_MAX :]

    def end(self, order: Order, reason: Reject | None) -> None:
        """End an order that did not trade all it wanted; None: by its owner's wish."""
        self.claim(order)
        self.drop(order)
        if reason is None:
            self.say(OrderCancelled(**of(order), open_lots=order.open))
        else:
            self.say(OrderExpired(**of(order), open_lots=order.open, reason=reason))
        found = self.lists.get(order.list_number)
        if found is not None:
            rest = found.legs[1:]
            self.dissolve(order.list_number)
            for other in rest:
                self.end(other, Reject.OTHER_LEG)

    def fill(self, order: Order) -> None:
        """End an order that has traded all it wanted; those that waited for that go to work."""
        self.drop(order)
        self.say(OrderFilled(**of(order)))
        found = self.lists.get(order.list_number)
        if found is None:
            return
        assert found.legs[0] is order, "a leg of an OCO has been claimed before it trades"
        rest = found.legs[1:]
        if found.kind == ListKind.OTO:
            self.dissolve(order.list_number)
        else:
            found.kind, found.legs = ListKind.OCO, rest
        self.work += rest

    def end_all(self, orders: list[Order], reason: Reject | None) -> None:
        """End orders by number; a list may have ended one before its turn comes."""
        for order in sorted(orders, key=lambda o: o.number):
            if order in self.orders:
                self.end(order, reason)

    # ---- lists

    def dissolve(self, number: int) -> None:
        """Make orders of a list orders without one."""
        for leg in self.lists[number].legs:
            leg.list_number = 0
        del self.lists[number]

    def claim(self, order: Order) -> None:
        """Let an order stand for itself before it trades, loses lots, is triggered or ends.

        Its alternative ends first.  The first order of an OTO or OTOCO has none, and keeps its list.
        """
        found = self.lists.get(order.list_number)
        if found is None or (found.kind != ListKind.OCO and order is found.legs[0]):
            return
        alternatives = found.legs if found.kind == ListKind.OCO else found.legs[1:]
        self.dissolve(order.list_number)
        for other in alternatives:
            if other is not order:
                self.end(other, Reject.OTHER_LEG)

    # ---- triggers

    def waits(self, order: Order) -> bool:
        """Tell whether an order waits for a price that has not come."""
        return order.state == OrderState.WAITING and order not in self.work

    def trigger_price(self, order: Order) -> int:
        """Return the price at which an active trailing order is triggered, to the tick."""
        cb = order.terms.callback_ppm
        if order.buying:
            return ceil_div(order.extreme * (MILLION + cb), MILLION)
        return order.extreme * (MILLION - cb) // MILLION

    def is_triggered(self, order: Order, price: int) -> bool:
        """Tell whether a price triggers a waiting order."""
        cb = order.terms.callback_ppm
        if not order.trailing:
            return order.met(price)
        if order.extreme == 0:
            return False
        if order.buying:
            return price * MILLION >= order.extreme * (MILLION + cb)
        return price * MILLION <= order.extreme * (MILLION - cb)

    def source_price(self, market: Market, source: PriceSource) -> int:
        """Return the price that a trigger looks at; zero if there is none yet."""
        if source == PriceSource.INDEX:
            return self.indices[self.contracts[market.spec.instrument].spec.index].price
        return market.last if source == PriceSource.LAST else market.mark

    def activate_if_due(self, order: Order) -> None:
        """Let a trailing order begin to follow the price, if it may."""
        price = self.source_price(self.markets[order.instrument], order.terms.trigger_source)
        if not order.trailing or order.extreme or price == 0:
            return
        if order.terms.trigger_ticks == 0 or order.met(price):
            order.extreme = price
            self.say(TrailingActivated(**of(order), price_ticks=price))

    def price_moved(self, market: Market, source: PriceSource) -> None:
        """Look at everyone who waits for a price."""
        price = self.source_price(market, source)
        if price == 0 or market.state != InstrumentState.OPEN:
            return
        waiting = [
            o
            for o in self.orders
            if o.instrument == market.spec.instrument and self.waits(o) and o.terms.trigger_source == source
        ]
        for order in waiting:
            if order.extreme:
                order.extreme = min(order.extreme, price) if order.buying else max(order.extreme, price)
        inactive = [o for o in waiting if o.trailing and o.extreme == 0 and o.met(price)]
        woken = inactive + [o for o in waiting if self.is_triggered(o, price)]
        for order in sorted(woken, key=self.turn):
            if order not in self.orders:
                continue
            if order in inactive:
                self.activate_if_due(order)
                continue
            self.claim(order)
            if order.kind == OrderKind.MARKET:
                limit = self.protected(market, order.side, price)
                pledged = order.buying and order.instrument not in self.contracts
                order.price = min(order.price, limit) if pledged else limit
            self.work.append(order)
            self.say(OrderTriggered(**of(order), source=source, price_ticks=price))

    def turn(self, order: Order) -> tuple[int, int, int]:
        """Return what sorts orders woken at the same time: rises from the lowest, falls from the highest."""
        follows = order.trailing and order.extreme > 0
        rising = order.buying if follows else order.on_rise
        trigger = self.trigger_price(order) if follows else order.terms.trigger_ticks
        return (0, trigger, order.number) if rising else (1, -trigger, order.number)

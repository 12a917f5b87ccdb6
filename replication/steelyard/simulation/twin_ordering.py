"""What the slow exchange asks of an order because it is about a position."""

from steelyard.core import limits
from steelyard.core.rejects import Reject
from steelyard.core.units import OrderState, PriceSource
from steelyard.simulation.twin_markets import Markets
from steelyard.simulation.twin_parts import Order, refuse_if


class Ordering(Markets):
    """Checks of orders in contracts, each for its place among the others."""

    def check_kind(self, order: Order) -> None:
        """Check 3: whether a spot instrument, or a contract, can have such an order."""
        terms = order.terms
        by_index = terms.trigger is not None and terms.trigger_source == PriceSource.INDEX
        if order.instrument in self.contracts:
            refuse_if(terms.budget_atoms != 0, Reject.NOT_THIS_KIND)
        else:
            refuse_if(order.about_position or by_index, Reject.NOT_THIS_KIND)

    def check_leg(self, order: Order) -> None:
        """Check 3: whether the account has such a leg."""
        if order.instrument in self.contracts:
            fits = self.fits_modes(order.account, order.instrument, order.leg)
            refuse_if(not fits, Reject.UNKNOWN_POSITION)

    def check_position_counts(self, order: Order, more: list[Order]) -> None:
        """Check 4: how many orders work about the position, and how many positions there are."""
        if order.instrument not in self.contracts:
            return
        self.check_working_count(order, more)
        asset = self.contracts[order.instrument].settle
        known = {*self.known_positions(order.account, asset), *((o.instrument, o.leg) for o in more)}
        full = len(known) >= limits.POSITIONS_PER_MARGIN_MAX
        refuse_if(full and (order.instrument, order.leg) not in known, Reject.TOO_MANY_POSITIONS)

    def check_working_count(self, order: Order, more: list[Order]) -> None:
        """Refuse one more order about a position that has many."""
        others = [o for o in self.working(order.account, order.instrument, order.leg) if o is not order]
        others += [o for o in more if o.leg == order.leg and o.state == OrderState.WORKING]
        refuse_if(len(others) >= limits.ORDERS_PER_POSITION_MAX, Reject.TOO_MANY_ORDERS)

    def cut(self, order: Order) -> None:
        """Let a reduce-only order be no larger than what it may reduce, if there is anything."""
        room = self.room(order)
        if order.close_position:
            order.size = order.open = room
        elif 0 < room < order.open:
            order.size -= order.open - room
            order.open = room

    def check_reducible(self, order: Order) -> None:
        """Check 7: whether there is anything to reduce."""
        if order.reduce_only and order.state == OrderState.WORKING:
            refuse_if(not 0 < order.open <= self.room(order), Reject.REDUCE_ONLY_NOTHING)

"""Orders of the slow exchange that depend on each other, and what is due before an entry's commands."""

from steelyard.core import limits
from steelyard.core.commands import PlaceOrderList, PlaceOrderOnTerms
from steelyard.core.entry import LegReply, Many, Request
from steelyard.core.events import CountdownFired, OrderListAccepted
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    InstrumentState,
    ListKind,
    ListNumber,
    OrderId,
    OrderKind,
    OrderState,
    TimeInForce,
)
from steelyard.simulation.twin_parts import Order, OrderList, Refusal, refuse_if
from steelyard.simulation.twin_placing import Placing


class Lists(Placing):
    """Lists and turns."""

    # ---- placing a list

    def place_list(self, request: Request, c: PlaceOrderList) -> Many:
        """Take two or three orders that depend on each other, or none."""
        self.check_list_shape(c)
        legs: list[Order] = []
        for position, wish in enumerate(c.legs):
            try:
                legs.append(self.checked_leg(request, c.kind, wish, legs))
            except Refusal as refusal:
                raise Refusal(refusal.reason, position + 1) from refusal
        self.check_leg_funds(c.kind, legs)
        number = self.next_number()
        self.say(
            OrderListAccepted(
                account=c.account,
                instrument=c.instrument,
                list_number=ListNumber(number),
                kind=c.kind,
                orders=[OrderId(leg.order) for leg in legs],
            )
        )
        self.lists[number] = OrderList(c.kind, list(legs))
        for leg in legs:
            leg.list_number = number
            self.accept(leg)
        replies: list[LegReply] = []
        for leg in legs:
            self.set_going(leg)
            replies.append(self.placed(request, leg))
        return Many(request=request.request, fingerprint=request.fingerprint, legs=replies)

    def check_list_shape(self, c: PlaceOrderList) -> None:
        """Check what is wrong with a list as a whole."""
        count = 3 if c.kind == ListKind.OTOCO else 2
        refuse_if(len(c.legs) != count, Reject.MALFORMED)
        refuse_if(any(leg.account != c.account for leg in c.legs), Reject.MALFORMED)
        refuse_if(any(leg.instrument != c.instrument for leg in c.legs), Reject.MALFORMED)
        ids = [leg.order for leg in c.legs]
        labels = [leg.label for leg in c.legs if leg.label]
        refuse_if(len(set(ids)) < len(ids) or len(set(labels)) < len(labels), Reject.MALFORMED)
        pair = c.legs
        if c.kind != ListKind.OCO:
            refuse_if(not self.rests_at_limit(c.legs[0]), Reject.MALFORMED)
            pair = c.legs[1:]
        if c.kind == ListKind.OTO:
            refuse_if(pair[0].terms.budget_atoms != 0, Reject.MALFORMED)
            return
        waiting = [leg for leg in pair if leg.terms.trigger is not None]
        refuse_if(pair[0].side != pair[1].side or not waiting, Reject.MALFORMED)
        for leg in pair:
            refuse_if(leg not in waiting and not self.rests_at_limit(leg), Reject.MALFORMED)

    def rests_at_limit(self, leg: PlaceOrderOnTerms) -> bool:
        """Tell whether a leg is a limit order that would stay in the book, without a trigger."""
        at_limit = leg.kind == OrderKind.LIMIT and leg.time_in_force == TimeInForce.GTC
        return at_limit and leg.terms.trigger is None

    def checked_leg(
        self, request: Request, kind: ListKind, c: PlaceOrderOnTerms, before: list[Order]
    ) -> Order:
        """Check a leg as if those before it lived; one that will be pending is not held against the book."""
        self.check_shape(c)
        self.check_asker(request, c.account)
        order = self.drawn_up(c)
        market = self.check_place(order)
        self.check_names(market, order, before)
        self.price_it(market, order)
        self.check_numbers(market, order)
        if kind != ListKind.OCO and before:
            order.state = OrderState.PENDING
        else:
            self.check_bands(market, order)
            self.check_book(market, order, never_trades=kind == ListKind.OCO)
        return order

    def check_leg_funds(self, kind: ListKind, legs: list[Order]) -> None:
        """Check that the leg which pledges can be paid for: the first, or of an OCO the larger."""
        holder = 0
        if kind == ListKind.OCO and self.need(legs[1])[1] > self.need(legs[0])[1]:
            holder = 1
        try:
            self.check_funds(legs[holder])
        except Refusal as refusal:
            raise Refusal(refusal.reason, holder + 1) from refusal

    # ---- what is due

    def run_due(self) -> None:
        """Do what has come due before an entry's commands."""
        while due := self.first_due():
            _, of_account, one, other = due
            if of_account:
                self.fire_countdown(one, other)
            else:
                self.move_as_scheduled(self.markets[one])
        for _ in range(limits.WORK_PER_ENTRY_MAX):
            if not self.one_unit():
                return

    def first_due(self) -> tuple[int, bool, int, int] | None:
        """Return the first instrument or countdown whose time has come."""
        moves = [(m.next_ns, False, id_, 0) for id_, m in self.markets.items() if m.next_ns]
        countdowns = [(due_ns, True, *scope) for scope, due_ns in self.countdowns.items()]
        return min((due for due in moves + countdowns if due[0] <= self.time_ns), default=None)

    def fire_countdown(self, account: int, instrument: int) -> None:
        """End an account's orders because it has not been heard of."""
        del self.countdowns[account, instrument]
        self.say(CountdownFired(account=AccountId(account), instrument=InstrumentId(instrument)))
        orders = [o for o in self.own(account) if instrument in (0, o.instrument)]
        self.end_all(orders, Reject.COUNTDOWN)

    def one_unit(self) -> bool:
        """Do one unit of long work; tell whether there was any."""
        for _, market in sorted(self.markets.items()):
            if market.uncross:
                self.uncross_step(market)
                return True
        overdue = sorted(
            (o for o in self.orders if self.overdue(o)), key=lambda o: (o.terms.expires_ns, o.number)
        )
        if overdue:
            self.end(overdue[0], Reject.EXPIRED)
            return True
        for order in self.work:
            if self.markets[order.instrument].state == InstrumentState.OPEN:
                self.admit(order)
                return True
        return False

    # ---- turns

    def admit(self, order: Order) -> None:
        """Give an order its turn: one of a list that has not been judged yet, or one that was triggered."""
        found = self.lists.get(order.list_number)
        legs = [order] if found is None else list(found.legs)
        for leg in legs:
            self.work.remove(leg)
        if order.state == OrderState.PENDING:
            self.admit_pending(legs)
            return
        market = self.markets[order.instrument]
        order.state = OrderState.WORKING
        try:
            self.check_bands(market, order)
            self.check_book(market, order)
        except Refusal as refusal:
            self.end(order, refusal.reason)
            return
        self.work_order(order, late=True)

    def admit_pending(self, legs: list[Order]) -> None:
        """Check the orders whose first one was filled, and let them wait or work."""
        market = self.markets[legs[0].instrument]
        try:
            for leg in legs:
                leg.state = OrderState.WORKING if leg.terms.trigger is None else OrderState.WAITING
                self.check_place(leg)
                self.price_it(market, leg)
                self.check_numbers(market, leg)
                self.check_bands(market, leg)
                self.check_book(market, leg, never_trades=len(legs) == 2)
            self.check_admitted_funds(legs)
        except Refusal as refusal:
            if len(legs) == 2:
                self.dissolve(legs[0].list_number)
            for leg in legs:
                self.end(leg, refusal.reason)
            return
        for leg in legs:
            self.say_terms(leg)
        for leg in legs:
            if leg.state == OrderState.WAITING:
                self.activate_if_due(leg)
            else:
                self.work_order(leg, late=True)

    def check_admitted_funds(self, legs: list[Order]) -> None:
        """Check that what the admitted orders need, which is counted already, is there."""
        asset, _ = self.need(legs[0])
        refuse_if(self.free_atoms(legs[0].account, asset) < 0, Reject.INSUFFICIENT_FUNDS)

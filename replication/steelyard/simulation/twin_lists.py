"""Orders of the slow exchange that depend on each other, and what is due before an entry's commands."""

from enum import IntEnum

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
from steelyard.simulation.twin_liquidations import Engine
from steelyard.simulation.twin_parts import Order, OrderList, Refusal, refuse_if


class Due(IntEnum):
    """What can be due, in the order in which it comes at one time."""

    MOVE = 1
    STALE = 2
    CONTRACT = 3
    GATE = 4
    COUNTDOWN = 5


class Lists(Engine):
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
        if kind != ListKind.OCO and before:
            order.state = OrderState.PENDING
        self.check_numbers(market, order)
        if order.state != OrderState.PENDING:
            self.check_bands(market, order)
            self.check_book(market, order, never_trades=kind == ListKind.OCO)
            self.check_reducible(order)
        return order

    def check_leg_funds(self, kind: ListKind, legs: list[Order]) -> None:
        """Check that the leg which pledges can be paid for: the first, or of an OCO the larger.

        About a position, whichever works at once.
        """
        holder = 0
        if legs[0].instrument in self.contracts and legs[0].state != OrderState.WORKING:
            holder = 1
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
            _, kind, one, other = due
            match kind:
                case Due.MOVE:
                    self.move_as_scheduled(self.markets[one])
                case Due.STALE:
                    self.grow_stale(one)
                case Due.CONTRACT if other == 0:
                    self.sample(one)
                case Due.CONTRACT:
                    self.end_interval(one)
                case Due.GATE:
                    self.open_gate(one)
                case Due.COUNTDOWN:
                    self.fire_countdown(one, other)
            self.judge_changed()
        liquidations = 0
        for _ in range(limits.WORK_PER_ENTRY_MAX):
            if liquidations < limits.LIQUIDATION_STEPS_PER_ENTRY_MAX and self.liquidation_unit():
                liquidations += 1
            elif not self.one_unit():
                return
            self.judge_changed()

    def first_due(self) -> tuple[int, Due, int, int] | None:
        """Return the first thing whose time has come; of several at one time by kind, then by id."""
        due = [(m.next_ns, Due.MOVE, id_, 0) for id_, m in self.markets.items()]
        due += [(i.stale_ns, Due.STALE, id_, 0) for id_, i in self.indices.items()]
        due += [(c.sample_ns, Due.CONTRACT, id_, 0) for id_, c in self.contracts.items()]
        due += [(c.funding_ns, Due.CONTRACT, id_, 1) for id_, c in self.contracts.items()]
        due += [(open_ns, Due.GATE, asset, 0) for asset, open_ns in self.gates.items()]
        due += [(due_ns, Due.COUNTDOWN, *scope) for scope, due_ns in self.countdowns.items()]
        return min((row for row in due if 0 < row[0] <= self.time_ns), default=None)

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
        for instrument, contract in sorted(self.contracts.items()):
            if contract.sweeping:
                self.sweep_unit(instrument)
                return True
        for instrument, contract in sorted(self.contracts.items()):
            if contract.settling:
                self.settlement_unit(instrument)
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
            if order.reduce_only:
                self.cut(order)
            if order.instrument in self.contracts:
                self.check_working_count(order, [])
            self.check_bands(market, order)
            self.check_book(market, order)
            self.check_reducible(order)
            if order.instrument in self.contracts:
                self.check_margin(order)
        except Refusal as refusal:
            self.end(order, refusal.reason)
            return
        self.work_order(order, late=True)

    def admit_pending(self, legs: list[Order]) -> None:
        """Check the orders whose first one was filled, and let them wait or work."""
        market = self.markets[legs[0].instrument]
        for leg in legs:
            leg.state = OrderState.WORKING if leg.terms.trigger is None else OrderState.WAITING
            if leg.reduce_only and leg.state == OrderState.WORKING:
                self.cut(leg)
        try:
            for leg in legs:
                self.check_place(leg, admitted=True)
                if leg.instrument in self.contracts and leg.state == OrderState.WORKING:
                    self.check_working_count(leg, [])
                self.price_it(market, leg)
                # Only one of two alternatives can ever trade.
                with self.regarding([o for o in self.orders if o not in legs]):
                    self.check_numbers(market, leg)
                    self.check_bands(market, leg)
                    self.check_book(market, leg, never_trades=len(legs) == 2)
                    self.check_reducible(leg)
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
        if legs[0].instrument in self.contracts:
            for leg in legs:
                if leg.state == OrderState.WORKING:
                    self.check_margin(leg)
            return
        asset, _ = self.need(legs[0])
        refuse_if(self.free_atoms(legs[0].account, asset) < 0, Reject.INSUFFICIENT_FUNDS)

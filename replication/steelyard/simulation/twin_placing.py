"""The checks of an order in the slow exchange, one after another, and what follows when it is taken."""

from steelyard.core import limits
from steelyard.core.commands import NO_TERMS, CancelOrder, PlaceContractOrder, PlaceOrder, PlaceOrderOnTerms
from steelyard.core.entry import Cancelled, Placed, Request, Waiting
from steelyard.core.events import OrderAccepted, OrderContractSet, OrderTermsSet
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentState,
    Leg,
    LiquidationId,
    ListNumber,
    OrderKind,
    OrderNumber,
    OrderState,
    Side,
    TimeInForce,
)
from steelyard.simulation.twin_ordering import Ordering
from steelyard.simulation.twin_parts import MILLION, TOO_BIG, Market, Order, ceil_div, printable, refuse_if
from steelyard.simulation.twin_waiting import of


class Placing(Ordering):
    """Orders on their way in."""

    # ---- the checks, in their order

    def check_shape(self, c: PlaceOrder) -> None:
        """Check 1: what is wrong whatever the state."""
        terms = c.terms if isinstance(c, PlaceOrderOnTerms) else NO_TERMS
        at_market, rests = c.kind == OrderKind.MARKET, c.time_in_force == TimeInForce.GTC
        waits = terms.trigger is not None
        refuse_if(not 0 < c.order < TOO_BIG, Reject.MALFORMED)
        refuse_if(not printable(c.label, limits.LABEL_MAX), Reject.MALFORMED)
        refuse_if(at_market and (rests or c.limit_ticks != 0), Reject.MALFORMED)
        refuse_if(c.post_only and (at_market or not rests), Reject.MALFORMED)
        refuse_if(terms.slide and not c.post_only, Reject.MALFORMED)
        refuse_if(terms.budget_atoms < 0 or terms.display_lots < 0, Reject.MALFORMED)
        if terms.budget_atoms:
            at_once = at_market and c.time_in_force == TimeInForce.IOC and c.size_lots == 0
            more = waits or terms.display_lots != 0 or terms.expires_ns != 0
            refuse_if(not at_once or more, Reject.MALFORMED)
        refuse_if(not 0 <= terms.callback_ppm < MILLION, Reject.MALFORMED)
        says = terms.trigger_ticks > 0 or terms.callback_ppm > 0
        refuse_if(waits and not says, Reject.MALFORMED)
        refuse_if(not waits and (terms.trigger_ticks, terms.callback_ppm) != (0, 0), Reject.MALFORMED)
        refuse_if(not 0 <= terms.expires_ns < TOO_BIG, Reject.MALFORMED)
        refuse_if(terms.expires_ns != 0 and not rests and not waits, Reject.MALFORMED)
        if isinstance(c, PlaceContractOrder) and c.close_position:
            refuse_if(not waits or c.size_lots != 0 or c.reduce_only or not at_market, Reject.MALFORMED)
        if terms.display_lots:
            refuse_if(at_market or not rests or terms.display_lots >= c.size_lots, Reject.MALFORMED)

    def check_asker(self, request: Request, account: int) -> None:
        """Check 2: who asks."""
        self.trader_only(request, account)
        self.thawed_only(account)
        refuse_if((account, 0) in self.switched_off or (0, 0) in self.switched_off, Reject.KILL_SWITCH)

    def check_place(self, order: Order, *, admitted: bool = False) -> Market:
        """Check 3: where; what is ``admitted`` was taken before it was switched off."""
        market = self.market_of(order.instrument)
        self.check_kind(order)
        refuse_if(not admitted and (0, order.instrument) in self.switched_off, Reject.KILL_SWITCH)
        plain = order.terms.trigger is None and not order.post_only
        rests = order.kind == OrderKind.LIMIT and order.time_in_force == TimeInForce.GTC
        takes = {
            InstrumentState.OPEN: True,
            InstrumentState.POST_ONLY: not plain,
            InstrumentState.AUCTION: plain and rests and market.uncross == 0,
        }
        refuse_if(not takes.get(market.state, False), Reject.INSTRUMENT_STATE)
        self.check_leg(order)
        return market

    def check_names(self, market: Market, order: Order, more: list[Order]) -> None:
        """Check 4: names and counts, with ``more`` orders beside the living ones."""
        account = self.accounts[order.account]
        own = self.own(order.account) + more
        here = [o for o in own if o.instrument == order.instrument]
        refuse_if(order.order in [*(o.order for o in own), *account.recent], Reject.DUPLICATE_ORDER)
        refuse_if(order.label != "" and order.label in [o.label for o in own], Reject.DUPLICATE_LABEL)
        for count, bound in (
            (len(self.orders) + len(more), limits.ORDERS_MAX),
            (len(own), limits.ORDERS_PER_ACCOUNT_MAX),
            (len(own), account.orders_max or TOO_BIG),
            (len(here), market.rules.orders_max or TOO_BIG),
        ):
            refuse_if(count >= bound, Reject.TOO_MANY_ORDERS)
        if order.terms.trigger is not None:
            waiting = [o for o in self.orders if o.instrument == order.instrument and self.waits(o)]
            refuse_if(len(waiting) >= limits.WAITING_PER_INSTRUMENT_MAX, Reject.TOO_MANY_ORDERS)
        self.check_position_counts(order, more)

    def check_numbers(self, market: Market, order: Order, *, amended: bool = False) -> None:
        """Check 5: price, trigger, size, notional, expiry; a reduce-only order is cut here."""
        spec, rules, terms = market.spec, market.rules, order.terms
        size_max, notional_max = self.accounts[order.account].order_limits.get(order.instrument, (0, 0))
        limited = order.kind == OrderKind.LIMIT
        if limited:
            refuse_if(not 1 <= order.price <= spec.price_max_ticks, Reject.PRICE_OUT_OF_RANGE)
            refuse_if(order.price % rules.price_step_ticks != 0, Reject.PRICE_OFF_STEP)
        refuse_if(not 0 <= terms.trigger_ticks <= spec.price_max_ticks, Reject.TRIGGER_OUT_OF_RANGE)
        notional = terms.budget_atoms
        if not terms.budget_atoms and not order.close_position:
            refuse_if(order.size < 1, Reject.SIZE_OUT_OF_RANGE)
            if order.reduce_only and order.state == OrderState.WORKING and not amended:
                self.cut(order)
            size, least = order.size, 1 if order.reduce_only else rules.size_min_lots
            refuse_if(not least <= size <= spec.size_max_lots, Reject.SIZE_OUT_OF_RANGE)
            refuse_if(0 < size_max < size, Reject.SIZE_OUT_OF_RANGE)
            slices = terms.display_lots * limits.ICEBERG_SLICES_MAX
            refuse_if(0 < slices < size, Reject.SIZE_OUT_OF_RANGE)
            step = 1 if order.reduce_only else rules.size_step_lots
            refuse_if(size % step != 0 or terms.display_lots % step != 0, Reject.SIZE_OFF_STEP)
            notional = self.cost(market, order.price, size)
        if (limited and not order.reduce_only) or terms.budget_atoms:
            refuse_if(notional < spec.notional_min_atoms, Reject.NOTIONAL_OUT_OF_RANGE)
        for bound in (rules.notional_max_atoms, notional_max):
            refuse_if(0 < bound < notional, Reject.NOTIONAL_OUT_OF_RANGE)
        refuse_if(self.overdue(order), Reject.EXPIRY_IN_PAST)

    def check_bands(self, market: Market, order: Order) -> None:
        """Check 6: against reference prices."""
        rules, terms = market.rules, order.terms
        if order.instrument in self.contracts:
            blind = self.is_stale(order.instrument) and not self.reduces(order)
            refuse_if(blind or market.mark == 0, Reject.NO_REFERENCE_PRICE)
        if self.is_to_wait(order):
            price = self.source_price(market, terms.trigger_source)
            unknown = order.trailing and terms.trigger_ticks == 0 and price == 0
            refuse_if(unknown, Reject.NO_REFERENCE_PRICE)
            return
        down, up = (
            (rules.buy_down_ppm, rules.buy_up_ppm)
            if order.buying
            else (rules.sell_down_ppm, rules.sell_up_ppm)
        )
        out = not self.inside(self.reference(market), down, up, order.price)
        refuse_if(order.kind == OrderKind.LIMIT and out, Reject.PRICE_BAND)

    def check_book(self, market: Market, order: Order, *, never_trades: bool = False) -> None:
        """Check 7: against trigger and book; a sliding order gets its price here."""
        terms = order.terms
        if self.is_to_wait(order):
            price = self.source_price(market, terms.trigger_source)
            met = price != 0 and not order.trailing and order.met(price)
            refuse_if(met, Reject.TRIGGER_ALREADY_MET)
            return
        if market.state not in (InstrumentState.OPEN, InstrumentState.POST_ONLY):
            return
        best = self.best_opposite(order.instrument, order.side)
        if not self.reaches(order.side, order.price, best):
            return
        refuse_if(never_trades, Reject.POST_ONLY_WOULD_TRADE)
        if order.post_only:
            refuse_if(not terms.slide, Reject.POST_ONLY_WOULD_TRADE)
            step = market.rules.price_step_ticks
            order.price = (best - 1) // step * step if order.buying else (best // step + 1) * step
            fits = 1 <= order.price <= market.spec.price_max_ticks
            refuse_if(not fits, Reject.POST_ONLY_WOULD_TRADE)

    def check_funds(self, order: Order) -> None:
        """Check 8: money."""
        if order.instrument in self.contracts:
            if order.state == OrderState.WORKING:
                self.check_margin(order)
            return
        asset, atoms = self.need(order)
        if order.terms.budget_atoms and not order.buying:
            order.stock = self.free_atoms(order.account, asset) // self.lot_need(order)
            refuse_if(order.stock == 0, Reject.INSUFFICIENT_FUNDS)
            return
        refuse_if(self.free_atoms(order.account, asset) < atoms, Reject.INSUFFICIENT_FUNDS)

    def is_to_wait(self, order: Order) -> bool:
        """Tell whether an order waits for its trigger, or would once it is taken."""
        return order.terms.trigger is not None and order.state != OrderState.WORKING

    # ---- taking it

    def drawn_up(self, c: PlaceOrder) -> Order:
        """Return the order that a command describes, not taken yet."""
        terms = c.terms if isinstance(c, PlaceOrderOnTerms) else NO_TERMS
        says = c if isinstance(c, PlaceContractOrder) else None
        leg = says.leg if says else Leg.NET
        closing = (Leg.LONG, Side.SELL), (Leg.SHORT, Side.BUY)
        return Order(
            account=c.account,
            instrument=c.instrument,
            order=c.order,
            label=c.label,
            side=c.side,
            kind=c.kind,
            time_in_force=c.time_in_force,
            post_only=c.post_only,
            terms=terms,
            price=c.limit_ticks,
            size=c.size_lots,
            open=c.size_lots,
            budget=terms.budget_atoms,
            leg=leg,
            reduce_only=says is not None
            and (says.reduce_only or says.close_position or (leg, c.side) in closing),
            close_position=says is not None and says.close_position,
            about_position=says is not None,
            state=OrderState.WORKING if terms.trigger is None else OrderState.WAITING,
        )

    def price_it(self, market: Market, order: Order) -> None:
        """Give an order its fee cap, and a market order its protection price."""
        order.cap_ppm = max(0, *self.rates(order.account, market))
        self.price_anew(market, order)

    def price_anew(self, market: Market, order: Order) -> None:
        """Give a market order the protection price of this moment."""
        if order.kind == OrderKind.MARKET:
            order.price = self.protected(market, order.side, self.protected_around(market, order))

    def protected_around(self, market: Market, order: Order) -> int:
        """Return the price that a market order's protection is measured from; zero: there is none."""
        terms = order.terms
        if not self.is_to_wait(order):
            return self.best_opposite(order.instrument, order.side)
        if terms.trigger_ticks:
            # One that is out of range is refused, and for nothing else.
            return terms.trigger_ticks
        price = order.extreme or self.source_price(market, terms.trigger_source)
        if order.buying:
            return ceil_div(price * (MILLION + terms.callback_ppm), MILLION)
        return price * (MILLION - terms.callback_ppm) // MILLION

    def accept(self, order: Order) -> None:
        """Give an order its number and say what it is."""
        order.number = self.next_number()
        self.orders.append(order)
        self.say(
            OrderAccepted(
                **of(order),
                side=order.side,
                kind=order.kind,
                time_in_force=order.time_in_force,
                limit_ticks=order.price,
                size_lots=order.size,
                label=order.label,
            )
        )
        if order.terms != NO_TERMS or order.list_number:
            self.say_terms(order)
        about_position = order.instrument in self.contracts
        if about_position and (order.leg != Leg.NET or order.reduce_only or order.liquidation):
            self.say(
                OrderContractSet(
                    **of(order),
                    leg=order.leg,
                    reduce_only=order.reduce_only,
                    close_position=order.close_position,
                    liquidation=LiquidationId(order.liquidation),
                )
            )

    def say_terms(self, order: Order) -> None:
        """Say what an order's terms are, and whether it waits."""
        self.say(
            OrderTermsSet(
                **of(order),
                state=order.state,
                list_number=ListNumber(order.list_number),
                terms=order.terms,
            )
        )

    def set_going(self, order: Order) -> None:
        """Let an accepted order wait or work."""
        if order.state == OrderState.WAITING:
            self.activate_if_due(order)
        elif order.state == OrderState.WORKING:
            self.work_order(order)

    def placed(self, request: Request, order: Order) -> Placed | Waiting:
        """Return the reply about an order that has been set going."""
        number = OrderNumber(order.number)
        if order.state != OrderState.WORKING:
            return Waiting(request=request.request, fingerprint=request.fingerprint, number=number)
        return Placed(
            request=request.request,
            fingerprint=request.fingerprint,
            number=number,
            executed_lots=order.lots_now,
            executed_atoms=order.atoms_now,
            fee_atoms=order.fees_now,
            open_lots=order.open if order in self.orders else 0,
        )

    def place(self, request: Request, c: PlaceOrder, *, never_trades: bool = False) -> Placed | Waiting:
        """Trade what crosses; rest or expire what is left; or wait."""
        self.check_shape(c)
        self.check_asker(request, c.account)
        order = self.drawn_up(c)
        market = self.check_place(order)
        self.check_names(market, order, [])
        self.price_it(market, order)
        self.check_numbers(market, order)
        self.check_bands(market, order)
        self.check_book(market, order, never_trades=never_trades)
        self.check_reducible(order)
        self.check_funds(order)
        self.accept(order)
        self.set_going(order)
        return self.placed(request, order)

    # ---- taking it back

    def named(self, account: int, order: int, number: int, label: str) -> Order:
        """Find a living order by the one name that is given."""
        for own in self.own(account):
            if (order and own.order == order) or (number and own.number == number):
                return own
            if label and own.label == label:
                return own
        refuse_if(True, Reject.UNKNOWN_ORDER)
        raise AssertionError("refused")

    def cancel(self, request: Request, c: CancelOrder) -> Cancelled:
        """Cancel a living order, named in exactly one way."""
        refuse_if((c.order != 0) + (c.number != 0) + (c.label != "") != 1, Reject.MALFORMED)
        self.trader_only(request, c.account)
        order = self.named(c.account, c.order, c.number, c.label)
        refuse_if(self.markets[order.instrument].uncross != 0, Reject.INSTRUMENT_STATE)
        self.end(order, None)
        return Cancelled(
            request=request.request,
            fingerprint=request.fingerprint,
            number=OrderNumber(order.number),
            open_lots=order.open,
        )

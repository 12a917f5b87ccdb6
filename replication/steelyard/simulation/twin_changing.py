"""How the slow exchange changes orders that live: amends, replaces, batches, sweeps, countdowns."""

from copy import copy, deepcopy

from msgspec.structs import replace

from steelyard.core import limits
from steelyard.core.commands import (
    AmendOrder,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    Leg,
    OrderTerms,
    PlaceOrder,
    PlaceOrderOnTerms,
    ReplaceOrder,
)
from steelyard.core.entry import Amended, LegReply, Many, Refused, Request, Swept
from steelyard.core.events import (
    CountdownArmed,
    OrderAmended,
    OrderReduced,
    OrdersSwept,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    BatchMode,
    InstrumentState,
    ListKind,
    OrderKind,
    OrderNumber,
    OrderState,
    TimeInForce,
)
from steelyard.simulation.twin_lists import Lists
from steelyard.simulation.twin_parts import MILLION, TOO_BIG, Market, Order, Refusal, printable, refuse_if
from steelyard.simulation.twin_waiting import of


class Changing(Lists):
    """Everything that customers do to what they have placed."""

    # ---- amend

    def amend(self, request: Request, c: AmendOrder, *, only_lowers: bool = False) -> Amended:
        """Change a living order, or refuse and leave it as it is."""
        self.check_amend_shape(c)
        self.check_asker(request, c.account)
        order = self.named(c.account, c.order, c.number, c.label)
        if only_lowers:
            refuse_if(not order.resting or order.list_number != 0, Reject.MALFORMED)
            refuse_if(c.size_lots >= order.size, Reject.SIZE_OUT_OF_RANGE)
        refuse_if((0, order.instrument) in self.switched_off, Reject.KILL_SWITCH)
        market = self.markets[order.instrument]
        refuse_if(not self.takes_changes(market), Reject.INSTRUMENT_STATE)
        refuse_if(order in self.work, Reject.TRIGGER_ALREADY_MET)
        would = self.amended(order, c)
        differs = would.terms != order.terms or would.label != order.label
        differs = differs or (would.size, would.price) != (order.size, order.price)
        refuse_if(not differs, Reject.NOTHING_TO_CHANGE)
        self.check_amend_fits(order, would, c)
        taken = [o.label for o in self.own(c.account) if o is not order]
        refuse_if(would.label != "" and would.label in taken, Reject.DUPLICATE_LABEL)
        order.lots_now = order.atoms_now = order.fees_now = 0
        if would.size <= order.executed + order.prevented and not order.close_position:
            self.end(order, Reject.AMENDED_BELOW_FILLED)
            return self.amend_reply(request, order)
        would.open = would.size - order.executed - order.prevented
        other, other_would = self.other_leg(order, would)
        stays = self.keeps_its_place(order, would)
        self.check_amended(market, order, would)
        instead = {order: would}
        if other is not None and other_would is not None:
            self.price_anew(market, other_would)
            self.check_numbers(market, other_would, amended=True)
            with self.regarding([o for o in self.orders if o not in (order, other)]):
                self.check_reducible(other_would)
            instead[other] = other_would
        asset, _ = self.need(order)
        refuse_if(self.free_atoms(c.account, asset, instead) < 0, Reject.INSUFFICIENT_FUNDS)
        self.check_amended_margin(order, would)
        if other is not None and other_would is not None:
            self.check_amended_margin(other, other_would)
        self.become(order, would, stays=stays)
        reply = self.amend_reply(request, order)
        if other is not None and other_would is not None:
            self.become(other, other_would, stays=self.keeps_its_place(other, other_would), follows=True)
        return reply

    def amend_reply(self, request: Request, order: Order) -> Amended:
        """Return what an amended order has come to."""
        return Amended(
            request=request.request,
            fingerprint=request.fingerprint,
            number=OrderNumber(order.number),
            executed_lots=order.lots_now,
            executed_atoms=order.atoms_now,
            fee_atoms=order.fees_now,
            open_lots=order.open if order in self.orders else 0,
        )

    def check_amend_shape(self, c: AmendOrder) -> None:
        """Check what is wrong with an amend whatever the state."""
        refuse_if((c.order != 0) + (c.number != 0) + (c.label != "") != 1, Reject.MALFORMED)
        sizes = (c.size_lots, c.limit_ticks, c.trigger_ticks, c.display_lots)
        refuse_if(min(c.order, c.number, *sizes) < 0, Reject.MALFORMED)
        refuse_if(not 0 <= c.callback_ppm < MILLION, Reject.MALFORMED)
        refuse_if(not -1 <= c.expires_ns < TOO_BIG, Reject.MALFORMED)
        refuse_if(not printable(c.new_label or "", limits.LABEL_MAX), Reject.MALFORMED)

    def amended(self, order: Order, c: AmendOrder) -> Order:
        """Return an order as an amend would have it."""
        would, terms = copy(order), order.terms
        would.size = c.size_lots or order.size
        would.price = c.limit_ticks or order.price
        would.label = order.label if c.new_label is None else c.new_label
        would.terms = replace(
            terms,
            trigger_ticks=c.trigger_ticks or terms.trigger_ticks,
            callback_ppm=c.callback_ppm or terms.callback_ppm,
            display_lots=c.display_lots or terms.display_lots,
            expires_ns=max(c.expires_ns, 0) if c.expires_ns else terms.expires_ns,
        )
        return would

    def check_amend_fits(self, order: Order, would: Order, c: AmendOrder) -> None:
        """Check that an order can have what an amend gives it."""
        terms, rests = order.terms, order.time_in_force == TimeInForce.GTC
        working = order.state == OrderState.WORKING
        limited = order.kind == OrderKind.LIMIT
        refuse_if(c.limit_ticks != 0 and not limited, Reject.MALFORMED)
        refuse_if(c.trigger_ticks != 0 and (terms.trigger is None or working), Reject.MALFORMED)
        refuse_if(c.callback_ppm != 0 and (not order.trailing or working), Reject.MALFORMED)
        refuse_if(c.expires_ns > 0 and not rests and terms.trigger is None, Reject.MALFORMED)
        shows = limited and rests and c.display_lots < would.size
        refuse_if(c.display_lots != 0 and not shows, Reject.MALFORMED)
        refuse_if(c.size_lots != 0 and order.close_position, Reject.MALFORMED)

    def check_amended(self, market: Market, order: Order, would: Order) -> None:
        """Run checks 5 to 7 for an order as it would be; of a pending one only 5."""
        found = self.lists.get(would.list_number)
        alternative = found is not None and found.kind == ListKind.OCO
        if (order.terms.trigger_ticks, order.terms.callback_ppm) != (
            would.terms.trigger_ticks,
            would.terms.callback_ppm,
        ):
            would.extreme = 0
        self.price_anew(market, would)
        with self.regarding([o for o in self.orders if o is not order]):
            self.check_numbers(market, would, amended=True)
            if would.state != OrderState.PENDING:
                self.check_bands(market, would)
                adding = market.state == InstrumentState.POST_ONLY and not would.post_only
                self.check_book(market, would, never_trades=alternative or adding)
                self.check_reducible(would)

    def check_amended_margin(self, order: Order, would: Order) -> None:
        """Check 8 for an order about a position as it would be, if it works and loses its place."""
        works = order.instrument in self.contracts and would.state == OrderState.WORKING
        if works and not self.keeps_its_place(order, would):
            self.check_margin(would, instead_of=order)

    def keeps_its_place(self, order: Order, would: Order) -> bool:
        """Tell whether an order in the book only shrinks."""
        return order.resting and would.price == order.price and would.size <= order.size

    def other_leg(self, order: Order, would: Order) -> tuple[Order | None, Order | None]:
        """Return the other leg of an OCO whose size changes, and as what; or nothing."""
        found = self.lists.get(order.list_number)
        if found is None or would.size == order.size:
            return None, None
        pair = found.legs if found.kind == ListKind.OCO else found.legs[1:]
        others = [leg for leg in pair if leg is not order]
        if order not in pair or not others or others[0].size == would.size or others[0].close_position:
            return None, None
        other = copy(others[0])
        other.size = other.open = would.size
        return others[0], other

    def become(self, order: Order, would: Order, *, stays: bool, follows: bool = False) -> None:
        """Let an order be what it would be, in its place or in a new one.

        Of one that ``follows`` the size of its alternative, nothing else is said.
        """
        said = (would.label, would.terms) != (order.label, order.terms)
        reduced, before = would.size < order.size, order.number
        order.label, order.terms, order.price = would.label, would.terms, would.price
        order.size, order.open, order.extreme = would.size, would.open, would.extreme
        order.lot_pledge = would.lot_pledge
        if stays:
            order.shown = min(order.shown, order.open)
            if reduced:
                self.say(OrderReduced(**of(order), size_lots=order.size, open_lots=order.open))
            if said:
                self.say_amended(order)
            return
        order.number = self.next_number()
        self.say_replaced(order, before)
        if order.resting:
            order.resting = False
            if said:
                self.say_amended(order)
            self.work_order(order)
            return
        if not follows:
            self.say_amended(order)
        if order.state == OrderState.WAITING:
            self.activate_if_due(order)

    def say_amended(self, order: Order) -> None:
        """Say what an order's label and terms are now."""
        self.say(OrderAmended(**of(order), label=order.label, terms=order.terms))

    # ---- several at once

    def attempt(self) -> dict[str, object]:
        """Remember everything, so that it can be put back."""
        changeable = vars(self).keys() - {"sessions", "assets", "tiers"}
        return deepcopy({name: vars(self)[name] for name in sorted(changeable)})

    def put_back(self, remembered: dict[str, object]) -> None:
        """Let everything be as it was."""
        vars(self).update(remembered)

    def replace(self, request: Request, c: ReplaceOrder) -> Many:
        """Cancel one order and place another, as one."""
        refuse_if(c.cancel.account != c.place.account, Reject.MALFORMED)
        self.trader_only(request, c.cancel.account)
        before = self.attempt()
        replies: list[LegReply] = []
        try:
            replies.append(self.cancel(request, c.cancel))
        except Refusal as refusal:
            if not (c.place_anyway and refusal.reason == Reject.UNKNOWN_ORDER):
                raise Refusal(refusal.reason, 1) from refusal
            replies.append(self.refused(request, refusal))
        try:
            replies.append(self.place(request, c.place))
        except Refusal as refusal:
            if not c.cancel_anyway:
                self.put_back(before)
                raise Refusal(refusal.reason, 2) from refusal
            replies.append(self.refused(request, refusal))
        return Many(request=request.request, fingerprint=request.fingerprint, legs=replies)

    def refused(self, request: Request, refusal: Refusal) -> Refused:
        """Return a refusal as a reply."""
        return Refused(
            request=request.request,
            fingerprint=request.fingerprint,
            reason=refusal.reason,
            expected=refusal.expected,
        )

    def batch(self, request: Request, c: Batch) -> Many:
        """Carry out several commands, each for itself or all or none."""
        refuse_if(not c.legs or any(leg.account != c.account for leg in c.legs), Reject.MALFORMED)
        whole = c.mode == BatchMode.ALL_OR_NONE
        refuse_if(whole and not all(self.can_be_whole(leg) for leg in c.legs), Reject.MALFORMED)
        refuse_if(len(c.legs) > limits.BATCH_MAX, Reject.TOO_MANY_LEGS, limits.BATCH_MAX)
        self.trader_only(request, c.account)
        before = self.attempt() if whole else {}
        replies: dict[int, LegReply] = {}
        turns = list(enumerate(c.legs))
        if whole:
            turns.sort(key=lambda turn: (isinstance(turn[1], PlaceOrder), isinstance(turn[1], AmendOrder)))
        for place, leg in turns:
            try:
                replies[place] = self.act(request, leg, whole=whole)
            except Refusal as refusal:
                if whole:
                    self.put_back(before)
                    raise Refusal(refusal.reason, place + 1) from refusal
                replies[place] = self.refused(request, refusal)
        legs = [replies[place] for place in range(len(c.legs))]
        return Many(request=request.request, fingerprint=request.fingerprint, legs=legs)

    def can_be_whole(self, leg: Leg) -> bool:
        """Tell whether a command may be part of an all-or-none batch."""
        if isinstance(leg, CancelOrder):
            return True
        if isinstance(leg, AmendOrder):
            name = AmendOrder(account=leg.account, order=leg.order, number=leg.number, label=leg.label)
            return leg.size_lots != 0 and replace(leg, size_lots=0) == name
        terms = leg.terms if isinstance(leg, PlaceOrderOnTerms) else OrderTerms()
        rests = leg.kind == OrderKind.LIMIT and leg.time_in_force == TimeInForce.GTC
        return rests and terms.trigger is None

    def act(self, request: Request, leg: Leg, *, whole: bool) -> LegReply:
        """Carry out one command of a batch."""
        if isinstance(leg, CancelOrder):
            return self.cancel(request, leg)
        if isinstance(leg, AmendOrder):
            return self.amend(request, leg, only_lowers=whole)
        market = self.markets.get(leg.instrument)
        rests = whole and not leg.post_only and market is not None and market.state == InstrumentState.OPEN
        return self.place(request, leg, never_trades=rests)

    # ---- sweeps

    def sweep(self, request: Request, c: CancelOrders) -> Swept:
        """Cancel many orders at once."""
        self.check_sweeper(request, c.account, c.instrument)
        family = [a for a, row in self.accounts.items() if row.master == c.account]
        orders = [
            o
            for account in [c.account, *(family if c.sub_accounts else [])]
            for o in self.own(account)
            if c.instrument in (0, o.instrument)
            and c.side in (None, o.side)
            and self.markets[o.instrument].uncross == 0
        ]
        self.say(OrdersSwept(account=c.account, count=len(orders)))
        count = len(orders)
        self.end_all(orders, None)
        return Swept(request=request.request, fingerprint=request.fingerprint, count=count)

    def check_sweeper(self, request: Request, account: int, instrument: int) -> None:
        """Check who asks to end orders, and where; frozen accounts may."""
        self.trader_only(request, account)
        refuse_if(instrument != 0 and instrument not in self.markets, Reject.UNKNOWN_INSTRUMENT)

    def arm(self, request: Request, c: ArmCountdown) -> None:
        """Let a countdown begin again, or end it."""
        refuse_if(not 0 <= c.countdown_ns <= limits.COUNTDOWN_NS_MAX, Reject.MALFORMED)
        self.check_sweeper(request, c.account, c.instrument)
        due_ns = self.time_ns + c.countdown_ns if c.countdown_ns else 0
        self.countdowns.pop((c.account, c.instrument), None)
        if due_ns:
            self.countdowns[c.account, c.instrument] = due_ns
        self.say(CountdownArmed(account=c.account, instrument=c.instrument, due_ns=due_ns))

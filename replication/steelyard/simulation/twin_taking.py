"""The taker phase of the slow exchange: trades, fees, and what an order does to its own house."""

from copy import copy, deepcopy

from steelyard.core.events import (
    InstrumentStateChanged,
    LotsTransferred,
    OrderReduced,
    OrderReplaced,
    OrderReplenished,
    OrderRested,
    PositionsTraded,
    ReferralEarned,
    StateScheduled,
    Traded,
    TradePrevented,
    TradingHalted,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FEES,
    REFERRAL,
    AccountId,
    InstrumentState,
    OrderNumber,
    PriceSource,
    SelfTrade,
    TimeInForce,
    TradeId,
)
from steelyard.simulation.twin_filling import Filling
from steelyard.simulation.twin_parts import MILLION, Market, Order, ceil_div, fee_of
from steelyard.simulation.twin_waiting import of


class Taking(Filling):
    """Everything that happens when orders meet."""

    # ---- one order at work

    def work_order(self, order: Order, *, late: bool = False) -> None:
        """Let an order take what it can, then rest or expire; then let others see the new price.

        What is left of one that comes ``late``, from ``work``, takes a new number before it rests.
        """
        market = self.markets[order.instrument]
        trades = self.trades
        if market.state == InstrumentState.OPEN:
            self.take(market, order)
        if order in self.orders and order.time_in_force == TimeInForce.GTC:
            self.rest(order, late=late)
        elif order in self.orders:
            self.end(order, Reject.NO_LIQUIDITY)
        if self.trades > trades:
            self.price_moved(market, PriceSource.LAST)

    def rest(self, order: Order, *, late: bool) -> None:
        """Put what is left of an order into the book; one that waited first takes its place now."""
        if late:
            before = order.number
            order.number = self.next_number()
            self.say_replaced(order, before)
        self.show_slice(order)
        self.say(OrderRested(**of(order), side=order.side, price_ticks=order.price, open_lots=order.shown))

    def show_slice(self, order: Order) -> None:
        """Let the book show an order's next slice."""
        order.resting = True
        order.shown = min(order.open, order.terms.display_lots or order.open)

    def say_replaced(self, order: Order, before: int) -> None:
        """Say that an order has another number."""
        self.say(
            OrderReplaced(
                **of(order),
                before=OrderNumber(before),
                limit_ticks=order.price,
                size_lots=order.size,
                open_lots=order.open,
            )
        )

    def take(self, market: Market, taker: Order) -> None:
        """Meet maker after maker until nothing is left or nobody can be met."""
        rules = market.rules
        self.begin_window(market, taker)
        centre, anchor = self.reference(market), market.anchor
        if taker.time_in_force == TimeInForce.FOK and not self.could_fill(market, taker):
            return
        last = market.last
        while taker in self.orders:
            makers = self.makers(taker.instrument, taker.side, taker.price)
            if not makers:
                break
            maker = makers[0]
            if not self.inside(centre, rules.execution_down_ppm, rules.execution_up_ppm, maker.price):
                self.end(taker, Reject.PRICE_BAND)
            elif not self.inside_halt(market, anchor, maker.price):
                self.end(taker, Reject.VOLATILITY_HALT)
                self.halt(market, maker.price)
            elif self.overdue(maker):
                self.end(maker, Reject.EXPIRED)
            elif self.wish(market, taker, maker.price) == 0:
                # Only an order by budget comes here with nothing left to do.
                if taker.lots_now:
                    self.fill(taker)
                else:
                    self.end(taker, Reject.NO_LIQUIDITY)
            elif self.must_not_meet(maker, taker):
                self.prevent(market, maker, taker, maker.price)
            else:
                self.claim(maker)
                shown, last = maker.shown, maker.price
                lots = min(shown, self.wish(market, taker, last))
                self.trade(market, maker, taker, lots, last)
                if taker.terms.budget_atoms and lots < shown:
                    self.fill(taker)
        if self.version >= 2:
            market.last = last

    def wish(self, market: Market, taker: Order, price: int) -> int:
        """Return how many lots a taker wants at a price, from a maker that has any number of them."""
        if not taker.terms.budget_atoms:
            return taker.open
        cost = price * market.k
        if not taker.buying:
            return min(taker.stock, taker.budget // cost)
        _, rate = self.rates(taker.account, market)
        return taker.budget // (cost + ceil_div(cost * min(rate, taker.cap_ppm), MILLION))

    def could_fill(self, market: Market, taker: Order) -> bool:
        """Tell whether a taker would find all its lots inside all bounds: hidden ones come behind a level."""
        if market.spec.instrument in self.contracts:
            return self.would_fill(market, taker)
        rules, left = market.rules, taker.open
        makers = self.makers(taker.instrument, taker.side, taker.price)
        for price in dict.fromkeys(maker.price for maker in makers):
            if not self.inside(
                self.reference(market), rules.execution_down_ppm, rules.execution_up_ppm, price
            ) or not self.inside_halt(market, market.anchor, price):
                return False
            hidden = 0
            for maker in (m for m in makers if m.price == price):
                if self.overdue(maker):
                    continue
                if self.must_not_meet(maker, taker):
                    if self.mode(taker) == SelfTrade.EXPIRE_MAKER:
                        continue
                    return False
                left -= maker.shown
                hidden += maker.open - maker.shown
                if left <= 0:
                    return True
            left -= hidden
            if left <= 0:
                return True
        return False

    def would_fill(self, market: Market, taker: Order) -> bool:
        """Tell the same about positions, which orders may be cut to on the way: try it, in a copy of all."""
        trial = copy(self)
        kept = ("sessions", "keys", "assets", "tiers", "events")
        vars(trial).update(deepcopy({name: table for name, table in vars(self).items() if name not in kept}))
        trial.events = []
        tried = next(o for o in trial.orders if o.number == taker.number)
        tried.time_in_force = TimeInForce.IOC
        wanted = tried.open
        trial.take(trial.markets[market.spec.instrument], tried)
        return tried.lots_now == wanted

    # ---- trades

    def trade(self, market: Market, maker: Order, taker: Order, lots: int, price: int) -> None:
        """Let two orders trade; whoever has traded all it wanted is filled, maker first."""
        spec = market.spec
        notional = self.cost(market, price, lots)
        taker_fee = fee_of(notional, min(self.rates(taker.account, market)[1], taker.cap_ppm))
        maker_fee = fee_of(notional, min(self.rates(maker.account, market)[0], maker.cap_ppm))
        maker_fee = max(maker_fee, -taker_fee)
        if spec.instrument not in self.contracts:
            self.exchange(market, maker, taker, lots, notional)
        outcomes = []
        for order, fee in ((maker, maker_fee), (taker, taker_fee)):
            if spec.instrument in self.contracts:
                outcomes.append(self.fill_order(order, lots, notional, fee))
            else:
                self.move(order.account, FEES, spec.quote, fee)
            self.lessen(order, lots, notional + (fee if order.buying else 0))
            order.executed += lots
            order.lots_now += lots
            order.atoms_now += notional
            order.fees_now += fee
        self.trades += 1
        self.say(
            Traded(
                TradeId(self.trades),
                spec.instrument,
                AccountId(maker.account),
                of(maker)["order"],
                OrderNumber(maker.number),
                AccountId(taker.account),
                of(taker)["order"],
                OrderNumber(taker.number),
                taker.side,
                price,
                lots,
                notional,
                maker_fee,
                taker_fee,
                maker.open,
                taker.open,
            )
        )
        if outcomes:
            self.say(PositionsTraded(TradeId(self.trades), spec.instrument, *outcomes[0], *outcomes[1]))
        self.refer(market, taker, taker_fee + min(maker_fee, 0))
        self.refer(market, maker, maker_fee)
        self.after_trade(maker)
        if outcomes:
            self.trim(self.position_of(maker))
            self.trim(self.position_of(taker))
        if taker in self.orders:
            self.after_trade(taker)

    def lessen(self, order: Order, lots: int, atoms: int) -> None:
        """Take lots from what an order may still trade; by budget, take what they cost or brought."""
        if order.terms.budget_atoms:
            order.budget -= atoms
            order.stock -= 0 if order.buying else lots
            return
        order.open -= lots
        if order.resting:
            order.shown -= lots

    def after_trade(self, order: Order) -> None:
        """Fill an order that is used up, or show the next slice of one that is in the book."""
        if order.terms.budget_atoms:
            return
        if order.open == 0:
            self.fill(order)
        elif order.shown == 0 and order.resting:
            before = order.number
            order.number = self.next_number()
            self.show_slice(order)
            self.say(
                OrderReplenished(
                    **of(order),
                    before=OrderNumber(before),
                    side=order.side,
                    price_ticks=order.price,
                    shown_lots=order.shown,
                    open_lots=order.open,
                )
            )

    def refer(self, market: Market, payer: Order, kept: int) -> None:
        """Give the payer's referrer its share of what is kept of a fee."""
        account = self.accounts[payer.account]
        share = max(kept, 0) * account.share_ppm // MILLION
        if account.referrer == 0 or share == 0:
            return
        contract = self.contracts.get(market.spec.instrument)
        asset = contract.settle if contract else market.spec.quote
        self.move(FEES, REFERRAL, asset, share)
        owed = self.accounts[account.referrer].owed
        owed[asset] = owed.get(asset, 0) + share
        self.say(
            ReferralEarned(
                trade=TradeId(self.trades),
                account=AccountId(payer.account),
                referrer=AccountId(account.referrer),
                asset=asset,
                amount_atoms=share,
            )
        )

    # ---- own orders

    def prevent(self, market: Market, maker: Order, taker: Order, price: int) -> None:
        """Let two orders of one house not trade with each other."""
        mode = self.mode(taker)
        wish = self.wish(market, taker, price)
        lots = min(wish, maker.open)
        transfers = self.mode(maker) == SelfTrade.TRANSFER and maker.account != taker.account
        transfers = transfers and market.spec.instrument not in self.contracts
        if mode == SelfTrade.TRANSFER and not transfers:
            mode = SelfTrade.DECREMENT
        of_maker, of_taker = {
            SelfTrade.EXPIRE_TAKER: (0, wish),
            SelfTrade.EXPIRE_MAKER: (maker.open, 0),
            SelfTrade.EXPIRE_BOTH: (maker.open, wish),
        }.get(mode, (lots, lots))
        for order, lost in ((maker, of_maker), (taker, of_taker)):
            if lost:
                self.claim(order)
            order.prevented += lost
        self.withdraw_lots(maker, of_maker, price * market.k * of_maker)
        self.withdraw_lots(taker, of_taker, price * market.k * of_taker)
        self.say(
            TradePrevented(
                instrument=market.spec.instrument,
                mode=mode,
                maker=AccountId(maker.account),
                maker_order=of(maker)["order"],
                maker_number=OrderNumber(maker.number),
                taker=AccountId(taker.account),
                taker_order=of(taker)["order"],
                taker_number=OrderNumber(taker.number),
                price_ticks=price,
                maker_lots=of_maker,
                taker_lots=of_taker,
                maker_open_lots=maker.open,
                taker_open_lots=taker.open,
            )
        )
        if mode == SelfTrade.TRANSFER:
            self.transfer_lots(market, maker, taker, lots, price)
        self.after_prevention(maker, of_maker, gone=maker.open == 0)
        self.after_prevention(taker, of_taker, gone=of_taker == wish)

    def withdraw_lots(self, order: Order, lots: int, atoms: int) -> None:
        """Take prevented lots from an order; an iceberg shows less only if it has less."""
        if order.terms.budget_atoms:
            self.lessen(order, lots, atoms)
            return
        order.open -= lots
        order.shown = min(order.shown, order.open)

    def transfer_lots(self, market: Market, maker: Order, taker: Order, lots: int, price: int) -> None:
        """Let prevented lots change hands between two accounts of one house, without a fee."""
        buyer, seller = (taker, maker) if taker.buying else (maker, taker)
        notional = price * lots * market.k
        self.move(seller.account, buyer.account, market.spec.base, lots * market.lot_atoms)
        self.move(buyer.account, seller.account, market.spec.quote, notional)
        self.say(
            LotsTransferred(
                instrument=market.spec.instrument,
                buyer=AccountId(buyer.account),
                seller=AccountId(seller.account),
                price_ticks=price,
                size_lots=lots,
                notional_atoms=notional,
            )
        )

    def after_prevention(self, order: Order, lost: int, *, gone: bool) -> None:
        """End an order from which prevention took everything; say what is left of one in the book."""
        if lost == 0:
            return
        if gone:
            order.open = 0
            self.end(order, Reject.SELF_TRADE)
        elif order.resting:
            self.say(OrderReduced(**of(order), size_lots=order.size, open_lots=order.open))

    # ---- halts

    def begin_window(self, market: Market, taker: Order) -> None:
        """Take the last price as the anchor of a new halt window, if the old one has run out."""
        rules = market.rules
        best = self.best_opposite(taker.instrument, taker.side)
        over = market.window_ns == 0 or self.time_ns >= market.window_ns + rules.halt_window_ns
        if rules.halt_ppm and market.last and over and self.reaches(taker.side, taker.price, best):
            market.window_ns, market.anchor = self.time_ns, market.last

    def inside_halt(self, market: Market, anchor: int, price: int) -> bool:
        """Tell whether a trade at a price stops nothing; without an anchor none does."""
        return anchor == 0 or abs(price - anchor) * MILLION <= anchor * market.rules.halt_ppm

    def halt(self, market: Market, price: int) -> None:
        """Stop trading for a while, then hold an auction."""
        instrument, until_ns = market.spec.instrument, self.time_ns + market.rules.halt_ns
        self.say(
            TradingHalted(
                instrument=instrument, anchor_ticks=market.anchor, price_ticks=price, until_ns=until_ns
            )
        )
        market.anchor = market.window_ns = 0
        self.say(
            InstrumentStateChanged(instrument=instrument, before=market.state, after=InstrumentState.HALTED)
        )
        market.state = InstrumentState.HALTED
        self.schedule(market, InstrumentState.AUCTION, until_ns)

    def schedule(self, market: Market, state: InstrumentState, at_ns: int) -> None:
        """Announce the next move of an instrument."""
        market.next_state, market.next_ns = state, at_ns
        self.announce(market, state, at_ns)

    def announce(self, market: Market, state: InstrumentState, at_ns: int) -> None:
        """Say when an instrument moves; zero: it does not."""
        self.say(StateScheduled(instrument=market.spec.instrument, state=state, at_ns=at_ns))

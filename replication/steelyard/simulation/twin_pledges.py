"""What the slow exchange asks of orders about positions: what they may cost, and what stands behind them."""

from bisect import bisect_left
from copy import copy

from steelyard.core.rejects import Reject
from steelyard.core.units import OrderKind, OrderState, RiskLevel
from steelyard.simulation.twin_contracts import Scope
from steelyard.simulation.twin_margin import Margins
from steelyard.simulation.twin_parts import MILLION, Order, ceil_div, refuse_if


class Pledges(Margins):
    """Orders about positions, one against the others."""

    # ---- what orders cost

    def order_loss(self, order: Order, lots: int) -> int:
        """Return what lots of an order would lose against the mark at its limit."""
        contract, mark, limit = self.contracts[order.instrument], self.mark_of(order.instrument), order.price
        if limit == 0 or mark == 0:
            # A market order that nobody can meet.
            return 0
        if contract.linear:
            away = limit - mark if order.buying else mark - limit
            return lots * contract.scale * max(0, away)
        if order.buying:
            return max(0, contract.notional_up(mark, lots) - contract.notional(limit, lots))
        return max(0, contract.notional_up(limit, lots) - contract.notional(mark, lots))

    def lot_size(self, order: Order) -> int:
        """Return the notional of one lot that its fees are reckoned by, rounded up.

        Of an isolated order the largest of those at its limit, at the best opposite price and at the mark.
        """
        prices = [order.price]
        if self.is_isolated(self.position_of(order)):
            prices += [self.best_opposite(order.instrument, order.side), self.mark_of(order.instrument)]
        contract = self.contracts[order.instrument]
        return max((contract.notional_up(price, 1) for price in prices if price), default=0)

    def lot_fee(self, order: Order) -> int:
        """Return what a lot of an order may cost in fees; one that nobody can meet costs nothing."""
        if order.price == 0:
            return 0
        return ceil_div(self.lot_size(order) * order.cap_ppm, MILLION)

    def open_loss(self, scope: Scope) -> int:
        """Return what a scope's orders would lose against the marks; isolated ones mostly pledge for that."""
        orders = [
            o
            for p in self.members(scope)
            for o in (self.reducing(p) if self.is_isolated(p) else self.reducing(p) + self.enlarging(p))
        ]
        return sum(self.order_loss(o, o.open) for o in orders)

    def used(self, scope: Scope) -> int:
        """Return how much of a wallet's equity is spoken for."""
        members = self.members(scope)
        initial = sum(self.initial(p, self.worst(p), p.leverage) for p in members)
        fees = sum(o.open * self.lot_fee(o) for p in members for o in self.enlarging(p))
        return initial + self.open_loss(scope) + fees

    def available(self, scope: Scope) -> int:
        """Return how much of a wallet's equity is not spoken for."""
        return self.equity(scope) - self.used(scope)

    def withdrawable(self, account: int, asset: int) -> int:
        """Return how much may leave a margin wallet."""
        scope = self.wallet_scope(account, asset)
        wallet = self.wallet(account, asset)
        if not any(p.lots or self.enlarging(p) for p in self.members(scope)):
            return max(0, wallet)
        if self.level_of(scope) >= RiskLevel.DANGER:
            return 0
        tenth = ceil_div(self.size_of(scope), 10)
        return max(0, min(wallet, self.equity(scope)) - max(self.used(scope), tenth))

    def pledge_of(self, order: Order) -> int:
        """Return what a lot of an order, one of those regarded, must hold for its isolated position."""
        p, contract = self.position_of(order), self.contracts[order.instrument]
        if order.reduce_only or order.price == 0 or not self.is_isolated(p):
            return 0
        lots = self.worst(p)
        rates = [contract.pledge_ppm(self.size_at_mark(order.instrument, lots), lots)]
        if p.leverage:
            rates.append(ceil_div(MILLION, p.leverage))
        rates.append(self.crowd_ppm(order.instrument))
        margin = ceil_div(self.lot_size(order) * max(rates), MILLION)
        return margin + self.order_loss(order, 1) + self.lot_fee(order)

    def room(self, order: Order) -> int:
        """Return how many lots a reduce-only order may reduce beside the others."""
        p = self.position_of(order)
        if p.lots == 0 or (p.lots > 0) == order.buying:
            return 0
        return abs(p.lots) - sum(o.open for o in self.reducing(p) if o is not order)

    def check_margin(self, order: Order, instead_of: Order | None = None, *, fresh: bool = True) -> None:
        """Check 8: risk level, limits and margin with the order in the book; a ``fresh`` one pledges anew."""
        p = self.position_of(order)
        scope, contract = self.scope_of(p), self.contracts[order.instrument]
        others = [o for o in self.orders if o is not order and o is not instead_of]
        with self.regarding(others):
            reduces = self.reduces(order)
            withdrawable = self.withdrawable(order.account, contract.settle)
        level = self.level_of(scope)
        stopped = level == RiskLevel.CRITICAL and not reduces
        refuse_if(stopped or level == RiskLevel.LIQUIDATING, Reject.RISK_LEVEL)
        with self.regarding([*others, order]):
            if not reduces:
                rules = contract.rules
                refuse_if(self.worst(p) > rules.position_max_lots, Reject.POSITION_LIMIT)
                interest = self.open_interest(order.instrument) + order.open
                refuse_if(interest > rules.open_interest_max_lots, Reject.OPEN_INTEREST_LIMIT)
            pledge = self.pledge_of(order) if fresh else order.lot_pledge
            if self.is_isolated(p) and not order.reduce_only:
                refuse_if(withdrawable < order.open * pledge, Reject.INSUFFICIENT_MARGIN)
            elif reduces:
                self.check_loss(order, scope, others)
            else:
                refuse_if(self.available(scope) < 0, Reject.INSUFFICIENT_MARGIN)
        order.lot_pledge = pledge

    def check_loss(self, order: Order, scope: Scope, others: list[Order]) -> None:
        """Refuse an order that could lose more than its scope has; a market order comes nearer."""
        if order.kind == OrderKind.MARKET:
            with self.regarding(others):
                left = self.equity(scope) - self.open_loss(scope)
            if order.price:
                left -= order.open * ceil_div(self.dearer_lot(order) * order.cap_ppm, MILLION)
            refuse_if(left < 0, Reject.INSUFFICIENT_MARGIN)
            self.bring_nearer(order, left)
        left = self.equity(scope) - self.open_loss(scope)
        refuse_if(left < order.open * self.lot_fee(order), Reject.INSUFFICIENT_MARGIN)

    def dearer_lot(self, order: Order) -> int:
        """Return the notional of one lot at the mark or at the limit, whichever is more."""
        contract, mark = self.contracts[order.instrument], self.mark_of(order.instrument)
        return max(contract.notional_up(price, 1) for price in (mark, order.price))

    def bring_nearer(self, order: Order, left: int) -> None:
        """Give a market order a limit at which its lots lose no more than that."""
        top, tried = self.markets[order.instrument].spec.price_max_ticks, copy(order)

        def costs_too_much(price: int) -> bool:
            tried.price = price
            return self.order_loss(tried, order.open) > left

        if order.price == 0:
            return
        if order.buying:
            last = bisect_left(range(1, top + 1), True, key=costs_too_much)
            order.price = min(order.price, max(1, last))
        else:
            first = bisect_left(range(1, top + 1), True, key=lambda p: not costs_too_much(p))
            order.price = max(order.price, min(top, first + 1))

    def reduces(self, order: Order) -> bool:
        """Tell whether an order, if it worked, would enlarge nothing."""
        if order.reduce_only:
            return True
        p, others = self.position_of(order), self.orders if self.regarded is None else self.regarded
        others = [o for o in others if o is not order]
        with self.regarding(others):
            before = self.worst(p)
        working = copy(order)
        working.state = OrderState.WORKING
        with self.regarding([*others, working]):
            return self.worst(p) == before

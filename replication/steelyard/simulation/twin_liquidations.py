"""The liquidation engine of the slow exchange: beginnings, steps, and how each of them ends."""

from bisect import bisect_left

from steelyard.core import limits
from steelyard.core.commands import NO_TERMS
from steelyard.core.events import (
    DebtTaken,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStepped,
    LossShared,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    BAD_DEBT,
    INSURANCE,
    InstrumentId,
    InstrumentState,
    LiquidationEnd,
    LiquidationId,
    OrderId,
    OrderKind,
    OrderState,
    RiskLevel,
    Side,
    TimeInForce,
)
from steelyard.simulation.twin_contracts import Liquidation, Position
from steelyard.simulation.twin_deleveraging import Deleveraging
from steelyard.simulation.twin_parts import MILLION, Order, ceil_div


class Engine(Deleveraging):
    """Liquidations, one unit at a time."""

    def liquidation_unit(self) -> bool:
        """Let the first scope of the queue that can go on do so; tell whether there was one."""
        for row in self.queue:
            if self.can_go_on(row):
                self.queue.remove(row)
                self.queue.append(row)
                self.go_on(row)
                row.seen = self.equity(row.scope)
                return True
        return False

    def can_go_on(self, row: Liquidation) -> bool:
        """Tell whether a liquidation has anything to do now."""
        if self.is_paused(row.scope) or row.parked:
            return False
        held = self.with_lots(row.scope)
        return not row.begun or not held or any(self.is_open(p) for p in held)

    def is_open(self, p: Position) -> bool:
        """Tell whether a position's contract is open."""
        return self.markets[p.instrument].state == InstrumentState.OPEN

    def go_on(self, row: Liquidation) -> None:
        """Do one unit of a liquidation."""
        if not row.begun:
            self.begin(row)
            if self.with_lots(row.scope) and self.is_lost(row.scope):
                return
        if self.with_lots(row.scope) and self.is_lost(row.scope):
            self.step(row)
            if self.with_lots(row.scope) and self.is_lost(row.scope):
                return
        self.finish(row)

    def begin(self, row: Liquidation) -> None:
        """End the working orders of a scope, and let its positions pay their funding."""
        row.begun = True
        members = self.members(row.scope)
        orders = [o for p in members for o in self.working(p.account, p.instrument, p.leg)]
        self.end_all(orders, Reject.LIQUIDATED)
        for p in self.with_lots(row.scope):
            self.say_paid(p.instrument, p.account, p.leg, self.settle(p))

    # ---- steps

    def fewest_lots(self, row: Liquidation, p: Position) -> int:
        """Return how many lots a step closes."""
        terms = self.contract_of(p).rules.liquidation
        equity, all_lots = self.equity(row.scope), abs(p.lots)
        least = max(1, ceil_div(all_lots * terms.step_ppm, MILLION))
        for lots in range(least, all_lots):
            penalty = ceil_div(self.size_at_mark(p.instrument, lots) * terms.penalty_ppm, MILLION)
            target = ceil_div(self.need_without(row, p, lots) * (MILLION + terms.buffer_ppm), MILLION)
            if equity - penalty >= target:
                return lots
        return all_lots

    def limit_of(self, p: Position, lots: int, wanted: int) -> int:
        """Return the last tick at which lots of a position bring as much as is wanted; 0: none does."""
        contract, top = self.contract_of(p), self.markets[p.instrument].spec.price_max_ticks
        signed = -lots if p.lots > 0 else lots

        def brings_enough(price: int) -> bool:
            return contract.flow(signed, contract.notional(price, lots)) >= wanted

        if p.lots > 0:
            first = 1 + bisect_left(range(1, top + 1), True, key=brings_enough)
            return first if first <= top else 0
        return bisect_left(range(1, top + 1), True, key=lambda price: not brings_enough(price))

    def step(self, row: Liquidation) -> None:
        """Close a part of the position that needs the most margin."""
        chosen = [p for p in self.with_lots(row.scope) if self.is_open(p)]
        p = min(chosen, key=lambda p: (-self.maintenance(p), p.instrument, p.leg))
        contract, market = self.contract_of(p), self.markets[p.instrument]
        terms = contract.rules.liquidation
        lots = self.fewest_lots(row, p)
        bankruptcy = self.bankruptcy(row, p, lots)
        budget = min(
            self.budget(contract.settle, terms.fund_drawdown_ppm),
            ceil_div(self.size_at_mark(p.instrument, lots) * terms.fund_step_ppm, MILLION),
        )
        limit = self.limit_of(p, lots, bankruptcy - budget)
        side = Side.SELL if p.lots > 0 else Side.BUY
        row.last = p.instrument
        self.say(
            LiquidationStepped(
                liquidation=LiquidationId(row.liquidation),
                instrument=p.instrument,
                leg=p.leg,
                side=side,
                lots=lots,
                equity_atoms=self.equity(row.scope),
                maintenance_atoms=self.scope_maintenance(row.scope),
                mark_ticks=market.mark,
                bankruptcy_atoms=bankruptcy,
                limit_ticks=limit,
            )
        )
        order = self.liquidation_order(row, p, side, lots, limit)
        if limit:
            self.accept(order)
            self.work_order(order)
        if order.lots_now:
            row.closed = True
            self.pay_fund(row, p, order, lots, bankruptcy)
        elif self.equity(row.scope) > 0:
            row.parked = True
        else:
            self.deleverage(row, p)

    def liquidation_order(self, row: Liquidation, p: Position, side: Side, lots: int, limit: int) -> Order:
        """Draw up the engine's order."""
        return Order(
            account=p.account,
            instrument=p.instrument,
            order=OrderId(0),
            label="",
            side=side,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.IOC,
            post_only=False,
            terms=NO_TERMS,
            price=limit,
            size=lots,
            open=lots,
            state=OrderState.WORKING,
            leg=p.leg,
            reduce_only=True,
            liquidation=row.liquidation,
        )

    def pay_fund(self, row: Liquidation, p: Position, order: Order, lots: int, bankruptcy: int) -> None:
        """Let INSURANCE take what a step brought beyond the bankruptcy price, or give what it lacks."""
        contract = self.contract_of(p)
        received = contract.flow(1 if order.buying else -1, order.atoms_now)
        due = bankruptcy * order.lots_now // lots
        penalty = ceil_div(order.atoms_now * contract.rules.liquidation.penalty_ppm, MILLION)
        if received >= due:
            taken = min(received - due, penalty)
        else:
            taken = -min(due - received, self.owned.get((INSURANCE, contract.settle), 0))
        row.funded = row.funded or taken < 0
        self.insure(contract.settle, row.scope, taken)
        self.say(
            LiquidationPaid(
                liquidation=LiquidationId(row.liquidation),
                account=p.account,
                instrument=p.instrument,
                lots=order.lots_now,
                received_atoms=received,
                bankruptcy_atoms=due,
                insurance_atoms=taken,
            )
        )

    # ---- ends

    def finish(self, row: Liquidation) -> None:
        """End a liquidation, and give its scope the level that it has by now."""
        account, asset, instrument, leg = row.scope
        cured = bool(self.with_lots(row.scope)) or not row.closed
        if not self.with_lots(row.scope):
            self.clear_up(row)
        self.queue.remove(row)
        if cured:
            how = LiquidationEnd.CURED
        elif row.shared:
            how = LiquidationEnd.SHARED
        elif row.deleveraged:
            how = LiquidationEnd.ADL
        else:
            how = LiquidationEnd.FUND if row.funded else LiquidationEnd.CLOSED
        self.say(
            LiquidationEnded(
                liquidation=LiquidationId(row.liquidation),
                account=account,
                asset=asset,
                instrument=instrument,
                leg=leg,
                how=how,
                equity_atoms=self.equity(row.scope),
                maintenance_atoms=self.scope_maintenance(row.scope),
            )
        )
        self.set_level(row.scope, self.level_by_ratio(row.scope, RiskLevel.SAFE))

    def clear_up(self, row: Liquidation) -> None:
        """Let a scope without lots end with nothing owed."""
        account, asset, instrument, _ = row.scope
        left = self.backing(row.scope)
        if left >= 0:
            if instrument:
                self.pay(row.scope, left)
                self.pay(self.wallet_scope(account, asset), -left)
            return
        given = min(-left, self.owned.get((INSURANCE, asset), 0))
        debt = -left - given
        self.pay(row.scope, left)
        self.insure(asset, None, -given)
        self.owned[BAD_DEBT, asset] = self.owned.get((BAD_DEBT, asset), 0) - debt
        row.funded = row.funded or given > 0
        row.shared = debt > 0
        self.say(
            DebtTaken(
                liquidation=LiquidationId(row.liquidation),
                account=account,
                asset=asset,
                instrument=instrument,
                insurance_atoms=given,
                debt_atoms=debt,
            )
        )
        if debt:
            self.debts_taken.add(asset)
            self.share_loss(row, row.last or instrument, debt)

    def share_loss(self, row: Liquidation, instrument: int, debt: int) -> None:
        """Take a debt from those who have a gain in the contract, so many of the largest at a time."""
        winners = [p for p in self.holders(instrument) if self.pnl(p) > 0] if instrument else []
        winners.sort(key=lambda p: (-self.pnl(p), p.account, p.leg))
        while debt and winners:
            asked, winners = winners[: limits.SHARES_MAX], winners[limits.SHARES_MAX :]
            debt -= self.share_among(row, instrument, asked, debt)

    def share_among(self, row: Liquidation, instrument: int, winners: list[Position], debt: int) -> int:
        """Take what there is of a debt from some winners, in proportion to their gains; return how much."""
        asset, gains = row.scope[1], sum(self.pnl(p) for p in winners)
        shared = min(debt, gains)
        winners = sorted(winners, key=lambda p: (p.account, p.leg))
        parts = [shared * self.pnl(p) // gains for p in winners]
        fractions = [shared * self.pnl(p) % gains for p in winners]
        order = sorted(range(len(winners)), key=lambda n: (-fractions[n], winners[n].account, winners[n].leg))
        for n in order[: shared - sum(parts)]:
            parts[n] += 1
        for p, part in zip(winners, parts, strict=True):
            self.pay(self.scope_of(p), part)
        self.owned[BAD_DEBT, asset] += shared
        self.say(
            LossShared(
                liquidation=LiquidationId(row.liquidation),
                instrument=InstrumentId(instrument),
                asset=asset,
                debt_atoms=shared,
                shares=[(p.account, p.leg, part) for p, part in zip(winners, parts, strict=True) if part],
            )
        )
        return shared

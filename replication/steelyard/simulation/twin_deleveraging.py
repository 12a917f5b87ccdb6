"""How the slow exchange closes a bankrupt position against those on the other side."""

from dataclasses import dataclass

from steelyard.core.events import AdlRow, AdlSettled
from steelyard.core.rejects import Reject
from steelyard.core.units import LiquidationId, OrderState, RiskLevel
from steelyard.simulation.twin_contracts import Liquidation, Position, filled
from steelyard.simulation.twin_parts import MILLION, ceil_div
from steelyard.simulation.twin_placing import Placing

LAST = -(10**18)


@dataclass
class Giver:
    """One opposite position, and how many lots it gives."""

    position: Position
    lots: int
    score: int
    gives: int = 0


class Deleveraging(Placing):
    """Rankings, and what comes of them."""

    # ---- what it costs to close

    def without(self, p: Position, lots: int) -> Position:
        """Return a position as it would be without lots."""
        would = Position(p.account, p.instrument, p.leg, p.lots, p.cash)
        filled(would, -lots if p.lots > 0 else lots, 0)
        return would

    def need_without(self, row: Liquidation, p: Position, lots: int) -> int:
        """Return the maintenance margin of a scope without lots of one of its positions."""
        others = [other for other in self.with_lots(row.scope) if other is not p]
        return sum(self.maintenance(q) for q in [*others, self.without(p, lots)])

    def bankruptcy(self, row: Liquidation, p: Position, lots: int) -> int:
        """Return the cash that lots must bring so that nobody loses by them."""
        contract, mark = self.contract_of(p), self.mark_of(p.instrument)
        equity, need = self.equity(row.scope), self.scope_maintenance(row.scope)
        freed = need - self.need_without(row, p, lots)
        share = equity * freed // need if need else equity
        rest = self.without(p, lots).lots
        worth_less = contract.value(rest, mark) - contract.value(p.lots, mark)
        return -worth_less - share

    # ---- rankings

    def score(self, p: Position) -> int:
        """Return where a position stands in a ranking: profit and leverage first."""
        equity, pnl = self.equity(self.scope_of(p)), self.pnl(p)
        if equity <= 0 or p.cash == 0:
            return LAST
        gain = pnl * MILLION // abs(p.cash)
        leverage = max(1, self.size_at_mark(p.instrument, abs(p.lots)) * MILLION // equity)
        score = gain * leverage // MILLION if pnl > 0 else gain * MILLION // leverage
        return max(LAST, min(score, -LAST))

    def ranking(self, p: Position) -> list[Giver]:
        """Return all positions that could close a bankrupt one, best first."""
        opposite = [
            Giver(other, abs(other.lots), self.score(other))
            for other in self.holders(p.instrument)
            if other.lots * p.lots < 0 and self.level_of(self.scope_of(other)) != RiskLevel.LIQUIDATING
        ]
        return sorted(opposite, key=lambda g: (-g.score, g.position.account, g.position.leg))

    def deleverage(self, row: Liquidation, p: Position) -> None:
        """Close all of a position against others: at its bankruptcy price, then at the mark."""
        closed = False
        for at_mark in (False, True):
            if p.lots == 0:
                break
            all_lots = abs(p.lots)
            cash = self.bankruptcy(row, p, all_lots)
            if at_mark:
                cash = self.contract_of(p).value(p.lots, self.mark_of(p.instrument))
            givers = self.ranking(p)
            self.share_out(p, givers, all_lots, cash, at_mark=at_mark)
            if any(giver.gives for giver in givers):
                closed = True
                self.carry_out_ranking(row, p, givers, all_lots, cash)
        row.closed = row.closed or closed
        row.deleveraged = row.deleveraged or closed
        row.parked = not closed

    def share_out(self, p: Position, givers: list[Giver], wanted: int, cash: int, *, at_mark: bool) -> None:
        """Let each in turn give a part of its lots, round after round."""
        share = self.contract_of(p).rules.liquidation.adl_share_ppm
        left, first = wanted, True
        while left:
            before = left
            for giver in givers:
                if first and self.pnl(giver.position) <= 0:
                    continue
                part = ceil_div(share * giver.lots, MILLION)
                part = min(part, giver.lots - giver.gives, left)
                if not at_mark and self.would_be_red(giver, giver.gives + part, wanted, cash):
                    continue
                giver.gives += part
                left -= part
            if left == before and not first:
                return
            first = False

    def would_be_red(self, giver: Giver, lots: int, wanted: int, cash: int) -> bool:
        """Tell whether a giver's scope would have less than nothing without those lots."""
        p = giver.position
        contract, mark = self.contract_of(p), self.mark_of(p.instrument)
        rest = p.lots - lots if p.lots > 0 else p.lots + lots
        change = contract.value(rest, mark) - contract.value(p.lots, mark)
        return self.equity(self.scope_of(p)) + change - cash * lots // wanted < 0

    def carry_out_ranking(
        self, row: Liquidation, p: Position, givers: list[Giver], wanted: int, cash: int
    ) -> None:
        """Let the bankrupt and those who give close their lots against each other."""
        giving = [giver for giver in givers if giver.gives]
        accounts = {giver.position.account for giver in giving}
        orders = [
            o
            for o in self.orders
            if o.instrument == p.instrument and o.account in accounts and o.state == OrderState.WORKING
        ]
        self.end_all(orders, Reject.AUTO_DELEVERAGED)
        lots = sum(giver.gives for giver in giving)
        amounts = [cash * giver.gives // wanted for giver in giving]
        if lots == wanted:
            amounts[-1] = cash - sum(amounts[:-1])
        sign = 1 if p.lots > 0 else -1
        realised, paid = self.fill_position(p, -sign * lots, sum(amounts))
        rows = []
        for place, giver in enumerate(givers, start=1):
            if giver.gives:
                other, before = giver.position, giver.position.lots
                amount = -amounts[giving.index(giver)]
                own = self.fill_position(other, sign * giver.gives, amount)
                rows.append(
                    AdlRow(place, other.account, other.leg, before, giver.score, giver.gives, amount, *own)
                )
        self.say(
            AdlSettled(
                liquidation=LiquidationId(row.liquidation),
                instrument=p.instrument,
                account=p.account,
                leg=p.leg,
                mark_ticks=self.mark_of(p.instrument),
                lots=lots,
                cash_atoms=sum(amounts),
                ranked=len(givers),
                givers=rows,
                realised_atoms=realised,
                funding_atoms=paid,
            )
        )
        for closed in (p, *(giver.position for giver in giving)):
            self.trim(closed)

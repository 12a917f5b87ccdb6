"""What a fill of the slow exchange moves: base and quote, or positions, whose orders then fit them again."""

from steelyard.core.events import OrderReduced
from steelyard.core.rejects import Reject
from steelyard.core.units import FEES, AccountId, Leg
from steelyard.simulation.twin_contracts import Position
from steelyard.simulation.twin_parts import Market, Order
from steelyard.simulation.twin_waiting import Waiting, of


class Filling(Waiting):
    """Both sides of a fill."""

    def exchange(self, market: Market, maker: Order, taker: Order, lots: int, notional: int) -> None:
        """Let base and quote change hands."""
        buyer, seller = (taker, maker) if taker.buying else (maker, taker)
        self.move(seller.account, buyer.account, market.spec.base, lots * market.lot_atoms)
        self.move(buyer.account, seller.account, market.spec.quote, notional)

    def fill_order(
        self, order: Order, lots: int, notional: int, fee: int
    ) -> tuple[AccountId, Leg, int, int, int, int]:
        """Let an order's position take a fill; return what is said of that side."""
        contract, p = self.contracts[order.instrument], self.position_of(order)
        signed = lots if order.buying else -lots
        flow = contract.flow(signed, notional)
        realised, paid = self.fill_position(p, signed, flow, fee, order.lot_pledge)
        self.owned[FEES, contract.settle] = self.owned.get((FEES, contract.settle), 0) + fee
        return p.account, p.leg, p.lots, p.cash, realised, paid

    def trim(self, p: Position) -> None:
        """Let a position's reduce-only orders be no larger than it, the newest first."""
        while orders := [o for o in self.reducing(p) if o.open and o in self.orders]:
            against = [o for o in orders if p.lots and (p.lots > 0) != o.buying]
            excess = sum(o.open for o in orders) - (abs(p.lots) if len(against) == len(orders) else 0)
            if excess <= 0:
                return
            newest = max(orders, key=lambda o: o.number)
            if newest.open <= excess:
                self.end(newest, Reject.REDUCED_AWAY)
                continue
            newest.size -= excess
            newest.open -= excess
            newest.shown = min(newest.shown, newest.open)
            self.say(OrderReduced(**of(newest), size_lots=newest.size, open_lots=newest.open))

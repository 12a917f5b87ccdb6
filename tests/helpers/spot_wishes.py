"""Seeded commands of version 2: every kind with every term, weighted so that rare paths are met."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from tests.helpers.spot_nonsense import Nonsense
from tests.helpers.wishes import Line
from tests.helpers.world import CUSTOMERS, PRICE_MAX, SECOND_NS

from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    Leg,
    OpenSubAccount,
    OrderTerms,
    PayReferral,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReplaceOrder,
    SetSelfTrade,
    Transfer,
)
from steelyard.core.units import (
    AccountId,
    AssetId,
    BatchMode,
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderKind,
    OrderNumber,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)


def worded(order: PlaceOrder) -> PlaceOrderOnTerms:
    """Return the same order, so that it can say more."""
    return PlaceOrderOnTerms(**{name: getattr(order, name) for name in PlaceOrder.__struct_fields__})


@dataclass
class Known:
    """What the traffic knows of an order that it believes to be alive."""

    account: AccountId
    command: PlaceOrder
    number: OrderNumber
    label: str


@dataclass
class SpotWishes(Nonsense):
    """A source of customers' commands of version 2.

    ``tiny``: one market and few prices, so that all collide; ``patient``: most orders wait, many of them
    behind the price.
    """

    tiny: bool = False
    patient: bool = False
    known: dict[tuple[AccountId, int], Known] = field(default_factory=dict)
    #: the last trades' prices and marks
    seen: dict[tuple[InstrumentId, PriceSource], int] = field(default_factory=dict)

    # ---- orders

    def scale(self, instrument: InstrumentId) -> int:
        """Return how many ticks one of our prices is in an instrument."""
        for market, template in self.markets:
            if market == instrument:
                return template.price_max_ticks // PRICE_MAX
        return 1

    def near(self, instrument: InstrumentId, *, spread: int = 4) -> int:
        """Return a price near the middle, now and then out of range."""
        ticks = 7 + self.random.randint(-spread, spread)
        return self.scale(instrument) * min(PRICE_MAX + 1, max(0, ticks))

    def soon(self) -> int:
        """Return a log time that comes soon, or has just passed."""
        seconds = self.random.choice((-1, 0, 1, 1, 3, 3, 10)) * self.random.random()
        return self.time_ns + int(seconds * SECOND_NS)

    def place(self, account: AccountId) -> PlaceOrder:
        """Place an order; two of five say more than the common ones."""
        common = super().place(account)
        if self.tiny:
            lots = self.random.randint(1, 9)
            common = replace(common, instrument=self.markets[0][0], size_lots=lots)
            if common.limit_ticks:
                common = replace(common, limit_ticks=self.near(common.instrument, spread=2))
        if self.states.get(common.instrument) == InstrumentState.AUCTION and self.random.random() < 0.8:
            return self.collected(common)
        return self.on_terms(common) if self.random.random() < 0.45 else common

    def collected(self, c: PlaceOrder) -> PlaceOrder:
        """Return an order that an auction takes, and that may trade with others there."""
        order = replace(
            worded(c),
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.GTC,
            limit_ticks=self.near(c.instrument),
            post_only=False,
        )
        pick = self.random.random()
        if pick < 0.2:
            return self.iceberg(order)
        if pick < 0.4:
            return replace(order, terms=OrderTerms(self_trade=self.random.choice(tuple(SelfTrade))))
        return replace(order, terms=OrderTerms(expires_ns=max(0, self.soon()))) if pick < 0.5 else order

    def on_terms(self, c: PlaceOrder) -> PlaceOrderOnTerms:
        """Let an order say more: one or two uncommon terms, which mostly fit."""
        order = worded(c)
        pick = self.random.random()
        if self.patient and pick < 0.8:
            order = self.waiting(order)
        elif pick < 0.12:
            order = self.by_budget(order)
        elif pick < 0.5:
            order = self.waiting(order)
        elif pick < 0.6:
            order = replace(order, terms=replace(order.terms, slide=True))
            limit = order.limit_ticks or self.near(order.instrument)
            kind, gtc = OrderKind.LIMIT, TimeInForce.GTC
            order = replace(order, post_only=True, kind=kind, time_in_force=gtc, limit_ticks=limit)
        elif pick < 0.8:
            order = self.iceberg(order)
        if order.time_in_force == TimeInForce.GTC and self.random.random() < 0.3:
            order = replace(order, terms=replace(order.terms, expires_ns=max(0, self.soon())))
        if self.random.random() < 0.4:
            mode = self.random.choice((*SelfTrade, SelfTrade.TRANSFER))
            order = replace(order, terms=replace(order.terms, self_trade=mode))
        return order

    def by_budget(self, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
        """Trade at market by quote amount."""
        k = {1: 3_000, 2: 70}.get(order.instrument, 3_000 if self.tiny else 70)
        budget = k * self.near(order.instrument) * self.random.randint(1, 9) + self.random.randint(-k, k)
        return replace(
            order,
            kind=OrderKind.MARKET,
            time_in_force=TimeInForce.IOC,
            size_lots=0,
            limit_ticks=0,
            post_only=False,
            terms=OrderTerms(budget_atoms=max(0, budget)),
        )

    def iceberg(self, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
        """Show a part at a time."""
        return replace(
            order,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.GTC,
            size_lots=self.random.randint(2, 12),
            limit_ticks=order.limit_ticks or self.near(order.instrument),
            terms=OrderTerms(display_lots=self.random.randint(1, 3)),
        )

    def waiting(self, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
        """Wait for a price, or behind one."""
        trails = self.random.random() < (0.7 if self.patient else 0.35)
        fixed = not trails or self.random.random() < 0.5
        kind = self.random.choice(tuple(TriggerKind))
        source = self.random.choice((PriceSource.LAST, PriceSource.LAST, PriceSource.MARK))
        on_rise = (kind == TriggerKind.STOP) == (order.side == Side.BUY)
        terms = OrderTerms(
            trigger=kind,
            trigger_source=source,
            trigger_ticks=self.trigger(order.instrument, source, on_rise=on_rise) if fixed else 0,
            callback_ppm=self.random.choice((1, 50_000, 150_000, 300_000)) if trails else 0,
        )
        if self.random.random() < 0.4:
            at_once = self.random.choice((TimeInForce.IOC, TimeInForce.FOK))
            return replace(
                order,
                kind=OrderKind.MARKET,
                time_in_force=at_once,
                limit_ticks=0,
                post_only=False,
                terms=terms,
            )
        in_force = TimeInForce.GTC if order.post_only else self.random.choice(tuple(TimeInForce))
        limit = order.limit_ticks or self.near(order.instrument)
        if self.random.random() < 0.1 and in_force == TimeInForce.GTC and order.size_lots > 2:
            terms = replace(terms, display_lots=1)
        return replace(order, kind=OrderKind.LIMIT, time_in_force=in_force, limit_ticks=limit, terms=terms)

    def trigger(self, instrument: InstrumentId, source: PriceSource, *, on_rise: bool) -> int:
        """Return a price to wait for, mostly one that the source has not reached."""
        price = self.seen.get((instrument, source), 0)
        if price == 0 or self.random.random() < 0.15:
            return self.near(instrument)
        away = self.scale(instrument) * self.random.choice((1, 1, 2, 3))
        return price + away if on_rise else max(0, price - away)

    def list_of_orders(self, account: AccountId) -> PlaceOrderList:
        """Place orders that depend on each other, mostly of a shape that can be."""
        kind = self.random.choice(tuple(ListKind))
        first = self.resting(account)
        away = self.resting(account)
        away = replace(away, side=first.side, limit_ticks=self.far(away))
        stop = self.waiting(replace(self.resting(account), side=first.side, limit_ticks=first.limit_ticks))
        if self.random.random() < 0.2:
            away = self.waiting(away)
        pair = [away, stop] if self.random.random() < 0.5 else [stop, away]
        if kind == ListKind.OTO:
            second = self.on_terms(super().place(account))
            legs = [first, replace(second, instrument=first.instrument)]
        elif kind == ListKind.OTOCO:
            other = Side.SELL if first.side == Side.BUY else Side.BUY
            side = other if self.random.random() < 0.8 else first.side
            legs = [first, *(self.turned(leg, side) for leg in pair)]
        else:
            legs = pair
        instrument = first.instrument
        legs = [replace(leg, instrument=instrument) for leg in legs]
        return PlaceOrderList(account=account, instrument=instrument, kind=kind, legs=legs)

    def turned(self, leg: PlaceOrderOnTerms, side: Side) -> PlaceOrderOnTerms:
        """Return a leg of another side, its limit still away from the middle."""
        turned = replace(leg, side=side)
        return replace(turned, limit_ticks=self.far(turned)) if leg.limit_ticks else turned

    def far(self, leg: PlaceOrder) -> int:
        """Return a limit at which an order seldom trades at once."""
        away = self.random.randint(1, 4)
        return self.scale(leg.instrument) * (6 - away if leg.side == Side.BUY else 8 + away)

    def resting(self, account: AccountId) -> PlaceOrderOnTerms:
        """Return a limit order that stays, with a term now and then."""
        order = worded(super().place(account))
        market = self.markets[0][0] if self.tiny else self.random.choice(self.markets)[0]
        order = replace(
            order,
            instrument=market,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.GTC,
            limit_ticks=self.near(market, spread=2),
            size_lots=self.random.randint(1, 9),
        )
        return self.iceberg(replace(order, post_only=False)) if self.random.random() < 0.15 else order

    # ---- what becomes of them

    def living_order(self, account: AccountId) -> Known | None:
        """Pick an order of the account that may be alive."""
        own = [known for (owner, _), known in self.known.items() if owner == account]
        return self.random.choice(own) if own else None

    def name_of(self, known: Known) -> dict[str, Any]:
        """Name an order in one of its ways."""
        ways: list[dict[str, Any]] = [{"order": known.command.order}, {"number": known.number}]
        if known.label:
            ways.append({"label": known.label})
        return self.random.choice(ways)

    def amend(self, account: AccountId) -> AmendOrder:
        """Change an order: one or two of its fields, which it may not have."""
        known = self.living_order(account)
        if known is None:
            return AmendOrder(account=account, number=OrderNumber(1), size_lots=1)
        c = known.command
        wish: dict[str, Any] = {}
        for _ in range(self.random.choice((1, 1, 1, 2))):
            pick = self.random.random()
            if pick < 0.3:
                wish["size_lots"] = max(0, c.size_lots + self.random.randint(-5, 3))
            elif pick < 0.55:
                wish["limit_ticks"] = self.near(c.instrument)
            elif pick < 0.65:
                wish["trigger_ticks"] = self.near(c.instrument)
            elif pick < 0.72:
                wish["callback_ppm"] = self.random.choice((50_000, 100_000, 200_000))
            elif pick < 0.8:
                wish["display_lots"] = self.random.randint(1, 4)
            elif pick < 0.9:
                wish["expires_ns"] = self.random.choice((-1, max(0, self.soon())))
            else:
                wish["new_label"] = self.random.choice(("", f"l{self.random.randrange(30)}"))
        return AmendOrder(account=account, **self.name_of(known), **wish)

    def cancelling(self, account: AccountId) -> CancelOrder:
        """Cancel an order that may be alive."""
        known = self.living_order(account)
        if known is None:
            return CancelOrder(account=account, number=OrderNumber(1))
        return CancelOrder(account=account, **self.name_of(known))

    def replacing(self, account: AccountId) -> ReplaceOrder:
        """Cancel one order and place another."""
        return ReplaceOrder(
            cancel=self.cancelling(account),
            place=self.on_terms(self.place(account)),
            place_anyway=self.random.random() < 0.3,
            cancel_anyway=self.random.random() < 0.3,
        )

    def batch(self, account: AccountId) -> Batch:
        """Send several commands as one; in an all-or-none one they mostly can be."""
        count = self.random.choice((1, 2, 3, 3, 5))
        if self.random.random() < 0.45:
            return Batch(
                account=account,
                mode=BatchMode.EACH,
                legs=[self.any_leg(account) for _ in range(count)],
            )
        return Batch(
            account=account,
            mode=BatchMode.ALL_OR_NONE,
            legs=[self.whole_leg(account) for _ in range(count)],
        )

    def any_leg(self, account: AccountId) -> Leg:
        """Return a command that can be in a batch."""
        pick = self.random.random()
        if pick < 0.25:
            return self.cancelling(account)
        return self.amend(account) if pick < 0.45 else self.place(account)

    def whole_leg(self, account: AccountId) -> Leg:
        """Return a command that can be in an all-or-none batch, mostly."""
        pick = self.random.random()
        if pick < 0.03:
            return self.any_leg(account)
        if pick < 0.25:
            return self.cancelling(account)
        known = self.living_order(account)
        if pick < 0.4 and known is not None:
            size = max(1, known.command.size_lots - self.random.randint(0, 4))
            return AmendOrder(account=account, **self.name_of(known), size_lots=size)
        order = self.resting(account)
        return replace(order, limit_ticks=self.far(order)) if self.random.random() < 0.8 else order

    # ---- everything a customer does

    def customer_command(self, line: Line) -> AnyCommand:
        """Do what customers do."""
        account = line.account
        pick = self.random.random()
        if pick < 0.4:
            return self.place(account)
        if pick < 0.48:
            return self.list_of_orders(account)
        if pick < 0.6:
            return self.amend(account)
        if pick < 0.66:
            return self.replacing(account)
        if pick < 0.73:
            return self.batch(account)
        if pick < 0.9:
            crowd = len([1 for owner, _ in self.known if owner == account])
            bound = 15 if self.patient else 4
            return self.cancelling(account) if crowd > bound else self.place(account)
        if pick < 0.95:
            return self.rarely(account)
        if pick < 0.98:
            return self.place(account)
        return super().customer_command(line)

    def rarely(self, account: AccountId) -> AnyCommand:
        """Do what customers do now and then."""
        pick = self.random.random()
        everywhere = self.random.random() < 0.4
        instrument = InstrumentId(0) if everywhere else self.random.choice(self.markets)[0]
        if pick < 0.25:
            side = self.random.choice((None, None, Side.BUY, Side.SELL))
            subs = self.random.random() < 0.5
            return CancelOrders(account=account, instrument=instrument, side=side, sub_accounts=subs)
        if pick < 0.5:
            wait_ns = self.random.choice((0, 0, 1, 3 * SECOND_NS, 10 * SECOND_NS, 60 * SECOND_NS))
            return ArmCountdown(account=account, countdown_ns=wait_ns, instrument=instrument)
        if pick < 0.75:
            mode = self.random.choice((None, *SelfTrade, SelfTrade.TRANSFER))
            return SetSelfTrade(account=account, mode=mode)
        asset = AssetId(self.random.randint(1, 5))
        if pick < 0.83:
            return PayReferral(account=account, asset=asset)
        if pick < 0.87:
            sub = AccountId(1000 + self.random.randrange(40))
            return OpenSubAccount(master=account, account=sub, permissions=self.random.randrange(64))
        giver = account if self.random.random() < 0.7 else self.random.choice(CUSTOMERS)
        taker = self.random.choice(CUSTOMERS)
        amount = self.random.choice((1, 50, 100_000, 10**7))
        return Transfer(giver=giver, taker=taker, asset=asset, amount_atoms=amount)

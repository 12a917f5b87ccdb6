"""Seeded commands about contracts: orders about positions, modes, margin, feeds, rules, switches."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace
from tests.helpers.contract_world import (
    AT_ENTRY,
    CENTRE_TICKS,
    CONTRACTS,
    HEAVY,
    INDICES,
    INVERSE,
    MINUTE_NS,
    SLOPED,
    TIERED,
)
from tests.helpers.spot_wishes import SpotWishes, worded
from tests.helpers.wishes import Line
from tests.helpers.world import BASE, CUSTOMERS, QUOTE, SECOND_NS

from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    FundInsurance,
    IndexQuote,
    ListContract,
    ListIndex,
    MoveMargin,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetKillSwitch,
    SetLeverage,
    SetMark,
)
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    FundingRule,
    IndexId,
    InstrumentId,
    Leg,
    ListKind,
    MarginMode,
    MarkRule,
    OrderKind,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)

ENUMS = (ContractKind, MarginMode, Leg, FundingRule, MarkRule)


def about(order: PlaceOrder, **says: Any) -> PlaceContractOrder:  # noqa: ANN401 - fields of the command
    """Return the same order, so that it can speak of a position."""
    wide = order if isinstance(order, PlaceOrderOnTerms) else worded(order)
    kept = {name: getattr(wide, name) for name in PlaceOrderOnTerms.__struct_fields__}
    return PlaceContractOrder(**(kept | says))


@dataclass
class ContractWishes(SpotWishes):
    """A source of customers' and operators' commands of version 3.

    ``held`` is what positions were last said to have, ``hedged`` who has two of them, ``prices`` the indices;
    ``stormy``: these jump often; ``poor``: nobody insures; ``tight``: little margin, which is used up.
    """

    held: dict[tuple[AccountId, InstrumentId, Leg], int] = field(default_factory=dict)
    hedged: dict[tuple[AccountId, InstrumentId], bool] = field(default_factory=dict)
    prices: dict[IndexId, int] = field(default_factory=dict)
    stormy: bool = False
    poor: bool = False
    tight: bool = False

    # ---- nonsense

    def bend_part(self, part: Any) -> Any:  # noqa: ANN401 - any part of a command
        """Bend one number somewhere within."""
        name = self.random.choice(part.__struct_fields__)
        value = getattr(part, name)
        if isinstance(value, list):
            place = self.random.randrange(len(value))
            bent: Any = [*value[:place], self.bend_part(value[place]), *value[place + 1 :]]
        elif isinstance(value, msgspec.Struct):
            bent = self.bend_part(value)
        else:
            bent = self.odd(value)
        return replace(part, **{name: bent})

    def odd(self, value: object) -> object:
        """Return an unlikely value of the same type."""
        if isinstance(value, ENUMS):
            return self.random.choice(list(type(value)))
        if isinstance(value, msgspec.Struct):
            return self.bend_part(value)
        return super().odd(value)

    # ---- prices

    def listing_of(self, instrument: InstrumentId) -> ListContract | None:
        """Return the listing of a contract, whatever its number is now."""
        for market, template in self.markets:
            if market == instrument:
                return template if isinstance(template, ListContract) else None
        return None

    def middle(self, instrument: InstrumentId) -> int:
        """Return about where a contract trades."""
        listing = self.listing_of(instrument)
        assert listing is not None
        return self.seen.get((instrument, PriceSource.MARK)) or self.prices.get(listing.index, CENTRE_TICKS)

    def scale(self, instrument: InstrumentId) -> int:
        """Return how many ticks one of our prices is in an instrument."""
        if self.listing_of(instrument) is None:
            return super().scale(instrument)
        return max(1, self.middle(instrument) // 80)

    def near(self, instrument: InstrumentId, *, spread: int = 4) -> int:
        """Return a price near the middle."""
        if self.listing_of(instrument) is None:
            return super().near(instrument, spread=spread)
        away = self.random.randint(-spread, spread) * self.scale(instrument)
        return max(0, self.middle(instrument) + away + self.random.randint(-1, 1))

    def far(self, leg: PlaceOrder) -> int:
        """Return a limit at which an order seldom trades at once."""
        if self.listing_of(leg.instrument) is None:
            return super().far(leg)
        away = self.random.randint(2, 8) * self.scale(leg.instrument)
        middle = self.middle(leg.instrument)
        return max(1, middle - away if leg.side == Side.BUY else middle + away)

    # ---- orders

    def place(self, account: AccountId) -> PlaceOrder:
        """Place an order; those in contracts are near their marks and speak of positions."""
        order = super().place(account)
        if self.listing_of(order.instrument) is None:
            return order
        size = order.size_lots if order.size_lots == 0 else self.random.choice((1, 2, 3, 5, 8, 13, 25))
        order = replace(order, size_lots=size)
        if order.limit_ticks:
            order = replace(order, limit_ticks=self.near(order.instrument, spread=3))
        return self.of_position(order)

    def of_position(self, order: PlaceOrder) -> PlaceOrder:
        """Let an order in a contract name its leg, mostly one that there is, and perhaps only reduce."""
        if self.listing_of(order.instrument) is None:
            return order
        hedged = self.hedged.get((order.account, order.instrument), False)
        pick = self.random.random()
        leg = self.random.choice((Leg.LONG, Leg.SHORT)) if hedged else Leg.NET
        if pick < 0.03:
            leg = self.random.choice(tuple(Leg))
        if pick > 0.75:
            return self.reducing(order, leg)
        return about(order, leg=leg) if leg != Leg.NET or pick < 0.2 else order

    def reducing(self, order: PlaceOrder, leg: Leg) -> PlaceContractOrder:
        """Turn an order against what is held, as one that only reduces or that closes."""
        held = self.held.get((order.account, order.instrument, leg), 0)
        side = Side.SELL if held > 0 else Side.BUY
        order = replace(order, side=side if held and self.random.random() < 0.9 else order.side)
        if order.limit_ticks and self.random.random() < 0.15:
            away = order.limit_ticks // 2
            far = order.limit_ticks - away if order.side == Side.SELL else order.limit_ticks + away
            order = replace(order, limit_ticks=far)
        waits = isinstance(order, PlaceOrderOnTerms) and order.terms.trigger is not None
        if waits and order.kind == OrderKind.MARKET and self.random.random() < 0.5:
            return about(order, leg=leg, close_position=True, size_lots=0)
        return about(order, leg=leg, reduce_only=self.random.random() < 0.9)

    def on_terms(self, c: PlaceOrder) -> PlaceOrderOnTerms:
        """Let an order say more, whatever it says of its position."""
        order = super().on_terms(c)
        if isinstance(c, PlaceContractOrder):
            return about(order, leg=c.leg, reduce_only=c.reduce_only)
        return order

    def waiting(self, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
        """Wait for a price, of contracts now and then that of the index."""
        order = super().waiting(order)
        listing = self.listing_of(order.instrument)
        if self.random.random() > (0.03 if listing is None else 0.3):
            return order
        return replace(order, terms=replace(order.terms, trigger_source=PriceSource.INDEX))

    def list_of_orders(self, account: AccountId) -> PlaceOrderList:
        """Place orders that depend on each other; in contracts they mostly protect a position."""
        wish = super().list_of_orders(account)
        if self.listing_of(wish.instrument) is None:
            return wish
        if wish.kind == ListKind.OCO:
            leg = Leg.LONG if self.hedged.get((account, wish.instrument)) else Leg.NET
            reduces = self.random.random() < 0.7
            return replace(wish, legs=[about(order, leg=leg, reduce_only=reduces) for order in wish.legs])
        return replace(wish, legs=[self.worded_leg(order) for order in wish.legs])

    def worded_leg(self, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
        """Return a leg of a list with a word about its position."""
        said = self.of_position(order)
        return said if isinstance(said, PlaceOrderOnTerms) else worded(said)

    def crossing(self, account: AccountId) -> PlaceOrder:
        """Take what is there, or offer it, so that positions come to be."""
        order = super().place(account)
        market = self.a_contract()
        side = self.random.choice(tuple(Side))
        gtc = self.random.random() < 0.6
        limit = self.near(market, spread=2)
        if self.stormy and self.random.random() < 0.15:
            limit = limit * (self.random.randint(60, 85) if side == Side.BUY else 130) // 100
        return self.of_position(
            PlaceOrder(
                account=account,
                instrument=market,
                order=order.order,
                side=side,
                size_lots=self.random.choice((1, 3, 7, 12, 20, 40)),
                limit_ticks=limit,
                time_in_force=TimeInForce.GTC if gtc else TimeInForce.IOC,
            )
        )

    def protecting(self, account: AccountId) -> PlaceContractOrder:
        """Place a stop that closes a position."""
        own = [key for key, lots in self.held.items() if key[0] == account and lots]
        order = super().place(account)
        if not own:
            return about(order, instrument=self.a_contract())
        _, market, leg = self.random.choice(own)
        side = Side.SELL if self.held[account, market, leg] > 0 else Side.BUY
        kind, source = self.random.choice(tuple(TriggerKind)), self.random.choice(tuple(PriceSource))
        on_rise = (kind == TriggerKind.STOP) == (side == Side.BUY)
        trigger = self.trigger(market, source, on_rise=on_rise)
        terms = OrderTerms(trigger=kind, trigger_source=source, trigger_ticks=max(1, trigger))
        return PlaceContractOrder(
            account=account,
            instrument=market,
            order=order.order,
            side=side,
            size_lots=0,
            kind=OrderKind.MARKET,
            time_in_force=self.random.choice((TimeInForce.IOC, TimeInForce.FOK)),
            terms=terms,
            leg=leg,
            close_position=True,
        )

    def fleeing(self, account: AccountId) -> PlaceContractOrder:
        """Close a whole position at market, whatever that brings."""
        order = self.protecting(account)
        lots = abs(self.held.get((account, order.instrument, order.leg), 0))
        return replace(
            order,
            terms=OrderTerms(),
            size_lots=max(1, lots),
            time_in_force=TimeInForce.IOC,
            reduce_only=self.random.random() < 0.7,
            close_position=False,
        )

    # ---- positions and margin

    def a_contract(self) -> InstrumentId:
        """Pick a contract, in a tiny world mostly the first."""
        contracts = [market for market, listing in self.markets if isinstance(listing, ListContract)]
        if self.tiny and self.random.random() < 0.7:
            return contracts[0]
        return self.random.choice(contracts)

    def about_position(self, account: AccountId) -> AnyCommand:
        """Choose leverage or modes, or move margin."""
        market, pick = self.a_contract(), self.random.random()
        hedged = self.hedged.get((account, market), False)
        leg = self.random.choice((Leg.LONG, Leg.SHORT)) if hedged else Leg.NET
        if pick < 0.22:
            leverage = self.random.choice((0, 1, 2, 5, 10, 20, 20, 33, 50, 51))
            return SetLeverage(account=account, instrument=market, leverage=leverage, leg=leg)
        if pick < 0.36:
            mode = self.random.choice(tuple(MarginMode))
            hedge = self.random.random() < 0.3
            return SetContractModes(account=account, instrument=market, margin=mode, hedge=hedge)
        if pick < 0.8:
            if self.random.random() < 0.25:
                amount = self.random.choice((1, 5, 60, 200))
                asset = BASE
            else:
                amount = self.random.choice((1, 60, 150, 400) if self.tight else (1, 100, 900, 4_000, 12_000))
                asset = self.random.choice((QUOTE, QUOTE, QUOTE, QUOTE, AssetId(3)))
            sign = 1 if self.random.random() < 0.55 else -1
            return MoveMargin(account=account, asset=asset, amount_atoms=sign * amount)
        amount = self.random.choice((1, 10, 200, 1_500)) * self.random.choice((1, 1, -1))
        own = [key for key, lots in self.held.items() if key[0] == account and lots]
        if own and self.random.random() < 0.8:
            _, market, leg = self.random.choice(own)
        return AdjustBucket(account=account, instrument=market, amount_atoms=amount, leg=leg)

    def customer_command(self, line: Line) -> AnyCommand:
        """Do what customers do."""
        pick = self.random.random()
        if pick < 0.22:
            return self.crossing(line.account)
        if pick < 0.27:
            return self.protecting(line.account)
        if pick < 0.42:
            return self.about_position(line.account)
        if pick < 0.45:
            return self.fleeing(line.account)
        return super().customer_command(line)

    # ---- what operators and feeds do

    def feed(self) -> AnyCommand:
        """Say what an index's sources say, or a mark from outside: they wander, and sometimes they jump."""
        index = self.random.choice(INDICES)
        price = self.prices.get(index.index, CENTRE_TICKS)
        pick = self.random.random()
        if pick < (0.15 if self.stormy else 0.04):
            price = price * self.random.choice((70, 80, 88, 93, 108, 115, 130)) // 100
        elif pick < 0.6:
            price += self.random.randint(-3, 3)
        elif price > CENTRE_TICKS:
            price -= self.random.randint(0, 3)
        else:
            price += self.random.randint(0, 3)
        price = max(30, min(price, 1_200))
        self.prices[index.index] = price
        fed = [m for m, row in self.markets if isinstance(row, ListContract) and row.index == index.index]
        if index.index == 2 and self.random.random() < 0.5:
            return SetMark(
                instrument=self.random.choice(fed), mark_ticks=max(1, price + self.random.randint(-2, 2))
            )
        return SetIndexSources(index=index.index, quotes=self.quotes(price))

    def quotes(self, price: int) -> list[IndexQuote]:
        """Return what sources say: one may be far off, old, from the future or without weight."""
        rows = []
        for source in range(1, self.random.choice((2, 3, 4, 4, 6))):
            said, weight, age_ns = price + self.random.randint(-1, 1), self.random.randint(1, 3), 0
            pick = self.random.random()
            if pick < 0.05:
                said = price * self.random.choice((80, 110, 130)) // 100
            elif pick < 0.1:
                age_ns = self.random.choice((-2, -1, 9, 10, 15, 25)) * SECOND_NS
            elif pick < 0.13:
                weight = 0
            time_ns = max(0, self.time_ns - age_ns)
            rows.append(IndexQuote(source=source, price_ticks=max(1, said), weight=weight, time_ns=time_ns))
        return rows

    def contract_rules(self) -> SetContractRules:
        """Set a contract's rules: one of the known, with a turn here and there."""
        rules = self.random.choice((TIERED, TIERED, SLOPED, AT_ENTRY, INVERSE))
        if self.tight and self.random.random() < 0.8:
            rules = replace(rules, margin=HEAVY)
        some = self.random.choice
        funding = replace(
            rules.funding,
            rule=some(tuple(FundingRule)),
            interval_ns=MINUTE_NS * some((1, 1, 2, 5)),
            interest_ppb=some((0, 100_000, 3_000_000)),
            cap_ppb=some((200_000, 20_000_000)),
            impact_atoms=some((0, 500, 9_000)),
            weighted=some((True, False)),
            tails_ppm=some((0, 250_000, 499_999)),
        )
        liquidation = replace(
            rules.liquidation,
            penalty_ppm=some((0, 5_000, 9_999, 50_000)),
            buffer_ppm=some((0, 100_000, 1_000_000)),
            step_ppm=some((0, 0, 100_000, 1_000_000)),
            adl_share_ppm=some((1, 250_000, 1_000_000)),
            fund_drawdown_ppm=some((0, 500_000, 1_000_000)),
            fund_step_ppm=some((0, 5_000, 50_000, 1_000_000)),
            hysteresis_ppm=some((0, 50_000, 300_000)),
        )
        margin = replace(rules.margin, at_entry=some((False, False, True)))
        if self.random.random() < 0.08:
            margin = replace(margin, tiers=[*margin.tiers, margin.tiers[0]])
        rules = replace(
            rules,
            margin=margin,
            funding=funding if self.random.random() < 0.4 else rules.funding,
            liquidation=liquidation,
            position_max_lots=some((20, 60, 60)),
            open_interest_max_lots=some((60, 100, rules.open_interest_max_lots)),
            mark_band_ppm=some((0, 20_000, 50_000, 1_000_000)),
        )
        market = self.a_contract()
        listing = self.listing_of(market)
        if listing is not None:
            rules = replace(rules, mark_rule=listing.rules.mark_rule)
        if self.random.random() < 0.06:
            rules = replace(rules, mark_rule=some(tuple(MarkRule)))
        if self.random.random() < 0.04:
            rules = replace(rules, open_interest_max_lots=10**14)
        return SetContractRules(instrument=market, rules=rules)

    def about_contracts(self) -> AnyCommand:
        """Do what operators do about contracts."""
        pick = self.random.random()
        if pick < 0.35:
            return self.contract_rules()
        if pick < 0.55:
            account = self.random.choice((AccountId(0), AccountId(0), *CUSTOMERS))
            market = self.random.choice((InstrumentId(0), self.a_contract(), self.markets[-1][0]))
            market = InstrumentId(0) if account and self.random.random() < 0.95 else market
            return SetKillSwitch(on=self.random.random() < 0.35, account=account, instrument=market)
        if pick < 0.85 and not (self.poor and self.random.random() < 0.8):
            asset, amount = self.random.choice(((QUOTE, 2_000), (QUOTE, 300), (BASE, 15)))
            sign = self.random.choice((1, -1, -1) if self.stormy else (1, 1, -1))
            return FundInsurance(asset=asset, amount_atoms=sign * amount)
        if pick < 0.92:
            number = IndexId(self.random.randint(1, 5))
            decimals = self.random.randint(0, 4)
            return ListIndex(index=number, symbol=f"X{number}", tick_mantissa=1, tick_decimals=decimals)
        name = self.random.randint(5, 16)
        return replace(
            self.random.choice(CONTRACTS),
            instrument=InstrumentId(name),
            symbol=f"C{name}",
            lot_decimals=self.random.randint(0, 7),
            index=IndexId(self.random.randint(1, 3)),
        )

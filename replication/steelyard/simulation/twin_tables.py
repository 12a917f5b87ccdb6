"""The slow exchange's tables: who may ask, who owns what, and which order meets which."""

from steelyard.core.commands import ListAsset
from steelyard.core.entry import Request
from steelyard.core.events import AnyEvent
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentState,
    Leg,
    ListKind,
    MarginMode,
    OrderState,
    Permission,
    RiskLevel,
    SelfTrade,
    Side,
)
from steelyard.simulation.twin_contracts import Contract, Index, Liquidation, Position, Scope
from steelyard.simulation.twin_parts import (
    ALL_PERMISSIONS,
    FIRST_PERMISSIONS,
    MILLION,
    Account,
    Key,
    Market,
    Order,
    OrderList,
    Refusal,
    Session,
    ceil_div,
    refuse_if,
)


class Tables:
    """Everything there is, and what can be said about it without changing it.

    ``owned`` is all that an account has; what its orders and holds need of that is added up whenever it is
    asked for.

    ``margins`` is what margin wallets have, ``switched_off`` the (account, instrument) of kill switches,
    ``peaks`` the (highest atoms, since when) of insurance funds, ``gates`` the assets whose margin wallets
    are closed to withdrawals, with the time at which they open; zero: not known yet.
    """

    def __init__(self) -> None:
        self.group = ""
        self.version = 1
        self.keys: dict[int, Key] = {}
        self.accounts: dict[int, Account] = {}
        self.sessions: dict[int, Session] = {}
        self.sessions_made = 0
        self.assets: dict[int, ListAsset] = {}
        self.markets: dict[int, Market] = {}
        self.orders: list[Order] = []
        self.lists: dict[int, OrderList] = {}
        self.work: list[Order] = []
        self.tiers: dict[tuple[int, int], tuple[int, int]] = {}
        self.countdowns: dict[tuple[int, int], int] = {}
        self.numbers = 0
        self.trades = 0
        self.owned: dict[tuple[int, int], int] = {}
        self.indices: dict[int, Index] = {}
        self.contracts: dict[int, Contract] = {}
        self.margins: dict[tuple[int, int], int] = {}
        self.positions: dict[tuple[int, int, Leg], Position] = {}
        self.modes: dict[tuple[int, int], tuple[MarginMode, bool]] = {}
        self.regarded: list[Order] | None = None
        self.levels: dict[Scope, RiskLevel] = {}
        self.judged: dict[Scope, object] = {}
        self.queue: list[Liquidation] = []
        self.liquidations_made = 0
        self.peaks: dict[int, tuple[int, int]] = {}
        self.gates: dict[int, int] = {}
        self.debts_taken: set[int] = set()
        self.switched_off: set[tuple[int, int]] = set()
        self.time_ns = 0
        self.index = 0
        self.events: list[AnyEvent] = []

    def say(self, event: AnyEvent) -> None:
        """Add to what the present command came to."""
        self.events.append(event)

    def next_number(self) -> int:
        """Take a number from the counter of orders and lists."""
        self.numbers += 1
        return self.numbers

    # ---- who

    @property
    def permissions_known(self) -> int:
        """Every permission that a key can have."""
        return ALL_PERMISSIONS if self.version >= 2 else FIRST_PERMISSIONS

    def in_time_only(self, request: Request) -> None:
        """Refuse what its sender no longer wants."""
        refuse_if(request.not_after_ns != 0 and self.time_ns > request.not_after_ns, Reject.TOO_LATE)

    def operates(self, request: Request) -> bool:
        """Tell whether the request's key is an operator's."""
        return self.keys[request.key].permissions & Permission.OPERATE != 0

    def operator_only(self, request: Request) -> None:
        """Refuse anyone whose key may not operate."""
        self.in_time_only(request)
        refuse_if(not self.operates(request), Reject.NOT_PERMITTED)

    def may(self, request: Request, permission: Permission) -> bool:
        """Tell whether the request's key and the rules of its account both allow something."""
        key = self.keys[request.key]
        allowed = key.permissions
        if key.account in self.accounts:
            allowed &= self.accounts[key.account].permissions
        return allowed & permission != 0

    def asks_for(self, request: Request, account: int, permission: Permission) -> bool:
        """Tell whether the request is made by an account's own key which may do that."""
        return self.keys[request.key].account == account and self.may(request, permission)

    def known(self, *accounts: int) -> None:
        """Refuse accounts that are no customer's."""
        for account in accounts:
            refuse_if(account not in self.accounts, Reject.UNKNOWN_ACCOUNT)

    def trader_only(self, request: Request, account: int) -> None:
        """Refuse anyone whose key may not trade for that account."""
        self.in_time_only(request)
        refuse_if(not self.asks_for(request, account, Permission.TRADE), Reject.NOT_PERMITTED)
        self.known(account)

    def thawed_only(self, *accounts: int) -> None:
        """Refuse accounts that may not act."""
        refuse_if(any(self.accounts[a].legal_hold for a in accounts), Reject.LEGAL_HOLD)
        refuse_if(any(self.accounts[a].frozen for a in accounts), Reject.ACCOUNT_FROZEN)

    def market_of(self, instrument: int) -> Market:
        """Find an instrument, or refuse."""
        market = self.markets.get(instrument)
        if market is None:
            raise Refusal(Reject.UNKNOWN_INSTRUMENT)
        return market

    # ---- money

    def move(self, giver: int, taker: int, asset: int, atoms: int) -> None:
        """Post money from one account to another."""
        self.owned[giver, asset] = self.owned.get((giver, asset), 0) - atoms
        self.owned[taker, asset] = self.owned.get((taker, asset), 0) + atoms

    def held_atoms(self, account: int, asset: int, instead: dict[Order, Order] | None = None) -> int:
        """Add up what an account's orders and holds need: of an OCO, its larger leg.

        Orders count as others where ``instead`` says so.
        """
        held = 0
        if account in self.accounts:
            held += sum(h.amount_atoms for h in self.accounts[account].holds.values() if h.asset == asset)
        larger: dict[int, int] = {}
        for order in self.own(account):
            needs, atoms = self.need((instead or {}).get(order, order))
            if needs != asset:
                continue
            found = self.lists.get(order.list_number)
            if found is not None and found.kind == ListKind.OCO:
                larger[order.list_number] = max(larger.get(order.list_number, 0), atoms)
            else:
                held += atoms
        return held + sum(larger.values())

    def free_atoms(self, account: int, asset: int, instead: dict[Order, Order] | None = None) -> int:
        """Return what an account can spend."""
        return self.owned.get((account, asset), 0) - self.held_atoms(account, asset, instead)

    def lot_need(self, order: Order) -> int:
        """Return what one lot of an order needs."""
        market = self.markets[order.instrument]
        if not order.buying:
            return market.lot_atoms
        cost = order.price * market.k
        return cost + ceil_div(cost * order.cap_ppm, MILLION)

    def need(self, order: Order) -> tuple[int, int]:
        """Return which asset an order holds, and how much of it."""
        spec = self.markets[order.instrument].spec
        asset = spec.quote if order.buying else spec.base
        if order.state == OrderState.PENDING or order.instrument in self.contracts:
            return asset, 0
        if order.terms.budget_atoms:
            return asset, order.budget if order.buying else order.stock * self.lot_need(order)
        return asset, order.open * self.lot_need(order)

    def rates(self, account: int, market: Market) -> tuple[int, int]:
        """Return what an account pays as maker and as taker."""
        tier = self.accounts[account].tier
        listed = (market.spec.maker_ppm, market.spec.taker_ppm)
        if tier == 0:
            return listed
        return self.tiers.get((tier, market.spec.instrument), self.tiers.get((tier, 0), listed))

    # ---- orders

    def own(self, account: int) -> list[Order]:
        """Every living order of an account."""
        return [order for order in self.orders if order.account == account]

    def resting(self, instrument: int) -> list[Order]:
        """Every order of a book, in no useful order."""
        return [o for o in self.orders if o.instrument == instrument and o.resting]

    def makers(self, instrument: int, side: Side, limit: int) -> list[Order]:
        """Return whom an order of ``side`` at ``limit`` would meet: best price first, then oldest number."""
        others = [o for o in self.resting(instrument) if o.side != side]
        if side == Side.BUY:
            return sorted((o for o in others if o.price <= limit), key=lambda o: (o.price, o.number))
        return sorted((o for o in others if o.price >= limit), key=lambda o: (-o.price, o.number))

    def best_opposite(self, instrument: int, side: Side) -> int:
        """Return the best price that an order of ``side`` could meet; zero if nobody is there."""
        prices = [o.price for o in self.resting(instrument) if o.side != side]
        if not prices:
            return 0
        return min(prices) if side == Side.BUY else max(prices)

    def reaches(self, side: Side, limit: int, price: int) -> bool:
        """Tell whether an order of ``side`` at ``limit`` may trade at ``price``; zero is no price."""
        return price > 0 and (price <= limit if side == Side.BUY else price >= limit)

    def crossed(self, instrument: int) -> bool:
        """Tell whether a bid is at or above an ask."""
        ask = self.best_opposite(instrument, Side.BUY)
        return ask > 0 and self.best_opposite(instrument, Side.SELL) >= ask

    def overdue(self, order: Order) -> bool:
        """Tell whether an order's time has come."""
        return 0 < order.terms.expires_ns <= self.time_ns

    def mode(self, order: Order) -> SelfTrade:
        """Return what an order does when it meets one of its own house."""
        own = order.terms.self_trade or self.accounts[order.account].self_trade
        return own or self.markets[order.instrument].rules.self_trade

    def same_house(self, one: Order, other: Order) -> bool:
        """Tell whether two orders should not trade with each other by accident."""
        group = self.accounts[one.account].trade_group
        same_group = group != 0 and group == self.accounts[other.account].trade_group
        return one.account == other.account or same_group

    def must_not_meet(self, maker: Order, taker: Order) -> bool:
        """Tell whether self-trade prevention acts; on the engine's orders it does not."""
        prevents = self.mode(taker) != SelfTrade.NONE and not taker.liquidation
        return prevents and self.same_house(maker, taker)

    # ---- prices

    def cost(self, market: Market, price: int, lots: int) -> int:
        """Return what lots cost at a price; at none, nothing."""
        contract = self.contracts.get(market.spec.instrument)
        if contract is not None:
            return contract.notional(price, lots) if price else 0
        return price * lots * market.k

    def reference(self, market: Market) -> int:
        """Return the price around which bands lie; zero: none."""
        return market.mark or market.last

    def inside(self, centre: int, down_ppm: int, up_ppm: int, price: int) -> bool:
        """Tell whether a price is within a band; a centre or a factor of zero is no bound."""
        if centre == 0:
            return True
        above = down_ppm == 0 or price * MILLION >= centre * down_ppm
        below = up_ppm == 0 or price * MILLION <= centre * up_ppm
        return above and below

    def protected(self, market: Market, side: Side, price: int) -> int:
        """Return a price moved by the market protection against an order of ``side``; of zero, zero."""
        spec = market.spec
        if price == 0:
            return 0
        if side == Side.BUY:
            return min(spec.price_max_ticks, price * (MILLION + spec.market_protection_ppm) // MILLION)
        return max(1, ceil_div(price * (MILLION - spec.market_protection_ppm), MILLION))

    def takes_changes(self, market: Market) -> bool:
        """Tell whether orders of an instrument may be amended now."""
        collecting = market.state == InstrumentState.AUCTION and market.uncross == 0
        return collecting or market.state in (InstrumentState.OPEN, InstrumentState.POST_ONLY)

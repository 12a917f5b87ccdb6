"""The slow exchange's money, books and orders."""

from steelyard.core import limits
from steelyard.core.commands import (
    CancelOrder,
    Deposit,
    ListAsset,
    PlaceOrder,
    Withdraw,
)
from steelyard.core.entry import (
    AnyReply,
    Cancelled,
    Placed,
    Request,
)
from steelyard.core.events import (
    AnyEvent,
    Deposited,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRested,
    Traded,
    Withdrawn,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FEES,
    OMNIBUS,
    InstrumentState,
    OrderKind,
    OrderNumber,
    Permission,
    Side,
    TimeInForce,
    TradeId,
)
from steelyard.simulation.twin_parts import (
    MILLION,
    TOO_BIG,
    Key,
    Market,
    Order,
    Refusal,
    Session,
    ceil_div,
    printable,
    refuse_if,
)


class Trading:
    """Everything there is, and the half of the rules that moves money; ``Twin`` adds the other half."""

    def __init__(self) -> None:
        self.group = ""
        self.version = 1
        self.keys: dict[int, Key] = {}
        self.accounts: list[int] = []
        self.sessions: dict[int, Session] = {}
        self.sessions_made = 0
        self.assets: dict[int, ListAsset] = {}
        self.markets: dict[int, Market] = {}
        self.orders: list[Order] = []
        self.numbers = 0
        self.trades = 0
        self.free: dict[tuple[int, int], int] = {}
        self.held: dict[tuple[int, int], int] = {}
        self.time_ns = 0
        self.index = 0

    # ---- who

    def in_time_only(self, request: Request) -> None:
        """Refuse what its sender no longer wants."""
        refuse_if(request.not_after_ns != 0 and self.time_ns > request.not_after_ns, Reject.TOO_LATE)

    def operator_only(self, request: Request) -> None:
        """Refuse anyone whose key may not operate."""
        self.in_time_only(request)
        refuse_if(not self.keys[request.key].permissions & Permission.OPERATE, Reject.NOT_PERMITTED)

    def trader_only(self, request: Request, account: int) -> None:
        """Refuse anyone whose key may not trade for that account."""
        self.in_time_only(request)
        key = self.keys[request.key]
        refuse_if(not key.permissions & Permission.TRADE or key.account != account, Reject.NOT_PERMITTED)
        refuse_if(account not in self.accounts, Reject.UNKNOWN_ACCOUNT)

    # ---- money

    def move(self, giver: int, taker: int, asset: int, atoms: int) -> None:
        """Post free money from one account to another."""
        self.free[giver, asset] = self.free.get((giver, asset), 0) - atoms
        self.free[taker, asset] = self.free.get((taker, asset), 0) + atoms

    def hold(self, account: int, asset: int, atoms: int) -> None:
        """Move free money to held, or back if negative."""
        self.free[account, asset] = self.free.get((account, asset), 0) - atoms
        self.held[account, asset] = self.held.get((account, asset), 0) + atoms

    def money_checks(self, request: Request, command: Deposit | Withdraw) -> None:
        """Check what deposits and withdrawals have in common."""
        self.operator_only(request)
        refuse_if(command.account not in self.accounts, Reject.UNKNOWN_ACCOUNT)
        refuse_if(command.asset not in self.assets, Reject.UNKNOWN_ASSET)
        refuse_if(not 0 < command.amount_atoms < TOO_BIG, Reject.AMOUNT_OUT_OF_RANGE)

    def deposit(self, request: Request, command: Deposit, events: list[AnyEvent]) -> None:
        """Credit an account against the outside world."""
        self.money_checks(request, command)
        outside = -self.free.get((OMNIBUS, command.asset), 0)
        refuse_if(outside + command.amount_atoms > 2**61, Reject.BALANCE_LIMIT)
        self.move(OMNIBUS, command.account, command.asset, command.amount_atoms)
        events.append(
            Deposited(
                account=command.account,
                asset=command.asset,
                amount_atoms=command.amount_atoms,
                free_atoms=self.free[command.account, command.asset],
            )
        )

    def withdraw(self, request: Request, command: Withdraw, events: list[AnyEvent]) -> None:
        """Pay free funds out to the outside world."""
        self.money_checks(request, command)
        free = self.free.get((command.account, command.asset), 0)
        refuse_if(free < command.amount_atoms, Reject.INSUFFICIENT_FUNDS)
        self.move(command.account, OMNIBUS, command.asset, command.amount_atoms)
        events.append(
            Withdrawn(
                account=command.account,
                asset=command.asset,
                amount_atoms=command.amount_atoms,
                free_atoms=self.free[command.account, command.asset],
            )
        )

    # ---- orders

    def resting(self, instrument: int) -> list[Order]:
        """Every order of a book, in no useful order."""
        return [order for order in self.orders if order.command.instrument == instrument]

    def own(self, account: int) -> list[Order]:
        """Every resting order of an account."""
        return [order for order in self.orders if order.command.account == account]

    def pledge(self, market: Market, side: Side, price: int, lots: int) -> tuple[int, int]:
        """Return which asset an order holds, and how much of it."""
        if side == Side.SELL:
            return market.spec.base, lots * market.lot_atoms
        cap_ppm = max(market.spec.maker_ppm, market.spec.taker_ppm, 0)
        per_lot = price * market.k + ceil_div(price * market.k * cap_ppm, MILLION)
        return market.spec.quote, lots * per_lot

    def makers(self, instrument: int, side: Side, limit: int) -> list[Order]:
        """Return whom an order of ``side`` at ``limit`` would meet: best price first, then oldest number."""
        if side == Side.BUY:
            met = [o for o in self.resting(instrument) if o.command.side == Side.SELL and o.price <= limit]
            return sorted(met, key=lambda o: (o.price, o.number))
        met = [o for o in self.resting(instrument) if o.command.side == Side.BUY and o.price >= limit]
        return sorted(met, key=lambda o: (-o.price, o.number))

    def protection(self, market: Market, command: PlaceOrder) -> int:
        """Return the worst price at which a market order may trade; zero if there is nobody to meet."""
        spec = market.spec
        if command.side == Side.BUY:
            asks = [o.price for o in self.resting(spec.instrument) if o.command.side == Side.SELL]
            if not asks:
                return 0
            return min(spec.price_max_ticks, min(asks) * (MILLION + spec.market_protection_ppm) // MILLION)
        bids = [o.price for o in self.resting(spec.instrument) if o.command.side == Side.BUY]
        if not bids:
            return 0
        return max(1, ceil_div(max(bids) * (MILLION - spec.market_protection_ppm), MILLION))

    def place_checks(self, request: Request, c: PlaceOrder) -> tuple[Market, int]:
        """Check an order; return its market and the worst price at which it may trade."""
        refuse_if(not 0 < c.order < TOO_BIG, Reject.MALFORMED)
        refuse_if(not printable(c.label, limits.LABEL_MAX), Reject.MALFORMED)
        at_market = c.kind == OrderKind.MARKET
        refuse_if(at_market and (c.time_in_force == TimeInForce.GTC or c.limit_ticks != 0), Reject.MALFORMED)
        refuse_if(c.post_only and (at_market or c.time_in_force != TimeInForce.GTC), Reject.MALFORMED)
        self.trader_only(request, c.account)
        market = self.markets.get(c.instrument)
        if market is None:
            raise Refusal(Reject.UNKNOWN_INSTRUMENT)
        trading = market.state == InstrumentState.OPEN
        adding = market.state == InstrumentState.POST_ONLY and c.post_only
        refuse_if(not trading and not adding, Reject.INSTRUMENT_STATE)
        own = self.own(c.account)
        refuse_if(c.order in [o.command.order for o in own], Reject.DUPLICATE_ORDER)
        refuse_if(c.label != "" and c.label in [o.command.label for o in own], Reject.DUPLICATE_LABEL)
        refuse_if(len(own) >= limits.ORDERS_PER_ACCOUNT_MAX, Reject.TOO_MANY_ORDERS)
        refuse_if(len(self.orders) >= limits.ORDERS_MAX, Reject.TOO_MANY_ORDERS)
        spec = market.spec
        refuse_if(not at_market and not 1 <= c.limit_ticks <= spec.price_max_ticks, Reject.PRICE_OUT_OF_RANGE)
        refuse_if(not 1 <= c.size_lots <= spec.size_max_lots, Reject.SIZE_OUT_OF_RANGE)
        too_small = c.limit_ticks * c.size_lots * market.k < spec.notional_min_atoms
        refuse_if(not at_market and too_small, Reject.NOTIONAL_OUT_OF_RANGE)
        limit = self.protection(market, c) if at_market else c.limit_ticks
        would_trade = bool(self.makers(c.instrument, c.side, limit))
        refuse_if(c.post_only and would_trade, Reject.POST_ONLY_WOULD_TRADE)
        asset, atoms = self.pledge(market, c.side, limit, c.size_lots)
        refuse_if(self.free.get((c.account, asset), 0) < atoms, Reject.INSUFFICIENT_FUNDS)
        return market, limit

    def place(self, request: Request, c: PlaceOrder, events: list[AnyEvent]) -> AnyReply:
        """Trade what crosses; rest or expire what is left."""
        market, limit = self.place_checks(request, c)
        self.numbers += 1
        taker = Order(c, self.numbers, limit, c.size_lots)
        events.append(
            OrderAccepted(
                account=c.account,
                instrument=c.instrument,
                order=c.order,
                number=OrderNumber(taker.number),
                side=c.side,
                kind=c.kind,
                time_in_force=c.time_in_force,
                limit_ticks=limit,
                size_lots=c.size_lots,
                label=c.label,
            )
        )
        makers = self.makers(c.instrument, c.side, limit) if limit else []
        if c.time_in_force == TimeInForce.FOK and sum(o.open for o in makers) < c.size_lots:
            makers = []
        atoms = fees = 0
        self.hold(c.account, *self.pledge(market, c.side, limit, c.size_lots))
        for maker in makers:
            if taker.open == 0:
                break
            traded = self.trade(market, maker, taker, events)
            atoms += traded.notional_atoms
            fees += traded.taker_fee_atoms
        executed = c.size_lots - taker.open
        if taker.open and c.time_in_force == TimeInForce.GTC:
            self.orders.append(taker)
            events.append(
                OrderRested(
                    account=c.account,
                    instrument=c.instrument,
                    order=c.order,
                    number=OrderNumber(taker.number),
                    side=c.side,
                    price_ticks=limit,
                    open_lots=taker.open,
                )
            )
        elif taker.open:
            asset, rest = self.pledge(market, c.side, limit, taker.open)
            self.hold(c.account, asset, -rest)
            events.append(
                OrderExpired(
                    account=c.account,
                    instrument=c.instrument,
                    order=c.order,
                    number=OrderNumber(taker.number),
                    open_lots=taker.open,
                    reason=Reject.NO_LIQUIDITY,
                )
            )
        return Placed(
            request=request.request,
            fingerprint=request.fingerprint,
            number=OrderNumber(taker.number),
            executed_lots=executed,
            executed_atoms=atoms,
            fee_atoms=fees,
            open_lots=taker.open if taker in self.orders else 0,
        )

    def trade(self, market: Market, maker: Order, taker: Order, events: list[AnyEvent]) -> Traded:
        """Trade as much as both want, at the maker's price."""
        spec = market.spec
        lots = min(maker.open, taker.open)
        notional = maker.price * lots * market.k
        fees = {}
        for order, rate_ppm in ((maker, spec.maker_ppm), (taker, spec.taker_ppm)):
            charged = ceil_div(notional * rate_ppm, MILLION)
            rebate = notional * -rate_ppm // MILLION
            fees[order.number] = charged if rate_ppm >= 0 else -rebate
        for order in (maker, taker):
            asset, atoms = self.pledge(market, order.command.side, order.price, lots)
            self.hold(order.command.account, asset, -atoms)
            order.open -= lots
        buyer, seller = (taker, maker) if taker.command.side == Side.BUY else (maker, taker)
        self.move(seller.command.account, buyer.command.account, spec.base, lots * market.lot_atoms)
        self.move(buyer.command.account, seller.command.account, spec.quote, notional)
        for order in (maker, taker):
            self.move(order.command.account, FEES, spec.quote, fees[order.number])
        self.trades += 1
        traded = Traded(
            trade=TradeId(self.trades),
            instrument=spec.instrument,
            maker=maker.command.account,
            maker_order=maker.command.order,
            maker_number=OrderNumber(maker.number),
            taker=taker.command.account,
            taker_order=taker.command.order,
            taker_number=OrderNumber(taker.number),
            taker_side=taker.command.side,
            price_ticks=maker.price,
            size_lots=lots,
            notional_atoms=notional,
            maker_fee_atoms=fees[maker.number],
            taker_fee_atoms=fees[taker.number],
            maker_open_lots=maker.open,
            taker_open_lots=taker.open,
        )
        events.append(traded)
        events += [
            OrderFilled(
                account=order.command.account,
                instrument=spec.instrument,
                order=order.command.order,
                number=OrderNumber(order.number),
            )
            for order in (maker, taker)
            if order.open == 0
        ]
        if maker.open == 0:
            self.orders.remove(maker)
        return traded

    def take_out(self, order: Order, events: list[AnyEvent]) -> None:
        """Remove a resting order and give its pledge back."""
        self.orders.remove(order)
        market = self.markets[order.command.instrument]
        asset, atoms = self.pledge(market, order.command.side, order.price, order.open)
        self.hold(order.command.account, asset, -atoms)
        events.append(
            OrderCancelled(
                account=order.command.account,
                instrument=order.command.instrument,
                order=order.command.order,
                number=OrderNumber(order.number),
                open_lots=order.open,
            )
        )

    def cancel(self, request: Request, c: CancelOrder, events: list[AnyEvent]) -> AnyReply:
        """Cancel a resting order, named in exactly one way."""
        names = (c.order != 0) + (c.number != 0) + (c.label != "")
        refuse_if(names != 1, Reject.MALFORMED)
        self.trader_only(request, c.account)
        for order in self.own(c.account):
            named = (order.command.order == c.order, order.number == c.number, order.command.label == c.label)
            if (c.order and named[0]) or (c.number and named[1]) or (c.label and named[2]):
                self.take_out(order, events)
                return Cancelled(
                    request=request.request,
                    fingerprint=request.fingerprint,
                    number=OrderNumber(order.number),
                    open_lots=order.open,
                )
        raise Refusal(Reject.UNKNOWN_ORDER)

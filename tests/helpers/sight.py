"""Everything that can be seen of the fast exchange through its questions, and the same of its slow twin."""

from msgspec.structs import replace

from steelyard.core import Exchange, queries, versions
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OPERATOR_KEY,
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    KeyId,
    ListNumber,
    OrderId,
    OrderNumber,
    SessionId,
    Side,
)
from steelyard.simulation.twin import Twin
from steelyard.simulation.twin_parts import Session, no_rules


def ask(exchange: Exchange, query: queries.AnyQuery) -> queries.AnyAnswer:
    """Ask as the operator, who may know everything."""
    answer = queries.answer(exchange.state, OPERATOR_KEY, query)
    assert not isinstance(answer, Reject), (query, answer)
    return answer


def balances(exchange: Exchange, account: AccountId) -> dict[int, tuple[int, int]]:
    """Return what an account has, as asset -> (free, held), without the zeros."""
    answer = ask(exchange, queries.GetBalances(account=account))
    assert isinstance(answer, queries.Balances)
    return {b.asset: (b.free_atoms, b.held_atoms) for b in answer.balances if b.free_atoms or b.held_atoms}


def open_orders(exchange: Exchange, account: AccountId) -> list[queries.OrderDetail]:
    """Return an account's living orders, by number."""
    answer = ask(exchange, queries.GetOrders(account=account))
    assert isinstance(answer, queries.Orders)
    # Below version 2 it does not matter any more, and snapshots do not hold it.
    known = exchange.state.version >= versions.SPOT_COMPLETE
    return [replace(order, post_only=known and order.post_only) for order in answer.orders]


def account_info(exchange: Exchange, account: AccountId) -> queries.AccountInfo:
    """Return what applies to an account; for margins and positions see ``contract_sight``."""
    answer = ask(exchange, queries.GetAccount(account=account))
    assert isinstance(answer, queries.AccountInfo)
    return replace(answer, margins=[], positions=[])


def lists(exchange: Exchange, account: AccountId) -> list[queries.OrderListInfo]:
    """Return an account's living lists."""
    answer = ask(exchange, queries.GetOrderLists(account=account))
    assert isinstance(answer, queries.OrderLists)
    return answer.lists


def standing(exchange: Exchange, instrument: InstrumentId) -> queries.InstrumentStanding:
    """Return where an instrument stands."""
    answer = ask(exchange, queries.GetInstrument(instrument=instrument))
    assert isinstance(answer, queries.InstrumentStanding)
    return answer


def book(exchange: Exchange, instrument: InstrumentId) -> tuple[list[tuple[int, int, int]], ...]:
    """Return both sides of a book, best first."""
    answer = ask(exchange, queries.GetBook(instrument=instrument, depth=100))
    assert isinstance(answer, queries.Book)
    return answer.bids, answer.asks


def queue(exchange: Exchange, instrument: InstrumentId) -> list[tuple[int, int]]:
    """Return (number, shown lots) of every order in a book: bids, then asks, each in the order of trading."""
    found = exchange.state.markets.instruments[instrument].book.orders()
    return [(order.number, order.shown_lots) for order in found]


def totals(exchange: Exchange) -> list[queries.AssetTotal]:
    """Return where all the money is."""
    answer = ask(exchange, queries.GetTotals())
    assert isinstance(answer, queries.Totals)
    return answer.totals


def tiers(exchange: Exchange) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the rates of every tier."""
    answer = ask(exchange, queries.GetTiers())
    assert isinstance(answer, queries.Tiers)
    return {(row.tier, row.instrument): (row.maker_ppm, row.taker_ppm) for row in answer.tiers}


def session_of(exchange: Exchange, session: Session) -> queries.AnyAnswer:
    """Return where a session stands, and every reply that it keeps."""
    return ask(exchange, queries.GetSession(account=AccountId(session.account), name=session.name))


def everything_but_sessions(exchange: Exchange) -> list[object]:
    """Return all that a refused command must leave alone."""
    asked: list[queries.AnyQuery] = [queries.GetMarkets(), queries.GetTotals(), queries.GetTiers()]
    for number in range(FIRST_CUSTOMER - 1, FIRST_CUSTOMER + 8):
        account = AccountId(number)
        asked.append(queries.GetBalances(account=account))
        asked.append(queries.GetOrders(account=account))
        asked.append(queries.GetAccount(account=account))
        asked.append(queries.GetOrderLists(account=account))
    for number in range(1, 6):
        asked.append(queries.GetBook(instrument=InstrumentId(number), depth=100))
        asked.append(queries.GetInstrument(instrument=InstrumentId(number)))
    asked += [queries.GetKey(key=KeyId(number)) for number in range(12)]
    return [queries.answer(exchange.state, OPERATOR_KEY, query) for query in asked]


# ---- the same of the slow one


def twin_session(number: int, session: Session) -> queries.SessionInfo:
    """Return where a session stands, and every reply that it keeps."""
    return queries.SessionInfo(
        session=SessionId(number),
        last_request=session.last,
        wants_from=session.wants_from,
        replies=[session.replies[request] for request in sorted(session.replies)],
    )


def twin_balances(twin: Twin, account: int) -> dict[int, tuple[int, int]]:
    """Return what an account has, as asset -> (free, held), without the zeros."""
    rows = {
        asset: (twin.free_atoms(account, asset), twin.held_atoms(account, asset)) for asset in twin.assets
    }
    return {asset: row for asset, row in rows.items() if row != (0, 0)}


def twin_orders(twin: Twin, account: int) -> list[queries.OrderDetail]:
    """Return an account's living orders, by number."""
    return [
        queries.OrderDetail(
            instrument=InstrumentId(o.instrument),
            order=OrderId(o.order),
            number=OrderNumber(o.number),
            label=o.label,
            side=o.side,
            kind=o.kind,
            time_in_force=o.time_in_force,
            post_only=twin.version >= versions.SPOT_COMPLETE and o.post_only,
            price_ticks=o.price,
            size_lots=o.size,
            open_lots=o.open,
            shown_lots=o.shown if o.resting else 0,
            prevented_lots=o.prevented,
            state=o.state,
            list_number=ListNumber(o.list_number),
            cap_ppm=o.cap_ppm,
            extreme_ticks=o.extreme,
            terms=o.terms,
            leg=o.leg,
            reduce_only=o.reduce_only,
            close_position=o.close_position,
        )
        for o in sorted(twin.own(account), key=lambda o: o.number)
    ]


def twin_account(twin: Twin, account: int) -> queries.AccountInfo:
    """Return what applies to an account."""
    row = twin.accounts[account]
    return queries.AccountInfo(
        account=AccountId(account),
        master=AccountId(row.master),
        sub_accounts=[AccountId(a) for a, other in twin.accounts.items() if other.master == account],
        permissions=row.permissions,
        trade_group=row.trade_group,
        self_trade=row.self_trade,
        orders=len(twin.own(account)),
        orders_max=row.orders_max,
        order_limits=[
            (InstrumentId(id_), *bounds) for id_, bounds in sorted(row.order_limits.items()) if any(bounds)
        ],
        frozen=row.frozen,
        legal_hold=row.legal_hold,
        holds=[
            queries.HoldInfo(HoldId(id_), hold.asset, hold.amount_atoms, hold.legal)
            for id_, hold in sorted(row.holds.items())
        ],
        tier=row.tier,
        referrer=AccountId(row.referrer),
        share_ppm=row.share_ppm,
        owed=[(AssetId(asset), atoms) for asset, atoms in sorted(row.owed.items())],
        countdowns=[
            (InstrumentId(instrument), due_ns)
            for (armed_by, instrument), due_ns in sorted(twin.countdowns.items())
            if armed_by == account
        ],
        rates=[
            (InstrumentId(id_), *twin.rates(account, market)) for id_, market in sorted(twin.markets.items())
        ],
    )


def twin_lists(twin: Twin, account: int) -> list[queries.OrderListInfo]:
    """Return an account's living lists."""
    return [
        queries.OrderListInfo(
            ListNumber(number),
            InstrumentId(row.legs[0].instrument),
            row.kind,
            [OrderNumber(leg.number) for leg in row.legs],
        )
        for number, row in sorted(twin.lists.items())
        if row.legs[0].account == account
    ]


def twin_standing(twin: Twin, instrument: InstrumentId) -> queries.InstrumentStanding:
    """Return where an instrument stands."""
    market = twin.markets[instrument]
    return queries.InstrumentStanding(
        instrument=instrument,
        state=market.state,
        rules=None if market.rules == no_rules(instrument) else market.rules,
        last_ticks=market.last,
        mark_ticks=market.mark,
        next_state=market.next_state,
        next_ns=market.next_ns,
        uncross_ticks=market.uncross,
        anchor_ticks=market.anchor,
        anchor_ns=market.window_ns,
    )


def twin_book(twin: Twin, instrument: int) -> tuple[list[tuple[int, int, int]], ...]:
    """Return both sides of a book, best first."""
    sides = []
    for side in (Side.BUY, Side.SELL):
        orders = [o for o in twin.resting(instrument) if o.side == side]
        prices = sorted({o.price for o in orders}, reverse=side == Side.BUY)
        level = {price: [o.shown for o in orders if o.price == price] for price in prices}
        sides.append([(price, sum(level[price]), len(level[price])) for price in prices])
    return tuple(sides)


def twin_queue(twin: Twin, instrument: int) -> list[tuple[int, int]]:
    """Return (number, shown lots) of every order in a book: bids, then asks, each in the order of trading."""
    buys, sells = twin.collected(twin.markets[instrument])
    return [(order.number, order.shown) for order in buys + sells]

"""What is asked about one account."""

from itertools import islice

from steelyard.core.accounts import Account, Rules
from steelyard.core.matching import Order, Special
from steelyard.core.queries import positions
from steelyard.core.queries.answers import (
    AccountInfo,
    BalanceInfo,
    Balances,
    Fees,
    HoldInfo,
    OpenOrders,
    OrderDetail,
    OrderInfo,
    OrderListInfo,
    OrderLists,
    Orders,
    SessionInfo,
)
from steelyard.core.queries.questions import GetFees, GetOpenOrders, GetOrders, GetSession
from steelyard.core.rejects import Reject
from steelyard.core.state import State


def session(state: State, account: Account, query: GetSession) -> SessionInfo | Reject:
    """Return where an account's session stands."""
    session = account.sessions.get(query.name)
    if session is None:
        return Reject.UNKNOWN_SESSION
    if session.is_expired(state.time_ns):
        return Reject.SESSION_EXPIRED
    unwanted = max(query.replies_from - session.wants_from, 0)
    replies = list(islice(session.replies, min(unwanted, len(session.replies)), None))
    return SessionInfo(session.session, session.last_request, session.wants_from, replies)


def balances(account: Account) -> Balances:
    """Return what an account owns."""
    return Balances(
        [
            BalanceInfo(asset, balance.free_atoms, balance.held_atoms)
            for asset, balance in sorted(account.balances.items())
            if balance.free_atoms or balance.held_atoms
        ]
    )


def open_orders(state: State, account: Account, query: GetOpenOrders) -> OpenOrders | Reject:
    """Return an account's orders in the book."""
    if query.instrument != 0 and query.instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT
    return OpenOrders(
        [
            OrderInfo(
                order.instrument,
                order.order,
                order.number,
                order.label,
                order.side,
                order.price_ticks,
                order.size_lots,
                order.open_lots,
            )
            for order in sorted(account.orders.values(), key=lambda order: order.number)
            if order.level is not None and query.instrument in (0, order.instrument)
        ]
    )


def info(state: State, account: Account) -> AccountInfo:
    """Return everything that applies to an account."""
    rules = account.rules if account.rules is not None else Rules()
    return AccountInfo(
        account=account.account,
        master=rules.master,
        sub_accounts=list(rules.sub_accounts),
        permissions=rules.permissions,
        trade_group=rules.trade_group,
        self_trade=rules.self_trade,
        orders=len(account.orders),
        orders_max=rules.orders_max,
        order_limits=[(instrument, *limit) for instrument, limit in sorted(rules.order_limits.items())],
        frozen=rules.frozen,
        legal_hold=rules.legal_hold,
        holds=[
            HoldInfo(hold.hold, hold.asset, hold.amount_atoms, hold.legal)
            for _, hold in sorted(rules.holds.items())
        ],
        tier=rules.tier,
        referrer=rules.referrer,
        share_ppm=rules.share_ppm,
        owed=sorted(rules.owed.items()),
        countdowns=[
            (instrument, due_ns)
            for (armed_by, instrument), due_ns in sorted(state.countdowns.items())
            if armed_by == account.account
        ],
        rates=[
            (number, *state.rates(account, instrument))
            for number, instrument in sorted(state.markets.instruments.items())
        ],
        margins=positions.margins(state, account),
        positions=positions.positions(state, account),
    )


def fees(state: State, account: Account, query: GetFees) -> Fees | Reject:
    """Return what an account pays in an instrument."""
    instrument = state.markets.instruments.get(query.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    return Fees(*state.rates(account, instrument))


def orders(state: State, account: Account, query: GetOrders) -> Orders | Reject:
    """Return an account's living orders, wherever they stand."""
    if query.instrument != 0 and query.instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT
    return Orders(
        [
            _detail(state, order)
            for order in sorted(account.orders.values(), key=lambda order: order.number)
            if query.instrument in (0, order.instrument)
        ]
    )


def order_lists(state: State, account: Account) -> OrderLists:
    """Return an account's living lists."""
    numbers = {
        order.special.list_number: None
        for order in account.orders.values()
        if order.special is not None and order.special.list_number != 0
    }
    return OrderLists(
        [
            OrderListInfo(number, found.instrument, found.kind, list(found.legs))
            for number, found in sorted((number, state.lists[number]) for number in numbers)
        ]
    )


def _detail(state: State, order: Order) -> OrderDetail:
    special = order.special
    if special is None:
        special = Special(cap_ppm=state.markets.instruments[order.instrument].cap_ppm)
    return OrderDetail(
        instrument=order.instrument,
        order=order.order,
        number=order.number,
        label=order.label,
        side=order.side,
        kind=special.kind,
        time_in_force=special.time_in_force,
        post_only=order.post_only,
        price_ticks=order.price_ticks,
        size_lots=order.size_lots,
        open_lots=order.open_lots,
        shown_lots=0 if order.level is None else order.shown_lots,
        prevented_lots=special.prevented_lots,
        state=special.state,
        list_number=special.list_number,
        cap_ppm=special.cap_ppm,
        extreme_ticks=special.extreme_ticks,
        terms=special.terms,
        leg=special.leg,
        reduce_only=special.reduce_only,
        close_position=special.close_position,
    )

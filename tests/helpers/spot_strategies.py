"""Hypothesis strategies for commands of version 2: few accounts and prices, and values to be refused."""

from hypothesis import strategies as st
from msgspec.structs import replace
from tests.helpers.spot_wishes import worded
from tests.helpers.strategies import (
    Asks,
    accounts,
    administration,
    assets,
    cancels,
    instruments,
    labels,
    limit_orders,
    market_orders,
    money,
    near,
    order_ids,
)
from tests.helpers.world import CUSTOMERS, FOUNDED_NS, SECOND_NS

from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    HoldFunds,
    OrderTerms,
    PayReferral,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReleaseHold,
    ReplaceOrder,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetFrozen,
    SetInstrumentRules,
    SetInstrumentState,
    SetReferrer,
    SetSelfTrade,
    StartAuction,
    Transfer,
)
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    BatchMode,
    HoldId,
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderKind,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

customers = st.sampled_from(CUSTOMERS)
lots = near(*range(1, 10))
ticks = near(*range(3, 12))
modes = st.sampled_from((None, None, *SelfTrade))
#: Log time moves by a second at most for each entry, and the desk is founded in some twenty.
expiries = st.sampled_from((0, 0, 0, *(FOUNDED_NS + seconds * SECOND_NS for seconds in (1, 15, 20, 40))))

plain_terms = st.builds(
    OrderTerms, expires_ns=expiries, display_lots=st.sampled_from((0, 0, 1, 2)), self_trade=modes
)
waiting_terms = st.builds(
    OrderTerms,
    expires_ns=expiries,
    trigger=st.sampled_from(TriggerKind),
    trigger_source=st.sampled_from((PriceSource.LAST, PriceSource.MARK)),
    trigger_ticks=st.one_of(st.just(0), ticks),
    callback_ppm=st.sampled_from((0, 0, 1, 100_000, 300_000)),
    self_trade=modes,
)


Orders = st.SearchStrategy[PlaceOrderOnTerms]


def on_terms(orders: st.SearchStrategy[PlaceOrder], terms: st.SearchStrategy[OrderTerms]) -> Orders:
    """Let orders say more."""
    return st.tuples(orders, terms).map(lambda drawn: replace(worded(drawn[0]), terms=drawn[1]))


resting_orders = limit_orders.map(
    lambda order: replace(order, time_in_force=TimeInForce.GTC, limit_ticks=1 + order.limit_ticks % 13)
)
by_budget: Orders = st.tuples(limit_orders, near(30_000, 99_999, 250_000)).map(
    lambda drawn: replace(
        worded(drawn[0]),
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
        limit_ticks=0,
        size_lots=0,
        post_only=False,
        terms=OrderTerms(budget_atoms=drawn[1]),
    )
)
sliding: Orders = resting_orders.map(
    lambda order: replace(worded(order), post_only=True, terms=OrderTerms(slide=True))
)

orders_on_terms: Orders = st.one_of(
    on_terms(resting_orders, plain_terms),
    on_terms(limit_orders, waiting_terms),
    on_terms(market_orders, waiting_terms),
    by_budget,
    sliding,
)


def of_one(legs: list[PlaceOrderOnTerms], kind: ListKind) -> PlaceOrderList:
    """Make a list of legs, all of the first one's account and instrument, with ids of their own."""
    first = legs[0]
    same = [
        replace(leg, account=first.account, instrument=first.instrument, order=1 + (first.order + place) % 8)
        for place, leg in enumerate(legs)
    ]
    if kind != ListKind.OTO:
        side = same[-1].side
        same[-2] = replace(same[-2], side=side)
    return PlaceOrderList(account=first.account, instrument=first.instrument, kind=kind, legs=same)


firsts = resting_orders.map(worded)
waiting_orders: Orders = st.one_of(
    on_terms(limit_orders, waiting_terms), on_terms(market_orders, waiting_terms)
)
order_lists = st.one_of(
    st.tuples(firsts, waiting_orders).map(lambda legs: of_one(list(legs), ListKind.OCO)),
    st.tuples(waiting_orders, waiting_orders).map(lambda legs: of_one(list(legs), ListKind.OCO)),
    st.tuples(firsts, orders_on_terms).map(lambda legs: of_one(list(legs), ListKind.OTO)),
    st.tuples(firsts, firsts, waiting_orders).map(lambda legs: of_one(list(legs), ListKind.OTOCO)),
)
amends = st.builds(
    AmendOrder,
    account=customers,
    order=order_ids,
    size_lots=st.sampled_from((0, 0, 1, 2, 5, 9)),
    limit_ticks=st.one_of(st.just(0), ticks),
    trigger_ticks=st.sampled_from((0, 0, 0, 4, 10)),
    callback_ppm=st.sampled_from((0, 0, 0, 200_000)),
    display_lots=st.sampled_from((0, 0, 0, 1, 3)),
    expires_ns=st.sampled_from((0, 0, -1, FOUNDED_NS + 30 * SECOND_NS)),
    new_label=st.one_of(st.none(), st.none(), labels),
)
replaces = st.tuples(cancels, orders_on_terms, st.booleans(), st.booleans()).map(
    lambda drawn: ReplaceOrder(
        cancel=replace(drawn[0], account=drawn[1].account),
        place=drawn[1],
        place_anyway=drawn[2],
        cancel_anyway=drawn[3],
    )
)
legs = st.one_of(cancels, amends, limit_orders, on_terms(resting_orders, plain_terms))
batches = st.tuples(customers, st.sampled_from(BatchMode), st.lists(legs, max_size=4)).map(
    lambda drawn: Batch(
        account=drawn[0], mode=drawn[1], legs=[replace(leg, account=drawn[0]) for leg in drawn[2]]
    )
)
whole_batches = st.tuples(
    customers,
    st.lists(
        st.one_of(
            st.builds(CancelOrder, account=customers, order=order_ids),
            st.builds(AmendOrder, account=customers, order=order_ids, size_lots=st.integers(1, 5)),
            resting_orders,
        ),
        max_size=5,
    ),
).map(
    lambda drawn: Batch(
        account=drawn[0],
        mode=BatchMode.ALL_OR_NONE,
        legs=[replace(leg, account=drawn[0]) for leg in drawn[1]],
    )
)
sweeps = st.one_of(
    st.builds(
        CancelOrders,
        account=customers,
        instrument=st.sampled_from((0, 1)).map(InstrumentId),
        side=st.sampled_from((None, *Side)),
        sub_accounts=st.booleans(),
    ),
    st.builds(ArmCountdown, account=customers, countdown_ns=near(0, 1, 2 * SECOND_NS)),
)
house_rules: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(SetAccountRules, account=accounts, trade_group=near(0, 7), permissions=near(63, 5)),
    st.builds(SetSelfTrade, account=customers, mode=modes),
    st.builds(SetFrozen, account=customers, frozen=st.sampled_from((False, False, True))),
    st.builds(
        SetFeeTier,
        tier=near(1, 2),
        instrument=instruments,
        maker_ppm=near(-100, 0, 300),
        taker_ppm=near(500, 900),
    ),
    st.builds(SetAccountTier, account=customers, tier=near(0, 1, 2)),
    st.builds(SetReferrer, account=customers, referrer=customers, share_ppm=near(0, 200_000, 10**6)),
    st.builds(PayReferral, account=customers, asset=assets),
    st.builds(
        Transfer,
        giver=customers,
        taker=st.sampled_from(CUSTOMERS[2:]),
        asset=assets,
        amount_atoms=near(1, 1000),
    ),
    st.builds(HoldFunds, account=customers, hold=near(1, 2).map(HoldId), asset=assets, amount_atoms=near(7)),
    st.builds(ReleaseHold, account=customers, hold=near(1, 2).map(HoldId)),
)
market_rules: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(
        SetInstrumentRules,
        instrument=st.sampled_from((1, 2)).map(InstrumentId),
        price_step_ticks=near(1, 2),
        size_step_lots=near(1, 2),
        execution_down_ppm=near(0, 800_000),
        execution_up_ppm=near(0, 1_200_000),
        self_trade=st.sampled_from(SelfTrade),
    ),
    st.builds(
        SetInstrumentRules,
        instrument=st.sampled_from((1, 2)).map(InstrumentId),
        halt_ppm=near(150_000),
        halt_window_ns=near(SECOND_NS),
        halt_ns=near(1),
        auction_ns=near(1, SECOND_NS),
    ),
    st.builds(SetInstrumentState, instrument=instruments, state=st.sampled_from(list(InstrumentState)[1:5])),
    st.builds(StartAuction, instrument=instruments, auction_ns=near(1, SECOND_NS)),
)

spot_trading: st.SearchStrategy[AnyCommand] = st.one_of(
    resting_orders,
    limit_orders,
    market_orders,
    orders_on_terms,
    orders_on_terms,
    order_lists,
    cancels,
    amends,
    replaces,
    batches,
    whole_batches,
    sweeps,
)


def asked_by(command: AnyCommand) -> AccountId:
    """Return whose session a command would properly come through."""
    account: AccountId = OPERATOR
    match command:
        case ReplaceOrder():
            account = command.place.account
        case Transfer():
            account = command.giver
        case PlaceOrder() | CancelOrder() | PlaceOrderList() | AmendOrder() | Batch() | CancelOrders():
            account = command.account
        case ArmCountdown() | SetSelfTrade() | PayReferral():
            account = command.account
    return account if account in CUSTOMERS else OPERATOR


def sent(commands: st.SearchStrategy[AnyCommand]) -> st.SearchStrategy[Asks]:
    """Send commands through the proper session, or now and then through another."""
    strangers = st.sampled_from((OPERATOR, *CUSTOMERS))
    return st.tuples(commands, st.integers(0, 19), strangers).map(
        lambda drawn: (drawn[2] if drawn[1] == 19 else asked_by(drawn[0]), drawn[0])
    )


spot_asks: st.SearchStrategy[Asks] = sent(
    st.one_of(spot_trading, spot_trading, spot_trading, money, administration, house_rules, market_rules)
)
spot_trades: st.SearchStrategy[Asks] = sent(spot_trading)

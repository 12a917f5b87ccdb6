"""Hypothesis strategies for commands about contracts: few accounts and prices, and values to be refused."""

from hypothesis import strategies as st
from msgspec.structs import replace
from tests.helpers.contract_wishes import about
from tests.helpers.contract_world import AT_ENTRY, INVERSE, SLOPED, TIERED
from tests.helpers.spot_strategies import (
    asked_by,
    customers,
    of_one,
    on_terms,
    plain_terms,
    spot_asks,
)
from tests.helpers.spot_wishes import worded
from tests.helpers.strategies import Asks, near
from tests.helpers.world import BASE, CUSTOMERS, QUOTE, SECOND_NS

from steelyard.core.commands import (
    AdjustBucket,
    AmendOrder,
    AnyCommand,
    Batch,
    CancelOrder,
    FundInsurance,
    IndexQuote,
    MoveMargin,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetInstrumentState,
    SetKillSwitch,
    SetLeverage,
    SetMark,
)
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    BatchMode,
    IndexId,
    InstrumentId,
    InstrumentState,
    Leg,
    ListKind,
    MarginMode,
    OrderId,
    OrderKind,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)

contracts = near(11, 11, 11, 12, 13, 14).map(InstrumentId)
order_ids = near(*range(1, 25)).map(OrderId)
prices = near(120, 190, 198, 199, 200, 200, 201, 202, 210, 300)
sizes = near(1, 3, 10, 25, 40)
legs = st.sampled_from((Leg.NET, Leg.NET, Leg.NET, Leg.LONG, Leg.SHORT))

waiting_terms = st.builds(
    OrderTerms,
    trigger=st.sampled_from(TriggerKind),
    trigger_source=st.sampled_from(PriceSource),
    trigger_ticks=prices,
    callback_ppm=st.sampled_from((0, 0, 0, 100_000)),
)
limit_orders = st.builds(
    PlaceOrder,
    account=customers,
    instrument=contracts,
    order=order_ids,
    side=st.sampled_from(Side),
    size_lots=sizes,
    limit_ticks=prices,
    time_in_force=st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)),
)
market_orders = st.builds(
    PlaceOrder,
    account=customers,
    instrument=contracts,
    order=order_ids,
    side=st.sampled_from(Side),
    size_lots=sizes,
    kind=st.just(OrderKind.MARKET),
    time_in_force=st.sampled_from((TimeInForce.IOC, TimeInForce.FOK)),
)
plain_orders = st.one_of(limit_orders, limit_orders, market_orders)
waiting_orders = st.one_of(on_terms(limit_orders, waiting_terms), on_terms(market_orders, waiting_terms))
about_positions: st.SearchStrategy[PlaceContractOrder] = st.tuples(
    st.one_of(limit_orders, on_terms(limit_orders, plain_terms), waiting_orders, market_orders),
    legs,
    st.booleans(),
).map(lambda drawn: about(drawn[0], leg=drawn[1], reduce_only=drawn[2]))
closing = st.tuples(on_terms(market_orders, waiting_terms), legs).map(
    lambda drawn: about(drawn[0], leg=drawn[1], size_lots=0, close_position=True)
)
lists = st.one_of(
    st.tuples(limit_orders.map(worded), waiting_orders).map(lambda two: of_one(list(two), ListKind.OCO)),
    st.tuples(limit_orders.map(worded), about_positions).map(lambda two: of_one(list(two), ListKind.OTO)),
    st.tuples(limit_orders.map(worded), limit_orders.map(worded), waiting_orders).map(
        lambda three: of_one(list(three), ListKind.OTOCO)
    ),
)
amends = st.builds(
    AmendOrder,
    account=customers,
    order=order_ids,
    size_lots=st.sampled_from((0, 0, 1, 2, 20)),
    limit_ticks=st.one_of(st.just(0), prices),
)
batches = st.tuples(
    customers,
    st.sampled_from(BatchMode),
    st.lists(
        st.one_of(
            st.builds(CancelOrder, account=customers, order=order_ids),
            st.builds(AmendOrder, account=customers, order=order_ids, size_lots=st.integers(1, 5)),
            limit_orders,
            about_positions,
        ),
        max_size=4,
    ),
).map(
    lambda drawn: Batch(
        account=drawn[0],
        mode=drawn[1],
        legs=[replace(leg, account=drawn[0]) for leg in drawn[2]],
    )
)


trading: st.SearchStrategy[AnyCommand] = st.one_of(
    plain_orders, plain_orders, plain_orders, about_positions, closing, lists, amends, batches
)
choices: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(SetLeverage, account=customers, instrument=contracts, leverage=near(0, 5, 20, 50), leg=legs),
    st.builds(
        SetContractModes,
        account=customers,
        instrument=contracts,
        margin=st.sampled_from(MarginMode),
        hedge=st.booleans(),
    ),
    st.builds(
        MoveMargin,
        account=customers,
        asset=st.sampled_from((BASE, QUOTE)),
        amount_atoms=near(1, 50, 4_000, -1, -50, -4_000),
    ),
    st.builds(
        AdjustBucket, account=customers, instrument=contracts, amount_atoms=near(1, 200, -1, -200), leg=legs
    ),
)
#: What sources say, of the time at which it is handed in.
quotes = st.builds(
    IndexQuote,
    source=st.integers(1, 3),
    price_ticks=near(100, 150, 180, 195, 200, 205, 220, 260),
    weight=near(0, 1, 2, 3),
    time_ns=st.just(0),
)
feeds: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(
        SetIndexSources,
        index=near(1, 1, 2).map(IndexId),
        quotes=st.lists(quotes, max_size=4),
    ),
    st.builds(SetMark, instrument=contracts, mark_ticks=near(100, 150, 180, 198, 200, 202, 230)),
)
decisions: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(
        SetContractRules,
        instrument=contracts,
        rules=st.sampled_from((TIERED, SLOPED, AT_ENTRY, INVERSE)),
    ),
    st.builds(SetKillSwitch, on=st.sampled_from((False, False, True)), account=near(0, *CUSTOMERS)),
    st.builds(
        FundInsurance, asset=st.sampled_from((BASE, QUOTE)), amount_atoms=near(1, 500, -1, -500, -2_000)
    ),
    st.builds(SetInstrumentState, instrument=contracts, state=st.sampled_from(list(InstrumentState)[1:6])),
)


def sent(commands: st.SearchStrategy[AnyCommand]) -> st.SearchStrategy[Asks]:
    """Send commands through the proper session, or now and then through another."""
    strangers = st.sampled_from((OPERATOR, *CUSTOMERS))

    def asker(command: AnyCommand) -> AccountId:
        if isinstance(command, SetLeverage | SetContractModes | MoveMargin | AdjustBucket):
            return command.account
        return asked_by(command)

    return st.tuples(commands, st.integers(0, 19), strangers).map(
        lambda drawn: (drawn[2] if drawn[1] == 19 else asker(drawn[0]), drawn[0])
    )


contract_asks: st.SearchStrategy[Asks] = st.one_of(
    sent(trading),
    sent(plain_orders),
    sent(plain_orders),
    sent(trading),
    sent(choices),
    sent(feeds),
    sent(decisions),
    spot_asks,
)


def dated(command: AnyCommand, time_ns: int) -> AnyCommand:
    """Let the quotes of a feed be of a time, one of them a little older."""
    if not isinstance(command, SetIndexSources):
        return command
    ages_ns = (0, 4 * SECOND_NS, 0, 0)
    quotes = [
        replace(quote, time_ns=time_ns - age_ns)
        for quote, age_ns in zip(command.quotes, ages_ns, strict=False)
    ]
    return replace(command, quotes=quotes)


def fresh(index: int, time_ns: int) -> SetIndexSources:
    """Return a feed that says what everybody expects."""
    quote = IndexQuote(source=9, price_ticks=200, weight=1, time_ns=time_ns)
    return SetIndexSources(index=IndexId(index), quotes=[quote])

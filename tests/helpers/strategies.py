"""Hypothesis strategies for commands: few accounts and prices, small sizes, and values to be refused."""

from hypothesis import strategies as st
from tests.helpers.world import CUSTOMERS, EXTREMES, MARKETS, ODD_BYTES, ODD_TEXTS, PRICE_MAX

from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    CreateApiKey,
    Deposit,
    ListAsset,
    ListInstrument,
    OpenAccount,
    PlaceOrder,
    RevokeApiKey,
    SetInstrumentState,
    Skip,
    Withdraw,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
)

Asks = tuple[AccountId, AnyCommand]
"""A command, and the account through whose session it is sent."""


def near(*likely: int) -> st.SearchStrategy[int]:
    """Draw a likely number, or now and then an extreme one."""
    return st.integers(0, 19).flatmap(lambda roll: st.sampled_from(EXTREMES if roll == 19 else likely))


accounts = near(*CUSTOMERS).map(AccountId)
assets = near(1, 2, 3, 4, 5).map(AssetId)
instruments = near(*(listing.instrument for listing in MARKETS)).map(InstrumentId)
prices = near(*range(1, PRICE_MAX + 1), 9 * 10**8)
sizes = near(*range(1, 10), 10**8)
order_ids = near(*range(1, 9)).map(OrderId)
labels = st.one_of(st.just(""), st.just(""), st.sampled_from(("a", "b")), st.sampled_from(ODD_TEXTS))

limit_orders = st.builds(
    PlaceOrder,
    account=st.sampled_from(CUSTOMERS),
    instrument=instruments,
    order=order_ids,
    side=st.sampled_from(Side),
    size_lots=sizes,
    limit_ticks=prices,
    time_in_force=st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)),
    post_only=st.sampled_from((False, False, False, True)),
    label=labels,
)
market_orders = st.builds(
    PlaceOrder,
    account=st.sampled_from(CUSTOMERS),
    instrument=instruments,
    order=order_ids,
    side=st.sampled_from(Side),
    size_lots=sizes,
    limit_ticks=near(0),
    kind=st.just(OrderKind.MARKET),
    time_in_force=st.sampled_from(TimeInForce),
)
cancels = st.one_of(
    st.builds(CancelOrder, account=st.sampled_from(CUSTOMERS), order=order_ids),
    st.builds(CancelOrder, account=accounts, number=near(*range(1, 30)).map(OrderNumber)),
    st.builds(CancelOrder, account=accounts, label=labels),
    st.builds(CancelOrder, account=accounts, order=order_ids, number=near(1).map(OrderNumber), label=labels),
)
money = st.one_of(
    st.builds(Deposit, account=accounts, asset=assets, amount_atoms=near(1, 7, 1000, 300_000)),
    st.builds(Withdraw, account=accounts, asset=assets, amount_atoms=near(1, 7, 1000, 300_000)),
)
administration: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(SetInstrumentState, instrument=instruments, state=st.sampled_from(InstrumentState)),
    st.builds(OpenAccount, account=near(*CUSTOMERS, 1004, 999).map(AccountId)),
    st.builds(
        CreateApiKey,
        account=near(*CUSTOMERS, OPERATOR).map(AccountId),
        public_key=st.sampled_from(ODD_BYTES),
        permissions=near(1, 3, 31),
        expires_ns=near(0),
    ),
    st.builds(RevokeApiKey, key=near(6, 7, 8).filter(lambda key: key != 1).map(KeyId)),
    st.builds(Skip, reason=st.sampled_from(Reject)),
    st.builds(ListAsset, asset=assets, symbol=st.sampled_from(ODD_TEXTS), decimals=near(0, 8)),
    st.builds(
        ListInstrument,
        instrument=near(1, 2, 3, 4).map(InstrumentId),
        symbol=st.sampled_from(ODD_TEXTS),
        base=assets,
        quote=assets,
        tick_mantissa=near(1, 3),
        tick_decimals=near(0, 2),
        lot_mantissa=near(1, 10),
        lot_decimals=near(0, 1),
        price_max_ticks=near(10, 10**6),
        size_max_lots=near(10, 10**6),
        notional_min_atoms=near(0, 100),
        maker_ppm=near(-100, 0, 500),
        taker_ppm=near(0, 1000),
        market_protection_ppm=near(0, 50_000),
    ),
)

trading: st.SearchStrategy[AnyCommand] = st.one_of(limit_orders, limit_orders, market_orders, cancels)


def sender(command: AnyCommand) -> AccountId:
    """Return whose session a command would properly come through."""
    if isinstance(command, PlaceOrder | CancelOrder) and command.account in CUSTOMERS:
        return command.account
    return OPERATOR


def sent(commands: st.SearchStrategy[AnyCommand]) -> st.SearchStrategy[Asks]:
    """Send commands through the proper session, or now and then through another."""
    strangers = st.sampled_from((OPERATOR, *CUSTOMERS))
    return st.tuples(commands, st.integers(0, 19), strangers).map(
        lambda drawn: (drawn[2] if drawn[1] == 19 else sender(drawn[0]), drawn[0])
    )


asks: st.SearchStrategy[Asks] = sent(st.one_of(trading, trading, trading, money, administration))
trades: st.SearchStrategy[Asks] = sent(trading)

"""What clients ask for: few accounts, few prices, small sizes, and a share of nonsense."""

import random
from collections.abc import Iterable, Iterator
from typing import Final

from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    CreateApiKey,
    Deposit,
    ListAsset,
    ListInstrument,
    OpenAccount,
    PlaceOrder,
    SetInstrumentState,
    Withdraw,
)
from steelyard.core.queries import (
    AnyQuery,
    GetAccount,
    GetBalances,
    GetBook,
    GetContracts,
    GetOpenOrders,
    GetSession,
    GetTotals,
)
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OPERATOR,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    OrderId,
    OrderKind,
    Side,
    TimeInForce,
)

BTC: Final = AssetId(1)
USD: Final = AssetId(2)
MARKET: Final = InstrumentId(1)
PERMISSIONS: Final = 47
"""Everything but to operate: traders feed prices, too."""
_CENTRE_TICKS: Final = 100
_SPREAD_TICKS: Final = 6


def account_of(trader: int) -> AccountId:
    """Return the account of a trader, numbered from zero."""
    return AccountId(FIRST_CUSTOMER + trader)


def setup(traders: int, more: Iterable[AnyCommand] = ()) -> Iterator[AnyCommand]:
    """Yield what the operator does first: one market and ``more``, accounts with money and a key each."""
    yield ListAsset(asset=BTC, symbol="BTC", decimals=8)
    yield ListAsset(asset=USD, symbol="USD", decimals=2)
    yield ListInstrument(
        instrument=MARKET,
        symbol="BTC/USD",
        base=BTC,
        quote=USD,
        tick_mantissa=1,
        tick_decimals=0,
        lot_mantissa=1,
        lot_decimals=2,
        price_max_ticks=1_000_000,
        size_max_lots=10_000,
        notional_min_atoms=1,
        maker_ppm=333,
        taker_ppm=777,
    )
    yield SetInstrumentState(instrument=MARKET, state=InstrumentState.POST_ONLY)
    yield SetInstrumentState(instrument=MARKET, state=InstrumentState.OPEN)
    yield from more
    for trader in range(traders):
        account = account_of(trader)
        yield OpenAccount(account=account)
        yield Deposit(account=account, asset=USD, amount_atoms=50_000)
        yield Deposit(account=account, asset=BTC, amount_atoms=500_000_000)
        yield CreateApiKey(account=account, public_key=bytes([trader]) * 32, permissions=PERMISSIONS)


def operator_wish(rng: random.Random, traders: int) -> AnyCommand:
    """Return what an operator asks for while trading goes on."""
    dice = rng.random()
    account = account_of(rng.randrange(traders + 1))
    if dice < 0.75:
        return Deposit(account=account, asset=rng.choice((BTC, USD)), amount_atoms=rng.randrange(-1, 40_000))
    if dice < 0.85:
        return SetInstrumentState(
            instrument=MARKET, state=rng.choice((InstrumentState.HALTED, InstrumentState.OPEN))
        )
    if dice < 0.95:
        return SetInstrumentState(instrument=MARKET, state=InstrumentState.OPEN)
    return OpenAccount(account=account)


def trader_wish(rng: random.Random, trader: int, number: int) -> AnyCommand:
    """Return what a trader asks for."""
    dice = rng.random()
    account = account_of(trader)
    if dice < 0.60:
        return _order(rng, account, number)
    if dice < 0.85:
        return CancelOrder(account=account, order=OrderId(max(1, number - rng.randrange(1, 12))))
    if dice < 0.95:
        return Withdraw(account=account, asset=rng.choice((BTC, USD)), amount_atoms=rng.randrange(0, 4_000))
    return _nonsense(rng, account)


def question(rng: random.Random, traders: int) -> tuple[int | None, AnyQuery]:
    """Return a question, and the trader whose key asks it; None: the operator's."""
    trader = rng.randrange(traders)
    account = account_of(trader)
    match rng.randrange(7):
        case 0:
            return trader, GetBalances(account=account)
        case 1:
            return trader, GetOpenOrders(account=account)
        case 2:
            return trader, GetBook(instrument=MARKET, depth=5)
        case 3:
            return None, GetTotals()
        case 4:
            return trader, GetAccount(account=account)
        case 5:
            return trader, GetContracts()
        case _:
            return trader, GetSession(account=account, name="main")


def _order(rng: random.Random, account: AccountId, number: int) -> PlaceOrder:
    kind = OrderKind.MARKET if rng.random() < 0.1 else OrderKind.LIMIT
    is_market = kind is OrderKind.MARKET
    force = rng.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
    if is_market and force is TimeInForce.GTC:
        force = TimeInForce.IOC
    return PlaceOrder(
        account=account,
        instrument=MARKET,
        order=OrderId(number),
        side=rng.choice((Side.BUY, Side.SELL)),
        size_lots=rng.randrange(1, 6),
        limit_ticks=0 if is_market else _CENTRE_TICKS + rng.randrange(-_SPREAD_TICKS, _SPREAD_TICKS + 1),
        kind=kind,
        time_in_force=force,
        post_only=force is TimeInForce.GTC and rng.random() < 0.15,
    )


def _nonsense(rng: random.Random, account: AccountId) -> AnyCommand:
    match rng.randrange(6):
        case 0:
            return Deposit(account=account, asset=USD, amount_atoms=10**6)
        case 1:
            return PlaceOrder(
                account=AccountId(account + 1),
                instrument=MARKET,
                order=OrderId(1),
                side=Side.BUY,
                size_lots=1,
                limit_ticks=_CENTRE_TICKS,
            )
        case 2:
            return PlaceOrder(
                account=account,
                instrument=InstrumentId(99),
                order=OrderId(-1),
                side=Side.SELL,
                size_lots=2**63,
                limit_ticks=-5,
            )
        case 3:
            return Withdraw(account=account, asset=AssetId(7), amount_atoms=1)
        case 4:
            return CancelOrder(account=account)
        case _:
            return Deposit(account=OPERATOR, asset=BTC, amount_atoms=0)

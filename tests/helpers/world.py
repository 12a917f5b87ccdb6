"""The small world in which traffic moves: its accounts, its markets, and what is odd in it."""

from typing import Final

from steelyard.core.commands import (
    AnyCommand,
    CreateApiKey,
    Deposit,
    ListAsset,
    ListInstrument,
    OpenAccount,
    SetInstrumentState,
)
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    Permission,
)

CUSTOMERS: Final = tuple(AccountId(1000 + n) for n in range(4))
BASE: Final = AssetId(1)
QUOTE: Final = AssetId(2)
OTHER: Final = AssetId(3)
HEAVY: Final = AssetId(4)
MONEY: Final = AssetId(5)
#: What each customer has at first; of the last, four times as much is all that there may be.
FUNDS: Final = ((BASE, 5_000), (QUOTE, 800_000), (OTHER, 60), (HEAVY, 2 * 10**9), (MONEY, 2**59))

PRICE_MAX: Final = 14
#: One market with a rebate, one whose two fees both cost, their products never dividing evenly; and one
#: that reaches every bound on money at once.
MARKETS: Final = (
    ListInstrument(
        instrument=InstrumentId(1),
        symbol="BTC-USD",
        base=BASE,
        quote=QUOTE,
        tick_mantissa=3,
        tick_decimals=2,
        lot_mantissa=1,
        lot_decimals=1,
        price_max_ticks=PRICE_MAX,
        size_max_lots=12,
        notional_min_atoms=30_000,
        maker_ppm=-100,
        taker_ppm=750,
        market_protection_ppm=200_000,
    ),
    ListInstrument(
        instrument=InstrumentId(2),
        symbol="ETH-USD",
        base=OTHER,
        quote=QUOTE,
        tick_mantissa=7,
        tick_decimals=5,
        lot_mantissa=1,
        lot_decimals=0,
        price_max_ticks=PRICE_MAX,
        size_max_lots=12,
        notional_min_atoms=0,
        maker_ppm=2_000,
        taker_ppm=1_000,
    ),
    ListInstrument(
        instrument=InstrumentId(3),
        symbol="HVY-MNY",
        base=HEAVY,
        quote=MONEY,
        tick_mantissa=1,
        tick_decimals=0,
        lot_mantissa=1,
        lot_decimals=0,
        price_max_ticks=10**9,
        size_max_lots=10**9,
        notional_min_atoms=10,
        maker_ppm=-99_999,
        taker_ppm=100_000,
        market_protection_ppm=333_333,
    ),
)
SECOND_NS: Final = 10**9
DAY_NS: Final = 86_400 * SECOND_NS
FOUNDED_NS: Final = 1_700_000_000 * SECOND_NS

EXTREMES: Final = (0, -1, 1, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**64 - 1, -(2**62), -(2**63))
ODD_TEXTS: Final = (
    "",
    " ",
    "a",
    "B1",
    "x" * 36,
    "x" * 37,
    "x" * 65,
    "x" * 4096,
    "é",
    "\x00",
    "\x7f",
    "\U0001d7d9",
)
ODD_BYTES: Final = (b"", bytes(31), bytes(32), bytes(33))
ALL_PERMISSIONS: Final = (
    Permission.READ,
    Permission.TRADE,
    Permission.READ | Permission.TRADE,
    Permission.READ | Permission.TRADE | Permission.OPERATE,
)


def opening(instrument: InstrumentId) -> list[AnyCommand]:
    """Return the moves that open a fresh instrument."""
    return [
        SetInstrumentState(instrument=instrument, state=state)
        for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN)
    ]


def listings() -> list[AnyCommand]:
    """Return the commands that make the small world, in order."""
    return [
        ListAsset(asset=BASE, symbol="BTC", decimals=3),
        ListAsset(asset=QUOTE, symbol="USD", decimals=6),
        ListAsset(asset=OTHER, symbol="ETH", decimals=0),
        ListAsset(asset=HEAVY, symbol="HVY", decimals=0),
        ListAsset(asset=MONEY, symbol="MNY", decimals=0),
        *[command for listing in MARKETS for command in (listing, *opening(listing.instrument))],
        *[OpenAccount(account=account) for account in CUSTOMERS],
        *[
            CreateApiKey(account=account, public_key=bytes(32), permissions=3, expires_ns=0)
            for account in CUSTOMERS
        ],
        *[
            Deposit(account=account, asset=asset, amount_atoms=atoms)
            for account in CUSTOMERS
            for asset, atoms in FUNDS
        ],
    ]

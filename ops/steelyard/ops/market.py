"""Makes something to trade: assets, an instrument that is open, funded accounts and their keys."""

from collections.abc import Container, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from steelyard.client import ApiKey, Client, Instrument, InstrumentState, Permission
from steelyard.client.admin import Admin
from steelyard.client.errors import Rejected
from steelyard.ops.cluster import LocalGroup

#: An asset has at least so many decimals, so that fees of small orders are whole atoms.
ASSET_DECIMALS: Final = 8
#: The bound that the exchange sets on price · size in atoms, and on size in atoms of the base.
NOTIONAL_MAX_ATOMS: Final = 10**18
FIRST_ACCOUNT: Final = 1000
MAKER_PPM: Final = 100
TAKER_PPM: Final = 400
#: Two accounts of a market are funded with so much of each asset; all deposits of an asset stay below 2**61.
FUNDS_ATOMS: Final = 10**18

DEVELOPMENT_KEYS: Final = ("alice", "bob")


class MarketPlan(NamedTuple):
    """What is to be traded, by whom: an account and a key are made for each name."""

    base: str
    quote: str
    price_decimals: int
    size_decimals: int
    price_max_ticks: int
    accounts: Sequence[str]


class OpenedMarket(NamedTuple):
    """An open market and the keys of those who trade on it."""

    targets: Sequence[str]
    instrument: Instrument
    keys: dict[str, ApiKey]

    def client(self, name: str) -> Client:
        """Return a client with one of the keys, to be entered with ``async with``."""
        return Client(self.targets, self.keys[name])


async def open_market(group: LocalGroup, operator: Client, plan: MarketPlan) -> OpenedMarket:
    """List an instrument nobody has traded yet, open it, and fund the accounts.

    Names that are taken get a number, so that a group that lives on can be used again.

    Raises:
        Rejected: The exchange does not want such a market.

    """
    admin = await operator.admin("steelyard")
    assets = await operator.assets()
    instruments = await operator.instruments()
    next_asset = 1 + max((asset.asset for asset in assets.values()), default=0)
    base_symbol, quote_symbol = _free(plan.base, assets), _free(plan.quote, assets)
    base_decimals = max(ASSET_DECIMALS, plan.size_decimals)
    quote_decimals = max(ASSET_DECIMALS, plan.price_decimals + plan.size_decimals)
    await admin.list_asset(next_asset, base_symbol, base_decimals)
    await admin.list_asset(next_asset + 1, quote_symbol, quote_decimals)

    number = 1 + max((instrument.instrument for instrument in instruments.values()), default=0)
    symbol = f"{base_symbol}-{quote_symbol}"
    tick_lot_atoms = 10 ** (quote_decimals - plan.price_decimals - plan.size_decimals)
    lot_atoms = 10 ** (base_decimals - plan.size_decimals)
    await admin.list_instrument(
        number,
        symbol,
        next_asset,
        next_asset + 1,
        tick=Decimal(1).scaleb(-plan.price_decimals),
        lot=Decimal(1).scaleb(-plan.size_decimals),
        price_max_ticks=plan.price_max_ticks,
        size_max_lots=NOTIONAL_MAX_ATOMS // max(tick_lot_atoms * plan.price_max_ticks, lot_atoms),
        maker_ppm=MAKER_PPM,
        taker_ppm=TAKER_PPM,
    )
    for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN):
        await admin.set_instrument_state(number, state)

    keys: dict[str, ApiKey] = {}
    next_account = FIRST_ACCOUNT
    for name in plan.accounts:
        account = await _open_account(admin, next_account)
        next_account = account + 1
        for asset in (next_asset, next_asset + 1):
            await admin.deposit(account, asset, 2 * FUNDS_ATOMS // max(2, len(plan.accounts)))
        key = ApiKey.generate()
        permissions = Permission.READ | Permission.TRADE | Permission.TRANSFER
        keys[name] = key.with_id(await admin.create_api_key(account, key.public_key, permissions), account)
    return OpenedMarket(group.endpoints, await operator.instrument(symbol), keys)


async def open_development_market(group: LocalGroup, operator: Client) -> None:
    """Open BTC-USDT for two funded accounts, and keep their keys beside the operator's."""
    plan = MarketPlan("BTC", "USDT", 2, 5, 100_000_000, DEVELOPMENT_KEYS)
    opened = await open_market(group, operator, plan)
    for name, key in opened.keys.items():
        key.write(group.key_path(name))


async def _open_account(admin: Admin, first: int) -> int:
    """Open the first free account from ``first`` on; return its id."""
    account = first
    while True:
        try:
            await admin.open_account(account)
        except Rejected as error:
            if error.reason != "ACCOUNT_EXISTS":
                raise
            account += 1
        else:
            return account


def _free(symbol: str, taken: Container[str]) -> str:
    """Return ``symbol``, or the first of ``symbol.2``, ``symbol.3`` … that is not taken."""
    number = 1
    free = symbol
    while free in taken:
        number += 1
        free = f"{symbol}.{number}"
    return free

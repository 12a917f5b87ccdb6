"""``steelyard account``: what an account is, has open, and may move."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
from rich.markup import escape
from rich.table import Table

from steelyard.client import AccountInfo, Client, Instrument, OrderTerms, Permission, RestingOrder
from steelyard.client.commands import Command, OpenSubAccount, PayReferral, SetSelfTrade, Transfer
from steelyard.ops import words
from steelyard.ops.account_margin import COMMANDS
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.ops.market_cli import statement
from steelyard.ops.options import as_json, data_directory
from steelyard.ops.order_options import MODES, NUMBER, mode_of
from steelyard.ops.terminal import Terminal
from steelyard.ops.trade import finish, run, submit, trading

PERMISSIONS: Final = tuple(permission.name.lower() for permission in Permission)


class Permissions(click.ParamType[int]):
    """Permissions by name, such as "read,trade"; "all" of a customer's, "none"."""

    name = "permissions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - as click has it
        """Return their sum."""
        if isinstance(value, int):
            return value
        if value == "none":
            return 0
        if value == "all":
            return sum(Permission) & ~Permission.OPERATE
        names = value.split(",")
        if unknown := [name for name in names if name not in PERMISSIONS]:
            self.fail(f"no permission {unknown[0]!r}; there are {', '.join(PERMISSIONS)}.", param, ctx)
        return sum({Permission[name.upper()] for name in names})


PERMISSION_NAMES: Final = Permissions()

of_account = click.option("--account", type=click.IntRange(1), help="Another one than the key's own.")


@click.group("account")
def account() -> None:
    """Look at an account, and do what its owner may."""


account.add_command(statement)
for _command in COMMANDS:
    account.add_command(_command)


@account.command("show")
@of_account
@click.option("--key", default="alice", show_default=True, help="Whose key, in the group's folder.")
@data_directory
@as_json
def show(account: int | None, key: str, directory: Path, as_json: bool) -> None:
    """Show balances, family, rules, holds, fees and countdowns."""

    async def ask() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as client:
            info = await client.account(account)
            balances = await client.balances(account)
            assets = {each.asset: each for each in (await client.assets()).values()}
            instruments = {each.instrument: each for each in (await client.instruments()).values()}
        return _shown(info, instruments) | {
            "balances": [
                {"asset": row.asset.symbol, "free": str(row.free), "held": str(row.held)} for row in balances
            ],
            "holds": [
                {
                    "hold": row.hold,
                    "asset": assets[row.asset].symbol,
                    "amount": str(assets[row.asset].amount(row.amount_atoms)),
                    "legal": row.legal,
                }
                for row in info.holds
            ],
            "owed": {
                assets[asset].symbol: str(assets[asset].amount(atoms)) for asset, atoms in info.owed.items()
            },
        }

    found = run(ask())
    finish(Terminal(as_json=as_json), found, _account_table(found))


@account.command("orders")
@click.argument("symbol", required=False)
@of_account
@click.option("--key", default="alice", show_default=True, help="Whose key, in the group's folder.")
@data_directory
@as_json
def orders(symbol: str | None, account: int | None, key: str, directory: Path, as_json: bool) -> None:
    """Show the living orders, of SYMBOL or of all instruments, those that wait included."""

    async def ask() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as client:
            instruments = {each.instrument: each for each in (await client.instruments()).values()}
            instrument = None if symbol is None else await client.instrument(symbol)
            rows = await client.open_orders(account, instrument)
        return {
            "log_index": rows.log_index,
            "orders": [_order(row, instruments[row.instrument]) for row in rows],
            "ok": True,
        }

    found = run(ask())
    finish(Terminal(as_json=as_json), found, _orders_table(found))


@account.command("transfer")
@click.argument("asset")
@click.argument("amount", type=NUMBER)
@click.option("--to", "taker", type=click.IntRange(1), help="Who gets it; the key's own account if left out.")
@click.option("--from", "giver", type=click.IntRange(1), help="Who gives it; the key's own if left out.")
@trading
def transfer(
    asset: str,
    amount: Decimal,
    taker: int | None,
    giver: int | None,
    key: str,
    directory: Path,
    as_json: bool,
) -> None:
    """Move free funds within the family of accounts."""

    async def make(client: Client, _: Instrument | None) -> Command:
        found = await _asset(client, asset)
        return Transfer(found.asset, found.atoms(amount), giver or 0, taker or 0)

    submit(directory, key, None, make, as_json=as_json)


@account.command("open-sub")
@click.argument("number", metavar="ACCOUNT", type=click.IntRange(1000))
@click.option("--permissions", type=PERMISSION_NAMES, default="all", help="What any of its keys may do.")
@trading
def open_sub(number: int, permissions: int, key: str, directory: Path, as_json: bool) -> None:
    """Open ACCOUNT as a sub-account of the key's own."""

    async def make(_: Client, __: Instrument | None) -> Command:
        return OpenSubAccount(number, permissions)

    submit(directory, key, None, make, as_json=as_json)


@account.command("self-trade")
@click.argument("mode", type=click.Choice([*MODES.choices, "default"]))
@trading
def self_trade(mode: str, key: str, directory: Path, as_json: bool) -> None:
    """Choose what orders do that do not say; "default": what the instrument says."""
    chosen = None if mode == "default" else mode_of(mode)

    async def make(_: Client, __: Instrument | None) -> Command:
        return SetSelfTrade(chosen or 0)

    submit(directory, key, None, make, as_json=as_json)


@account.command("pay-referral")
@click.argument("asset")
@trading
def pay_referral(asset: str, key: str, directory: Path, as_json: bool) -> None:
    """Move what was earned as a referrer to the free funds."""

    async def make(client: Client, _: Instrument | None) -> Command:
        return PayReferral((await _asset(client, asset)).asset)

    submit(directory, key, None, make, as_json=as_json)


async def _asset(client: Client, symbol: str) -> Any:  # noqa: ANN401 - an asset
    assets = await client.assets()
    if symbol not in assets:
        raise OpsError(f"no asset {symbol}; listed: {', '.join(assets) or 'none'}")
    return assets[symbol]


def _shown(info: AccountInfo, instruments: dict[int, Instrument]) -> dict[str, Any]:
    permissions = [each.name.lower() for each in Permission if info.permissions & each]
    return {
        "account": info.account,
        "master": info.master,
        "sub_accounts": info.sub_accounts,
        "permissions": permissions,
        "trade_group": info.trade_group,
        "self_trade": "default" if info.self_trade is None else info.self_trade.name.lower(),
        "orders_max": info.orders_max,
        "frozen": info.frozen,
        "legal_hold": info.legal_hold,
        "tier": info.tier,
        "referrer": info.referrer,
        "share_ppm": info.share_ppm,
        "order_limits": [
            {
                "symbol": instruments[row.instrument].symbol,
                "size_max": str(instruments[row.instrument].size(row.size_max_lots)),
                "notional_max": str(instruments[row.instrument].settle.amount(row.notional_max_atoms)),
            }
            for row in info.order_limits
        ],
        "rates": [
            {
                "symbol": instruments[row.instrument].symbol,
                "maker_ppm": row.maker_ppm,
                "taker_ppm": row.taker_ppm,
            }
            for row in info.rates
        ],
        "countdowns": [
            {
                "symbol": instruments[instrument].symbol if instrument else "all",
                "due": words.moment(due_ns),
                "due_ns": due_ns,
            }
            for instrument, due_ns in info.countdowns.items()
        ],
        "log_index": info.log_index,
        "ok": True,
    }


def _order(row: RestingOrder, instrument: Instrument) -> dict[str, Any]:
    terms = row.terms or OrderTerms()
    return {
        "symbol": instrument.symbol,
        "number": row.number,
        "order": row.order,
        "label": row.label,
        "side": row.side.name.lower(),
        "kind": row.kind.name.lower(),
        "state": row.state.name.lower(),
        "price": str(instrument.price(row.price_ticks)),
        "size": str(instrument.size(row.size_lots)),
        "open": str(instrument.size(row.open_lots)),
        "shown": str(instrument.size(row.shown_lots)),
        "list_number": row.list_number,
        "terms": words.order_terms(terms, instrument),
    }


def _orders_table(found: dict[str, Any]) -> Table:
    table = Table(title=f"orders at log index {found['log_index']:,}", title_justify="left")
    for name in ("number", "symbol", "side", "price", "open", "of", "state", "terms", "label"):
        table.add_column(name, justify="right" if name in ("number", "price", "open", "of") else "left")
    for row in found["orders"]:
        colour = "green" if row["side"] == "buy" else "red"
        group = f"list {row['list_number']}" if row["list_number"] else ""
        table.add_row(
            str(row["number"]),
            row["symbol"],
            f"[{colour}]{row['side']}[/]",
            row["price"] if row["kind"] == "limit" else "market",
            row["open"],
            row["size"],
            row["state"],
            escape(", ".join(each for each in (*row["terms"], group) if each)),
            escape(row["label"]),
        )
    return table


def _account_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"account {found['account']} at log index {found['log_index']:,}",
        title_justify="left",
        show_header=False,
    )
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in found["balances"]:
        table.add_row(row["asset"], f"{row['free']} free, {row['held']} held")
    table.add_section()
    for name in (
        "master",
        "sub_accounts",
        "permissions",
        "trade_group",
        "self_trade",
        "orders_max",
        "frozen",
        "legal_hold",
        "tier",
        "referrer",
    ):
        value = found[name]
        if value:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            table.add_row(name.replace("_", " "), escape(text))
    for row in found["rates"]:
        table.add_row(
            f"fees in {row['symbol']}", f"maker {row['maker_ppm']} ppm, taker {row['taker_ppm']} ppm"
        )
    for row in found["holds"]:
        legal = ", by law" if row["legal"] else ""
        table.add_row(f"hold {row['hold']}", f"{row['amount']} {row['asset']}{legal}")
    for asset, amount in found["owed"].items():
        table.add_row("earned by referrals", f"{amount} {asset}")
    for row in found["order_limits"]:
        table.add_row(f"order limit in {row['symbol']}", f"{row['size_max']}, {row['notional_max']}")
    for row in found["countdowns"]:
        table.add_row(f"countdown, {row['symbol']}", row["due"])
    return table

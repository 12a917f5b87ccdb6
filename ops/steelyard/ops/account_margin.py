"""``steelyard account positions`` and the others about margin: what stands behind contracts, and moves."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from steelyard.client import (
    Asset,
    Client,
    Instrument,
    Margin,
    MarginMode,
    Position,
    PositionLeg,
    RiskLevel,
)
from steelyard.client.commands import AdjustBucket, Command, MoveMargin, SetContractModes, SetLeverage
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.ops.options import as_json, data_directory
from steelyard.ops.order_options import LEGS, NUMBER, leg_of
from steelyard.ops.terminal import Terminal
from steelyard.ops.trade import finish, run, submit, trading

_PPM: Final = 1_000_000
_NO_EQUITY_PPM: Final = 10**9
_COLOURS: Final = dict(
    zip(
        (level.name.lower() for level in RiskLevel),
        ("green", "yellow", "bright_red", "red", "bold red"),
        strict=True,
    )
)


def _looking(command: Any) -> Any:  # noqa: ANN401 - a function to be a command
    """Add what a look at an account takes."""
    account = click.option("--account", type=click.IntRange(1), help="Another one than the key's own.")
    key = click.option("--key", default="alice", show_default=True, help="Whose key, in the group's folder.")
    return account(key(data_directory(as_json(command))))


@click.command("positions")
@click.argument("symbol", required=False)
@_looking
def positions(symbol: str | None, account: int | None, key: str, directory: Path, as_json: bool) -> None:
    """Show the positions in contracts, in SYMBOL or in all, and at which mark they would be liquidated."""

    async def ask() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as client:
            info = await client.account(account)
            if symbol is not None:
                await contract_of(client, symbol)
            instruments = {each.instrument: each for each in (await client.instruments()).values()}
        rows = [_position(row, instruments[row.instrument]) for row in info.positions]
        return {
            "account": info.account,
            "log_index": info.log_index,
            "positions": [row for row in rows if symbol in (None, row["symbol"])],
            "ok": True,
        }

    found = run(ask())
    finish(Terminal(as_json=as_json), found, _positions_table(found))


@click.command("margin")
@_looking
def margin(account: int | None, key: str, directory: Path, as_json: bool) -> None:
    """Show the margin wallets: what is in them, what they are worth, what is used, and the risk."""

    async def ask() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as client:
            info = await client.account(account)
            assets = {each.asset: each for each in (await client.assets()).values()}
        return {
            "account": info.account,
            "log_index": info.log_index,
            "margins": [_margin(row, assets[row.asset]) for row in info.margins],
            "ok": True,
        }

    found = run(ask())
    finish(Terminal(as_json=as_json), found, _margins_table(found))


@click.command("leverage")
@click.argument("symbol")
@click.argument("leverage", type=click.IntRange(0))
@click.option("--leg", type=LEGS, help="In hedge mode: which position.")
@trading
def leverage(symbol: str, leverage: int, leg: str | None, key: str, directory: Path, as_json: bool) -> None:
    """Choose the LEVERAGE of the position in SYMBOL; 0: none, the contract's own margin applies."""

    async def make(client: Client, _: Instrument | None) -> Command:
        contract = await contract_of(client, symbol)
        return SetLeverage(contract.instrument, leverage, leg_of(leg) or 0)

    submit(directory, key, symbol, make, as_json=as_json)


@click.command("mode")
@click.argument("symbol")
@click.argument("mode", type=click.Choice([mode.name.lower() for mode in MarginMode]))
@click.option("--hedge", is_flag=True, help="Two positions, long and short; otherwise one.")
@trading
def mode(symbol: str, mode: str, hedge: bool, key: str, directory: Path, as_json: bool) -> None:
    """Choose what stands behind positions in SYMBOL: the whole margin wallet, or a bucket of each one's own.

    Only while there is neither position nor order there.
    """

    async def make(client: Client, _: Instrument | None) -> Command:
        contract = await contract_of(client, symbol)
        return SetContractModes(contract.instrument, MarginMode[mode.upper()], hedge)

    submit(directory, key, symbol, make, as_json=as_json)


@click.command("move-margin")
@click.argument("asset")
@click.argument("amount", type=NUMBER)
@click.option("--back", is_flag=True, help="From the margin wallet to the free funds.")
@trading
def move_margin(asset: str, amount: Decimal, back: bool, key: str, directory: Path, as_json: bool) -> None:
    """Move AMOUNT of free funds to the margin wallet of ASSET; its contracts lean on that."""
    _check_amount(amount)

    async def make(client: Client, _: Instrument | None) -> Command:
        assets = await client.assets()
        if asset not in assets:
            raise OpsError(f"no asset {asset}; listed: {', '.join(assets) or 'none'}")
        atoms = assets[asset].atoms(amount)
        return MoveMargin(assets[asset].asset, -atoms if back else atoms)

    submit(directory, key, None, make, as_json=as_json)


@click.command("bucket")
@click.argument("symbol")
@click.argument("amount", type=NUMBER)
@click.option("--back", is_flag=True, help="From the bucket to the margin wallet.")
@click.option("--leg", type=LEGS, help="In hedge mode: which position.")
@trading
def bucket(
    symbol: str,
    amount: Decimal,
    back: bool,
    leg: str | None,
    key: str,
    directory: Path,
    as_json: bool,
) -> None:
    """Move AMOUNT from the margin wallet to the bucket of the isolated position in SYMBOL."""
    _check_amount(amount)

    async def make(client: Client, _: Instrument | None) -> Command:
        contract = await contract_of(client, symbol)
        atoms = contract.settle.atoms(amount)
        return AdjustBucket(contract.instrument, -atoms if back else atoms, leg_of(leg) or 0)

    submit(directory, key, symbol, make, as_json=as_json)


#: What ``steelyard account`` has of it.
COMMANDS: Final[tuple[click.Command, ...]] = (positions, margin, leverage, mode, move_margin, bucket)


async def contract_of(client: Client, symbol: str) -> Instrument:
    """Return a contract by its symbol.

    Raises:
        OpsError: It is no contract.

    """
    found = await client.instrument(symbol)
    if found.contract is None:
        listed = [each.symbol for each in (await client.instruments()).values() if each.contract is not None]
        raise OpsError(f"{symbol} is a spot instrument; contracts: {', '.join(listed) or 'none'}")
    return found


def ratio_words(ratio_ppm: int) -> str:
    """Return maintenance margin by equity in per cent."""
    return "no equity" if ratio_ppm >= _NO_EQUITY_PPM else f"{Decimal(ratio_ppm) * 100 / _PPM:.2f} %"


def _check_amount(amount: Decimal) -> None:
    if amount <= 0:
        raise click.UsageError("say an amount above zero; --back moves it the other way")


def _position(row: Position, instrument: Instrument) -> dict[str, Any]:
    amount, price, size = instrument.settle.amount, instrument.price, instrument.size
    return {
        "symbol": instrument.symbol,
        "leg": row.leg.name.lower(),
        "margin": row.margin.name.lower(),
        "hedge": row.hedge,
        "leverage": row.leverage,
        "size": f"{size(row.qty_lots):f}",
        "entry": _entry(row, instrument) if row.qty_lots else None,
        "mark": f"{price(row.mark_ticks):f}" if row.mark_ticks else None,
        "liquidation": f"{price(row.liquidation_ticks):f}" if row.liquidation_ticks else None,
        "pnl": f"{amount(row.pnl_atoms):f}",
        "funding_owed": f"{amount(row.unsettled_atoms):f}",
        "maintenance": f"{amount(row.maintenance_atoms):f}",
        "initial": f"{amount(row.initial_atoms):f}",
        "bucket": f"{amount(row.bucket_atoms):f}" if row.margin is MarginMode.ISOLATED else None,
        "held": f"{amount(row.held_atoms):f}" if row.margin is MarginMode.ISOLATED else None,
        "open_buys": f"{size(row.open_buy_lots):f}",
        "open_sells": f"{size(row.open_sell_lots):f}",
        "level": row.level.name.lower(),
        "ratio": ratio_words(row.ratio_ppm),
        "liquidating": row.liquidation or None,
        "settle": instrument.settle.symbol,
    }


def _entry(row: Position, instrument: Instrument) -> str:
    """Return the mean price, to a hundredth of a tick."""
    ticks = Decimal(row.entry_numerator) / Decimal(row.entry_denominator)
    return f"{(ticks * instrument.tick).quantize(instrument.tick / 100):f}"


def _positions_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"positions of account {found['account']} at log index {found['log_index']:,}",
        title_justify="left",
    )
    table.add_column("contract")
    for name in ("size", "entry", "mark", "liquidation", "PnL", "funding owed"):
        table.add_column(name, justify="right")
    for name in ("margin", "level"):
        table.add_column(name)
    for row in found["positions"]:
        leg = "" if row["leg"] == PositionLeg.NET.name.lower() else f" {row['leg']}"
        backed = row["margin"] if row["bucket"] is None else f"{row['margin']}, bucket {row['bucket']}"
        chosen = f", {row['leverage']}x" if row["leverage"] else ""
        table.add_row(
            row["symbol"] + leg,
            _signed(row["size"], row["size"]),
            row["entry"] or "-",
            row["mark"] or "-",
            row["liquidation"] or "-",
            _signed(row["pnl"], f"{row['pnl']} {row['settle']}"),
            row["funding_owed"],
            backed + chosen,
            _level(row["level"], row["ratio"]),
        )
    return table


def _margin(row: Margin, asset: Asset) -> dict[str, Any]:
    names = ("wallet", "equity", "maintenance", "used", "available", "withdrawable")
    return {
        "asset": asset.symbol,
        **{name: f"{asset.amount(getattr(row, f'{name}_atoms')):f}" for name in names},
        "level": row.level.name.lower(),
        "ratio": ratio_words(row.ratio_ppm),
        "liquidating": row.liquidation or None,
    }


def _margins_table(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"margin of account {found['account']} at log index {found['log_index']:,}",
        title_justify="left",
    )
    names = ("asset", "wallet", "equity", "maintenance", "used", "available", "withdrawable")
    for name in (*names, "level"):
        table.add_column(name, justify="left" if name in ("asset", "level") else "right")
    for row in found["margins"]:
        table.add_row(*(row[name] for name in names), _level(row["level"], row["ratio"]))
    return table


def _level(level: str, ratio: str) -> str:
    return f"[{_COLOURS[level]}]{level}[/], {ratio}"


def _signed(amount: str, said: str) -> str:
    if not amount.strip("-0."):
        return said
    return f"[red]{said}[/]" if amount.startswith("-") else f"[green]{said}[/]"

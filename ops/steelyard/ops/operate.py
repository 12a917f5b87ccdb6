"""``steelyard operate``: the operator's commands, each one entry in the log."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click

from steelyard.client import ApiKey, InstrumentState, SelfTrade
from steelyard.ops.account import PERMISSION_NAMES
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.desk import PPM, Desk, carry_out, operating, ppm_of, session_name
from steelyard.ops.errors import OpsError
from steelyard.ops.market_cli import tiers
from steelyard.ops.operate_contracts import COMMANDS
from steelyard.ops.order_options import MODES, MOMENT, NS_PER_S, NUMBER, PERCENT, mode_of
from steelyard.ops.terminal import Terminal
from steelyard.ops.trade import finish, run

STATES: Final = click.Choice(
    [state.name.lower().replace("_", "-") for state in InstrumentState if state != InstrumentState.AUCTION]
)
ACCOUNT: Final = click.IntRange(1)


@click.group("operate")
def operate() -> None:
    """Run the exchange: markets, accounts, fees and versions; exit status 1 if it refuses."""


operate.add_command(tiers)
for _command in COMMANDS:
    operate.add_command(_command)


# Markets.


@operate.command("rules")
@click.argument("symbol")
@click.option("--price-step", type=NUMBER, help="Prices are multiples of this.")
@click.option("--size-step", type=NUMBER, help="Sizes are multiples of this.")
@click.option("--size-min", type=NUMBER, help="The smallest size of an order.")
@click.option("--notional-max", type=NUMBER, help="The largest notional of an order.")
@click.option("--orders-max", type=click.IntRange(0), default=0, help="Open orders of one account.")
@click.option("--collar", type=PERCENT, help="Limits lie within so many per cent of the reference price.")
@click.option("--band", type=PERCENT, help="Trades lie within so many per cent of the reference price.")
@click.option("--halt", type=PERCENT, help="A trade so far from the anchor halts the market ...")
@click.option(
    "--halt-window",
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="... within so many seconds,",
)
@click.option("--halt-seconds", type=click.IntRange(1), default=60, show_default=True, help="for so long,")
@click.option(
    "--auction-seconds", type=click.IntRange(1), default=60, show_default=True, help="then an auction."
)
@click.option("--self-trade", type=MODES, help="What orders do that do not say.")
@operating
def rules(symbol: str, directory: Path, key: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - the rules
    """Set the protections of SYMBOL, all at once: what is left out does not apply any more."""

    async def work(desk: Desk) -> int:
        instrument = await desk.instrument(symbol)
        collar_down, collar_up = _around(given["collar"])
        band_down, band_up = _around(given["band"])
        halts: dict[str, int] = {}
        if given["halt"] is not None:
            halts = {
                "halt_ppm": ppm_of(given["halt"]),
                "halt_window_ns": given["halt_window"] * NS_PER_S,
                "halt_ns": given["halt_seconds"] * NS_PER_S,
                "auction_ns": given["auction_seconds"] * NS_PER_S,
            }
        return await desk.admin.set_instrument_rules(
            instrument.instrument,
            price_step_ticks=_or(given["price_step"], instrument.ticks, 1),
            size_step_lots=_or(given["size_step"], instrument.lots, 1),
            size_min_lots=_or(given["size_min"], instrument.lots, 1),
            notional_max_atoms=_or(given["notional_max"], instrument.quote.atoms, 0),
            orders_max=given["orders_max"],
            buy_down_ppm=collar_down,
            buy_up_ppm=collar_up,
            sell_down_ppm=collar_down,
            sell_up_ppm=collar_up,
            execution_down_ppm=band_down,
            execution_up_ppm=band_up,
            self_trade=mode_of(given["self_trade"]) or SelfTrade.NONE,
            **halts,
        )

    carry_out(directory, key, f"rules of {symbol}", work, as_json=as_json)


@operate.command("mark")
@click.argument("symbol")
@click.argument("price", type=NUMBER)
@operating
def mark(symbol: str, price: Decimal, directory: Path, key: str, as_json: bool) -> None:
    """Set the mark price of SYMBOL; needs a key with FEED.

    Such a key is made by: steelyard operate create-key feed 9 --permissions read,feed
    """

    async def work(desk: Desk) -> int:
        instrument = await desk.instrument(symbol)
        return await desk.admin.set_mark(instrument.instrument, instrument.ticks(price))

    carry_out(directory, key, f"mark of {symbol}: {price}", work, as_json=as_json)


@operate.command("state")
@click.argument("symbol")
@click.argument("state", type=STATES)
@operating
def state(symbol: str, state: str, directory: Path, key: str, as_json: bool) -> None:
    """Move SYMBOL through its life; "closed" ends its orders."""

    async def work(desk: Desk) -> int:
        instrument = await desk.instrument(symbol)
        return await desk.admin.set_instrument_state(instrument.instrument, _state(state))

    carry_out(directory, key, f"{symbol} is {state}", work, as_json=as_json)


@operate.command("auction")
@click.argument("symbol")
@click.argument("seconds", type=click.IntRange(1))
@operating
def auction(symbol: str, seconds: int, directory: Path, key: str, as_json: bool) -> None:
    """Collect orders for SECONDS, trade them at one price, and open SYMBOL."""

    async def work(desk: Desk) -> int:
        instrument = await desk.instrument(symbol)
        return await desk.admin.start_auction(instrument.instrument, seconds * NS_PER_S)

    carry_out(directory, key, f"auction of {symbol}, {seconds} s", work, as_json=as_json)


@operate.command("schedule")
@click.argument("symbol")
@click.argument("state", type=click.Choice([*STATES.choices, "auction", "nothing"]))
@click.option("--at", "at_ns", type=MOMENT, help="When: 2026-01-31T12:00:00Z, or +90s, +5m.")
@operating
def schedule(symbol: str, state: str, at_ns: int | None, directory: Path, key: str, as_json: bool) -> None:
    """Announce that SYMBOL moves to STATE at a time; "nothing" takes back what was announced."""
    if (state == "nothing") != (at_ns is None):
        raise click.UsageError("say when: --at; only nothing is scheduled without it")

    async def work(desk: Desk) -> int:
        instrument = await desk.instrument(symbol)
        wanted = InstrumentState.OPEN if state == "nothing" else _state(state)
        return await desk.admin.schedule_state(instrument.instrument, wanted, at_ns or 0)

    carry_out(directory, key, f"{symbol} will be {state}", work, as_json=as_json)


# Accounts.


@operate.command("open-account")
@click.argument("account", type=ACCOUNT)
@operating
def open_account(account: int, directory: Path, key: str, as_json: bool) -> None:
    """Open an empty customer ACCOUNT, 1000 or above."""
    carry_out(
        directory, key, f"account {account}", lambda desk: desk.admin.open_account(account), as_json=as_json
    )


@operate.command("open-sub")
@click.argument("master", type=ACCOUNT)
@click.argument("account", type=ACCOUNT)
@click.option("--permissions", type=PERMISSION_NAMES, default="all", help="What any of its keys may do.")
@operating
def open_sub(master: int, account: int, permissions: int, directory: Path, key: str, as_json: bool) -> None:
    """Open ACCOUNT as a sub-account of MASTER."""
    carry_out(
        directory,
        key,
        f"account {account} of {master}",
        lambda desk: desk.admin.open_sub_account(master, account, permissions),
        as_json=as_json,
    )


@operate.command("create-key")
@click.argument("name")
@click.argument("account", type=ACCOUNT)
@click.option(
    "--permissions", type=PERMISSION_NAMES, default="read,trade", show_default=True, help="What it may do."
)
@operating
def create_key(name: str, account: int, permissions: int, directory: Path, key: str, as_json: bool) -> None:
    """Make a key for ACCOUNT, and keep it in the group's folder under NAME."""

    async def work(desk: Desk) -> int:
        path = desk.group.key_path(name)
        if path.exists():
            raise OpsError(f"{path} holds a key already")
        made = ApiKey.generate()
        number = await desk.admin.create_api_key(account, made.public_key, permissions)
        made.with_id(number, account).write(path)
        return 0

    carry_out(directory, key, f"key {name} of account {account}", work, as_json=as_json)


@operate.command("revoke-key")
@click.argument("number", type=click.IntRange(1))
@operating
def revoke_key(number: int, directory: Path, key: str, as_json: bool) -> None:
    """End a key for good, by its number."""
    carry_out(
        directory,
        key,
        f"key {number} is void",
        lambda desk: desk.admin.revoke_api_key(number),
        as_json=as_json,
    )


def _money_command(name: str, what: str) -> None:
    @operate.command(name, help=what)
    @click.argument("account", type=ACCOUNT)
    @click.argument("asset")
    @click.argument("amount", type=NUMBER)
    @operating
    def move(account: int, asset: str, amount: Decimal, directory: Path, key: str, as_json: bool) -> None:
        async def work(desk: Desk) -> int:
            found = await desk.asset(asset)
            call = desk.admin.deposit if name == "deposit" else desk.admin.withdraw
            return await call(account, found.asset, found.atoms(amount))

        carry_out(directory, key, f"{name} of {amount} {asset}, account {account}", work, as_json=as_json)


_money_command("deposit", "Credit ACCOUNT against the outside world.")
_money_command("withdraw", "Pay free funds of ACCOUNT out to the outside world.")


@operate.command("freeze")
@click.argument("account", type=ACCOUNT)
@click.option("--lift", is_flag=True, help="No longer.")
@operating
def freeze(account: int, lift: bool, directory: Path, key: str, as_json: bool) -> None:
    """Freeze ACCOUNT: it may cancel and nothing else."""
    carry_out(
        directory,
        key,
        f"account {account} is {'free again' if lift else 'frozen'}",
        lambda desk: desk.admin.set_frozen(account, not lift),
        as_json=as_json,
    )


@operate.command("legal-hold")
@click.argument("account", type=ACCOUNT)
@click.option("--lift", is_flag=True, help="No longer.")
@operating
def legal_hold(account: int, lift: bool, directory: Path, key: str, as_json: bool) -> None:
    """Put ACCOUNT under legal hold: as frozen, and lifting a freeze does not lift it."""
    carry_out(
        directory,
        key,
        f"legal hold of account {account} {'lifted' if lift else 'set'}",
        lambda desk: desk.admin.set_legal_hold(account, not lift),
        as_json=as_json,
    )


@operate.command("hold")
@click.argument("account", type=ACCOUNT)
@click.argument("hold", type=click.IntRange(1))
@click.argument("asset")
@click.argument("amount", type=NUMBER)
@click.option("--legal", is_flag=True, help="By law.")
@operating
def hold(
    account: int,
    hold: int,
    asset: str,
    amount: Decimal,
    legal: bool,
    directory: Path,
    key: str,
    as_json: bool,
) -> None:
    """Set AMOUNT of ACCOUNT's free funds aside, under the id HOLD."""

    async def work(desk: Desk) -> int:
        found = await desk.asset(asset)
        return await desk.admin.hold_funds(account, hold, found.asset, found.atoms(amount), legal=legal)

    carry_out(directory, key, f"hold {hold} of account {account}: {amount} {asset}", work, as_json=as_json)


@operate.command("release")
@click.argument("account", type=ACCOUNT)
@click.argument("hold", type=click.IntRange(1))
@click.option("--legal", is_flag=True, help="Needed for one by law.")
@operating
def release(account: int, hold: int, legal: bool, directory: Path, key: str, as_json: bool) -> None:
    """Give the funds of a HOLD back."""
    carry_out(
        directory,
        key,
        f"hold {hold} of account {account} released",
        lambda desk: desk.admin.release_hold(account, hold, legal=legal),
        as_json=as_json,
    )


@operate.command("account-rules")
@click.argument("account", type=ACCOUNT)
@click.option("--permissions", type=PERMISSION_NAMES, default="all", help="What any of its keys may do.")
@click.option(
    "--trade-group", type=click.IntRange(0), default=0, help="Never trades with others of this group."
)
@click.option("--orders-max", type=click.IntRange(0), default=0, help="Open orders at most; 0: no bound.")
@operating
def account_rules(
    account: int,
    permissions: int,
    trade_group: int,
    orders_max: int,
    directory: Path,
    key: str,
    as_json: bool,
) -> None:
    """Set what the operator decides about ACCOUNT, all at once."""
    carry_out(
        directory,
        key,
        f"rules of account {account}",
        lambda desk: desk.admin.set_account_rules(
            account, permissions=permissions, trade_group=trade_group, orders_max=orders_max
        ),
        as_json=as_json,
    )


@operate.command("order-limit")
@click.argument("account", type=ACCOUNT)
@click.argument("symbol")
@click.option("--size-max", type=NUMBER, help="Base units; left out: no bound.")
@click.option("--notional-max", type=NUMBER, help="Quote units; left out: no bound.")
@operating
def order_limit(
    account: int,
    symbol: str,
    size_max: Decimal | None,
    notional_max: Decimal | None,
    directory: Path,
    key: str,
    as_json: bool,
) -> None:
    """Bound ACCOUNT's single orders in SYMBOL."""

    async def work(desk: Desk) -> int:
        instrument = await desk.instrument(symbol)
        return await desk.admin.set_order_limit(
            account,
            instrument.instrument,
            size_max_lots=_or(size_max, instrument.lots, 0),
            notional_max_atoms=_or(notional_max, instrument.quote.atoms, 0),
        )

    carry_out(directory, key, f"order limit of account {account} in {symbol}", work, as_json=as_json)


# Fees.


@operate.command("tier")
@click.argument("tier", type=click.IntRange(1))
@click.argument("symbol", required=False)
@click.option("--maker-ppm", type=int, required=True, help="Of resting orders; below zero: a rebate.")
@click.option("--taker-ppm", type=click.IntRange(0), required=True, help="Of orders that take.")
@operating
def tier(
    tier: int,
    symbol: str | None,
    maker_ppm: int,
    taker_ppm: int,
    directory: Path,
    key: str,
    as_json: bool,
) -> None:
    """Set the rates of a fee TIER in SYMBOL, or in all that have none of their own."""

    async def work(desk: Desk) -> int:
        number = 0 if symbol is None else (await desk.instrument(symbol)).instrument
        return await desk.admin.set_fee_tier(tier, number, maker_ppm=maker_ppm, taker_ppm=taker_ppm)

    said = f"tier {tier}: maker {maker_ppm} ppm, taker {taker_ppm} ppm"
    carry_out(directory, key, said, work, as_json=as_json)


@operate.command("account-tier")
@click.argument("account", type=ACCOUNT)
@click.argument("tier", type=click.IntRange(0))
@operating
def account_tier(account: int, tier: int, directory: Path, key: str, as_json: bool) -> None:
    """Give ACCOUNT a fee TIER; 0: the listings' rates."""
    carry_out(
        directory,
        key,
        f"account {account} has tier {tier}",
        lambda desk: desk.admin.set_account_tier(account, tier),
        as_json=as_json,
    )


@operate.command("referrer")
@click.argument("account", type=ACCOUNT)
@click.argument("referrer", type=click.IntRange(0))
@click.argument("share", type=PERCENT)
@operating
def referrer(account: int, referrer: int, share: Decimal, directory: Path, key: str, as_json: bool) -> None:
    """Let REFERRER earn SHARE per cent of what is kept of ACCOUNT's fees; 0 and 0 end it."""
    carry_out(
        directory,
        key,
        f"account {account} was referred by {referrer}",
        lambda desk: desk.admin.set_referrer(account, referrer, ppm_of(share)),
        as_json=as_json,
    )


# The group.


@operate.command("activate-version")
@click.argument("version", type=click.IntRange(1))
@operating
def activate_version(version: int, directory: Path, key: str, as_json: bool) -> None:
    """Let the group do what VERSION does, once every member runs a build that knows it."""
    carry_out(
        directory,
        key,
        f"version {version} is in force",
        lambda desk: desk.admin.activate_version(version),
        as_json=as_json,
    )


@operate.command("totals")
@operating
def totals(directory: Path, key: str, as_json: bool) -> None:
    """Show where all the money is, and that it sums to zero."""

    async def ask() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as client:
            admin = await client.admin(session_name())
            rows = await admin.totals()
            assets = {each.asset: each for each in (await client.assets()).values()}
        found: dict[str, Any] = {"log_index": rows.log_index, "ok": all(row.sum_atoms == 0 for row in rows)}
        for row in rows:
            asset = assets[row.asset]
            found[asset.symbol] = (
                f"customers {asset.amount(row.customers_atoms):f}, fees {asset.amount(row.fees_atoms):f}, "
                f"referral {asset.amount(row.referral_atoms):f}, "
                f"contracts {asset.amount(row.clearing_atoms + row.funding_atoms):f}, "
                f"insurance {asset.amount(row.insurance_atoms):f}, debt {asset.amount(row.debt_atoms):f}, "
                f"sum {row.sum_atoms}"
            )
        return found

    finish(Terminal(as_json=as_json), run(ask()))


def _state(name: str) -> InstrumentState:
    return InstrumentState[name.upper().replace("-", "_")]


def _around(fraction: Decimal | None) -> tuple[int, int]:
    """Return the factors so far below and above one, in parts per million; none: zero and zero."""
    if fraction is None:
        return 0, 0
    return max(PPM - ppm_of(fraction), 0), PPM + ppm_of(fraction)


def _or(value: Decimal | None, scale: Callable[[Decimal], int], default: int) -> int:
    return default if value is None else scale(value)

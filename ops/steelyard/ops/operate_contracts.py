"""``steelyard operate``, of contracts: list them and their indices, set rules, switch orders off, insure."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from steelyard.client import Contract, ContractKind, IndexQuote, Instrument, InstrumentState
from steelyard.client.admin import mantissa_and_decimals
from steelyard.ops import contract_terms
from steelyard.ops.account_margin import contract_of
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.desk import Desk, carry_out, operating, ppm_of
from steelyard.ops.errors import OpsError
from steelyard.ops.order_options import NS_PER_S, NUMBER, PERCENT
from steelyard.ops.terminal import Terminal
from steelyard.ops.trade import finish, run

_RULES: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("list-index")
@click.argument("symbol")
@click.option("--tick", type=NUMBER, required=True, help="The price step, that of its contracts.")
@click.option("--stale", type=click.IntRange(1), default=10, show_default=True, help="Seconds; then too old.")
@click.option("--outlier", type=PERCENT, default="5%", show_default=True, help="So far off: no weight.")
@operating
def list_index(
    symbol: str, tick: Decimal, stale: int, outlier: Decimal, directory: Path, key: str, as_json: bool
) -> None:
    """List the index price SYMBOL, which sources are weighed for; steelyard feed brings their prices."""

    async def work(desk: Desk) -> int:
        number = 1 + max((await desk.client.contracts()).indices, default=0)
        return await desk.admin.list_index(
            number, symbol, tick=_above_zero(tick), stale_ns=stale * NS_PER_S, outlier_ppm=ppm_of(outlier)
        )

    carry_out(directory, key, f"index {symbol}", work, as_json=as_json)


@click.command("index-price")
@click.argument("symbol")
@click.argument("prices", metavar="PRICE...", type=NUMBER, nargs=-1, required=True)
@operating
def index_price(symbol: str, prices: tuple[Decimal, ...], directory: Path, key: str, as_json: bool) -> None:
    """Say by hand what the sources of the index SYMBOL say now, one PRICE each; needs a key with FEED."""

    async def work(desk: Desk) -> int:
        found = (await desk.client.contracts()).indices
        index = next((each for each in found.values() if each.symbol == symbol), None)
        if index is None:
            listed = ", ".join(each.symbol for each in found.values())
            raise OpsError(f"no index {symbol}; listed: {listed or 'none'}")
        now_ns = time.time_ns()
        quotes = [
            IndexQuote(number, _ticks(price, index.tick_mantissa, index.tick_decimals), 1, now_ns)
            for number, price in enumerate(prices, 1)
        ]
        return await desk.admin.set_index_sources(index.index, quotes)

    carry_out(directory, key, f"sources of {symbol}: {', '.join(map(str, prices))}", work, as_json=as_json)


@click.command("list-contract")
@click.argument("symbol")
@click.option("--base", required=True, help="What is bought and sold, such as BTC.")
@click.option("--quote", required=True, help="What prices are in, such as USDT.")
@click.option("--index", "index_symbol", required=True, help="The index it leans on, and whose tick it has.")
@click.option(
    "--kind",
    type=click.Choice([kind.name.lower() for kind in ContractKind]),
    default="linear",
    show_default=True,
    help="Settled in the quote, or (inverse) in the base.",
)
@click.option("--lot", type=NUMBER, required=True, help="The size step: base units, of inverse quote units.")
@click.option("--price-max", type=NUMBER, required=True, help="The highest price of an order.")
@click.option("--size-max", type=NUMBER, required=True, help="The largest size of an order.")
@click.option("--rules", "path", type=_RULES, required=True, help="Margin, funding, liquidation, in TOML.")
@click.option("--maker-ppm", type=int, default=0, help="Of resting orders; below zero: a rebate.")
@click.option("--taker-ppm", type=click.IntRange(0), default=0, help="Of orders that take.")
@click.option("--open", "opens", is_flag=True, help="Open it at once.")
@operating
def list_contract(
    symbol: str,
    path: Path,
    opens: bool,
    directory: Path,
    key: str,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - the listing
) -> None:
    """List the perpetual contract SYMBOL, in state PRE_OPEN unless --open.

    An example of the rules: steelyard operate contract-rules of a contract that is listed.
    """

    async def work(desk: Desk) -> int:
        index, draft = await _draft(desk, symbol, given)
        log_index = await desk.admin.list_contract(
            draft.instrument,
            symbol,
            draft.base.asset,
            draft.quote.asset,
            contract=ContractKind[given["kind"].upper()],
            index=index,
            rules=contract_terms.rules_of(path.read_text(), draft),
            tick=draft.tick,
            lot=draft.lot,
            price_max_ticks=draft.price_max_ticks,
            size_max_lots=draft.size_max_lots,
            maker_ppm=draft.maker_ppm,
            taker_ppm=draft.taker_ppm,
        )
        for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN) if opens else ():
            log_index = await desk.admin.set_instrument_state(draft.instrument, state)
        return log_index

    carry_out(directory, key, f"contract {symbol}", work, as_json=as_json)


@click.command("contract-rules")
@click.argument("symbol")
@click.option("--rules", "path", type=_RULES, help="Set these, in TOML; left out: show what holds.")
@operating
def contract_rules(symbol: str, path: Path | None, directory: Path, key: str, as_json: bool) -> None:
    """Show the rules of the contract SYMBOL as a file that --rules reads, or set them, all at once."""

    async def show() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as client:
            contract = await contract_of(client, symbol)
            found = await client.contracts()
        text = contract_terms.text_of(found.contracts[contract.instrument].rules, contract)
        return {"symbol": symbol, "rules": text, "log_index": found.log_index, "ok": True}

    async def work(desk: Desk) -> int:
        assert path is not None
        contract = await contract_of(desk.client, symbol)
        rules = contract_terms.rules_of(path.read_text(), contract)
        return await desk.admin.set_contract_rules(contract.instrument, rules)

    if path is not None:
        carry_out(directory, key, f"rules of {symbol}", work, as_json=as_json)
        return
    found = run(show())
    Terminal(as_json=as_json).finish(found, Text(found["rules"].rstrip()))


@click.command("kill-switch")
@click.argument("switch", type=click.Choice(["off", "on"]))
@click.option("--account", type=click.IntRange(1), help="Of this account alone.")
@click.option("--symbol", help="In this instrument alone.")
@operating
def kill_switch(
    switch: str, account: int | None, symbol: str | None, directory: Path, key: str, as_json: bool
) -> None:
    """Refuse new orders (on), or take them again (off): of an account, in an instrument, or of everybody.

    Cancels pass, what waits in books stays, liquidations go on.
    """
    if account is not None and symbol is not None:
        raise click.UsageError("say --account or --symbol, not both")

    async def work(desk: Desk) -> int:
        instrument = 0 if symbol is None else (await desk.instrument(symbol)).instrument
        return await desk.admin.set_kill_switch(switch == "on", account=account or 0, instrument=instrument)

    of = f"account {account}" if account is not None else symbol or "everybody"
    carry_out(directory, key, f"kill switch of {of} is {switch}", work, as_json=as_json)


@click.command("insurance")
@click.argument("asset", required=False)
@click.argument("amount", type=NUMBER, required=False)
@click.option("--take", is_flag=True, help="Out of the fund, not into it.")
@operating
def insurance(
    asset: str | None,
    amount: Decimal | None,
    take: bool,
    directory: Path,
    key: str,
    as_json: bool,
) -> None:
    """Show the insurance funds, or pay AMOUNT into that of ASSET from the outside world."""
    if asset is None:
        finish(Terminal(as_json=as_json), run(_funds(directory, key)))
        return
    if amount is None or amount <= 0:
        raise click.UsageError("say how much, above zero; --take is out of the fund")

    async def work(desk: Desk) -> int:
        found = await desk.asset(asset)
        atoms = found.atoms(amount)
        return await desk.admin.fund_insurance(found.asset, -atoms if take else atoms)

    way = "out of" if take else "into"
    carry_out(directory, key, f"{amount} {asset} {way} the insurance fund", work, as_json=as_json)


#: What ``steelyard operate`` has of contracts.
COMMANDS: Final[tuple[click.Command, ...]] = (
    list_index,
    index_price,
    list_contract,
    contract_rules,
    kill_switch,
    insurance,
)


async def _draft(desk: Desk, symbol: str, given: dict[str, Any]) -> tuple[int, Instrument]:
    """Return the index's number, and the contract as it will be: its steps turn sizes into lots."""
    indices = (await desk.client.contracts()).indices
    index = next((each for each in indices.values() if each.symbol == given["index_symbol"]), None)
    if index is None:
        raise OpsError(f"no index {given['index_symbol']}; list it first: steelyard operate list-index")
    base, quote = await desk.asset(given["base"]), await desk.asset(given["quote"])
    numbers = [each.instrument for each in (await desk.client.instruments()).values()]
    kind = ContractKind[given["kind"].upper()]
    lot_mantissa, lot_decimals = mantissa_and_decimals(_above_zero(given["lot"]))
    steps = Instrument(
        instrument=1 + max(numbers, default=0),
        symbol=symbol,
        base=base,
        quote=quote,
        tick_mantissa=index.tick_mantissa,
        tick_decimals=index.tick_decimals,
        lot_mantissa=lot_mantissa,
        lot_decimals=lot_decimals,
        lot_atoms=0,
        tick_lot_atoms=0,
        price_max_ticks=_ticks(given["price_max"], index.tick_mantissa, index.tick_decimals),
        size_max_lots=_ticks(given["size_max"], lot_mantissa, lot_decimals),
        notional_min_atoms=0,
        maker_ppm=given["maker_ppm"],
        taker_ppm=given["taker_ppm"],
        market_protection_ppm=0,
        state=InstrumentState.PRE_OPEN,
        contract=Contract(kind, index.index, quote if kind is ContractKind.LINEAR else base, 0),
    )
    return index.index, steps


def _ticks(number: Decimal, mantissa: int, decimals: int) -> int:
    """Return a number in whole steps of ``mantissa / 10**decimals``."""
    step = Decimal(mantissa).scaleb(-decimals)
    steps, rest = divmod(number, step)
    if rest or steps < 0:
        raise OpsError(f"{number} is no multiple of {step}")
    return int(steps)


def _above_zero(step: Decimal) -> Decimal:
    if step <= 0:
        raise click.UsageError(f"a step is above zero, not {step}")
    return step


async def _funds(directory: Path, key: str) -> dict[str, Any]:
    async with LocalGroup.open(directory).client(key) as client:
        found = await client.contracts()
        assets = {each.asset: each for each in (await client.assets()).values()}
    said: dict[str, Any] = {"log_index": found.log_index, "ok": True}
    for fund in found.funds.values():
        asset = assets[fund.asset]
        gate = ", margin wallets are closed to withdrawals" if fund.gate else ""
        said[asset.symbol] = (
            f"{asset.amount(fund.insurance_atoms):f}, peak of 8 hours {asset.amount(fund.peak_atoms):f}, "
            f"bad debt {asset.amount(fund.debt_atoms):f}{gate}"
        )
    return said

"""``steelyard watch`` and ``book --watch``: a market as it changes, on the screen or as lines of JSON."""

import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from steelyard.client import Client, Instrument
from steelyard.client.market_book import BookKeeper, OutOfStep
from steelyard.client.market_model import Channel, Interval, MarketUpdate
from steelyard.ops import contract_views
from steelyard.ops import market_views as views
from steelyard.ops.words import moment

#: The channels by the names of the command line.
CHANNELS: Final = {channel.name.lower(): channel for channel in Channel}
#: Candle intervals by the names that everybody uses.
INTERVALS: Final = {
    "1s": Interval.SECOND,
    "1m": Interval.MINUTE,
    "3m": Interval.MINUTES_3,
    "5m": Interval.MINUTES_5,
    "15m": Interval.MINUTES_15,
    "30m": Interval.MINUTES_30,
    "1h": Interval.HOUR,
    "2h": Interval.HOURS_2,
    "4h": Interval.HOURS_4,
    "6h": Interval.HOURS_6,
    "8h": Interval.HOURS_8,
    "12h": Interval.HOURS_12,
    "1d": Interval.DAY,
    "3d": Interval.DAYS_3,
    "1w": Interval.WEEK,
    "1mo": Interval.MONTH,
}


async def watch_book(
    client: Client, symbol: str, depth: int, *, as_json: bool, node: str | None = None
) -> None:
    """Show a book as it changes, until interrupted; with ``as_json`` one object a line for each change.

    A book that differs from the exchange's checksum is looked at anew.
    """
    instrument = await client.instrument(symbol, node=node)
    while True:
        keeper = BookKeeper(depth)
        updates = client.market.watch(instrument, [Channel.LEVELS], depth=depth, node=node)
        console = Console()
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            try:
                async with aclosing(updates) as watched:
                    async for update in watched:
                        keeper.take(update)
                        found = views.book_values(instrument, keeper.book())
                        if as_json:
                            _line(found)
                        elif console.is_terminal:
                            live.update(views.book_table(found), refresh=True)
                        else:
                            console.print(views.book_table(found))
            except OutOfStep as error:
                sys.stderr.write(f"{error}: looking anew\n")


async def watch(
    client: Client,
    symbol: str,
    channels: Sequence[Channel],
    *,
    interval: Interval | None,
    depth: int,
    as_json: bool,
    node: str | None = None,
) -> None:
    """Tell every change of some channels, until interrupted; with ``as_json`` one object a line."""
    instrument = await client.instrument(symbol, node=node)
    updates = client.market.watch(instrument, channels, depth=depth, interval=interval, node=node)
    console = Console()
    async with aclosing(updates) as watched:
        async for update in watched:
            found = update_values(instrument, update)
            if as_json:
                _line(found)
            else:
                for line in lines_of(found):
                    console.print(Text.from_markup(line), soft_wrap=True)


def update_values(instrument: Instrument, update: MarketUpdate) -> dict[str, Any]:
    """Return an update as plain values; what it does not say is left out."""
    price, size = instrument.price, instrument.size
    found: dict[str, Any] = {
        "log_index": update.log_index,
        "log_time_ns": update.log_time_ns,
        "picture": update.picture,
    }
    best = update.best
    if best is not None:
        found["best"] = {
            "bid": views.plain(price(best.bid_ticks)),
            "bid_size": views.plain(size(best.bid_lots)),
            "ask": views.plain(price(best.ask_ticks)),
            "ask_size": views.plain(size(best.ask_lots)),
        }
    found["levels"] = [
        (
            level.side.name.lower(),
            views.plain(price(level.price_ticks)),
            views.plain(size(level.lots)),
            level.orders,
        )
        for level in update.levels
    ]
    found["orders"] = [
        (
            order.side.name.lower(),
            order.number,
            views.plain(price(order.price_ticks)),
            views.plain(size(order.lots)),
        )
        for order in update.orders
    ]
    found["trades"] = [views.trade_values(instrument, trade) for trade in update.trades]
    if update.ticker is not None:
        found["ticker"] = views.ticker_values(instrument, update.ticker)
    if update.candle is not None:
        found["candle"] = views.candle_values(instrument, update.candle)
    found["status"] = [views.status_values(instrument, status) for status in update.status]
    found["prices"] = [contract_views.prices_values(instrument, each) for each in update.prices]
    found["funding"] = [contract_views.funding_values(instrument, each) for each in update.funding]
    if update.open_interest_lots is not None:
        found["open_interest"] = views.plain(size(update.open_interest_lots))
    found["liquidations"] = [
        contract_views.liquidation_values(each, {instrument.instrument: instrument})
        for each in update.liquidations
    ]
    return {name: value for name, value in found.items() if value != []}


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return an update as lines for a person, each with where it stands in the log."""
    lines: list[str] = []
    tell: Callable[[str], None] = lines.append
    if found["picture"]:
        tell("[bold]picture[/]")
    for status in found.get("status", []):
        words = f"{status['state']}"
        if status["next_state"]:
            words += f", {status['next_state']} at {moment(status['next_ns'])}"
        if status["auction_price"].strip("0."):
            words += f", auction at {status['auction_price']} for {status['auction_size']}"
        tell(f"state   {words}, mark {status['mark']}")
    if "best" in found:
        best = found["best"]
        bid, ask = f"{best['bid_size']} @ {best['bid']}", f"{best['ask']} @ {best['ask_size']}"
        tell(f"best    [green]{bid}[/] | [red]{ask}[/]")
    for side, price, size, orders in found.get("levels", []):
        tell(f"level   [{_style(side)}]{side:4} {price:>14} {size:>14}[/]  {orders} orders")
    for side, number, price, size in found.get("orders", []):
        tell(f"order   [{_style(side)}]{side:4} {price:>14} {size:>14}[/]  number {number}")
    for trade in found.get("trades", []):
        side = trade["taker_side"]
        words = f"{side:4} {trade['price']:>14} {trade['size']:>14}"
        tell(f"trade   [{_style(side)}]{words}[/]  trade {trade['trade']}")
    if "ticker" in found:
        ticker = found["ticker"]
        words = " ".join(f"{name} {ticker[name]}" for name in ("last", "open", "high", "low", "volume"))
        tell(f"ticker  {words}, {ticker['trades']} trades in 24 hours")
    if "candle" in found:
        candle = found["candle"]
        words = " ".join(f"{name} {candle[name]}" for name in ("open", "high", "low", "close", "volume"))
        tell(f"candle  {moment(candle['start_ns'])} {words}")
    lines += _contract_lines(found)
    return [f"[dim]{found['log_index']:>10,}[/]  {line}" for line in lines]


def _contract_lines(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for prices in found.get("prices", []):
        stale = " [red]stale[/]" if prices["index_stale"] else ""
        lines.append(f"prices  mark {prices['mark'] or '-'}, index {prices['index'] or '-'}{stale}")
    for funding in found.get("funding", []):
        words = f"predicted {funding['predicted']}, last {funding['rate']}"
        if funding["settled"]:
            words = f"settled at {funding['rate']}, a long owes {funding['owed_per_lot']} per lot"
        lines.append(f"funding {words}, next {moment(funding['next_ns'])}")
    if "open_interest" in found:
        lines.append(f"open interest {found['open_interest']}")
    lines += [
        f"[bold]{_liquidation(step)}[/] {contract_views.liquidation_words(step)}"
        for step in found.get("liquidations", [])
    ]
    return lines


def _liquidation(step: dict[str, Any]) -> str:
    number = step["liquidation"]
    return f"liquidation {number}" if number else "bad debt"


def _style(side: str) -> str:
    return "green" if side == "buy" else "red"


def _line(found: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    sys.stdout.flush()

"""Market data and statements as a person likes to read them at a terminal, and as plain values."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from steelyard.client import Asset, Book, Instrument
from steelyard.client.market_model import (
    Candle,
    Gap,
    History,
    MarketStatus,
    ShownOrder,
    Statement,
    Ticker,
    Trade,
)
from steelyard.ops.words import moment

#: The longest bar beside a size.
BAR_COLUMNS: Final = 24
_BAR: Final = "█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"

Row = dict[str, Any]


def book_values(instrument: Instrument, book: Book, orders: Sequence[ShownOrder] | None = None) -> Row:
    """Return a book as plain values; with ``orders`` each of them, too."""
    found: Row = {
        "symbol": instrument.symbol,
        "ok": True,
        "log_index": book.log_index,
        "bids": [_level(instrument, *level) for level in book.bids],
        "asks": [_level(instrument, *level) for level in book.asks],
    }
    if orders is not None:
        found["orders"] = [
            {
                "side": order.side.name.lower(),
                "number": order.number,
                "price": plain(instrument.price(order.price_ticks)),
                "size": plain(instrument.size(order.lots)),
            }
            for order in orders
        ]
    return found


def book_table(found: Row) -> Table:
    """Return a book: asks above, bids below, the best prices in the middle, sizes also as bars."""
    sizes = [Decimal(size) for _, size in (*found["bids"], *found["asks"])]
    most = max(sizes, default=Decimal(1))
    table = Table(title=_book_title(found), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("bid", justify="right", no_wrap=True)
    table.add_column("size", justify="right", style="green")
    table.add_column("price", justify="right", style="bold")
    table.add_column("size", justify="right", style="red")
    table.add_column("ask", no_wrap=True)
    for price, size in reversed(found["asks"]):
        table.add_row("", "", f"[red]{price}[/]", size, f"[red]{bar(Decimal(size), most)}[/]")
    for price, size in found["bids"]:
        table.add_row(f"[green]{bar(Decimal(size), most)}[/]", size, f"[green]{price}[/]", "", "")
    return table


def orders_table(found: Row) -> Table:
    """Return every order of a book, without owners."""
    table = Table(title=_book_title(found), title_justify="left")
    for name in ("side", "order", "price", "size"):
        table.add_column(name, justify="right" if name != "side" else "left")
    asks = [order for order in found["orders"] if order["side"] == "sell"]
    for order in (*reversed(asks), *(order for order in found["orders"] if order["side"] == "buy")):
        style = "green" if order["side"] == "buy" else "red"
        table.add_row(
            f"[{style}]{order['side']}[/]",
            str(order["number"]),
            f"[{style}]{order['price']}[/]",
            order["size"],
        )
    return table


def plain(amount: Decimal) -> str:
    """Return a decimal number without an exponent."""
    return f"{amount:f}"


def bar(size: Decimal, most: Decimal) -> str:
    """Return a bar of eighths of a column, as long as ``size`` is beside the largest one."""
    eighths = int(size * BAR_COLUMNS * 8 / most) if most else 0
    whole, part = divmod(max(eighths, 1), 8)
    return _BAR * whole + (_EIGHTHS[part] if part else "")


def _book_title(found: Row) -> str:
    title = f"{found['symbol']} at log index {found['log_index']:,}"
    if found["bids"] and found["asks"]:
        spread = Decimal(found["asks"][0][0]) - Decimal(found["bids"][0][0])
        title += f", spread {spread}"
    return title


def _level(instrument: Instrument, ticks: int, lots: int) -> tuple[str, str]:
    return plain(instrument.price(ticks)), plain(instrument.size(lots))


def trade_values(instrument: Instrument, trade: Trade) -> Row:
    """Return a trade as plain values."""
    return {
        "trade": trade.trade,
        "log_index": trade.log_index,
        "log_time_ns": trade.log_time_ns,
        "price": plain(instrument.price(trade.price_ticks)),
        "size": plain(instrument.size(trade.size_lots)),
        "taker_side": trade.taker_side.name.lower(),
    }


def trades_values(instrument: Instrument, found: History[Trade]) -> Row:
    """Return trades as plain values."""
    return {
        "symbol": instrument.symbol,
        "ok": True,
        "log_index": found.log_index,
        "trades": [trade_values(instrument, trade) for trade in found.rows],
        "gaps": gap_values(found.gaps),
    }


def trades_table(found: Row) -> Table:
    """Return trades, oldest first."""
    table = Table(title=_title("trades of " + found["symbol"], found), title_justify="left")
    for name in ("trade", "log time", "price", "size", "taker"):
        table.add_column(name, justify="right")
    for trade in found["trades"]:
        style = "green" if trade["taker_side"] == "buy" else "red"
        table.add_row(
            str(trade["trade"]),
            moment(trade["log_time_ns"]),
            f"[{style}]{trade['price']}[/]",
            trade["size"],
            f"[{style}]{trade['taker_side']}s[/]",
        )
    return table


def candle_values(instrument: Instrument, candle: Candle) -> Row:
    """Return a candle as plain values."""
    return {
        "start_ns": candle.start_ns,
        "open": plain(instrument.price(candle.open_ticks)),
        "high": plain(instrument.price(candle.high_ticks)),
        "low": plain(instrument.price(candle.low_ticks)),
        "close": plain(instrument.price(candle.close_ticks)),
        "volume": plain(instrument.size(candle.volume_lots)),
        "notional": plain(instrument.settle.amount(candle.volume_atoms)),
        "trades": candle.trades,
        "taker_bought": plain(instrument.size(candle.taker_buy_lots)),
    }


def candles_values(instrument: Instrument, interval: str, found: History[Candle]) -> Row:
    """Return candles as plain values."""
    return {
        "symbol": instrument.symbol,
        "interval": interval,
        "ok": True,
        "log_index": found.log_index,
        "candles": [candle_values(instrument, candle) for candle in found.rows],
        "gaps": gap_values(found.gaps),
    }


def candles_table(found: Row) -> Table:
    """Return candles, oldest first."""
    table = Table(
        title=_title(f"{found['interval']} candles of {found['symbol']}", found), title_justify="left"
    )
    names = ("open", "high", "low", "close", "volume", "notional", "trades")
    table.add_column("from")
    for name in names:
        table.add_column(name, justify="right")
    for candle in found["candles"]:
        style = "green" if Decimal(candle["close"]) >= Decimal(candle["open"]) else "red"
        cells = [f"[{style}]{candle[name]}[/]" for name in names[:4]]
        table.add_row(moment(candle["start_ns"]), *cells, *(str(candle[name]) for name in names[4:]))
    return table


def ticker_values(instrument: Instrument, ticker: Ticker) -> Row:
    """Return a ticker as plain values."""
    price, size = instrument.price, instrument.size
    of_contract: Row = {}
    if instrument.contract is not None:
        of_contract = {
            "index": plain(price(ticker.index_ticks)),
            "open_interest": plain(size(ticker.open_interest_lots)),
            "predicted_funding_ppb": ticker.predicted_ppb,
            "next_funding_ns": ticker.funding_ns,
        }
    return of_contract | {
        "symbol": instrument.symbol,
        "last": plain(price(ticker.last_ticks)),
        "bid": plain(price(ticker.bid_ticks)),
        "bid_size": plain(size(ticker.bid_lots)),
        "ask": plain(price(ticker.ask_ticks)),
        "ask_size": plain(size(ticker.ask_lots)),
        "open": plain(price(ticker.open_ticks)),
        "high": plain(price(ticker.high_ticks)),
        "low": plain(price(ticker.low_ticks)),
        "volume": plain(size(ticker.volume_lots)),
        "notional": plain(instrument.settle.amount(ticker.volume_atoms)),
        "trades": ticker.trades,
        "mark": plain(price(ticker.mark_ticks)),
        "log_time_ns": ticker.log_time_ns,
    }


def status_values(instrument: Instrument, status: MarketStatus) -> Row:
    """Return an instrument's state as plain values."""
    return {
        "state": status.state.name,
        "next_state": status.next_state.name if status.next_state is not None else None,
        "next_ns": status.next_ns,
        "mark": plain(instrument.price(status.mark_ticks)),
        "auction_price": plain(instrument.price(status.auction_ticks)),
        "auction_size": plain(instrument.size(status.auction_lots)),
    }


def statement_values(account: int, found: Statement, assets: dict[int, Asset]) -> Row:
    """Return a statement as plain values."""

    def amount(asset: int, atoms: int) -> str:
        return plain(assets[asset].amount(atoms))

    return {
        "account": account,
        "ok": True,
        "log_index": found.log_index,
        "after_index": found.after_index,
        "to_index": found.to_index,
        "balances": [
            {
                "asset": assets[row.asset].symbol,
                "before": amount(row.asset, row.before_atoms),
                "after": amount(row.asset, row.after_atoms),
            }
            for row in found.balances
        ],
        "lines": [
            {
                "asset": assets[row.asset].symbol,
                "cause": row.cause,
                "amount": amount(row.asset, row.amount_atoms),
                "count": row.count,
            }
            for row in found.lines
        ],
        "movements": [
            {
                "log_index": row.log_index,
                "log_time_ns": row.log_time_ns,
                "asset": assets[row.asset].symbol,
                "cause": row.cause,
                "amount": amount(row.asset, row.amount_atoms),
                "other": row.other,
                "trade": row.trade,
            }
            for row in found.movements
        ],
        "gaps": gap_values(found.gaps),
    }


def statement_table(found: Row) -> Table:
    """Return a statement: of each asset what there was, what came and went by cause, and what there is."""
    bounds = f"after log index {found['after_index']:,} up to {found['to_index']:,}"
    table = Table(title=f"account {found['account']}, {bounds}{_missing(found)}", title_justify="left")
    for name in ("asset", "what", "amount", "movements"):
        table.add_column(name, justify="left" if name in ("asset", "what") else "right")
    for balance in found["balances"]:
        table.add_row(balance["asset"], "[bold]before[/]", f"[bold]{balance['before']}[/]", "")
        for line in found["lines"]:
            if line["asset"] == balance["asset"]:
                style = "red" if line["amount"].startswith("-") else "green"
                table.add_row("", line["cause"], f"[{style}]{line['amount']}[/]", f"{line['count']:,}")
        table.add_row("", "[bold]after[/]", f"[bold]{balance['after']}[/]", "", end_section=True)
    return table


def movements_table(found: Row) -> Table:
    """Return every movement of a statement, in log order."""
    table = Table(title="movements", title_justify="left")
    for name in ("log index", "log time", "cause", "amount", "asset", "other account", "trade"):
        table.add_column(name, justify="left" if name in ("cause", "asset") else "right")
    for row in found["movements"]:
        table.add_row(
            f"{row['log_index']:,}",
            moment(row["log_time_ns"]),
            row["cause"],
            row["amount"],
            row["asset"],
            str(row["other"]),
            str(row["trade"] or "-"),
        )
    return table


def gap_values(gaps: Sequence[Gap]) -> list[Row]:
    """Return gaps as plain values."""
    return [{"after_index": gap.after_index, "to_index": gap.to_index} for gap in gaps]


def _title(what: str, found: Row) -> str:
    return f"{what}, archive at log index {found['log_index']:,}{_missing(found)}"


def _missing(found: Row) -> str:
    return "".join(
        f"; entries {gap['after_index'] + 1:,} to {gap['to_index']:,} are missing" for gap in found["gaps"]
    )

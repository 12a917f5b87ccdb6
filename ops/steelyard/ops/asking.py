"""``steelyard book`` and ``balances``: one question to a group, as fresh as wanted, at the node wanted."""

from typing import Any, NamedTuple

from rich.table import Table

from steelyard.client import ReadMode
from steelyard.ops.cluster import LocalGroup


class Question(NamedTuple):
    """How fresh an answer must be, and who is to give it."""

    at: ReadMode = ReadMode.LINEARIZABLE
    #: With AT_LEAST: the log index that the answer must have seen.
    min_index: int = 0
    #: A member's number; None: the leader if linearizable, else any.
    node: int | None = None

    def of(self, group: LocalGroup) -> dict[str, Any]:
        """Return it as the reads of ``Client`` take it."""
        node = None if self.node is None else group.endpoints[self.node - 1]
        return {"at": self.at, "min_index": self.min_index, "node": node}

    def described(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"read": self.at.name, "node": self.node}


async def book(group: LocalGroup, symbol: str, depth: int, question: Question) -> dict[str, Any]:
    """Return the best levels of a book, prices and sizes as exact decimals.

    Raises:
        NotFound: Nothing of that symbol is listed, as far as the node asked knows.

    """
    async with group.client() as client:
        instrument = await client.instrument(symbol, **question.of(group))
        found = await client.book(instrument, depth, **question.of(group))
    return {
        "symbol": symbol,
        **question.described(),
        "ok": True,
        "log_index": found.log_index,
        "bids": [(str(instrument.price(ticks)), str(instrument.size(lots))) for ticks, lots in found.bids],
        "asks": [(str(instrument.price(ticks)), str(instrument.size(lots))) for ticks, lots in found.asks],
    }


async def balances(group: LocalGroup, name: str, question: Question) -> dict[str, Any]:
    """Return what the account of the key of that name owns, as exact decimals.

    Raises:
        GroupError: There is no such key beside the group.

    """
    async with group.client(name) as client:
        rows = await client.balances(**question.of(group))
    return {
        "account": group.key(name).account,
        **question.described(),
        "ok": True,
        "log_index": rows.log_index,
        "balances": [
            {"asset": row.asset.symbol, "free": str(row.free), "held": str(row.held)} for row in rows
        ],
    }


def book_table(found: dict[str, Any]) -> Table:
    """Return a book as a person likes to read it: the best prices in the middle."""
    table = Table(title=f"{found['symbol']} at log index {found['log_index']:,}", title_justify="left")
    for name in ("bid size", "price", "ask size"):
        table.add_column(name, justify="right")
    for price, size in reversed(found["asks"]):
        table.add_row("", price, size)
    for price, size in found["bids"]:
        table.add_row(size, price, "")
    return table


def balances_table(found: dict[str, Any]) -> Table:
    """Return balances as a person likes to read them."""
    table = Table(
        title=f"account {found['account']} at log index {found['log_index']:,}", title_justify="left"
    )
    table.add_column("asset", style="bold")
    for name in ("free", "held"):
        table.add_column(name, justify="right")
    for row in found["balances"]:
        table.add_row(row["asset"], row["free"], row["held"])
    return table

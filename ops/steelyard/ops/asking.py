"""``steelyard book`` and ``balances``: one question to a group, as fresh as wanted, at the node wanted."""

from typing import Any, NamedTuple

from rich.table import Table

from steelyard.client import ReadMode
from steelyard.ops import market_watch
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.market_views import book_values


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


async def book(
    group: LocalGroup, symbol: str, depth: int, question: Question, *, orders: bool = False
) -> dict[str, Any]:
    """Return the best levels of a book, prices and sizes as exact decimals; with ``orders`` every order, too.

    Raises:
        NotFound: Nothing of that symbol is listed, as far as the node asked knows.

    """
    async with group.client() as client:
        instrument = await client.instrument(symbol, **question.of(group))
        found = await client.book(instrument, depth, **question.of(group))
        every = None
        if orders:
            # Of the same moment or a later one, whoever answers.
            index = max(found.log_index, question.min_index)
            at = {**question.of(group), "min_index": index}
            _, every = await client.market.orders(instrument, **at)
    return question.described() | book_values(instrument, found, every)


async def watch_book(
    group: LocalGroup, symbol: str, depth: int, node: int | None, *, as_json: bool
) -> dict[str, Any]:
    """Show a book as it changes, until interrupted."""
    target = None if node is None else group.endpoints[node - 1]
    async with group.client() as client:
        await market_watch.watch_book(client, symbol, depth, as_json=as_json, node=target)
    return {"ok": True}


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

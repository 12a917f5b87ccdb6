"""``steelyard operate tiers``: the fee tier of every account, by what it traded and what it owns."""

import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from steelyard.client import Asset, Client, NotFound
from steelyard.ops.archives import archive_index
from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.config import node_paths

#: The days of UTC that count, the one of the last log entry included.
DAYS = 30
FIRST_CUSTOMER = 1000


class Tier(NamedTuple):
    """Who trades or owns at least so much is in it."""

    tier: int
    volume: Decimal
    balance: Decimal


class TierTable(NamedTuple):
    """Volumes are in ``volume_asset``, the quote of what was traded; balances in ``balance_asset``."""

    volume_asset: str
    balance_asset: str
    tiers: list[Tier]

    def tier_of(self, volume: Decimal, balance: Decimal) -> int:
        """Return the highest tier whose volume or whose balance is reached, or zero."""
        return max(
            (
                tier.tier
                for tier in self.tiers
                if (tier.volume and volume >= tier.volume) or (tier.balance and balance >= tier.balance)
            ),
            default=0,
        )


def read_table(path: Path) -> TierTable:
    """Return what a file says: ``volume_asset``, ``balance_asset``, and a ``[[tier]]`` for each tier.

    A tier has its number ``tier`` and ``volume``, ``balance`` or both, as whole numbers or texts.

    Raises:
        OpsError: It cannot be read or makes no sense.

    """
    try:
        found = tomllib.loads(path.read_text())
        tiers = [
            Tier(int(row["tier"]), _amount(row.get("volume", 0)), _amount(row.get("balance", 0)))
            for row in found["tier"]
        ]
        volume_asset = str(found["volume_asset"])
        table = TierTable(volume_asset, str(found.get("balance_asset", volume_asset)), tiers)
    except OSError as error:
        raise OpsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise OpsError(f"{path} is no table of tiers: {error}") from error
    if len({tier.tier for tier in tiers}) != len(tiers) or any(tier.tier < 1 for tier in tiers):
        raise OpsError(f"{path}: each tier has a number of its own, from 1 on")
    return table


async def tiers(group: LocalGroup, path: Path, *, apply: bool) -> dict[str, Any]:
    """Work out every account's tier from an archive; with ``apply`` set those that have changed.

    Doing it again changes nothing more.

    Raises:
        OpsError: There is no archive, or the table makes no sense.

    """
    table = read_table(path)
    member = _archivist(group)
    async with group.client() as client:
        assets = await client.assets()
        volume_asset, balance_asset = (_asset(assets, name) for name in table[:2])
        with ArchiveReader(node_paths(group.directory, member).archive) as reader:
            index = reader.last_index
            volumes = reader.volumes(volume_asset.asset, DAYS)
            owned = reader.holders(balance_asset.asset)
        accounts = sorted(each for each in volumes.keys() | owned.keys() if each >= FIRST_CUSTOMER)
        rows = [
            await _row(
                client,
                table,
                account,
                volume_asset.amount(volumes.get(account, 0)),
                balance_asset.amount(owned.get(account, 0)),
            )
            for account in accounts
        ]
        changed = [row for row in rows if row["tier"] != row["was"]]
        if apply and changed:
            admin = await client.admin("tiers")
            for row in changed:
                await admin.set_account_tier(row["account"], row["tier"])
    return {
        "ok": True,
        "log_index": index,
        "days": DAYS,
        "volume_asset": table.volume_asset,
        "balance_asset": table.balance_asset,
        "accounts": rows,
        "changed": len(changed),
        "applied": apply,
    }


def tiers_table(found: dict[str, Any]) -> Table:
    """Return the accounts and their tiers."""
    done = "set" if found["applied"] else "not set: --apply does it"
    table = Table(
        title=f"tiers by {found['days']} days up to log index {found['log_index']:,};"
        f" {found['changed']} changed, {done}",
        title_justify="left",
    )
    for name in ("account", f"traded, {found['volume_asset']}", f"owns, {found['balance_asset']}", "tier"):
        table.add_column(name, justify="right")
    for row in found["accounts"]:
        changed = row["tier"] != row["was"]
        tier = f"[bold]{row['was']} → {row['tier']}[/]" if changed else str(row["tier"])
        table.add_row(str(row["account"]), row["volume"], row["balance"], tier)
    return table


async def _row(
    client: Client, table: TierTable, account: int, volume: Decimal, balance: Decimal
) -> dict[str, Any]:
    return {
        "account": account,
        "volume": f"{volume:f}",
        "balance": f"{balance:f}",
        "was": (await client.account(account)).tier,
        "tier": table.tier_of(volume, balance),
    }


def _archivist(group: LocalGroup) -> int:
    """Return the member whose archive has come furthest."""
    found = {member: archive_index(group, member) for member in MEMBERS}
    there = {member: index for member, index in found.items() if index is not None}
    if not there:
        raise OpsError("no node of this group keeps an archive; 'steelyard up --archive 1' starts one")
    return max(there, key=lambda member: there[member])


def _asset(assets: dict[str, Asset], symbol: str) -> Asset:
    if symbol not in assets:
        raise NotFound(f"no asset {symbol}; listed: {', '.join(assets) or 'none'}")
    return assets[symbol]


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{value!r} is neither a whole number nor a text")
    return Decimal(value)

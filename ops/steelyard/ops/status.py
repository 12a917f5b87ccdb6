"""What a group is doing now: leader, terms, indexes, digests and orders per second."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from steelyard.client import Client, NodeStatus
from steelyard.ops.archives import archive_index
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.runfile import PARTS, NodeRun
from steelyard.ops.supervisor import STOPS_MAX, WINDOW_S

SAMPLE_S: Final = 0.5


class Watch:
    """Samples a group, so that rates can be told from one look to the next."""

    def __init__(self, group: LocalGroup, client: Client) -> None:
        self._group = group
        self._client = client
        self._last: dict[
            int, tuple[float, int, int]
        ] = {}  # member: (moment, replica's pid, commands applied)

    async def look(self) -> dict[str, Any]:
        """Return the group's status as plain values; see ``status_table`` for the same as a table."""
        run = self._group.refresh()
        now_s = time.monotonic()
        statuses = {status.target: status for status in await self._group.looked_at(self._client)}
        nodes = [
            self._node(member.member, statuses[member.client], run.nodes[member.member], now_s)
            for member in self._group.config.members
        ]
        leaders = [node for node in nodes if node["role"] == "leader" and node["ready"]]
        leader = max(leaders, key=lambda node: int(node["term"])) if leaders else None
        digests: dict[int, set[str]] = {}
        shared: dict[int, int] = {}
        for node in nodes:
            if node["digest_index"]:
                digests.setdefault(node["digest_index"], set()).add(node["digest"])
                shared[node["digest_index"]] = shared.get(node["digest_index"], 0) + 1
        compared = [index for index, count in shared.items() if count > 1]
        return {
            "running": bool(run.alive()),
            "ready": leader is not None,
            "group": self._group.config.group,
            "profile": self._group.config.profile,
            "leader": leader["member"] if leader else 0,
            "term": leader["term"] if leader else 0,
            "orders_per_second": leader["orders_per_second"] if leader else 0,
            "digests_equal": all(len(digests[index]) == 1 for index in compared) if compared else None,
            "nodes": nodes,
        }

    def _node(self, member: int, status: NodeStatus, run: NodeRun, now_s: float) -> dict[str, Any]:
        rate = 0
        last = self._last.get(member)
        if last is not None and last[1] == status.replica_pid and now_s > last[0]:
            rate = round((status.commands_applied - last[2]) / (now_s - last[0]))
        self._last[member] = (now_s, status.replica_pid, status.commands_applied)
        down = not status.reachable
        living = [run.part(part) in run.alive() for part in PARTS]
        return {
            "member": member,
            "endpoint": status.target,
            "role": "down" if down and not any(living) else status.role,
            "ready": status.ready,
            "term": status.term,
            "log_index": status.log_index,
            "commit_index": status.commit_index,
            "last_index": status.last_index,
            "snapshot_index": status.snapshot_index,
            "log_first_index": status.log_first_index,
            "log_used_ppm": status.log_used_ppm,
            "digest_index": status.digest_index,
            "digest": status.digest.hex(),
            "orders_per_second": rate,
            "commands_applied": status.commands_applied,
            "sync_mode": status.sync_mode,
            "replica_pid": run.replica.pid if run.replica is not None and run.replica.alive() else 0,
            "gateway_pid": run.gateway.pid if run.gateway is not None and run.gateway.alive() else 0,
            "archive_pid": run.archive.pid if run.archive is not None and run.archive.alive() else 0,
            "archive_index": archive_index(self._group, member),
            "archive_down_reason": run.archive_down_reason,
            "stops": run.stops,
            "down_reason": run.down_reason,
            "version": status.version,
        }


async def group_status(group: LocalGroup, client: Client) -> dict[str, Any]:
    """Look twice, half a second apart, so that the rates say something."""
    watch = Watch(group, client)
    await watch.look()
    await asyncio.sleep(SAMPLE_S)
    return await watch.look()


_ROLES: Final = {
    "leader": "[bold green]leader[/]",
    "down": "[bold red]down[/]",
    "unreachable": "[red]unreachable[/]",
}
_DIGEST_SHOWN: Final = 12


def _archive_text(node: dict[str, Any]) -> str:
    if node["archive_down_reason"]:
        return "[red]stopped[/]"
    if node["archive_index"] is None:
        return "-"
    return f"{node['archive_index']:,}" if node["archive_pid"] else f"{node['archive_index']:,} (stopped)"


_ROWS: Final[tuple[tuple[str, Callable[[dict[str, Any]], str]], ...]] = (
    ("role", lambda node: _ROLES.get(node["role"], node["role"])),
    ("endpoint", lambda node: node["endpoint"]),
    ("term", lambda node: f"{node['term']:,}"),
    ("applied", lambda node: f"{node['log_index']:,}"),
    ("committed", lambda node: f"{node['commit_index']:,}"),
    ("digest at", lambda node: f"{node['digest_index']:,}"),
    ("digest", lambda node: node["digest"][:_DIGEST_SHOWN] or "-"),
    ("snapshot at", lambda node: f"{node['snapshot_index']:,}"),
    ("orders a second", lambda node: f"{node['orders_per_second']:,}"),
    ("log used", lambda node: f"{node['log_used_ppm'] / 10_000:.1f} %"),
    ("replica's process", lambda node: str(node["replica_pid"] or "-")),
    ("gateway's process", lambda node: str(node["gateway_pid"] or "-")),
    ("archive at", _archive_text),
    ("stops", lambda node: str(node["stops"])),
)


def status_table(status: dict[str, Any]) -> Table:
    """Return a group's status as a person likes to read it."""
    agree = {True: "[green]equal[/]", False: "[bold red]DIFFERENT[/]", None: "not compared yet"}
    table = Table(
        title=f"group {status['group'][:8]}, term {status['term']}, "
        f"{status['orders_per_second']:,} orders/s, digests {agree[status['digests_equal']]}",
        title_justify="left",
    )
    table.add_column("")
    for node in status["nodes"]:
        table.add_column(f"node {node['member']}", justify="right")
    for name, text in _ROWS:
        table.add_row(name, *(text(node) for node in status["nodes"]))
    if any(node["stops"] for node in status["nodes"]):
        table.caption = f"a node that stops {STOPS_MAX} times in {WINDOW_S / 60:.0f} minutes stays down"
        table.caption_justify = "left"
    if any(node["down_reason"] for node in status["nodes"]):
        table.add_row("stays down", *(escape(node["down_reason"]) for node in status["nodes"]))
    if any(node["archive_down_reason"] for node in status["nodes"]):
        table.add_row(
            "archive stays down", *(escape(node["archive_down_reason"]) for node in status["nodes"])
        )
    return table

"""Three nodes of real processes: the leader is killed under load, and the client sees only a pause."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from tests.helpers.replicas import Replicas, free_ports

from steelyard.client import (
    ApiKey,
    Cancelled,
    CancelOrder,
    Client,
    InstrumentState,
    OrderEvent,
    OrderStep,
    Permission,
    Placed,
    PlaceOrder,
    Refused,
    Reply,
    Session,
    Side,
)
from steelyard.replication.audit import audit
from steelyard.replication.config import found_group, node_paths

PARTS = ("replication", "rpc")


class Group:
    """Three replicas, three gateways."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(6)
        members = [(f"127.0.0.1:{ports[n]}", f"127.0.0.1:{ports[n + 3]}") for n in range(3)]
        self.folder = folder
        self.targets = [client for _, client in members]
        self.operator = ApiKey.generate(1, 9)
        found_group(folder, members, self.operator.public_key, map_size_bytes=64 << 20)
        self.processes: dict[tuple[int, str], subprocess.Popen[bytes]] = {}

    def start(self, member: int) -> None:
        """Start a node."""
        paths = node_paths(self.folder, member)
        for part, log_path in zip(PARTS, (paths.replica_log, paths.gateway_log), strict=True):
            with log_path.open("ab") as log:
                self.processes[member, part] = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        f"steelyard.{part}",
                        "--data",
                        str(self.folder),
                        "--member",
                        str(member),
                    ],
                    env=Replicas.environment(),
                    stderr=log,
                )

    def end(self, member: int, number: int) -> list[int]:
        """End a node by signal; return the exit codes."""
        ended = [self.processes.pop((member, part)) for part in PARTS]
        for process in ended:
            process.send_signal(number)
        return [process.wait(20) for process in ended]

    def nodes(self) -> list[Path]:
        """Return the directories of the nodes."""
        return [node_paths(self.folder, member).node for member in (1, 2, 3)]


@contextmanager
def group_of_three(folder: Path) -> Iterator[Group]:
    """Run a group; whatever still runs at the end is killed."""
    group = Group(folder)
    try:
        for member in (1, 2, 3):
            group.start(member)
        yield group
    finally:
        for process in group.processes.values():
            process.kill()
            process.wait(20)


async def open_market(client: Client) -> ApiKey:
    """List, open and fund; return a trader's key."""
    admin = await client.admin()
    await admin.list_asset(1, "BTC", 8)
    await admin.list_asset(2, "USD", 2)
    await admin.list_instrument(
        1, "BTC-USD", 1, 2, tick=Decimal(1), lot=Decimal("0.01"), price_max_ticks=10**6, size_max_lots=10**4
    )
    for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN):
        await admin.set_instrument_state(1, state)
    await admin.open_account(1000)
    for asset in (1, 2):
        await admin.deposit(1000, asset, 10**15)
    key = ApiKey.generate()
    made = await admin.create_api_key(1000, key.public_key, Permission.READ | Permission.TRADE)
    return key.with_id(made, 1000)


async def trade(session: Session, until: asyncio.Event) -> None:
    """Place and cancel until told to stop."""
    order = 0
    while not until.is_set():
        order += 1
        place = PlaceOrder(
            instrument=1,
            side=Side.BUY,
            size_lots=2,
            limit_ticks=100 + order % 50,
            order=session.id * 10**9 + order,
        )
        replies = await session.submit_many([place, CancelOrder(order=place.order)])
        assert isinstance(replies[0], Placed), replies
        assert isinstance(replies[1], Cancelled), replies


@pytest.mark.processes
def test_a_killed_leader_is_a_pause_and_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    async def check(group: Group) -> dict[tuple[int, int], Reply]:
        acks: dict[tuple[int, int], Reply] = {}
        async with Client(group.targets, group.operator) as operator:
            key = await open_market(operator)
            async with Client(group.targets, key) as client:
                sessions = [await client.session(f"trader {n}") for n in range(5)]
                watcher = await client.session("watcher", events=True)
                for session in sessions:
                    hook = lambda n, reply, s=session: acks.__setitem__((s.id, n), reply)  # noqa: E731
                    session.on_ack = hook
                stop = asyncio.Event()
                trading = [asyncio.ensure_future(trade(session, stop)) for session in sessions]
                accepted: list[int] = []
                watching = asyncio.ensure_future(watch(watcher, accepted))
                for _ in range(2):
                    await grow(acks, 300)
                    (leader,) = [node.member for node in await client.statuses() if node.leads]
                    assert group.end(leader, signal.SIGKILL) == [-signal.SIGKILL, -signal.SIGKILL]
                    await grow(acks, 300)
                    group.start(leader)
                    while not all(node.ready for node in await client.statuses()):
                        await asyncio.sleep(0.05)
                stop.set()
                await asyncio.gather(*trading)
                assert all(session.reconnects >= 1 for session in sessions)
                placed = [reply.number for reply in acks.values() if isinstance(reply, Placed)]
                while not accepted or accepted[-1] < max(placed):
                    await asyncio.sleep(0.01)
                watching.cancel()
                assert accepted == sorted(placed)
                last = max(reply.log_index for reply in acks.values())
                while min(node.log_index for node in await client.statuses()) < last:
                    await asyncio.sleep(0.05)
        return acks

    async def watch(session: Session, accepted: list[int]) -> None:
        async for event in session.events():
            if isinstance(event, OrderEvent) and event.step is OrderStep.ACCEPTED:
                accepted.append(event.number)  # noqa: PERF401 - the events never end

    async def grow(acks: dict[tuple[int, int], Reply], count: int) -> None:
        """Wait until so many more requests are acknowledged."""
        wanted = len(acks) + count
        while len(acks) < wanted:
            await asyncio.sleep(0.005)

    with group_of_three(tmp_path) as group:
        acks = asyncio.run(asyncio.wait_for(check(group), 60))
        for member in (1, 2, 3):
            assert group.end(member, signal.SIGTERM) == [0, 0], os.listdir(tmp_path)
    assert len(acks) > 1000
    assert not any(isinstance(reply, Refused) for reply in acks.values())
    audited = audit(group.nodes())
    assert audited.ok, audited.faults
    assert not audited.duplicates
    assert audited.digests_equal
    assert audited.money_conserved
    for node in audited.nodes:
        for place, reply in acks.items():
            execution = node.executions[place]
            assert (execution.log_index, execution.times) == (reply.log_index, 1)


@pytest.mark.processes
def test_a_gateway_refuses_to_start_where_it_cannot_serve(tmp_path: Path) -> None:
    def start(folder: Path, *flags: str) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, *flags, "-m", "steelyard.rpc", "--data", str(folder), "--member", "1"],
            env=Replicas.environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return ended.returncode, ended.stderr

    code, text = start(tmp_path / "nothing")
    assert code == 78
    assert "holds no group" in text

    group = Group(tmp_path / "group")
    group.start(1)
    try:
        code, text = start(tmp_path / "group", "-O")
        assert code == 78
        assert "python -O" in text
        while "serves clients" not in node_paths(group.folder, 1).gateway_log.read_text():
            assert group.processes[1, "rpc"].poll() is None
        code, text = start(tmp_path / "group")
        assert code == 78
        assert "cannot listen" in text
    finally:
        assert group.end(1, signal.SIGKILL) == [-signal.SIGKILL, -signal.SIGKILL]

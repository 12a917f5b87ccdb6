"""Benchmarks: one core alone, and the whole with three replicas, gateway and clients on this machine."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from typing import Any, Final, NamedTuple

import msgspec

from steelyard.client import Client
from steelyard.ops import bench_core, bench_mark, machine
from steelyard.ops.bench_client import ClientPlan, ClientReport, KeyRow
from steelyard.ops.cluster import MEMBERS, LocalGroup, child_environment
from steelyard.ops.errors import OpsError
from steelyard.ops.results import commit
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.traders import open_load_market
from steelyard.ops.usage import cpu_seconds
from steelyard.ops.verdict import AckBook, gather, judge
from steelyard.replication.config import Profile

#: Client processes start within this time; then follows the warm-up, which is not measured.
START_S: Final = 3.0
WARM_UP_S: Final = 3.0
#: Room for a minute at 50 000 orders a second without trimming the log that the verdict reads.
MAP_SIZE_BYTES: Final = 1 << 30
LOOK_S: Final = 0.25


class Plan(NamedTuple):
    """What an end-to-end run looks like; ``sessions`` in all, spread over the client processes."""

    seconds: float
    batch: int
    sessions: int
    outstanding: int
    clients: int
    profile: Profile


class Sample(NamedTuple):
    """What the group had used and done at one moment."""

    moment_s: float
    cpu_s: dict[str, float]
    entries: int
    commands: int


def core(
    terminal: Terminal, *, commands: int, rounds: int, mix: bench_core.Mix = bench_core.Mix.SPOT
) -> dict[str, Any]:
    """Measure one exchange in one process, again and again; return the median round, and the spread."""
    with terminal.progress("generating and applying", 2 * commands * rounds) as advance:
        done = 0

        def advanced(count: int) -> None:
            nonlocal done
            done += count
            advance(done)

        measured = [bench_core.run(commands=commands, mix=mix, advanced=advanced) for _ in range(rounds)]
    speeds = [int(str(each["commands_per_second"])) for each in measured]
    return {
        **measured[speeds.index(statistics.median_high(speeds))],
        "rounds": rounds,
        "commands_per_second_min": min(speeds),
        "commands_per_second_max": max(speeds),
        "commit": commit(),
        "ok": True,
    }


def mark(terminal: Terminal, *, positions: int, rounds: int) -> dict[str, Any]:
    """Measure how a new mark finds whom it concerns among very many positions."""
    with terminal.progress("moving marks", rounds) as advance:
        done = 0

        def advanced(count: int) -> None:
            nonlocal done
            done += count
            advance(done)

        measured = bench_mark.run(positions, rounds, advanced=advanced)
    return {**measured, "commit": commit(), "ok": True}


async def end_to_end(terminal: Terminal, plan: Plan) -> dict[str, Any]:
    """Measure orders acknowledged by a group of three on this machine, each fsynced on a majority.

    Closed loop: every session has ``outstanding`` orders open and sends the next batch as replies arrive, so
    the latency, from submission to reply, is that of a saturated system.

    Returns:
        The outcome as plain values; ``ok`` only if the verdict on every acknowledgement holds.

    Raises:
        OpsError: A client process failed.

    """
    load_before = os.getloadavg()
    with scratch_group(profile=plan.profile, map_size_bytes=MAP_SIZE_BYTES) as scratch:
        group = scratch.group
        async with group.client() as operator:
            with terminal.busy("waiting for the group"):
                leader = await group.wait_ready(operator)
            opened = await open_load_market(group, operator, plan.sessions)
            from_s = time.monotonic() + START_S + WARM_UP_S
            until_s = from_s + plan.seconds
            keys = [KeyRow.of(key) for key in opened.keys.values()]
            clients = [
                ClientPlan(
                    targets=group.endpoints,
                    instrument=opened.instrument.instrument,
                    keys=keys[number :: plan.clients],
                    seed=number * plan.sessions,
                    batch=plan.batch,
                    outstanding=plan.outstanding,
                    from_s=from_s,
                    until_s=until_s,
                )
                for number in range(min(plan.clients, plan.sessions))
            ]
            # A client that fails ends all of it at once, and none goes on without us.
            async with asyncio.TaskGroup() as tasks:
                work = [tasks.create_task(_run_client(client)) for client in clients]
                first, last = await _watch(terminal, group, operator, leader, from_s, until_s)
            reports = [task.result() for task in work]
            acks = AckBook()
            for report in reports:
                acks.add_rows(report.acks)
            await group.wait_level(operator, acks.last_index)
            await group.wait_logged(acks.last_index)
            sync_mode = (await group.statuses(operator))[leader].sync_mode
        with terminal.busy("reading the logs of all replicas"):
            verdict = judge(acks, await asyncio.to_thread(gather, group.node_directories))
        scratch.keep_unless(verdict.ok, terminal)
        return {
            **_figures(plan, reports, first, last),
            "sync_mode": sync_mode,
            "machine": machine.describe(),
            "load_average_before": round(load_before[0], 2),
            "commit": commit(),
            **msgspec.structs.asdict(verdict),
        }


def _figures(plan: Plan, reports: list[ClientReport], first: Sample, last: Sample) -> dict[str, Any]:
    latencies_us = sorted(value for report in reports for value in report.latencies_us)
    orders = len(latencies_us)
    if not orders:
        raise OpsError("no order was acknowledged while measuring")
    # The samples are taken a moment away from the measured window, so they give ratios, not totals.
    commands = max(1, last.commands - first.commands)
    cpu_us = {
        part: round((last.cpu_s[part] - used_s) * 1e6 / commands, 2) for part, used_s in first.cpu_s.items()
    }
    sent = sum(len(rows) for report in reports for rows in report.acks.values())
    cpu_us["clients"] = round(sum(report.cpu_s for report in reports) * 1e6 / max(1, sent), 2)
    return {
        "orders_per_second": round(orders / plan.seconds),
        "p50_ms": _percentile_ms(latencies_us, 500),
        "p90_ms": _percentile_ms(latencies_us, 900),
        "p99_ms": _percentile_ms(latencies_us, 990),
        "p999_ms": _percentile_ms(latencies_us, 999),
        "max_ms": round(latencies_us[-1] / 1000, 2),
        "batch": plan.batch,
        "sessions": plan.sessions,
        "outstanding": plan.outstanding,
        "clients": plan.clients,
        "seconds": plan.seconds,
        "orders_measured": orders,
        "refused_ppm": round(sum(report.refused for report in reports) * 1_000_000 / orders),
        "entry_mean": round(commands / max(1, last.entries - first.entries), 1),
        "cpu_us_per_order": cpu_us,
        "profile": plan.profile,
    }


def _percentile_ms(ordered_us: list[int], per_mille: int) -> float:
    return round(ordered_us[len(ordered_us) * per_mille // 1000] / 1000, 2)


async def _run_client(plan: ClientPlan) -> ClientReport:
    """Run a client process to its end and return its report; it is killed if this is cancelled.

    Raises:
        OpsError: It failed; the words are the last that it said.

    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "steelyard.ops.bench_client"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    )
    try:
        report, said = await child.communicate(msgspec.msgpack.encode(plan))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    words = said.decode(errors="replace")
    sys.stderr.write(words)
    if child.returncode:
        reason = words.splitlines()[-1] if words else "it said nothing"
        raise OpsError(f"a client process ended with exit code {child.returncode}: {reason}")
    try:
        return msgspec.msgpack.decode(report, type=ClientReport)
    except msgspec.DecodeError as error:
        raise OpsError(
            f"the report of a client process, {len(report)} bytes, is not whole: {error}"
        ) from error


async def _watch(
    terminal: Terminal, group: LocalGroup, operator: Client, leader: int, from_s: float, until_s: float
) -> tuple[Sample, Sample]:
    """Show how the run goes; return samples from the beginning and the end of the measured time."""
    began_s = time.monotonic()
    first: Sample | None = None
    with terminal.progress("measuring, seconds", round(until_s - began_s)) as advance:
        while (now_s := time.monotonic()) < until_s:
            advance(round(now_s - began_s))
            if first is None and now_s >= from_s:
                first = await _sample(group, operator, leader)
            await asyncio.sleep(LOOK_S)
    last = await _sample(group, operator, leader)
    return first or last, last


async def _sample(group: LocalGroup, operator: Client, leader: int) -> Sample:
    nodes = group.run.nodes
    used: dict[str, float] = {"leader": 0.0, "followers": 0.0, "gateway": 0.0, "idle_gateways": 0.0}
    for member in MEMBERS:
        leads = member == leader
        for process, part in (
            (nodes[member].replica, "leader" if leads else "followers"),
            (nodes[member].gateway, "gateway" if leads else "idle_gateways"),
        ):
            used[part] += cpu_seconds(process.pid) if process is not None else 0.0
    status = (await group.statuses(operator))[leader]
    return Sample(time.monotonic(), used, status.log_index, status.commands_applied)

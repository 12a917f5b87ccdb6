"""The load of a benchmark: sessions in a closed loop, in a process of their own."""

import asyncio
import gc
import sys
import time
from contextlib import AsyncExitStack

import msgspec
import uvloop

from steelyard.client import ApiKey, Client, Refused, Reply
from steelyard.ops.lanes import Lane
from steelyard.ops.load import OrderFlow
from steelyard.ops.verdict import AckBook, AckRow


class KeyRow(msgspec.Struct, frozen=True):
    """An API key on its way to a client process."""

    key: int
    account: int
    private_key: bytes

    @classmethod
    def of(cls, key: ApiKey) -> "KeyRow":
        """Return the row of a key."""
        return cls(key.id, key.account, key.private_key.private_bytes_raw())


class ClientPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one client process does; a session for each key.

    Moments are by the monotonic clock, which all processes of a machine share.
    """

    targets: list[str]
    instrument: int
    keys: list[KeyRow]
    seed: int
    batch: int
    outstanding: int
    from_s: float
    until_s: float


class ClientReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one client process saw.

    ``latencies_us`` has one value per order that was acknowledged within the measured time; ``acks`` has
    every acknowledgement, by session.
    """

    latencies_us: list[int]
    refused: int
    cpu_s: float
    acks: dict[int, list[AckRow]]


class _Meter:
    """Counts what falls into the measured time."""

    def __init__(self, plan: ClientPlan) -> None:
        self._from_ns = int(plan.from_s * 1e9)
        self._until_ns = int(plan.until_s * 1e9)
        self.latencies_us: list[int] = []
        self.refused = 0

    def on_reply(self, reply: Reply, sent_ns: int) -> None:
        now_ns = time.monotonic_ns()
        if self._from_ns <= now_ns < self._until_ns:
            self.latencies_us.append((now_ns - sent_ns) // 1000)
            self.refused += type(reply) is Refused


async def run_client(plan: ClientPlan, acks: AckBook) -> ClientReport:
    """Send until the plan's end, then wait for what is open."""
    meter = _Meter(plan)
    async with AsyncExitStack() as stack:
        lanes: list[Lane[int]] = []
        for row in plan.keys:
            key = ApiKey.from_private_bytes(row.key, row.account, row.private_key)
            client = await stack.enter_async_context(Client(plan.targets, key))
            session = await stack.enter_async_context(await client.session("bench", batch_max=plan.batch))
            lanes.append(
                Lane(
                    session,
                    acks,
                    batch=plan.batch,
                    batches_max=max(1, plan.outstanding // plan.batch),
                    on_reply=meter.on_reply,
                )
            )
        flows = [OrderFlow(plan.instrument, plan.seed + number) for number in range(len(lanes))]
        # The collector would walk over every acknowledgement again and again; none of them is garbage.
        gc.collect()
        gc.disable()
        try:
            cpu_began_s = time.process_time()
            async with asyncio.TaskGroup() as tasks:
                for lane, flow in zip(lanes, flows, strict=True):
                    tasks.create_task(_send(lane, flow, plan))
            cpu_s = time.process_time() - cpu_began_s
        finally:
            gc.enable()
    return ClientReport(
        latencies_us=meter.latencies_us,
        refused=meter.refused,
        cpu_s=cpu_s,
        acks=acks.rows(),
    )


async def _send(lane: Lane[int], flow: OrderFlow, plan: ClientPlan) -> None:
    while time.monotonic() < plan.until_s:
        commands = flow.next(plan.batch)
        sent_ns = time.monotonic_ns()
        for command in commands:
            await lane.put(command, sent_ns)
    await lane.drain()


def main() -> None:
    """Read a plan from stdin, run it, write the report to stdout; both in msgpack."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=ClientPlan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run_client(plan, AckBook()))
    # Not sys.stdout: with PYTHONUNBUFFERED it may write a part only and say so to nobody.
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.msgpack.encode(report))


if __name__ == "__main__":
    main()

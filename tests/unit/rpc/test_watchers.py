"""A watcher lets no more wait than it may, and tells everything in order to whoever reads."""

import asyncio

import pytest

from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.market.watchers import QUEUE_BYTES_MAX, Watcher


async def take(watcher: Watcher, count: int) -> list[bytes]:
    messages = watcher.messages()
    taken = [await anext(messages) for _ in range(count)]
    await messages.aclose()
    return taken


def test_nothing_is_told_before_the_first_picture() -> None:
    async def check() -> None:
        pictures: list[list[bytes]] = [[], [b"picture", b"its other half"]]
        watcher = Watcher(1, lambda: pictures.pop(0))
        watcher.push([b"too early"])
        reading = asyncio.ensure_future(take(watcher, 3))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        watcher.wake()
        while pictures:
            await asyncio.sleep(0)
        watcher.push([b"change"])
        assert await reading == [b"picture", b"its other half", b"change"]

    asyncio.run(check())


def test_memory_stays_bounded_and_a_slow_reader_gets_a_new_picture() -> None:
    async def check() -> None:
        pictures = [0]

        def picture() -> list[bytes]:
            pictures[0] += 1
            return [b"picture %d" % pictures[0]]

        watcher = Watcher(1, picture)
        assert await take(watcher, 1) == [b"picture 1"]
        most = 0
        for _ in range(10_000):
            watcher.push([bytes(1000)])
            most = max(most, watcher.queued_bytes)
        assert most <= QUEUE_BYTES_MAX
        assert await take(watcher, 1) == [b"picture 2"]
        watcher.push([b"change"])
        assert await take(watcher, 1) == [b"change"]

    asyncio.run(check())


def test_a_watcher_that_is_ended_says_why() -> None:
    async def check() -> None:
        watcher = Watcher(1, lambda: [b"picture"])
        assert await take(watcher, 1) == [b"picture"]
        reading = asyncio.ensure_future(take(watcher, 1))
        await asyncio.sleep(0)
        watcher.end(DoorError(Reason.BAD_CREDENTIALS))
        with pytest.raises(DoorError) as caught:
            await reading
        assert caught.value.reason is Reason.BAD_CREDENTIALS

    asyncio.run(check())

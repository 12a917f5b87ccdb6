"""A way through the mesh carries what is sent, and does to it what it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from steelyard.ops.mesh import Mesh

SOON_S = 5.0


class Echo:
    """Answers with what it got; remembers all of it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.arrived = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while chunk := await reader.read(65536):
                self.got += chunk
                self.arrived.set()
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            return  # a reset is one of the things tried here
        finally:
            writer.close()

    async def until(self, count: int) -> bytes:
        """Return all that came once it is ``count`` bytes."""
        async with asyncio.timeout(SOON_S):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return bytes(self.got)


@asynccontextmanager
async def meshed() -> AsyncIterator[tuple[Mesh, Echo, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Member 1 has dialled member 2 through the mesh."""
    echo = Echo()
    server = await asyncio.start_server(echo.answer, "127.0.0.1", 0)
    mesh = Mesh({1: ("127.0.0.1", 1), 2: server.sockets[0].getsockname()})
    await mesh.start()
    host, _, port = mesh.detours(1)[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield mesh, echo, reader, writer
    finally:
        writer.close()
        await mesh.close()
        server.close()


def test_what_is_sent_arrives_both_ways() -> None:
    async def main() -> None:
        async with meshed() as (_, echo, reader, writer):
            sent = bytes(range(256)) * 4096
            writer.write(sent)
            async with asyncio.timeout(SOON_S):
                assert await reader.readexactly(len(sent)) == sent
            assert bytes(echo.got) == sent

    asyncio.run(main())


def test_a_one_way_block_holds_one_direction_only_until_it_is_lifted() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, reader, writer):
            mesh.block(2, 1)
            writer.write(b"there")
            assert await echo.until(5) == b"there"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.readexactly(1)
            mesh.heal()
            async with asyncio.timeout(SOON_S):
                assert await reader.readexactly(5) == b"there"

    asyncio.run(main())


def test_an_isolated_member_is_neither_heard_nor_told() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, _, writer):
            mesh.isolate(2)
            writer.write(b"lost in time")
            await asyncio.sleep(0.2)
            assert not echo.got
            mesh.heal()
            assert await echo.until(12) == b"lost in time"

    asyncio.run(main())


def test_a_delay_is_kept_and_order_too() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, _, writer):
            mesh.delay(1, 0.15)
            began_s = time.monotonic()
            for letter in (b"a", b"b", b"c"):
                writer.write(letter)
                await writer.drain()
            assert await echo.until(3) == b"abc"
            assert time.monotonic() - began_s >= 0.15

    asyncio.run(main())


def test_a_cut_ends_the_connection_in_the_middle_of_a_message() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, reader, writer):
            mesh.cut(1, 2)
            writer.write(b"0123456789")
            assert await echo.until(5) == b"01234"
            async with asyncio.timeout(SOON_S):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(6)

    asyncio.run(main())


def test_one_bit_is_garbled_once() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, _, writer):
            mesh.garble(1, 2)
            writer.write(bytes(100))
            got = await echo.until(100)
            assert sum(byte.bit_count() for byte in got) == 1
            writer.write(bytes(100))
            assert sum(byte.bit_count() for byte in await echo.until(200)) == 1

    asyncio.run(main())


def test_a_reset_ends_what_two_members_share_and_lets_them_dial_again() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, reader, writer):
            writer.write(b"one")
            await echo.until(3)
            mesh.reset(2, 1)
            async with asyncio.timeout(SOON_S):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(100)
            host, _, port = mesh.detours(1)[2].rpartition(":")
            _, again = await asyncio.open_connection(host, int(port))
            again.write(b"two")
            assert await echo.until(6) == b"onetwo"
            again.close()

    asyncio.run(main())


def test_what_waits_in_a_blocked_way_is_bounded() -> None:
    async def main() -> None:
        async with meshed() as (mesh, echo, _, writer):
            mesh.block(1, 2)
            writer.write(bytes(64 << 20))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await writer.drain()
            assert not echo.got
            writer.transport.abort()

    asyncio.run(main())

"""Sources of prices: recorded files, pages that are asked again and again, and streams."""

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from steelyard.ops.errors import CaptureError
from steelyard.ops.feed.messages import NoPrice, price_of
from steelyard.ops.feed.plan import SourcePlan
from steelyard.ops.feed.smoothing import Smoother

#: What a source says at once; more is no price.
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
ANSWER_S: Final = 10.0
#: Waits before a source that failed is tried again.
AGAIN_FIRST_S: Final = 0.25
AGAIN_MAX_S: Final = 15.0

#: How a recorded file runs: its times divided by this; zero: as fast as it can be read.
Speed = float
Say = Callable[[str], None]


class Source:
    """One source, and what it has said."""

    def __init__(self, plan: SourcePlan, smoother: Smoother, tick: Decimal, say: Say) -> None:
        self.plan = plan
        self.said_ns = 0
        """When it said its last price, by our clock; zero: never."""
        self.messages = 0
        self.faults = 0
        """Messages without a price, and connections that were lost."""
        self.silences = 0
        self.is_silent = False
        self.is_over = False
        """A recorded file has an end."""
        self._smoother = smoother
        self._tick = tick
        self._say = say

    def take(self, message: bytes | str) -> None:
        """Take a message; one without a price is told the first time, and counted."""
        try:
            price = price_of(self.plan, message)
        except NoPrice as error:
            self.fault(str(error))
            return
        if price is None:
            return
        self.messages += 1
        self.said_ns = time.time_ns()
        self._smoother.add(float(price / self._tick), time.monotonic())
        if self.is_silent:
            self.is_silent = False
            self._say(f"source {self.plan.name} speaks again")

    def fault(self, what: str) -> None:
        """Count a fault; the first one is told."""
        self.faults += 1
        if self.faults == 1:
            self._say(f"source {self.plan.name}: {what}")

    def price_ticks(self) -> int:
        """Return what its prices come to, in whole ticks; there was one."""
        return round(self._smoother.price(time.monotonic()))

    def note_silence(self, silent_s: float, since_ns: int) -> None:
        """Say once that nothing has come for so long; ``since_ns``: when it was asked first."""
        quiet_s = (time.time_ns() - max(self.said_ns, since_ns)) / 1e9
        if not self.is_silent and not self.is_over and quiet_s >= silent_s:
            self.is_silent = True
            self.silences += 1
            self._say(f"source {self.plan.name} is silent since {quiet_s:.1f} s")


async def listen(source: Source, speed: Speed) -> None:
    """Take whatever a source says: a file until its end, anything else until cancelled."""
    plan = source.plan
    if plan.file:
        await _play(source, speed)
        source.is_over = True
        return
    streams = urlsplit(plan.url).scheme in ("ws", "wss")
    again_s = AGAIN_FIRST_S
    async with aiohttp.ClientSession() as session:
        while True:
            before = source.messages
            try:
                async for message in _stream(session, plan) if streams else _pages(session, plan):
                    source.take(message)
                source.fault("the stream has ended")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                source.fault(f"{plan.url}: {error or type(error).__name__}")
            again_s = AGAIN_FIRST_S if source.messages > before else min(2 * again_s, AGAIN_MAX_S)
            await asyncio.sleep(again_s)


async def _stream(session: aiohttp.ClientSession, plan: SourcePlan) -> AsyncIterator[bytes | str]:
    """Yield the messages of a WebSocket until it closes; one that does not answer a ping is closed."""
    async with session.ws_connect(
        plan.url, heartbeat=ANSWER_S, max_msg_size=MESSAGE_BYTES_MAX, timeout=aiohttp.ClientWSTimeout()
    ) as socket:
        for text in plan.say:
            await socket.send_str(text)
        async for message in socket:
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                yield message.data


async def _pages(session: aiohttp.ClientSession, plan: SourcePlan) -> AsyncIterator[bytes]:
    """Yield a page again and again, ``poll_s`` from one to the next."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    while True:
        begun_s = time.monotonic()
        async with session.get(plan.url, timeout=timeout) as answer:
            answer.raise_for_status()
            if answer.content_length is not None and answer.content_length > MESSAGE_BYTES_MAX:
                raise aiohttp.ClientPayloadError(f"longer than {MESSAGE_BYTES_MAX} bytes")
            yield await answer.read()
        await asyncio.sleep(max(0.0, begun_s + plan.poll_s - time.monotonic()))


async def _play(source: Source, speed: Speed) -> None:
    """Take a recorded file's messages at the distances at which they were received."""
    path = Path(source.plan.file)
    first_ns = 0
    begun_s = time.monotonic()
    for stamp_ns, message in recorded(path):
        first_ns = first_ns or stamp_ns
        if speed:
            early_s = begun_s + (stamp_ns - first_ns) / 1e9 / speed - time.monotonic()
            # What lies within a turn of the loop is taken together.
            if early_s > 0.001:  # noqa: PLR2004
                await asyncio.sleep(early_s)
        elif source.messages % 100 == 0:
            await asyncio.sleep(0)
        source.take(message)


def recorded(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (time of receipt in ns, message) of the lines of a recorded file, plain or gzip.

    Raises:
        CaptureError: A line is not of that kind, or the file cannot be read.

    """
    line = 0
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            for line, text in enumerate(iter(lambda: file.readline(MESSAGE_BYTES_MAX + 1), b""), 1):
                stamp, space, message = text.partition(b" ")
                if not space or not stamp.isdigit() or len(text) > MESSAGE_BYTES_MAX:
                    raise CaptureError(path.name, line, "does not start with '<time in ns> '")
                yield int(stamp), message
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CaptureError(path.name, line + 1, f"not sound gzip data: {error}") from error
    except OSError as error:
        raise CaptureError(path.name, 0, error.strerror or str(error)) from error

"""Who watches what: a queue of messages each, bounded, for readers of any speed."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

from steelyard.rpc.errors import DoorError

#: A watcher that lets more wait than this gets a new picture instead.
QUEUE_BYTES_MAX: Final = 1 << 20


class Watcher:
    """One reader: messages in the order of the log; whoever is too slow misses some and gets a picture."""

    def __init__(self, key: int, picture: Callable[[], list[bytes]]) -> None:
        """Read with ``key``; ``picture`` says how everything is now, empty while that is not known."""
        self.key = key
        self._picture = picture
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wants_picture = True
        self._wake = asyncio.Event()
        self._ending: DoorError | None = None

    @property
    def queued_bytes(self) -> int:
        """How much waits to be read."""
        return self._queued_bytes

    def push(self, messages: list[bytes]) -> None:
        """Take what is new, unless a picture is coming anyway."""
        if self._wants_picture or not messages:
            return
        self._queue += messages
        self._queued_bytes += sum(map(len, messages))
        if self._queued_bytes > QUEUE_BYTES_MAX:
            self.look_anew()
        self._wake.set()

    def wake(self) -> None:
        """Look again: a picture can be given now."""
        self._wake.set()

    def look_anew(self) -> None:
        """Forget what waits: the next message is a picture."""
        self._queue.clear()
        self._queued_bytes = 0
        self._wants_picture = True
        self._wake.set()

    def end(self, error: DoorError) -> None:
        """Let the reader have no more than the reason."""
        self._ending = error
        self._wake.set()

    async def messages(self) -> AsyncGenerator[bytes]:
        """Yield what the reader is sent, for ever; raises ``DoorError`` once it is over."""
        while True:
            if self._ending is not None:
                raise self._ending
            if self._wants_picture:
                picture = self._picture()
                self._wants_picture = not picture
                self._queue += picture
                self._queued_bytes += sum(map(len, picture))
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            message = self._queue.popleft()
            self._queued_bytes -= len(message)
            yield message

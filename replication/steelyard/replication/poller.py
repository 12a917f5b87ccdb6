"""The loop's one waiting place: flush, release what was held, wait, dispatch, flush, release."""

import select
from collections.abc import Callable
from typing import Protocol

FdCallback = Callable[[int], None]


class Waiter(Protocol):
    """Waits for sockets and calls back; epoll, or a simulated network."""

    def register(self, fd: int, mask: int, callback: FdCallback) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready."""
        ...

    def modify(self, fd: int, mask: int) -> None:
        """Change what ``fd`` waits for."""
        ...

    def unregister(self, fd: int) -> None:
        """Forget ``fd``."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` and dispatch what is ready."""
        ...

    def close(self) -> None:
        """Release the waiter's own descriptor."""
        ...


class EpollWaiter:
    """``select.epoll`` with a callback per descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, FdCallback] = {}

    def register(self, fd: int, mask: int, callback: FdCallback) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready."""
        self._epoll.register(fd, mask)
        self._callbacks[fd] = callback

    def modify(self, fd: int, mask: int) -> None:
        """Change what ``fd`` waits for."""
        self._epoll.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        """Forget ``fd``; call it before closing."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def wait(self, timeout_s: float) -> None:
        """Wait and dispatch; a descriptor that an earlier callback forgot is skipped."""
        for fd, events in self._epoll.poll(timeout_s):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback(events)

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()


class Poller:
    """What the engine calls at the end of each tick, and where the loop waits after it.

    ``barrier`` flushes the store and lets held frames go; ``after_wait`` runs link timers.
    """

    def __init__(
        self,
        waiter: Waiter,
        barrier: Callable[[], None],
        after_wait: Callable[[], None],
    ) -> None:
        self._waiter = waiter
        self._barrier = barrier
        self._after_wait = after_wait
        self.register = waiter.register
        self.modify = waiter.modify
        self.unregister = waiter.unregister

    def poll(self, _: float) -> None:
        """Flush, at the end of the engine's tick: what it did is on disk before anybody waits."""
        self._barrier()

    def wait(self, timeout_s: float) -> None:
        """Wait, dispatch and flush: what a commit counts is on disk by then."""
        self._waiter.wait(timeout_s)
        self._after_wait()
        self._barrier()

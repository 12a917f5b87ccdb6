"""Calls that block: a loop in a thread of its own, and methods made from those that are awaited."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

T = TypeVar("T")
Inner = TypeVar("Inner")
Inner_co = TypeVar("Inner_co", covariant=True)
P = ParamSpec("P")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="steelyard", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` there and wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def items(self, generator: AsyncGenerator[T]) -> Generator[T, None, None]:
        """Yield what an asynchronous generator yields there; blocks until the next one."""
        try:
            while True:
                try:
                    item = self.run(_next(generator))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.run(generator.aclose())

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


class Blocking(Generic[Inner_co]):
    """Something whose methods are awaited on a loop of its own."""

    def __init__(self, loop: Loop, inner: Inner_co) -> None:
        self._loop = loop
        self._inner = inner


def blocking(
    method: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Blocking[Inner], P], T]:
    """Return the method that blocks until what it is made of has returned; words and faults are its own."""

    @wraps(method)
    def call(self: Blocking[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.run(method(self._inner, *args, **kwargs))

    return call


async def _next(generator: AsyncGenerator[T]) -> T:
    return await anext(generator)

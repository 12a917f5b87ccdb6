"""What surrounds every call: bounds, who is calling, the deadline, and errors as status with details.

Plain functions around the handlers instead of gRPC's interceptors, which cost as much as a whole small call.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio

from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import OVERLOAD_DELAY_S, ending_of

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
Handle = Callable[[bytes, Caller], Awaitable[bytes]]
HandleStream = Callable[[bytes, Caller], AsyncGenerator[bytes]]
HandleOpenly = Callable[[bytes], Awaitable[bytes]]

#: Above so many unary calls at a time, a caller is asked to come back.
UNARY_OPEN_MAX: Final = 1_024
#: For callers that give no deadline, or a very long one.
DEADLINE_S: Final = 10.0


class Calls:
    """Makes gRPC handlers out of functions from bytes to bytes."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open = 0

    def signed(self, method: str, handle: Handle) -> Handler:
        """Return the handler of a unary method that needs a key; ``method`` is its full name."""

        async def call(body: bytes, context: Context) -> bytes:
            async def answer() -> bytes:
                caller = await self._door.verifier.caller_of(
                    method, body, context.invocation_metadata() or ()
                )
                return await handle(body, caller)

            return await self._call(answer, context)

        return grpc.unary_unary_rpc_method_handler(call)

    def signed_stream(self, method: str, handle: HandleStream) -> Handler:
        """Return the handler of a method that needs a key and answers with a stream, without a deadline."""

        async def call(body: bytes, context: Context) -> None:
            ending: DoorError | None = None
            try:
                caller = await self._door.verifier.caller_of(
                    method, body, context.invocation_metadata() or ()
                )
                async with aclosing(handle(body, caller)) as messages:
                    async for message in messages:
                        await context.write(message)
            except DoorError as error:
                ending = error
            except grpc.aio.InternalError as gone:
                raise asyncio.CancelledError from gone
            except Exception:
                log.exception("a stream failed")
                ending = DoorError(Reason.INTERNAL)
            if ending is not None:
                await abort(context, ending)

        return grpc.unary_stream_rpc_method_handler(call)

    def open(self, handle: HandleOpenly) -> Handler:
        """Return the handler of a unary method that everybody may call."""

        async def call(body: bytes, context: Context) -> bytes:
            return await self._call(lambda: handle(body), context)

        return grpc.unary_unary_rpc_method_handler(call)

    async def _call(self, answer: Callable[[], Awaitable[bytes]], context: Context) -> bytes:
        if self._open >= UNARY_OPEN_MAX:
            await abort(context, DoorError(Reason.OVERLOADED, delay_s=OVERLOAD_DELAY_S))
        self._open += 1
        try:
            left_s = context.time_remaining()
            async with asyncio.timeout(DEADLINE_S if left_s is None else min(left_s, DEADLINE_S)):
                return await answer()
        except DoorError as error:
            ending = error
        except TimeoutError:
            ending = DoorError(Reason.DEADLINE)
        except Exception:
            log.exception("a call failed")
            ending = DoorError(Reason.INTERNAL)
        finally:
            self._open -= 1
        return await abort(context, ending)


async def abort(context: Context, error: DoorError) -> NoReturn:
    """End the call with the status and details of ``error``; must run in the handler's own coroutine."""
    code, text, trailers = ending_of(error)
    try:
        await context.abort(code, text, trailers)
    except grpc.aio.InternalError as gone:
        # The caller hung up meanwhile: nobody is left to be told.
        raise asyncio.CancelledError from gone
    raise AssertionError("abort returns to nobody")

"""``TradingService``: the stream, and the same one order at a time."""

import logging
from typing import Final

import grpc

from steelyard.core.commands import AnyCommand
from steelyard.core.entry import AnyReply, Request
from steelyard.core.limits import SESSION_NAME_MAX, is_printable_ascii
from steelyard.core.queries import GetOpenOrders, OpenOrders
from steelyard.core.units import AccountId, InstrumentId, KeyId, SessionId
from steelyard.rpc import encode, translate
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.interceptors import Calls, Context, Handler, abort
from steelyard.rpc.status import STORAGE_DELAY_S
from steelyard.rpc.streams import TradeStream, open_session
from steelyard.v1 import trading_pb2

log = logging.getLogger(__name__)

NAME: Final = "steelyard.v1.TradingService"


class TradingService:
    """Numbered writes."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        unary = {
            "OpenSession": self.open_session,
            "PlaceOrder": self.place_order,
            "CancelOrder": self.cancel_order,
            "ListOrders": self.list_orders,
        }
        handlers = {name: self._calls.signed(f"/{NAME}/{name}", handle) for name, handle in unary.items()}
        handlers["Trade"] = grpc.stream_stream_rpc_method_handler(self.trade)
        return handlers

    async def trade(self, _: object, context: Context) -> None:
        """Serve a stream."""
        ending: DoorError | None = None
        try:
            await TradeStream(self._door, context).run()
        except DoorError as error:
            ending = error
        except Exception:
            log.exception("a stream failed")
            ending = DoorError(Reason.INTERNAL)
        if ending is not None:
            await abort(context, ending)

    async def open_session(self, body: bytes, caller: Caller) -> bytes:
        """Open a session, or say where it stands."""
        request = translate.parse(trading_pb2.OpenSessionRequest, body)
        if not request.name or not is_printable_ascii(request.name, SESSION_NAME_MAX):
            raise DoorError(Reason.MALFORMED, "a session needs a printable name")
        index, reply = await open_session(self._door, caller, request.name)
        return encode.session_ready(index, reply)

    async def place_order(self, body: bytes, caller: Caller) -> bytes:
        """Place one order."""
        request = translate.parse(trading_pb2.PlaceOrderRequest, body)
        command = translate.place_order(request.order, AccountId(caller.account))
        if command is None:
            raise DoorError(Reason.MALFORMED, "the order has a field that is missing or out of range")
        if self._door.storage_low:
            raise DoorError(Reason.STORAGE_LOW, "the log is nearly full", delay_s=STORAGE_DELAY_S)
        index, reply = await write_once(self._door, request.once, caller, command)
        return trading_pb2.PlaceOrderResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    async def cancel_order(self, body: bytes, caller: Caller) -> bytes:
        """Cancel one order."""
        request = translate.parse(trading_pb2.CancelOrderRequest, body)
        command = translate.cancel_order(request.order, AccountId(caller.account))
        if command is None:
            raise DoorError(Reason.MALFORMED, "name the order in exactly one way")
        index, reply = await write_once(self._door, request.once, caller, command)
        return trading_pb2.CancelOrderResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    async def list_orders(self, body: bytes, caller: Caller) -> bytes:
        """Return an account's resting orders."""
        request = translate.parse(trading_pb2.ListOrdersRequest, body)
        mode, min_index = translate.read_at(request.at)
        account = AccountId(request.account or caller.account)
        query = GetOpenOrders(account=account, instrument=InstrumentId(request.instrument))
        return encode.open_orders(*await self._door.read(OpenOrders, caller.key, query, mode, min_index))


async def write_once(
    door: Door, once: trading_pb2.Once, caller: Caller, command: AnyCommand
) -> tuple[int, AnyReply]:
    """Have a unary write logged under its number; return its reply and where it was made."""
    translate.check_once(once)
    request = Request(
        SessionId(once.session),
        once.request,
        once.wants_from,
        KeyId(caller.key),
        once.fingerprint,
        once.not_after_ns,
        command,
    )
    return await door.write(request)

"""``TradingService``: the stream, and the same one order at a time."""

import logging
from typing import Final

import grpc

from steelyard.core.commands import AnyCommand
from steelyard.core.entry import AnyReply, Request
from steelyard.core.limits import SESSION_NAME_MAX, is_printable_ascii
from steelyard.core.queries import GetOrders, Orders, Trial, TryOrder
from steelyard.core.units import AccountId, InstrumentId, KeyId, SessionId
from steelyard.rpc import encode, translate, translate_orders
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.interceptors import Calls, Context, Handler, abort
from steelyard.rpc.status import STORAGE_DELAY_S
from steelyard.rpc.streams import LOWERS_RISK, TradeStream, open_session
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
            "Submit": self.submit,
            "TryOrder": self.try_order,
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
        command = translate_orders.place_order(request.order, AccountId(caller.account))
        if command is None:
            raise DoorError(Reason.MALFORMED, "the order has a field that is missing or out of range")
        self._require_room(command)
        index, reply = await write_once(self._door, request.once, caller, command)
        return trading_pb2.PlaceOrderResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    async def cancel_order(self, body: bytes, caller: Caller) -> bytes:
        """Cancel one order."""
        request = translate.parse(trading_pb2.CancelOrderRequest, body)
        command = translate_orders.cancel_order(request.order, AccountId(caller.account))
        if command is None:
            raise DoorError(Reason.MALFORMED, "name the order in exactly one way")
        index, reply = await write_once(self._door, request.once, caller, command)
        return trading_pb2.CancelOrderResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    async def submit(self, body: bytes, caller: Caller) -> bytes:
        """Carry out one numbered command of any kind."""
        request = translate.parse(trading_pb2.SubmitRequest, body)
        wire = request.command
        if wire.request or wire.fingerprint or wire.not_after_ns:
            raise DoorError(Reason.MALFORMED, "number, fingerprint and not_after_ns belong into once")
        command = translate.trade_command(wire, AccountId(caller.account))
        if command is translate.MALFORMED:
            raise DoorError(Reason.MALFORMED, "the command has a field that is missing or out of range")
        self._require_room(command)
        index, reply = await write_once(self._door, request.once, caller, command)
        return trading_pb2.SubmitResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    async def try_order(self, body: bytes, caller: Caller) -> bytes:
        """Return what an order would come to; nothing is logged."""
        request = translate.parse(trading_pb2.TryOrderRequest, body)
        mode, min_index = translate.read_at(request.at)
        command = translate_orders.place_order(request.order, AccountId(caller.account))
        if command is None:
            raise DoorError(Reason.MALFORMED, "the order has a field that is missing or out of range")
        query = TryOrder(command=command)
        return encode.trial(*await self._door.read(Trial, caller.key, query, mode, min_index))

    async def list_orders(self, body: bytes, caller: Caller) -> bytes:
        """Return an account's living orders."""
        request = translate.parse(trading_pb2.ListOrdersRequest, body)
        mode, min_index = translate.read_at(request.at)
        account = AccountId(request.account or caller.account)
        query = GetOrders(account=account, instrument=InstrumentId(request.instrument))
        return encode.orders(*await self._door.read(Orders, caller.key, query, mode, min_index))

    def _require_room(self, command: AnyCommand) -> None:
        """Raise STORAGE_LOW if the log is too full for a command that may add risk."""
        if self._door.storage_low and type(command) not in LOWERS_RISK:
            raise DoorError(Reason.STORAGE_LOW, "the log is nearly full", delay_s=STORAGE_DELAY_S)


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

"""``AdminService``: the operator's commands."""

from typing import Final

from steelyard.core.queries import GetTotals, Totals
from steelyard.rpc import encode, translate
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.interceptors import Calls, Handler
from steelyard.rpc.services.trading import write_once
from steelyard.rpc.translate_admin import operator_command
from steelyard.v1 import admin_pb2

NAME: Final = "steelyard.v1.AdminService"


class AdminService:
    """Operators' writes, each numbered in a session; the state machine judges who may."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        unary = {"Administer": self.administer, "GetTotals": self.get_totals}
        return {name: self._calls.signed(f"/{NAME}/{name}", handle) for name, handle in unary.items()}

    async def administer(self, body: bytes, caller: Caller) -> bytes:
        """Carry out one operator command."""
        request = translate.parse(admin_pb2.AdministerRequest, body)
        command = operator_command(request)
        index, reply = await write_once(self._door, request.once, caller, command)
        return admin_pb2.AdministerResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    async def get_totals(self, body: bytes, caller: Caller) -> bytes:
        """Return where all the atoms are."""
        request = translate.parse(admin_pb2.GetTotalsRequest, body)
        mode, min_index = translate.read_at(request.at)
        return encode.totals(*await self._door.read(Totals, caller.key, GetTotals(), mode, min_index))

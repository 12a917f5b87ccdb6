"""``AccountService``: what an account owns."""

from typing import Final

from steelyard.core.queries import AccountInfo, Balances, GetAccount, GetBalances
from steelyard.core.units import AccountId
from steelyard.rpc import encode, statements, translate
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.interceptors import Calls, Handler
from steelyard.v1 import account_pb2

NAME: Final = "steelyard.v1.AccountService"


class AccountService:
    """Reads of one account."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        unary = {
            "GetBalances": self.get_balances,
            "GetAccount": self.get_account,
            "GetStatement": self.get_statement,
        }
        return {name: self._calls.signed(f"/{NAME}/{name}", handle) for name, handle in unary.items()}

    async def get_balances(self, body: bytes, caller: Caller) -> bytes:
        """Return free and held funds, by asset."""
        request = translate.parse(account_pb2.GetBalancesRequest, body)
        mode, min_index = translate.read_at(request.at)
        query = GetBalances(account=AccountId(request.account or caller.account))
        return encode.balances(*await self._door.read(Balances, caller.key, query, mode, min_index))

    async def get_account(self, body: bytes, caller: Caller) -> bytes:
        """Return everything about an account but its funds and orders."""
        request = translate.parse(account_pb2.GetAccountRequest, body)
        mode, min_index = translate.read_at(request.at)
        query = GetAccount(account=AccountId(request.account or caller.account))
        return encode.account(*await self._door.read(AccountInfo, caller.key, query, mode, min_index))

    async def get_statement(self, body: bytes, caller: Caller) -> bytes:
        """Return what moved for an account, and why."""
        request = translate.parse(account_pb2.GetStatementRequest, body)
        return await statements.statement(self._door, request, caller)

"""Statements of account, from the archive."""

from typing import Final

from steelyard.core.ledger.postings import Cause
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.queries import Balances, GetBalances, GetTotals, Totals
from steelyard.core.units import FIRST_CUSTOMER, AccountId
from steelyard.replication.archive_read import MOVEMENTS_MAX, ArchiveReader, Statement, TooManyMovements
from steelyard.replication.front import ReadMode
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.market.messages import gap_message
from steelyard.v1 import account_pb2

#: Stable words, part of the contract.
CAUSES: Final = {int(cause): cause.name.lower() for cause in Cause}


async def statement(door: Door, request: account_pb2.GetStatementRequest, caller: Caller) -> bytes:
    """Return what moved for an account between two log indexes.

    Raises:
        DoorError: The caller may not see it, the bounds make no sense, or there is no archive that has it.

    """
    account = AccountId(request.account or caller.account)
    after, to = request.after_index, request.to_index
    if not after <= INTEGER_MAX or not to <= INTEGER_MAX or 0 < to < after:
        raise DoorError(Reason.MALFORMED, "after_index and to_index are no bounds")
    await _check_reader(door, account, caller)

    def look(reader: ArchiveReader) -> bytes:
        until = to or reader.last_index
        found = reader.statement(account, min(after, until), until, movements=request.movements)
        return _message(reader.last_index, found)

    try:
        return await door.history.read(look, max(after, to))
    except TooManyMovements as error:
        raise DoorError(
            Reason.MALFORMED,
            f"there are more than {MOVEMENTS_MAX} movements: ask for fewer indexes at a time",
        ) from error


async def _check_reader(door: Door, account: AccountId, caller: Caller) -> None:
    """Have the state machine decide: whoever may see the balances may see what made them."""
    if account < FIRST_CUSTOMER:
        await door.read(Totals, caller.key, GetTotals(), ReadMode.STALE)
    else:
        await door.read(Balances, caller.key, GetBalances(account=account), ReadMode.STALE)


def _message(index: int, found: Statement) -> bytes:
    return account_pb2.GetStatementResponse(
        log_index=index,
        after_index=found.after_index,
        to_index=found.to_index,
        lines=[
            account_pb2.StatementLine(
                asset=line.asset, cause=CAUSES[line.cause], amount_atoms=line.amount_atoms, count=line.count
            )
            for line in found.lines
        ],
        balances=[
            account_pb2.StatementBalance(asset=asset, before_atoms=before, after_atoms=after)
            for asset, before, after in found.balances
        ],
        movements=[
            account_pb2.Movement(
                log_index=moved.log_index,
                log_time_ns=moved.time_ns,
                asset=moved.asset,
                cause=CAUSES[moved.cause],
                amount_atoms=moved.amount_atoms,
                other=moved.other,
                trade=moved.trade,
            )
            for moved in found.movements
        ],
        gaps=map(gap_message, found.gaps),
    ).SerializeToString()

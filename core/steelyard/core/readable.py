"""Which commands the version in force knows: the others are, for every build alike, unreadable."""

from typing import Final

from steelyard.core import versions
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import (
    AmendOrder,
    ArmCountdown,
    Batch,
    CancelOrders,
    Command,
    HoldFunds,
    OpenSubAccount,
    PayReferral,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReleaseHold,
    ReplaceOrder,
    ScheduleState,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetFrozen,
    SetInstrumentRules,
    SetInstrumentState,
    SetLegalHold,
    SetMark,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    Skip,
    StartAuction,
    Transfer,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import InstrumentState, Permission

#: The version that brought a command; the others have been there from the first.  ``FoundGroupAt`` is what
#: brings a new group to its version, so every version reads it.
SINCE: Final[dict[type[Command], int]] = dict.fromkeys(
    (
        AmendOrder,
        ArmCountdown,
        Batch,
        CancelOrders,
        HoldFunds,
        OpenSubAccount,
        PayReferral,
        PlaceOrderList,
        PlaceOrderOnTerms,
        ReleaseHold,
        ReplaceOrder,
        ScheduleState,
        SetAccountRules,
        SetAccountTier,
        SetFeeTier,
        SetFrozen,
        SetInstrumentRules,
        SetLegalHold,
        SetMark,
        SetOrderLimit,
        SetReferrer,
        SetSelfTrade,
        StartAuction,
        Transfer,
    ),
    versions.SPOT_COMPLETE,
)

#: What version 1 knew of the enumerations that older commands carry.
_FIRST_PERMISSIONS: Final = ALL_PERMISSIONS & ~int(Permission.FEED)
_FIRST_REJECT_MAX: Final = Reject.STORAGE_LOW


def is_readable(command: Command, version: int) -> bool:
    """Return whether a build that knows nothing beyond ``version`` could read the command."""
    if version < SINCE.get(type(command), versions.FIRST):
        return False
    if version >= versions.SPOT_COMPLETE:
        return True
    # A first build's permissions are any integer to it; its handler refuses what it does not know.
    if isinstance(command, SetInstrumentState):
        return command.state != InstrumentState.AUCTION
    if isinstance(command, Skip):
        return command.reason <= _FIRST_REJECT_MAX
    return True


def permissions_known(version: int) -> int:
    """Return every permission that a key can have under ``version``."""
    return ALL_PERMISSIONS if version >= versions.SPOT_COMPLETE else _FIRST_PERMISSIONS

"""Which commands the version in force knows: the others are, for every build alike, unreadable."""

from typing import Final

from steelyard.core import versions
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import (
    AdjustBucket,
    AmendOrder,
    ArmCountdown,
    Batch,
    CancelOrders,
    Command,
    FundInsurance,
    HoldFunds,
    Leg,
    ListContract,
    ListIndex,
    MoveMargin,
    OpenSubAccount,
    PayReferral,
    PlaceContractOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReleaseHold,
    ReplaceOrder,
    ScheduleState,
    SetAccountRules,
    SetAccountTier,
    SetContractModes,
    SetContractRules,
    SetFeeTier,
    SetFrozen,
    SetIndexSources,
    SetInstrumentRules,
    SetInstrumentState,
    SetKillSwitch,
    SetLegalHold,
    SetLeverage,
    SetMark,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    Skip,
    StartAuction,
    Transfer,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import InstrumentState, Permission, PriceSource

_SPOT: Final[tuple[type[Command], ...]] = (
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
)
_CONTRACTS: Final[tuple[type[Command], ...]] = (
    AdjustBucket,
    FundInsurance,
    ListContract,
    ListIndex,
    MoveMargin,
    PlaceContractOrder,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetKillSwitch,
    SetLeverage,
)

#: The version that brought a command; the others have been there from the first.  ``FoundGroupAt`` is what
#: brings a new group to its version, so every version reads it.
SINCE: Final = dict.fromkeys(_SPOT, versions.SPOT_COMPLETE) | dict.fromkeys(_CONTRACTS, versions.DERIVATIVES)

#: What older versions knew of the enumerations that older commands carry.
_FIRST_PERMISSIONS: Final = ALL_PERMISSIONS & ~int(Permission.FEED)
_FIRST_REJECT_MAX: Final = Reject.STORAGE_LOW
_SPOT_REJECT_MAX: Final = Reject.VOLATILITY_HALT
_INDEX: Final = PriceSource.INDEX


def is_readable(command: Command, version: int) -> bool:
    """Return whether a build that knows nothing beyond ``version`` could read the command."""
    if version < SINCE.get(type(command), versions.FIRST):
        return False
    if version >= versions.DERIVATIVES:
        return True
    if version == versions.SPOT_COMPLETE:
        return _is_readable_to_spot(command)
    # A first build's permissions are any integer to it; its handler refuses what it does not know.
    if isinstance(command, SetInstrumentState):
        return command.state != InstrumentState.AUCTION
    if isinstance(command, Skip):
        return command.reason <= _FIRST_REJECT_MAX
    return True


def _is_readable_to_spot(command: Command) -> bool:
    """Return whether version 2, which has the command, knows everything that it says."""
    match command:
        case PlaceOrderOnTerms():
            return _is_leg_of_spot(command)
        case PlaceOrderList() | Batch():
            return all(_is_leg_of_spot(leg) for leg in command.legs)
        case ReplaceOrder():
            return _is_leg_of_spot(command.place)
        case Skip():
            return command.reason <= _SPOT_REJECT_MAX
        case _:
            return True


def _is_leg_of_spot(leg: Leg) -> bool:
    """Return whether a single order, or a leg, is one of spot that waits for no index."""
    if not isinstance(leg, PlaceOrderOnTerms):
        return True
    return not isinstance(leg, PlaceContractOrder) and leg.terms.trigger_source != _INDEX


def permissions_known(version: int) -> int:
    """Return every permission that a key can have under ``version``."""
    return ALL_PERMISSIONS if version >= versions.SPOT_COMPLETE else _FIRST_PERMISSIONS

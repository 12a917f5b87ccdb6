"""Everything the exchange can be asked to do; imperatives, and facts in the log."""

from steelyard.core.commands.accounts import (
    ActivateVersion,
    CreateApiKey,
    FoundGroup,
    OpenAccount,
    OpenSession,
    RevokeApiKey,
    Skip,
)
from steelyard.core.commands.base import Command
from steelyard.core.commands.funds import Deposit, Withdraw
from steelyard.core.commands.markets import ListAsset, ListInstrument, SetInstrumentState
from steelyard.core.commands.orders import CancelOrder, PlaceOrder

AnyCommand = (
    FoundGroup
    | CreateApiKey
    | RevokeApiKey
    | OpenAccount
    | OpenSession
    | Skip
    | ActivateVersion
    | ListAsset
    | ListInstrument
    | SetInstrumentState
    | Deposit
    | Withdraw
    | PlaceOrder
    | CancelOrder
)

__all__ = [
    "ActivateVersion",
    "AnyCommand",
    "CancelOrder",
    "Command",
    "CreateApiKey",
    "Deposit",
    "FoundGroup",
    "ListAsset",
    "ListInstrument",
    "OpenAccount",
    "OpenSession",
    "PlaceOrder",
    "RevokeApiKey",
    "SetInstrumentState",
    "Skip",
    "Withdraw",
]

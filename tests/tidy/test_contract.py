"""Numbers that are out in the world never change: tags in logs and streams, reasons in replies."""

from typing import get_args

import msgspec
import pytest

from steelyard.core.commands import AnyCommand
from steelyard.core.entry import AnyReply
from steelyard.core.events import AnyEvent
from steelyard.core.exchange import HANDLERS
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.core.rejects import Reject
from steelyard.v1 import common_pb2

#: Append only.  A tag that was ever in a log belongs to its type for ever.
COMMANDS = {
    "FoundGroup": 1,
    "CreateApiKey": 2,
    "RevokeApiKey": 3,
    "OpenAccount": 4,
    "OpenSession": 5,
    "Skip": 6,
    "ActivateVersion": 7,
    "FoundGroupAt": 8,
    "Deposit": 10,
    "Withdraw": 11,
    "Transfer": 12,
    "HoldFunds": 13,
    "ReleaseHold": 14,
    "PayReferral": 15,
    "ListAsset": 20,
    "ListInstrument": 21,
    "SetInstrumentState": 22,
    "SetInstrumentRules": 23,
    "SetMark": 24,
    "StartAuction": 25,
    "ScheduleState": 26,
    "ListIndex": 27,
    "ListContract": 28,
    "SetContractRules": 29,
    "PlaceOrder": 30,
    "CancelOrder": 31,
    "PlaceOrderOnTerms": 32,
    "PlaceOrderList": 33,
    "AmendOrder": 34,
    "ReplaceOrder": 35,
    "Batch": 36,
    "CancelOrders": 37,
    "ArmCountdown": 38,
    "OpenSubAccount": 50,
    "SetAccountRules": 51,
    "SetOrderLimit": 52,
    "SetSelfTrade": 53,
    "SetFrozen": 54,
    "SetLegalHold": 55,
    "SetFeeTier": 56,
    "SetAccountTier": 57,
    "SetReferrer": 58,
    "SetIndexSources": 70,
    "PlaceContractOrder": 71,
    "SetLeverage": 72,
    "SetContractModes": 73,
    "MoveMargin": 74,
    "AdjustBucket": 75,
    "SetKillSwitch": 76,
    "FundInsurance": 77,
}
EVENTS = {
    "GroupFounded": 1,
    "ApiKeyCreated": 2,
    "ApiKeyRevoked": 3,
    "AccountOpened": 4,
    "SessionOpened": 5,
    "RequestSkipped": 6,
    "VersionActivated": 7,
    "Deposited": 10,
    "Withdrawn": 11,
    "Transferred": 12,
    "FundsHeld": 13,
    "HoldReleased": 14,
    "ReferralPaid": 15,
    "AssetListed": 20,
    "InstrumentListed": 21,
    "InstrumentStateChanged": 22,
    "InstrumentRulesSet": 23,
    "MarkSet": 24,
    "StateScheduled": 25,
    "TradingHalted": 26,
    "AuctionEnded": 27,
    "OrderAccepted": 30,
    "Traded": 31,
    "OrderFilled": 32,
    "OrderRested": 33,
    "OrderCancelled": 34,
    "OrderExpired": 35,
    "OrderTermsSet": 40,
    "OrderTriggered": 41,
    "TrailingActivated": 42,
    "OrderReplenished": 43,
    "TradePrevented": 44,
    "LotsTransferred": 45,
    "OrderReduced": 46,
    "OrderReplaced": 47,
    "OrderAmended": 48,
    "OrderListAccepted": 49,
    "CountdownArmed": 50,
    "CountdownFired": 51,
    "OrdersSwept": 52,
    "ReferralEarned": 53,
    "SubAccountOpened": 60,
    "AccountRulesSet": 61,
    "OrderLimitSet": 62,
    "SelfTradeSet": 63,
    "AccountFrozen": 64,
    "LegalHoldSet": 65,
    "FeeTierSet": 66,
    "AccountTierSet": 67,
    "ReferrerSet": 68,
    "IndexListed": 70,
    "ContractListed": 71,
    "ContractRulesSet": 72,
    "IndexSet": 73,
    "IndexStale": 74,
    "PremiumSampled": 75,
    "FundingSet": 76,
    "FundingPaid": 77,
    "FundingSwept": 78,
    "LeverageSet": 79,
    "ContractModesSet": 80,
    "MarginMoved": 81,
    "BucketAdjusted": 82,
    "OrderContractSet": 83,
    "PositionsTraded": 84,
    "RiskLevelChanged": 85,
    "LiquidationStarted": 86,
    "LiquidationStepped": 87,
    "LiquidationPaid": 88,
    "AdlSettled": 89,
    "DebtTaken": 90,
    "LossShared": 91,
    "LiquidationEnded": 92,
    "WithdrawalGateSet": 93,
    "KillSwitchSet": 94,
    "InsuranceFunded": 95,
    "PositionSettled": 96,
    "ContractSettled": 97,
    "DebtRepaid": 98,
}
REPLIES = {
    "Refused": 1,
    "Accepted": 2,
    "Placed": 3,
    "Cancelled": 4,
    "SessionReady": 5,
    "Waiting": 6,
    "Amended": 7,
    "Swept": 8,
    "Many": 9,
}


def tags(union: object) -> dict[str, object]:
    """Return the tag of every member of a union of structs."""
    return {kind.__name__: kind.__struct_config__.tag for kind in get_args(union)}


@pytest.mark.parametrize(
    ("union", "recorded"),
    [(AnyCommand, COMMANDS), (AnyEvent, EVENTS), (AnyReply, REPLIES)],
    ids=["commands", "events", "replies"],
)
def test_tags_are_as_recorded(union: object, recorded: dict[str, int]) -> None:
    assert tags(union) == recorded


@pytest.mark.parametrize("union", [AnyCommand, AnyEvent, AnyReply, AnyQuery, AnyAnswer])
def test_no_tag_is_used_twice(union: object) -> None:
    numbers = list(tags(union).values())
    assert len(numbers) == len(dict.fromkeys(numbers))
    msgspec.msgpack.Decoder(union)


def test_every_command_has_a_handler() -> None:
    assert sorted(kind.__name__ for kind in HANDLERS) == sorted(COMMANDS)


def test_commands_and_events_are_frozen_arrays_that_leave_the_collector_alone() -> None:
    for kind in (*get_args(AnyCommand), *get_args(AnyEvent), *get_args(AnyReply)):
        config = kind.__struct_config__
        assert config.frozen, kind
        assert config.array_like, kind
        assert not config.gc, kind


def test_reasons_equal_those_of_the_protocol() -> None:
    prefix = "REJECT_"
    spoken = {name.removeprefix(prefix): number for name, number in common_pb2.Reject.items() if number != 0}
    assert spoken == {reject.name: reject.value for reject in Reject}


def test_no_reason_of_the_protocol_has_the_number_of_no_reason() -> None:
    assert [name for name, number in common_pb2.Reject.items() if number == 0] == ["REJECT_UNSPECIFIED"]

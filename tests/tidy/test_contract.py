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
    "Deposit": 10,
    "Withdraw": 11,
    "ListAsset": 20,
    "ListInstrument": 21,
    "SetInstrumentState": 22,
    "PlaceOrder": 30,
    "CancelOrder": 31,
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
    "AssetListed": 20,
    "InstrumentListed": 21,
    "InstrumentStateChanged": 22,
    "OrderAccepted": 30,
    "Traded": 31,
    "OrderFilled": 32,
    "OrderRested": 33,
    "OrderCancelled": 34,
    "OrderExpired": 35,
}
REPLIES = {"Refused": 1, "Accepted": 2, "Placed": 3, "Cancelled": 4, "SessionReady": 5}


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

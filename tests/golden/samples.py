"""One of everything that crosses a wire or lies in a log, for the record of its bytes."""

from enum import IntEnum
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from steelyard.core.commands import AnyCommand
from steelyard.core.entry import AnyReply, Applied, AppliedWithDue, Entry, Outcome, Request
from steelyard.core.events import AnyEvent
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentState,
    KeyId,
    PriceSource,
    SessionId,
)

VALUES: dict[object, object] = {
    str: "text",
    bytes: bytes(range(32)),
    bool: True,
    InstrumentState: InstrumentState.HALTED,
    PriceSource: PriceSource.MARK,
    Reject: Reject.INSUFFICIENT_FUNDS,
}


def value(hint: Any, number: int) -> Any:  # noqa: ANN401 - any type of a field
    """Return a value of a type that is no field's default; the ``number`` tells integers apart."""
    if hint in VALUES:
        return VALUES[hint]
    if get_origin(hint) is list:
        return [value(get_args(hint)[0], number)]
    if get_origin(hint) is tuple:
        return tuple(value(each, number) for each in get_args(hint))
    members = [member for member in get_args(hint) if member is not NoneType]
    if members:
        return value(members[0], number)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return list(hint)[-1]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return sample(hint)
    return number


def sample(kind: type[Any]) -> Any:  # noqa: ANN401 - any struct of ours
    """Return a struct whose fields all differ from their defaults and, if integers, from one another."""
    hints = get_type_hints(kind)
    values = {
        name: value(hints[name], (number + 1) * 1_000) for number, name in enumerate(kind.__struct_fields__)
    }
    return kind(**values)


def encoded_samples() -> dict[str, str]:
    """Return the wire bytes of one of every command, event, reply and frame, in hexadecimal."""
    kinds = (*get_args(AnyCommand), *get_args(AnyEvent), *get_args(AnyReply))
    structs = {kind.__name__: sample(kind) for kind in kinds}
    request = Request(
        session=SessionId(1),
        request=2,
        wants_from=3,
        key=KeyId(4),
        fingerprint=5,
        not_after_ns=6,
        command=structs["CancelOrder"],
    )
    outcome = Outcome(
        reply=structs["Cancelled"],
        events=[structs["OrderCancelled"]],
        replied_index=7,
    )
    structs["Entry"] = Entry(version=1, time_ns=8, requests=[request])
    structs["Applied"] = Applied(index=9, time_ns=10, outcomes=[outcome])
    structs["AppliedWithDue"] = AppliedWithDue(
        index=11, time_ns=12, outcomes=[outcome], happened=[structs["OrderTriggered"]]
    )
    return {name: msgspec.msgpack.encode(struct).hex() for name, struct in structs.items()}

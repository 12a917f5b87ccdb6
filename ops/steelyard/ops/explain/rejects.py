"""Why a request was refused: where it stands in the log, and the state in which it was."""

from typing import NamedTuple

import msgspec

from steelyard.client.reasons import SENTENCES
from steelyard.core import Entry, Exchange, Reject, snapshot
from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    Batch,
    CancelOrder,
    Leg,
    PlaceOrder,
    PlaceOrderList,
    ReplaceOrder,
)
from steelyard.core.entry import AnyReply, Many, Refused
from steelyard.core.state import State
from steelyard.core.units import BatchMode
from steelyard.ops.explain.compared import compare
from steelyard.ops.explain.log import MemberLog, Unexplained
from steelyard.ops.explain.refusals import Refusal
from steelyard.ops.explain.telling import Explanation, Value


class Place(NamedTuple):
    """Where a request stands in the log: its entry, and its place in that, from 1."""

    log_index: int
    place: int


def explain_reject(log: MemberLog, name: str) -> Explanation:
    """Work a refusal out again; ``name`` is ``SESSION:REQUEST`` or ``INDEX/PLACE``.

    Raises:
        Unexplained: The log does not hold it, or it was no refusal.

    """
    at = _place_of(log, name)
    before = log.before(lambda state: state.applied_index < at.log_index, f"entry {at.log_index}")
    entry = log.forward(before, at.log_index)
    if not 0 < at.place <= len(entry.requests):
        raise Unexplained(f"entry {at.log_index} has {len(entry.requests)} requests, and no place {at.place}")
    return explain_refused(before, at.log_index, entry, at.place, name)


def explain_refused(before: Exchange, index: int, entry: Entry, place: int, name: str) -> Explanation:
    """Work out again why the request at a place (from 1) of an entry was refused.

    ``before`` stands before the entry, and is used up.

    Raises:
        Unexplained: It was not refused.

    """
    whole = snapshot.load(snapshot.dump(before))
    outcome = whole.apply(index, entry).outcomes[place - 1]
    if outcome.replied_index != index:
        raise Unexplained(
            f"{name} is a copy of a request that was answered at index {outcome.replied_index};"
            f" 'steelyard explain reject' with that index says why"
        )
    request = entry.requests[place - 1]
    legs = _legs(request.command)
    refused, leg = _refused(outcome.reply, len(legs), name)
    command = legs[leg - 1] if leg and leg <= len(legs) else request.command
    state = _state_before(before, index, entry, place, leg)
    told = Explanation("reject", name)
    told.facts |= {
        "index": index,
        "place": place,
        "session": request.session,
        "request": request.request,
        "command": type(command).__name__,
        **({"leg": leg} if leg else {}),
        "reason": refused.reason.name,
        "why": SENTENCES.get(refused.reason.name, refused.reason.name),
        "log_time_ns": entry.time_ns,
        **({"expected": refused.expected} if refused.expected and not leg else {}),
    }
    told.table("the command", [_fields(command)])
    is_list = isinstance(request.command, PlaceOrderList)
    compare(
        told,
        Refusal(
            state,
            request,
            command,
            refused.reason,
            before=leg - 1 if is_list and leg else 0,
            all_or_none=isinstance(request.command, Batch) and request.command.mode == BatchMode.ALL_OR_NONE,
        ),
    )
    return told


def _place_of(log: MemberLog, name: str) -> Place:
    """Return where a request stands that is named by session and number, or by index and place."""
    session, _, request = name.partition(":")
    if session.isdecimal() and request.isdecimal():
        for index, entry in log.entries(0):
            for place, each in enumerate(entry.requests, 1):
                if (each.session, each.request) == (int(session), int(request)):
                    return Place(index, place)
        raise Unexplained(
            f"no entry from {log.first_index} to {log.commit_index} holds request {request} of session"
            f" {session}"
        )
    index_text, _, place_text = name.partition("/")
    if index_text.isdecimal() and place_text.isdecimal():
        return Place(int(index_text), int(place_text))
    raise Unexplained(f"{name!r} names no request; say SESSION:REQUEST, or INDEX/PLACE with places from 1")


def _refused(reply: AnyReply, legs: int, name: str) -> tuple[Refused, int]:
    """Return the refusal, and the leg (from 1, of so many) that it is about, zero for the whole."""
    if isinstance(reply, Refused):
        return reply, reply.expected if reply.expected <= legs and reply.reason != Reject.TOO_MANY_LEGS else 0
    if isinstance(reply, Many):
        for leg, each in enumerate(reply.legs, 1):
            if isinstance(each, Refused):
                return each, leg
    raise Unexplained(f"{name} was not refused; it was answered: {reply}")


def _legs(command: AnyCommand) -> list[AnyCommand]:
    match command:
        case Batch():
            return list(command.legs)
        case PlaceOrderList():
            return list(command.legs)
        case ReplaceOrder():
            return [command.cancel, command.place]
        case _:
            return []


def _state_before(before: Exchange, index: int, entry: Entry, place: int, leg: int) -> State:
    """Return the state right before a request, or before the leg of one in which others have acted."""
    requests = entry.requests[: place - 1]
    request = entry.requests[place - 1]
    acted = _acted(request.command, leg)
    if acted:
        account = acted[0].account
        shorter = Batch(account=account, mode=BatchMode.EACH, legs=acted)
        requests = [*requests, msgspec.structs.replace(request, command=shorter)]
    before.apply(index, msgspec.structs.replace(entry, requests=requests))
    return before.state


def _acted(command: AnyCommand, leg: int) -> list[Leg]:
    """Return the legs that acted before a leg; those of a list are checked before any of them acts."""
    if leg == 0:
        return []
    if isinstance(command, ReplaceOrder):
        return [command.cancel] if leg > 1 else []
    if not isinstance(command, Batch):
        return []
    if command.mode == BatchMode.EACH:
        return list(command.legs[: leg - 1])
    turns = [
        each
        for kind in (CancelOrder, AmendOrder, PlaceOrder)
        for each in enumerate(command.legs, 1)
        if isinstance(each[1], kind)
    ]
    numbers = [number for number, _ in turns]
    return [each for _, each in turns[: numbers.index(leg)]]


def _fields(command: AnyCommand) -> dict[str, Value]:
    return {name: _value(value) for name, value in msgspec.structs.asdict(command).items()}


def _value(value: object) -> Value:
    name = getattr(value, "name", None)
    if isinstance(name, str):
        return name
    return value if isinstance(value, int | str) or value is None else str(value)

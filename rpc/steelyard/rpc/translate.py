"""Protobuf to commands and queries; malformed input stops here, before the log."""

from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from steelyard.client.wire import NUMBER_MAX
from steelyard.core import commands
from steelyard.core.limits import BATCH_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, AssetId
from steelyard.replication.front import ReadMode
from steelyard.rpc import translate_family as family
from steelyard.rpc import translate_orders as orders
from steelyard.rpc import translate_positions as positions
from steelyard.rpc.errors import DoorError, Reason
from steelyard.v1 import common_pb2, trading_pb2

M = TypeVar("M", bound=Message)

#: One message of a stream carries at most so many commands.
COMMANDS_MAX: Final = 1_000


_MODES: Final[dict[int, ReadMode]] = {
    common_pb2.READ_MODE_UNSPECIFIED: ReadMode.LINEARIZABLE,
    common_pb2.READ_MODE_LINEARIZABLE: ReadMode.LINEARIZABLE,
    common_pb2.READ_MODE_AT_LEAST: ReadMode.AT_LEAST,
    common_pb2.READ_MODE_STALE: ReadMode.STALE,
}

#: What takes a request number's place in the log when its command cannot.
MALFORMED: Final = commands.Skip(reason=Reject.MALFORMED)
STORAGE_LOW: Final = commands.Skip(reason=Reject.STORAGE_LOW)
GIVEN_UP: Final = commands.Skip(reason=Reject.TOO_LATE)
TOO_MANY_LEGS: Final = commands.Skip(reason=Reject.TOO_MANY_LEGS)


def parse(kind: type[M], body: bytes) -> M:
    """Return the message that ``body`` holds.

    Raises:
        DoorError: MALFORMED; it is none, or it holds a field that this version does not know and would
            otherwise drop in silence.

    """
    message = decode(kind, body)
    if not discard_unknown(message):
        raise DoorError(Reason.MALFORMED, "the message has a field that this server does not know")
    return message


def decode(kind: type[M], body: bytes) -> M:
    """Return the message that ``body`` holds, with whatever fields it does not know."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise DoorError(Reason.MALFORMED, f"not a {kind.DESCRIPTOR.name}") from error


def discard_unknown(message: Message) -> bool:
    """Drop the fields that this version does not know; return whether there were none."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() == size


def parse_trade(body: bytes) -> tuple[trading_pb2.TradeRequest, list[bool]]:
    """Return a stream message and which of its commands hold unknown fields (empty: none does).

    Such a command takes its number as a refusal; anything else unknown is the stream's end.
    """
    message = decode(trading_pb2.TradeRequest, body)
    if len(message.commands) > COMMANDS_MAX:
        raise DoorError(Reason.MALFORMED, f"a message carries at most {COMMANDS_MAX} commands")
    if discard_unknown(message):
        return message, []
    message = decode(trading_pb2.TradeRequest, body)
    tainted = [not discard_unknown(command) for command in message.commands]
    if not discard_unknown(message):
        raise DoorError(Reason.MALFORMED, "the message has a field that this server does not know")
    return message, tainted


def trade_command(wire: trading_pb2.Command, account: AccountId) -> commands.AnyCommand:
    """Return a trader's command for the log: ``MALFORMED`` if it makes no sense."""
    if not 0 <= wire.not_after_ns <= NUMBER_MAX:
        return MALFORMED
    kind = wire.WhichOneof("kind")
    if kind == "place_order":
        return orders.place_order(wire.place_order, account) or MALFORMED
    if kind == "cancel_order":
        return orders.cancel_order(wire.cancel_order, account) or MALFORMED
    return _uncommon_command(kind, wire, account) or MALFORMED


def _uncommon_command(
    kind: str | None, wire: trading_pb2.Command, account: AccountId
) -> commands.AnyCommand | None:
    match kind:
        case "skip":
            return GIVEN_UP
        case "place_order_list":
            return orders.place_order_list(wire.place_order_list, account)
        case "amend_order":
            return orders.amend_order(wire.amend_order, account)
        case "replace_order":
            return orders.replace_order(wire.replace_order, account)
        case "batch":
            if len(wire.batch.legs) > BATCH_MAX:
                return TOO_MANY_LEGS
            return orders.batch(wire.batch, account)
        case "cancel_orders":
            return orders.cancel_orders(wire.cancel_orders, account)
        case "arm_countdown":
            return orders.arm_countdown(wire.arm_countdown, account)
        case "transfer":
            return family.transfer(wire.transfer, account)
        case "set_self_trade":
            return family.set_self_trade(wire.set_self_trade, account)
        case "open_sub_account":
            return family.open_sub_account(wire.open_sub_account, account)
        case "pay_referral":
            return commands.PayReferral(account=account, asset=AssetId(wire.pay_referral.asset))
        case "set_leverage":
            return positions.set_leverage(wire.set_leverage, account)
        case "set_contract_modes":
            return positions.set_contract_modes(wire.set_contract_modes, account)
        case "move_margin":
            return positions.move_margin(wire.move_margin, account)
        case "adjust_bucket":
            return positions.adjust_bucket(wire.adjust_bucket, account)
        case _:
            return None


def read_at(wire: common_pb2.ReadAt) -> tuple[ReadMode, int]:
    """Return how fresh an answer must be, and the index for AT_LEAST."""
    mode = _MODES.get(wire.mode)
    if mode is None or wire.min_index > NUMBER_MAX:
        raise DoorError(Reason.MALFORMED, "no such read mode, or an index out of range")
    return mode, wire.min_index


def check_once(once: trading_pb2.Once) -> None:
    """Raise MALFORMED unless this names a session and a request."""
    if not (
        0 < once.session <= NUMBER_MAX
        and 0 < once.request <= NUMBER_MAX
        and once.wants_from <= NUMBER_MAX
        and 0 <= once.not_after_ns <= NUMBER_MAX
    ):
        raise DoorError(Reason.MALFORMED, "a write needs a session, a request number and sound bounds")

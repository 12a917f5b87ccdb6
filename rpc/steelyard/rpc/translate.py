"""Protobuf to commands and queries; malformed input stops here, before the log."""

from typing import Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from steelyard.client.wire import NUMBER_MAX
from steelyard.core import commands
from steelyard.core.limits import LABEL_MAX, is_printable_ascii
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
)
from steelyard.replication.front import ReadMode
from steelyard.rpc.errors import DoorError, Reason
from steelyard.v1 import admin_pb2, common_pb2, trading_pb2

M = TypeVar("M", bound=Message)

#: One message of a stream carries at most so many commands.
COMMANDS_MAX: Final = 1_000


class _Shape(NamedTuple):
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    is_limit: bool
    may_rest: bool


#: Side, kind and time in force that make sense together: a market order never rests.
_SHAPES: Final = {
    (side.value, kind.value, way.value): _Shape(
        side, kind, way, kind is OrderKind.LIMIT, way is TimeInForce.GTC
    )
    for side in Side
    for kind in OrderKind
    for way in TimeInForce
    if kind is OrderKind.LIMIT or way is not TimeInForce.GTC
}
_STATES: Final[dict[int, InstrumentState]] = {state.value: state for state in InstrumentState}
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
    """Return a stream's command for the log: ``MALFORMED`` if it makes no sense."""
    if not 0 <= wire.not_after_ns <= NUMBER_MAX:
        return MALFORMED
    kind = wire.WhichOneof("kind")
    if kind == "place_order":
        return place_order(wire.place_order, account) or MALFORMED
    if kind == "cancel_order":
        return cancel_order(wire.cancel_order, account) or MALFORMED
    return GIVEN_UP if kind == "skip" else MALFORMED


def place_order(wire: trading_pb2.PlaceOrder, account: AccountId) -> commands.PlaceOrder | None:
    """Return the command, or None if a field is missing, negative, enormous or at odds with another."""
    order = wire.order
    instrument = wire.instrument
    size_lots = wire.size_lots
    limit_ticks = wire.limit_ticks
    post_only = wire.post_only
    label = wire.label
    shape = _SHAPES.get((wire.side, wire.kind, wire.time_in_force))
    if shape is None or not instrument or not 0 < order <= NUMBER_MAX or not 0 < size_lots <= NUMBER_MAX:
        return None
    side, kind, time_in_force, is_limit, may_rest = shape
    if not (0 < limit_ticks <= NUMBER_MAX if is_limit else limit_ticks == 0):
        return None
    if post_only and not may_rest:
        return None
    if label and not is_printable_ascii(label, LABEL_MAX):
        return None
    return commands.PlaceOrder(
        account=account,
        instrument=InstrumentId(instrument),
        order=OrderId(order),
        side=side,
        size_lots=size_lots,
        limit_ticks=limit_ticks,
        kind=kind,
        time_in_force=time_in_force,
        post_only=post_only,
        label=label,
    )


def cancel_order(wire: trading_pb2.CancelOrder, account: AccountId) -> commands.CancelOrder | None:
    """Return the command, or None unless the order is named in exactly one way."""
    order, number, label = wire.order, wire.number, wire.label
    if (order > 0) + (number > 0) + bool(label) != 1 or order > NUMBER_MAX or number > NUMBER_MAX:
        return None
    if label and not is_printable_ascii(label, LABEL_MAX):
        return None
    return commands.CancelOrder(
        account=account, order=OrderId(order), number=OrderNumber(number), label=label
    )


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


def operator_command(wire: admin_pb2.AdministerRequest) -> commands.AnyCommand:
    """Return the operator's command.

    Raises:
        DoorError: MALFORMED.

    """
    command = _operator_command(wire)
    if command is None or not _numbers_fit(wire):
        raise DoorError(Reason.MALFORMED, "a field is missing or out of range")
    return command


def _numbers_fit(wire: admin_pb2.AdministerRequest) -> bool:
    """Return whether every number of the command is one that the exchange can hold."""
    kind = wire.WhichOneof("kind")
    assert kind is not None
    values = [value for _, value in getattr(wire, kind).ListFields() if isinstance(value, int)]
    return all(-NUMBER_MAX <= value <= NUMBER_MAX for value in values)


def _operator_command(wire: admin_pb2.AdministerRequest) -> commands.AnyCommand | None:
    match wire.WhichOneof("kind"):
        case "list_asset":
            asset = wire.list_asset
            return commands.ListAsset(
                asset=AssetId(asset.asset), symbol=asset.symbol, decimals=asset.decimals
            )
        case "list_instrument":
            return _list_instrument(wire.list_instrument)
        case "set_instrument_state":
            move = wire.set_instrument_state
            state = _STATES.get(move.state)
            if state is None:
                return None
            return commands.SetInstrumentState(instrument=InstrumentId(move.instrument), state=state)
        case "open_account":
            return commands.OpenAccount(account=AccountId(wire.open_account.account))
        case "deposit":
            deposit = wire.deposit
            return commands.Deposit(
                account=AccountId(deposit.account),
                asset=AssetId(deposit.asset),
                amount_atoms=deposit.amount_atoms,
            )
        case "withdraw":
            withdraw = wire.withdraw
            return commands.Withdraw(
                account=AccountId(withdraw.account),
                asset=AssetId(withdraw.asset),
                amount_atoms=withdraw.amount_atoms,
            )
        case "create_api_key":
            key = wire.create_api_key
            return commands.CreateApiKey(
                account=AccountId(key.account),
                public_key=key.public_key,
                permissions=key.permissions,
                expires_ns=key.expires_ns,
            )
        case "revoke_api_key":
            return commands.RevokeApiKey(key=KeyId(wire.revoke_api_key.key))
        case "activate_version":
            return commands.ActivateVersion(version=wire.activate_version.version)
        case _:
            return None


#: What a market order may trade beyond the best price where the listing does not say.
_PROTECTION_PPM: Final = 50_000


def _list_instrument(wire: admin_pb2.ListInstrument) -> commands.ListInstrument:
    return commands.ListInstrument(
        instrument=InstrumentId(wire.instrument),
        symbol=wire.symbol,
        base=AssetId(wire.base_asset),
        quote=AssetId(wire.quote_asset),
        tick_mantissa=wire.tick_mantissa,
        tick_decimals=wire.tick_decimals,
        lot_mantissa=wire.lot_mantissa,
        lot_decimals=wire.lot_decimals,
        price_max_ticks=wire.price_max_ticks,
        size_max_lots=wire.size_max_lots,
        notional_min_atoms=wire.notional_min_atoms,
        maker_ppm=wire.maker_ppm,
        taker_ppm=wire.taker_ppm,
        market_protection_ppm=wire.market_protection_ppm or _PROTECTION_PPM,
    )

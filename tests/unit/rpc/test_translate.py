"""Malformed input stops at the door: each fault by itself turns a good message into the same refusal."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.core import commands
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    InstrumentState,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
)
from steelyard.replication.front import ReadMode
from steelyard.rpc import translate, translate_orders
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.translate_admin import operator_command
from steelyard.v1 import admin_pb2, common_pb2, trading_pb2

ALICE = AccountId(1000)
TOO_LARGE = 1 << 62
#: Field 99 as a varint: what a newer client may send to us.
UNKNOWN_FIELD = b"\x98\x06\x01"


def order() -> trading_pb2.PlaceOrder:
    """Return a good order."""
    return trading_pb2.PlaceOrder(
        order=7,
        instrument=1,
        side=common_pb2.SIDE_BUY,
        kind=common_pb2.ORDER_KIND_LIMIT,
        time_in_force=common_pb2.TIME_IN_FORCE_GTC,
        size_lots=5,
        limit_ticks=100,
        label="mine",
    )


def test_a_good_order_becomes_a_command() -> None:
    assert translate_orders.place_order(order(), ALICE) == commands.PlaceOrder(
        account=ALICE,
        instrument=InstrumentId(1),
        order=OrderId(7),
        side=Side.BUY,
        size_lots=5,
        limit_ticks=100,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC,
        post_only=False,
        label="mine",
    )


def test_a_market_order_has_no_limit() -> None:
    wire = order()
    wire.kind = common_pb2.ORDER_KIND_MARKET
    wire.time_in_force = common_pb2.TIME_IN_FORCE_IOC
    wire.limit_ticks = 0
    command = translate_orders.place_order(wire, ALICE)
    assert command is not None
    assert (command.kind, command.time_in_force) == (OrderKind.MARKET, TimeInForce.IOC)


ORDER_FAULTS: dict[str, dict[str, object]] = {
    "no order id": {"order": 0},
    "an enormous order id": {"order": TOO_LARGE},
    "no instrument": {"instrument": 0},
    "no side": {"side": 0},
    "an unknown side": {"side": 3},
    "a negative side": {"side": -1},
    "no kind": {"kind": 0},
    "an unknown kind": {"kind": 9},
    "no time in force": {"time_in_force": 0},
    "an unknown time in force": {"time_in_force": 4},
    "no size": {"size_lots": 0},
    "a negative size": {"size_lots": -1},
    "an enormous size": {"size_lots": TOO_LARGE},
    "no limit": {"limit_ticks": 0},
    "a negative limit": {"limit_ticks": -5},
    "an enormous limit": {"limit_ticks": 2**63 - 1},
    "a market order with a limit": {"kind": 2, "time_in_force": 2},
    "a market order that rests": {"kind": 2, "limit_ticks": 0},
    "post-only that does not rest": {"post_only": True, "time_in_force": 2},
    "post-only at the market": {"post_only": True, "kind": 2, "time_in_force": 3, "limit_ticks": 0},
    "a label too long": {"label": "x" * 37},
    "a label that cannot be printed": {"label": "a\nb"},
    "a label beyond ASCII": {"label": "né"},
}


@pytest.mark.parametrize("fault", ORDER_FAULTS.values(), ids=ORDER_FAULTS)
def test_an_order_with_a_fault_is_refused(fault: dict[str, object]) -> None:
    wire = order()
    for name, value in fault.items():
        setattr(wire, name, value)
    assert translate_orders.place_order(wire, ALICE) is None
    command = trading_pb2.Command(request=1, place_order=wire)
    assert translate.trade_command(command, ALICE) is translate.MALFORMED


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (trading_pb2.CancelOrder(order=7), commands.CancelOrder(account=ALICE, order=OrderId(7))),
        (trading_pb2.CancelOrder(number=7), commands.CancelOrder(account=ALICE, number=OrderNumber(7))),
        (trading_pb2.CancelOrder(label="x"), commands.CancelOrder(account=ALICE, label="x")),
    ],
)
def test_a_cancel_names_its_order_in_one_way(
    wire: trading_pb2.CancelOrder, expected: commands.CancelOrder
) -> None:
    assert translate_orders.cancel_order(wire, ALICE) == expected


@pytest.mark.parametrize(
    "wire",
    [
        trading_pb2.CancelOrder(),
        trading_pb2.CancelOrder(order=7, number=8),
        trading_pb2.CancelOrder(order=7, label="x"),
        trading_pb2.CancelOrder(order=TOO_LARGE),
        trading_pb2.CancelOrder(number=2**64 - 1),
        trading_pb2.CancelOrder(label="x" * 37),
    ],
)
def test_a_cancel_with_a_fault_is_refused(wire: trading_pb2.CancelOrder) -> None:
    assert translate_orders.cancel_order(wire, ALICE) is None
    command = trading_pb2.Command(request=1, cancel_order=wire)
    assert translate.trade_command(command, ALICE) is translate.MALFORMED


@pytest.mark.parametrize(
    "wire",
    [
        trading_pb2.Command(request=1),
        trading_pb2.Command(request=1, not_after_ns=-1, place_order=order()),
        trading_pb2.Command(request=1, not_after_ns=TOO_LARGE, place_order=order()),
    ],
)
def test_a_command_with_a_fault_takes_its_number_as_a_refusal(wire: trading_pb2.Command) -> None:
    assert translate.trade_command(wire, ALICE) is translate.MALFORMED


def test_a_number_can_be_given_up() -> None:
    wire = trading_pb2.Command(request=1, skip=trading_pb2.Skip())
    assert translate.trade_command(wire, ALICE) is translate.GIVEN_UP


def refused(call: Callable[[], object]) -> Reason:
    """Return the reason for which the door refuses."""
    with pytest.raises(DoorError) as caught:
        call()
    return caught.value.reason


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", UNKNOWN_FIELD, b"\x0b"])
def test_bytes_that_are_no_message_are_malformed(body: bytes) -> None:
    call = lambda: translate.parse(trading_pb2.OpenSessionRequest, body)  # noqa: E731
    assert refused(call) is Reason.MALFORMED


def test_an_unknown_field_deep_inside_is_seen() -> None:
    inner = trading_pb2.PlaceOrder.FromString(order().SerializeToString() + UNKNOWN_FIELD)
    body = trading_pb2.PlaceOrderRequest(order=inner).SerializeToString()
    assert refused(lambda: translate.parse(trading_pb2.PlaceOrderRequest, body)) is Reason.MALFORMED


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    reason = None
    try:
        message, tainted = translate.parse_trade(body)
        assert not tainted or len(tainted) == len(message.commands)
        for each in message.commands:
            translate.trade_command(each, ALICE)
    except DoorError as error:
        reason = error.reason
    assert reason in {None, Reason.MALFORMED}


def test_only_the_command_with_an_unknown_field_is_tainted() -> None:
    inner = trading_pb2.PlaceOrder.FromString(order().SerializeToString() + UNKNOWN_FIELD)
    message = trading_pb2.TradeRequest()
    message.commands.add(request=1, place_order=order())
    message.commands.add(request=2, place_order=inner)
    message.commands.add(request=3, cancel_order=trading_pb2.CancelOrder(order=1))
    parsed, tainted = translate.parse_trade(message.SerializeToString())
    assert tainted == [False, True, False]
    assert [each.request for each in parsed.commands] == [1, 2, 3]


def test_an_unknown_field_of_the_message_itself_is_malformed() -> None:
    body = trading_pb2.TradeRequest(wants_from=1).SerializeToString() + UNKNOWN_FIELD
    assert refused(lambda: translate.parse_trade(body)) is Reason.MALFORMED


def test_more_than_a_thousand_commands_in_a_message_are_malformed() -> None:
    message = trading_pb2.TradeRequest()
    for number in range(1, 1001):
        message.commands.add(request=number)
    translate.parse_trade(message.SerializeToString())
    message.commands.add(request=1001)
    assert refused(lambda: translate.parse_trade(message.SerializeToString())) is Reason.MALFORMED


def test_a_read_is_linearizable_unless_it_says_otherwise() -> None:
    assert translate.read_at(common_pb2.ReadAt()) == (ReadMode.LINEARIZABLE, 0)
    at_least = common_pb2.ReadAt(mode=common_pb2.READ_MODE_AT_LEAST, min_index=9)
    assert translate.read_at(at_least) == (ReadMode.AT_LEAST, 9)


@pytest.mark.parametrize("fault", [{"mode": 9}, {"mode": 2, "min_index": TOO_LARGE}])
def test_a_read_with_a_fault_is_malformed(fault: dict[str, int]) -> None:
    wire = common_pb2.ReadAt()
    for name, value in fault.items():
        setattr(wire, name, value)
    assert refused(lambda: translate.read_at(wire)) is Reason.MALFORMED


@pytest.mark.parametrize(
    "fault",
    [{"session": 0}, {"request": 0}, {"request": TOO_LARGE}, {"wants_from": TOO_LARGE}, {"not_after_ns": -1}],
)
def test_a_write_needs_its_place(fault: dict[str, int]) -> None:
    once = trading_pb2.Once(session=1, request=1)
    translate.check_once(once)
    for name, value in fault.items():
        setattr(once, name, value)
    assert refused(lambda: translate.check_once(once)) is Reason.MALFORMED


def test_every_operator_command_is_translated() -> None:
    kinds = admin_pb2.AdministerRequest.DESCRIPTOR.oneofs_by_name["kind"].fields
    for field in kinds:
        wire = admin_pb2.AdministerRequest()
        getattr(wire, field.name).SetInParent()
        if field.name in ("set_instrument_state", "schedule_state"):
            getattr(wire, field.name).state = common_pb2.INSTRUMENT_STATE_OPEN
        if field.name in ("list_contract", "set_contract_rules"):
            getattr(wire, field.name).rules.mark_rule = common_pb2.MARK_RULE_FED
            getattr(wire, field.name).rules.margin.tiers.add()
        if field.name == "list_contract":
            wire.list_contract.contract = common_pb2.CONTRACT_KIND_LINEAR
        name = "".join(word.title() for word in field.name.split("_"))
        assert type(operator_command(wire)).__name__ == name


def test_a_move_to_a_state_is_translated() -> None:
    move = admin_pb2.SetInstrumentState(instrument=3, state=common_pb2.INSTRUMENT_STATE_HALTED)
    command = operator_command(admin_pb2.AdministerRequest(set_instrument_state=move))
    assert command == commands.SetInstrumentState(instrument=InstrumentId(3), state=InstrumentState.HALTED)


@pytest.mark.parametrize(
    "wire",
    [
        admin_pb2.AdministerRequest(),
        admin_pb2.AdministerRequest(set_instrument_state=admin_pb2.SetInstrumentState(instrument=1)),
        admin_pb2.AdministerRequest(open_account=admin_pb2.OpenAccount(account=TOO_LARGE)),
        admin_pb2.AdministerRequest(deposit=admin_pb2.Deposit(account=1, asset=1, amount_atoms=2**63 - 1)),
        admin_pb2.AdministerRequest(list_instrument=admin_pb2.ListInstrument(maker_ppm=-(2**63))),
    ],
)
def test_an_operator_command_with_a_fault_is_malformed(wire: admin_pb2.AdministerRequest) -> None:
    assert refused(lambda: operator_command(wire)) is Reason.MALFORMED

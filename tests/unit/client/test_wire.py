"""Bytes written by hand are those that protobuf would write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.client import wire
from steelyard.v1 import trading_pb2

uint64 = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
uint32 = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
int64 = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
enum = st.integers(0, 9)
label = st.text(max_size=200)


def slow_varint(number: int) -> bytes:
    """Return a varint bit by bit."""
    number &= 2**64 - 1
    out = b""
    while number > 127:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


@given(st.one_of(st.integers(2**7 - 2, 2**7 + 2), st.integers(2**14 - 2, 2**14 + 2), uint64, int64))
def test_varint_is_seven_bits_a_byte_lowest_first(number: int) -> None:
    assert wire.varint(number) == slow_varint(number)


@pytest.mark.parametrize("bits", range(65))
def test_varint_at_every_power_of_two(bits: int) -> None:
    for number in (2**bits - 1, 2**bits):
        if number < 2**64:
            assert wire.varint(number) == slow_varint(number)


@pytest.mark.parametrize("number", [2**64, 2**70, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        wire.varint(number)


@given(uint64, uint32, enum, enum, enum, int64, int64, st.booleans(), label)
def test_place_order_equals_protobufs(
    order: int,
    instrument: int,
    side: int,
    kind: int,
    time_in_force: int,
    size_lots: int,
    limit_ticks: int,
    post_only: bool,
    label: str,
) -> None:
    body = wire.place_order(
        order, instrument, side, kind, time_in_force, size_lots, limit_ticks, post_only, label
    )
    assert trading_pb2.PlaceOrder.FromString(body) == trading_pb2.PlaceOrder(
        order=order,
        instrument=instrument,
        side=side,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
        time_in_force=time_in_force,  # type: ignore[arg-type]
        size_lots=size_lots,
        limit_ticks=limit_ticks,
        post_only=post_only,
        label=label,
    )


@given(uint64, uint64, label)
def test_cancel_order_equals_protobufs(order: int, number: int, label: str) -> None:
    wanted = trading_pb2.CancelOrder(order=order, number=number, label=label)
    assert wire.cancel_order(order, number, label) == wanted.SerializeToString()


@given(st.lists(st.tuples(uint64, uint32, int64, label), max_size=5), uint64)
def test_a_message_of_commands_equals_protobufs(
    rows: list[tuple[int, int, int, str]], wants_from: int
) -> None:
    sent = trading_pb2.TradeRequest(wants_from=wants_from)
    body = b""
    for request, fingerprint, not_after_ns, label in rows:
        order = wire.place_order(7, 1, 1, 1, 1, 5, 100, False, label)
        body += wire.command(request, fingerprint, not_after_ns, wire.PLACE_ORDER, order)
        sent.commands.add(
            request=request,
            fingerprint=fingerprint,
            not_after_ns=not_after_ns,
            place_order=trading_pb2.PlaceOrder.FromString(order),
        )
        cancel = wire.cancel_order(0, 0, label)
        body += wire.command(request, fingerprint, 0, wire.CANCEL_ORDER, cancel)
        sent.commands.add(
            request=request, fingerprint=fingerprint, cancel_order=trading_pb2.CancelOrder(label=label)
        )
    body += wire.wants_from(wants_from)
    assert trading_pb2.TradeRequest.FromString(body) == sent


def test_a_place_and_a_cancel_with_the_same_bytes_have_different_fingerprints() -> None:
    body = wire.cancel_order(7, 0, "")
    assert wire.fingerprint_of(wire.PLACE_ORDER, body) != wire.fingerprint_of(wire.CANCEL_ORDER, body)

"""Replies written by hand are those that protobuf would write; events reach whom they concern."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from steelyard.core import events
from steelyard.core.entry import (
    Accepted,
    Amended,
    AnyReply,
    Cancelled,
    LegReply,
    Many,
    Placed,
    Refused,
    SessionReady,
    Swept,
    Waiting,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    Leg,
    LiquidationId,
    OrderId,
    OrderKind,
    OrderNumber,
    SessionId,
    Side,
    TimeInForce,
    TradeId,
)
from steelyard.rpc import encode, encode_events
from steelyard.v1 import common_pb2, trading_pb2

uint64 = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))
above_zero = st.one_of(st.integers(0, 300), st.integers(0, 2**62 - 1))
signed = st.one_of(st.integers(-300, 300), st.integers(-(2**62), 2**62))
fingerprint = st.integers(0, 2**32 - 1)

single_replies = st.one_of(
    st.builds(
        Refused, request=uint64, fingerprint=fingerprint, reason=st.sampled_from(Reject), expected=signed
    ),
    st.builds(Accepted, request=uint64, fingerprint=fingerprint, made=uint64),
    st.builds(
        Placed,
        request=uint64,
        fingerprint=fingerprint,
        number=above_zero,
        executed_lots=above_zero.filter(bool),
        executed_atoms=above_zero,
        fee_atoms=signed,
        open_lots=above_zero,
    ),
    st.builds(
        Placed,
        request=uint64,
        fingerprint=fingerprint,
        number=above_zero,
        executed_lots=st.just(0),
        executed_atoms=st.just(0),
        fee_atoms=st.just(0),
        open_lots=above_zero,
    ),
    st.builds(Cancelled, request=uint64, fingerprint=fingerprint, number=above_zero, open_lots=above_zero),
    st.builds(Waiting, request=uint64, fingerprint=fingerprint, number=above_zero),
    st.builds(
        Amended,
        request=uint64,
        fingerprint=fingerprint,
        number=above_zero,
        executed_lots=above_zero.filter(bool),
        executed_atoms=above_zero,
        fee_atoms=signed,
        open_lots=above_zero,
    ),
    st.builds(Swept, request=uint64, fingerprint=fingerprint, count=above_zero),
)
replies = st.one_of(
    single_replies,
    st.builds(
        Many,
        request=uint64,
        fingerprint=fingerprint,
        legs=st.lists(
            single_replies.filter(lambda reply: isinstance(reply, get_args(LegReply))), max_size=30
        ),
    ),
)


def by_protobuf(index: int, reply: AnyReply) -> trading_pb2.Reply:
    """Return the message that the bytes must mean."""
    message = trading_pb2.Reply(request=reply.request, fingerprint=reply.fingerprint, log_index=index)
    if isinstance(reply, Many):
        message.many.SetInParent()
        for leg in reply.legs:
            fill_in(message.many.legs.add(), leg)
    else:
        fill_in(message, reply)
    return message


def fill_in(message: trading_pb2.Reply | trading_pb2.LegReply, reply: AnyReply) -> None:
    """Fill the result in, field by field of the same name."""
    name = "accepted" if isinstance(reply, SessionReady) else type(reply).__name__.lower()
    part = getattr(message, name)
    part.SetInParent()
    for field in part.DESCRIPTOR.fields:
        if hasattr(reply, field.name):
            setattr(part, field.name, getattr(reply, field.name))


@given(uint64, replies)
def test_a_reply_equals_protobufs(index: int, reply: AnyReply) -> None:
    assert trading_pb2.Reply.FromString(encode.reply_body(encode.made_at(index), reply)) == by_protobuf(
        index, reply
    )


@given(st.lists(st.tuples(uint64, replies), max_size=5), uint64)
def test_a_message_of_replies_equals_protobufs(rows: list[tuple[int, AnyReply]], index: int) -> None:
    body = b"".join(encode.reply_field(encode.made_at(made), reply) for made, reply in rows)
    sent = trading_pb2.TradeResponse.FromString(body + encode.log_index_field(index))
    assert sent == trading_pb2.TradeResponse(
        log_index=index, replies=[by_protobuf(made, reply) for made, reply in rows]
    )


def test_every_kind_of_reply_can_be_written() -> None:
    ready = SessionReady(request=0, fingerprint=0, session=SessionId(5), last_request=7)
    assert trading_pb2.Reply.FromString(encode.reply_body(encode.made_at(3), ready)).log_index == 3
    kinds = {type(ready), Refused, Accepted, Placed, Cancelled, Waiting, Amended, Swept, Many}
    assert kinds == set(get_args(AnyReply))


ALICE, BOB = AccountId(1000), AccountId(1001)
BTC_USD = InstrumentId(1)


def traded(maker: AccountId, taker: AccountId) -> events.Traded:
    """Return a trade in which the taker buys."""
    return events.Traded(
        trade=TradeId(1),
        instrument=BTC_USD,
        maker=maker,
        maker_order=OrderId(11),
        maker_number=OrderNumber(21),
        taker=taker,
        taker_order=OrderId(12),
        taker_number=OrderNumber(22),
        taker_side=Side.BUY,
        price_ticks=100,
        size_lots=3,
        notional_atoms=300,
        maker_fee_atoms=-1,
        taker_fee_atoms=2,
        maker_open_lots=4,
        taker_open_lots=0,
    )


def seen(event: events.AnyEvent, account: AccountId) -> list[trading_pb2.Event]:
    """Return what an account's stream says about an event."""
    fields = encode_events.event_fields(50, 6, 70, event, account)
    return list(trading_pb2.TradeResponse.FromString(fields).events)


def test_each_side_of_a_trade_sees_its_own_order_and_fee() -> None:
    (maker,) = seen(traded(ALICE, BOB), ALICE)
    (taker,) = seen(traded(ALICE, BOB), BOB)
    assert (maker.log_index, maker.event_number, maker.log_time_ns) == (50, 6, 70)
    assert (maker.fill.order, maker.fill.number, maker.fill.side, maker.fill.maker) == (11, 21, 2, True)
    assert (maker.fill.fee_atoms, maker.fill.open_lots) == (-1, 4)
    assert (taker.fill.order, taker.fill.number, taker.fill.side, taker.fill.maker) == (12, 22, 1, False)
    assert (taker.fill.fee_atoms, taker.fill.open_lots) == (2, 0)


def test_who_trades_with_itself_sees_both_sides() -> None:
    maker, taker = seen(traded(ALICE, ALICE), ALICE)
    assert (maker.fill.maker, taker.fill.maker) == (True, False)
    assert encode_events.accounts_of(traded(ALICE, ALICE)) == (ALICE,)


def test_each_step_of_an_order_is_told() -> None:
    accepted = events.OrderAccepted(
        account=ALICE,
        instrument=BTC_USD,
        order=OrderId(7),
        number=OrderNumber(8),
        side=Side.SELL,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_ticks=9,
        size_lots=10,
        label="",
    )
    (told,) = seen(accepted, ALICE)
    assert told.order == trading_pb2.OrderEvent(
        step=trading_pb2.ORDER_STEP_ACCEPTED,
        instrument=1,
        order=7,
        number=8,
        side=common_pb2.SIDE_SELL,
        price_ticks=9,
        lots=10,
        kind=common_pb2.ORDER_KIND_LIMIT,
        time_in_force=common_pb2.TIME_IN_FORCE_GTC,
    )
    expired = events.OrderExpired(
        account=ALICE,
        instrument=BTC_USD,
        order=OrderId(7),
        number=OrderNumber(8),
        open_lots=3,
        reason=Reject.NO_LIQUIDITY,
    )
    (told,) = seen(expired, ALICE)
    assert (told.order.step, told.order.lots) == (trading_pb2.ORDER_STEP_EXPIRED, 3)


def test_money_out_is_below_zero() -> None:
    paid = events.Withdrawn(account=ALICE, asset=AssetId(2), amount_atoms=5, free_atoms=6)
    (told,) = seen(paid, ALICE)
    assert (told.funds.asset, told.funds.amount_atoms, told.funds.free_atoms) == (2, -5, 6)
    got = events.Deposited(account=ALICE, asset=AssetId(2), amount_atoms=5, free_atoms=6)
    assert seen(got, ALICE)[0].funds.amount_atoms == 5


def test_who_was_deleveraged_hears_its_place_and_the_bankrupt_only_how_many_there_were() -> None:
    adl = events.AdlSettled(
        liquidation=LiquidationId(3),
        instrument=BTC_USD,
        account=ALICE,
        leg=Leg.NET,
        mark_ticks=80,
        lots=8,
        cash_atoms=720,
        ranked=5,
        givers=[events.AdlRow(2, BOB, Leg.SHORT, -9, 492_307, 8, -720, 80, 3)],
        realised_atoms=-80,
        funding_atoms=0,
    )
    (told,) = seen(adl, BOB)
    assert told.position == trading_pb2.PositionEvent(
        step=trading_pb2.POSITION_STEP_DELEVERAGED,
        instrument=1,
        leg=common_pb2.POSITION_LEG_SHORT,
        realised_atoms=80,
        funding_atoms=3,
        lots=8,
        price_ticks=80,
        amount_atoms=-720,
        liquidation=3,
        place=2,
        ranked=5,
    )
    liquidated, closed = seen(adl, ALICE)
    assert (liquidated.liquidation.lots, liquidated.liquidation.received_atoms) == (8, 720)
    assert (closed.position.place, closed.position.ranked) == (0, 5)


def test_what_concerns_no_account_is_told_to_nobody() -> None:
    moved = events.InstrumentStateChanged(
        instrument=BTC_USD, before=InstrumentState.OPEN, after=InstrumentState.HALTED
    )
    assert encode_events.accounts_of(moved) == ()

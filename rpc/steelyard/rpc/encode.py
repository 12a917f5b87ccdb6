"""Replies, events and answers to protobuf; replies by hand, since there are a hundred thousand a second."""

from typing import Final

from steelyard.client.wire import delimited, fixed32, varint, zigzag
from steelyard.core import events, queries
from steelyard.core.entry import Accepted, AnyReply, Cancelled, Placed, Refused, SessionReady
from steelyard.core.units import AccountId, InstrumentState, Side
from steelyard.v1 import account_pb2, admin_pb2, common_pb2, market_data_pb2, trading_pb2

#: Field tags of TradeResponse, and of Welcome for the replies it keeps.
REPLIES: Final = b"\x22"
EVENTS: Final = b"\x2a"
WELCOME: Final = b"\x1a"
WELCOME_REPLIES: Final = b"\x1a"
GOODBYE: Final = b"\x32"
_LOG_INDEX: Final = b"\x08"
_SIDES: Final[dict[Side, "common_pb2.Side.ValueType"]] = {
    Side.BUY: common_pb2.SIDE_BUY,
    Side.SELL: common_pb2.SIDE_SELL,
}
_STATES: Final[dict[InstrumentState, "common_pb2.InstrumentState.ValueType"]] = {
    state: common_pb2.InstrumentState.Value(f"INSTRUMENT_STATE_{state.name}") for state in InstrumentState
}


def made_at(index: int) -> bytes:
    """Return the ``log_index`` field of a ``Reply``, which many replies share."""
    return b"\x18" + varint(index)


def reply_body(made: bytes, reply: AnyReply) -> bytes:
    """Return the bytes of a ``Reply``; ``made`` is ``made_at`` the log index where it was made."""
    if type(reply) is Placed:
        tag, result = b"\x2a", b"\x08" + varint(reply.number)
        if reply.executed_lots:
            result += b"\x10" + varint(reply.executed_lots)
            if reply.executed_atoms:
                result += b"\x18" + varint(reply.executed_atoms)
            if reply.fee_atoms:
                result += b"\x20" + varint(zigzag(reply.fee_atoms))
        if reply.open_lots:
            result += b"\x28" + varint(reply.open_lots)
    elif type(reply) is Cancelled:
        tag, result = b"\x32", b"\x08" + varint(reply.number)
        if reply.open_lots:
            result += b"\x10" + varint(reply.open_lots)
    elif type(reply) is Refused:
        tag, result = b"\x22", b"\x08" + varint(reply.reason.value)
        if reply.expected:
            result += b"\x10" + varint(zigzag(reply.expected))
    else:
        tag, result = b"\x3a", b""
        if type(reply) is Accepted and reply.made:
            result = b"\x08" + varint(reply.made)
    # A result has at most five numbers: its length takes one byte.
    return b"\x08%b\x15%b%b%b%c%b" % (
        varint(reply.request),
        fixed32(reply.fingerprint),
        made,
        tag,
        len(result),
        result,
    )


def reply_field(made: bytes, reply: AnyReply) -> bytes:
    """Return a ``replies`` field of a ``TradeResponse``."""
    body = reply_body(made, reply)
    # At most eight numbers of ten bytes with their tags: the length takes one byte.
    return b"\x22%c%b" % (len(body), body)


def log_index_field(index: int) -> bytes:
    """Return the ``log_index`` field, which every response has as its first."""
    return _LOG_INDEX + varint(index)


def reply_message(index: int, reply: AnyReply) -> trading_pb2.Reply:
    """Return a ``Reply`` made at log index ``index``, as part of a unary response."""
    return trading_pb2.Reply.FromString(reply_body(made_at(index), reply))


def accounts_of(event: events.AnyEvent) -> tuple[AccountId, ...]:
    """Return whose private event this is; nobody's for most."""
    match event:
        case events.Traded():
            return (event.maker,) if event.maker == event.taker else (event.maker, event.taker)
        case (
            events.OrderAccepted()
            | events.OrderRested()
            | events.OrderFilled()
            | events.OrderCancelled()
            | events.OrderExpired()
            | events.Deposited()
            | events.Withdrawn()
        ):
            return (event.account,)
        case _:
            return ()


def event_fields(index: int, number: int, time_ns: int, event: events.AnyEvent, account: AccountId) -> bytes:
    """Return the ``events`` fields of a ``TradeResponse`` that tell ``account`` of this event.

    An account that traded with itself gets a fill for each of its orders.
    """
    head = trading_pb2.Event(log_index=index, event_number=number, log_time_ns=time_ns)
    match event:
        case events.Traded():
            fills = []
            if event.maker == account:
                fills.append(_maker_fill(event))
            if event.taker == account:
                fills.append(_taker_fill(event))
            return b"".join(_event(head, fill=fill) for fill in fills)
        case events.Deposited() | events.Withdrawn():
            paid_out = isinstance(event, events.Withdrawn)
            funds = trading_pb2.FundsEvent(
                asset=event.asset,
                amount_atoms=-event.amount_atoms if paid_out else event.amount_atoms,
                free_atoms=event.free_atoms,
            )
            return _event(head, funds=funds)
        case _:
            step = _order_event(event)
            return _event(head, order=step) if step is not None else b""


def _event(
    head: trading_pb2.Event,
    *,
    fill: trading_pb2.Fill | None = None,
    order: trading_pb2.OrderEvent | None = None,
    funds: trading_pb2.FundsEvent | None = None,
) -> bytes:
    message = trading_pb2.Event(
        log_index=head.log_index,
        event_number=head.event_number,
        log_time_ns=head.log_time_ns,
        fill=fill,
        order=order,
        funds=funds,
    )
    return delimited(EVENTS, message.SerializeToString())


def _maker_fill(event: events.Traded) -> trading_pb2.Fill:
    bought = event.taker_side is Side.SELL
    return trading_pb2.Fill(
        trade=event.trade,
        instrument=event.instrument,
        order=event.maker_order,
        number=event.maker_number,
        side=common_pb2.SIDE_BUY if bought else common_pb2.SIDE_SELL,
        maker=True,
        price_ticks=event.price_ticks,
        size_lots=event.size_lots,
        notional_atoms=event.notional_atoms,
        fee_atoms=event.maker_fee_atoms,
        open_lots=event.maker_open_lots,
    )


def _taker_fill(event: events.Traded) -> trading_pb2.Fill:
    return trading_pb2.Fill(
        trade=event.trade,
        instrument=event.instrument,
        order=event.taker_order,
        number=event.taker_number,
        side=_SIDES[event.taker_side],
        maker=False,
        price_ticks=event.price_ticks,
        size_lots=event.size_lots,
        notional_atoms=event.notional_atoms,
        fee_atoms=event.taker_fee_atoms,
        open_lots=event.taker_open_lots,
    )


def _order_event(event: events.AnyEvent) -> trading_pb2.OrderEvent | None:
    match event:
        case events.OrderAccepted():
            return trading_pb2.OrderEvent(
                step=trading_pb2.ORDER_STEP_ACCEPTED,
                instrument=event.instrument,
                order=event.order,
                number=event.number,
                side=_SIDES[event.side],
                price_ticks=event.limit_ticks,
                lots=event.size_lots,
            )
        case events.OrderRested():
            return trading_pb2.OrderEvent(
                step=trading_pb2.ORDER_STEP_RESTED,
                instrument=event.instrument,
                order=event.order,
                number=event.number,
                side=_SIDES[event.side],
                price_ticks=event.price_ticks,
                lots=event.open_lots,
            )
        case events.OrderFilled():
            return _left(trading_pb2.ORDER_STEP_FILLED, event, 0)
        case events.OrderCancelled():
            return _left(trading_pb2.ORDER_STEP_CANCELLED, event, event.open_lots)
        case events.OrderExpired():
            return _left(trading_pb2.ORDER_STEP_EXPIRED, event, event.open_lots)
        case _:
            return None


def _left(
    step: "trading_pb2.OrderStep.ValueType",
    event: events.OrderFilled | events.OrderCancelled | events.OrderExpired,
    lots: int,
) -> trading_pb2.OrderEvent:
    return trading_pb2.OrderEvent(
        step=step, instrument=event.instrument, order=event.order, number=event.number, lots=lots
    )


def balances(index: int, answer: queries.Balances) -> bytes:
    """Return a ``GetBalancesResponse``."""
    rows = [
        account_pb2.Balance(asset=row.asset, free_atoms=row.free_atoms, held_atoms=row.held_atoms)
        for row in answer.balances
    ]
    return account_pb2.GetBalancesResponse(log_index=index, balances=rows).SerializeToString()


def open_orders(index: int, answer: queries.OpenOrders) -> bytes:
    """Return a ``ListOrdersResponse``."""
    rows = [
        trading_pb2.RestingOrder(
            instrument=row.instrument,
            order=row.order,
            number=row.number,
            label=row.label,
            side=_SIDES[row.side],
            price_ticks=row.price_ticks,
            size_lots=row.size_lots,
            open_lots=row.open_lots,
        )
        for row in answer.orders
    ]
    return trading_pb2.ListOrdersResponse(log_index=index, orders=rows).SerializeToString()


def book(index: int, answer: queries.Book) -> bytes:
    """Return a ``GetBookResponse``."""
    return market_data_pb2.GetBookResponse(
        log_index=index,
        bid_ticks=[level[0] for level in answer.bids],
        bid_lots=[level[1] for level in answer.bids],
        ask_ticks=[level[0] for level in answer.asks],
        ask_lots=[level[1] for level in answer.asks],
    ).SerializeToString()


def markets(index: int, answer: queries.Markets) -> bytes:
    """Return a ``ListInstrumentsResponse``."""
    assets = [
        market_data_pb2.Asset(asset=row.asset, symbol=row.symbol, decimals=row.decimals)
        for row in answer.assets
    ]
    instruments = [
        market_data_pb2.Instrument(
            instrument=row.instrument,
            symbol=row.symbol,
            base_asset=row.base,
            quote_asset=row.quote,
            tick_mantissa=row.tick_mantissa,
            tick_decimals=row.tick_decimals,
            lot_mantissa=row.lot_mantissa,
            lot_decimals=row.lot_decimals,
            lot_atoms=row.lot_atoms,
            tick_lot_atoms=row.tick_lot_atoms,
            price_max_ticks=row.price_max_ticks,
            size_max_lots=row.size_max_lots,
            notional_min_atoms=row.notional_min_atoms,
            maker_ppm=row.maker_ppm,
            taker_ppm=row.taker_ppm,
            market_protection_ppm=row.market_protection_ppm,
            state=_STATES[row.state],
        )
        for row in answer.instruments
    ]
    return market_data_pb2.ListInstrumentsResponse(
        log_index=index, assets=assets, instruments=instruments
    ).SerializeToString()


def totals(index: int, answer: queries.Totals) -> bytes:
    """Return a ``GetTotalsResponse``."""
    rows = [
        admin_pb2.AssetTotal(
            asset=row.asset,
            customers_atoms=row.customers_atoms,
            omnibus_atoms=row.omnibus_atoms,
            fees_atoms=row.fees_atoms,
            rounding_atoms=row.rounding_atoms,
            sum_atoms=row.sum_atoms,
        )
        for row in answer.totals
    ]
    return admin_pb2.GetTotalsResponse(log_index=index, totals=rows).SerializeToString()


def session_ready(index: int, reply: SessionReady) -> bytes:
    """Return an ``OpenSessionResponse``."""
    return trading_pb2.OpenSessionResponse(
        log_index=index, session=reply.session, last_request=reply.last_request
    ).SerializeToString()

"""Replies and answers to protobuf; replies by hand, since there are a hundred thousand a second."""

from typing import Final

from steelyard.client.wire import delimited, fixed32, varint, zigzag
from steelyard.core import queries
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
from steelyard.core.units import InstrumentState
from steelyard.rpc.words import (
    contract_kind,
    margin_mode,
    order_kind,
    order_state,
    position_leg,
    reject,
    risk_level,
    self_trade,
    side,
    terms_of_order,
)
from steelyard.v1 import account_pb2, admin_pb2, common_pb2, market_data_pb2, trading_pb2

#: Field tags of TradeResponse, and of Welcome for the replies it keeps.
REPLIES: Final = b"\x22"
WELCOME: Final = b"\x1a"
WELCOME_REPLIES: Final = b"\x1a"
GOODBYE: Final = b"\x32"
_LOG_INDEX: Final = b"\x08"
#: Lengths below this take one byte.
_ONE_BYTE: Final = 128
_STATES: Final[dict[InstrumentState, "common_pb2.InstrumentState.ValueType"]] = {
    state: common_pb2.InstrumentState.Value(f"INSTRUMENT_STATE_{state.name}") for state in InstrumentState
}


def made_at(index: int) -> bytes:
    """Return the ``log_index`` field of a ``Reply``, which many replies share."""
    return b"\x18" + varint(index)


def reply_body(made: bytes, reply: AnyReply) -> bytes:
    """Return the bytes of a ``Reply``; ``made`` is ``made_at`` the log index where it was made."""
    if type(reply) is Placed:
        tag, result = b"\x2a", _numbers(reply)
    elif type(reply) is Cancelled:
        tag, result = b"\x32", b"\x08" + varint(reply.number)
        if reply.open_lots:
            result += b"\x10" + varint(reply.open_lots)
    elif type(reply) is Refused:
        tag, result = b"\x22", b"\x08" + varint(reply.reason.value)
        if reply.expected:
            result += b"\x10" + varint(zigzag(reply.expected))
    elif type(reply) is Many:
        tag, result = b"\x5a", b"".join(_leg(leg) for leg in reply.legs)
    else:
        tag, result = _plain_result(reply)
    if len(result) < _ONE_BYTE:
        return b"\x08%b\x15%b%b%b%c%b" % (
            varint(reply.request),
            fixed32(reply.fingerprint),
            made,
            tag,
            len(result),
            result,
        )
    head = b"\x08%b\x15%b%b" % (varint(reply.request), fixed32(reply.fingerprint), made)
    return head + delimited(tag, result)


def _numbers(reply: Placed | Amended) -> bytes:
    """Return the bytes of ``Placed`` and ``Amended``, which have the same fields."""
    result = b"\x08" + varint(reply.number)
    if reply.executed_lots:
        result += b"\x10" + varint(reply.executed_lots)
        if reply.executed_atoms:
            result += b"\x18" + varint(reply.executed_atoms)
        if reply.fee_atoms:
            result += b"\x20" + varint(zigzag(reply.fee_atoms))
    if reply.open_lots:
        result += b"\x28" + varint(reply.open_lots)
    return result


def _plain_result(reply: AnyReply) -> tuple[bytes, bytes]:
    """Return tag and bytes of a result that is not on the hot path."""
    if type(reply) is Waiting:
        return b"\x42", b"\x08" + varint(reply.number)
    if type(reply) is Amended:
        return b"\x4a", _numbers(reply)
    if type(reply) is Swept:
        return b"\x52", b"\x08" + varint(reply.count) if reply.count else b""
    return b"\x3a", b"\x08" + varint(reply.made) if type(reply) is Accepted and reply.made else b""


def _leg(reply: LegReply) -> bytes:
    """Return a ``legs`` field of ``Many``."""
    match reply:
        case Refused():
            leg = trading_pb2.LegReply(
                refused=trading_pb2.Refused(
                    reason=common_pb2.Reject.Value(f"REJECT_{reply.reason.name}"), expected=reply.expected
                )
            )
        case Placed():
            leg = trading_pb2.LegReply(placed=trading_pb2.Placed.FromString(_numbers(reply)))
        case Waiting():
            leg = trading_pb2.LegReply(waiting=trading_pb2.Waiting(number=reply.number))
        case Cancelled():
            leg = trading_pb2.LegReply(
                cancelled=trading_pb2.Cancelled(number=reply.number, open_lots=reply.open_lots)
            )
        case Amended():
            leg = trading_pb2.LegReply(amended=trading_pb2.Amended.FromString(_numbers(reply)))
    return delimited(b"\x0a", leg.SerializeToString())


def reply_field(made: bytes, reply: AnyReply) -> bytes:
    """Return a ``replies`` field of a ``TradeResponse``."""
    body = reply_body(made, reply)
    return b"\x22%c%b" % (len(body), body) if len(body) < _ONE_BYTE else delimited(REPLIES, body)


def log_index_field(index: int) -> bytes:
    """Return the ``log_index`` field, which every response has as its first."""
    return _LOG_INDEX + varint(index)


def reply_message(index: int, reply: AnyReply) -> trading_pb2.Reply:
    """Return a ``Reply`` made at log index ``index``, as part of a unary response."""
    return trading_pb2.Reply.FromString(reply_body(made_at(index), reply))


def balances(index: int, answer: queries.Balances) -> bytes:
    """Return a ``GetBalancesResponse``."""
    rows = [
        account_pb2.Balance(asset=row.asset, free_atoms=row.free_atoms, held_atoms=row.held_atoms)
        for row in answer.balances
    ]
    return account_pb2.GetBalancesResponse(log_index=index, balances=rows).SerializeToString()


def account(index: int, answer: queries.AccountInfo) -> bytes:
    """Return a ``GetAccountResponse``."""
    return account_pb2.GetAccountResponse(
        log_index=index,
        account=answer.account,
        master=answer.master,
        sub_accounts=answer.sub_accounts,
        permissions=answer.permissions,
        trade_group=answer.trade_group,
        self_trade=self_trade(answer.self_trade),
        orders_max=answer.orders_max,
        frozen=answer.frozen,
        legal_hold=answer.legal_hold,
        tier=answer.tier,
        referrer=answer.referrer,
        share_ppm=answer.share_ppm,
        holds=[
            account_pb2.Hold(hold=row.hold, asset=row.asset, amount_atoms=row.amount_atoms, legal=row.legal)
            for row in answer.holds
        ],
        owed=[account_pb2.Owed(asset=asset, amount_atoms=atoms) for asset, atoms in answer.owed],
        order_limits=[
            account_pb2.OrderLimit(instrument=row[0], size_max_lots=row[1], notional_max_atoms=row[2])
            for row in answer.order_limits
        ],
        rates=[
            account_pb2.FeeRate(instrument=row[0], maker_ppm=row[1], taker_ppm=row[2]) for row in answer.rates
        ],
        countdowns=[
            account_pb2.Countdown(instrument=instrument, due_ns=due_ns)
            for instrument, due_ns in answer.countdowns
        ],
        margins=map(_margin, answer.margins),
        positions=map(_position, answer.positions),
    ).SerializeToString()


def _margin(row: queries.MarginInfo) -> account_pb2.Margin:
    return account_pb2.Margin(
        asset=row.asset,
        wallet_atoms=row.wallet_atoms,
        equity_atoms=row.equity_atoms,
        maintenance_atoms=row.maintenance_atoms,
        used_atoms=row.used_atoms,
        available_atoms=row.available_atoms,
        withdrawable_atoms=row.withdrawable_atoms,
        level=risk_level(row.level),
        ratio_ppm=row.ratio_ppm,
        liquidation=row.liquidation,
    )


def _position(row: queries.PositionInfo) -> account_pb2.Position:
    return account_pb2.Position(
        instrument=row.instrument,
        leg=position_leg(row.leg),
        margin=margin_mode(row.margin),
        hedge=row.hedge,
        leverage=row.leverage,
        qty_lots=row.qty_lots,
        cash_flow_atoms=row.cash_flow_atoms,
        entry_ticks=row.entry_ticks,
        mark_ticks=row.mark_ticks,
        pnl_atoms=row.pnl_atoms,
        unsettled_atoms=row.unsettled_atoms,
        maintenance_atoms=row.maintenance_atoms,
        initial_atoms=row.initial_atoms,
        bucket_atoms=row.bucket_atoms,
        held_atoms=row.held_atoms,
        liquidation_ticks=row.liquidation_ticks,
        open_buy_lots=row.open_buy_lots,
        open_sell_lots=row.open_sell_lots,
        level=risk_level(row.level),
        ratio_ppm=row.ratio_ppm,
        liquidation=row.liquidation,
        entry_numerator=row.entry_numerator,
        entry_denominator=row.entry_denominator,
    )


def orders(index: int, answer: queries.Orders) -> bytes:
    """Return a ``ListOrdersResponse``."""
    rows = [
        trading_pb2.RestingOrder(
            instrument=row.instrument,
            order=row.order,
            number=row.number,
            label=row.label,
            side=side(row.side),
            price_ticks=row.price_ticks,
            size_lots=row.size_lots,
            open_lots=row.open_lots,
            state=order_state(row.state),
            terms=terms_of_order(row),
            list_number=row.list_number,
            prevented_lots=row.prevented_lots,
            shown_lots=row.shown_lots,
            kind=order_kind(row.kind),
            post_only=row.post_only,
        )
        for row in answer.orders
    ]
    return trading_pb2.ListOrdersResponse(log_index=index, orders=rows).SerializeToString()


def trial(index: int, answer: queries.Trial) -> bytes:
    """Return a ``TryOrderResponse``."""
    return trading_pb2.TryOrderResponse(
        log_index=index,
        refused=reject(answer.refused),
        executed_lots=answer.executed_lots,
        executed_atoms=answer.executed_atoms,
        fee_atoms=answer.fee_atoms,
        open_lots=answer.open_lots,
        waits=answer.waits,
        expires=reject(answer.expired),
        margin_atoms=answer.margin_atoms,
        available_atoms=answer.available_atoms,
        liquidation_ticks=answer.liquidation_ticks,
    ).SerializeToString()


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
    for message, row in zip(instruments, answer.instruments, strict=True):
        if row.standing is not None:
            _add_standing(message, row.standing)
        if row.contract is not None:
            message.contract.CopyFrom(
                market_data_pb2.Contract(
                    kind=contract_kind(row.contract.kind),
                    index=row.contract.index,
                    settle_asset=row.contract.settle,
                    scale=row.contract.scale,
                )
            )
    return market_data_pb2.ListInstrumentsResponse(
        log_index=index, assets=assets, instruments=instruments
    ).SerializeToString()


def _add_standing(message: market_data_pb2.Instrument, standing: queries.InstrumentStanding) -> None:
    """Say where an instrument stands; the fields of its rules have the same names on both sides."""
    message.last_ticks = standing.last_ticks
    message.mark_ticks = standing.mark_ticks
    if standing.next_state is not None:
        message.next_state = _STATES[standing.next_state]
        message.next_ns = standing.next_ns
    rules = standing.rules
    if rules is not None:
        for field in message.rules.DESCRIPTOR.fields:
            value = getattr(rules, field.name)
            if value is not None:
                setattr(message.rules, field.name, int(value))


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
            referral_atoms=row.referral_atoms,
            clearing_atoms=row.clearing_atoms,
            funding_atoms=row.funding_atoms,
            insurance_atoms=row.insurance_atoms,
            debt_atoms=row.debt_atoms,
        )
        for row in answer.totals
    ]
    return admin_pb2.GetTotalsResponse(log_index=index, totals=rows).SerializeToString()


def session_ready(index: int, reply: SessionReady) -> bytes:
    """Return an ``OpenSessionResponse``."""
    return trading_pb2.OpenSessionResponse(
        log_index=index, session=reply.session, last_request=reply.last_request
    ).SerializeToString()

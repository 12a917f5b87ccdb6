"""Protocol messages to what a trader handles."""

from typing import Final

from steelyard.client.commands import OrderTerms
from steelyard.client.model import (
    AccountInfo,
    Asset,
    AssetTotal,
    Book,
    Contract,
    FeeRate,
    Hold,
    Instrument,
    Margin,
    NodeStatus,
    OrderLimit,
    Position,
    RestingOrder,
    Trial,
)
from steelyard.client.replies import (
    Accepted,
    Amended,
    Cancelled,
    LegReply,
    Many,
    Placed,
    Refused,
    Reply,
    Swept,
    Waiting,
)
from steelyard.client.words import (
    ContractKind,
    InstrumentState,
    MarginMode,
    OrderKind,
    OrderState,
    PositionLeg,
    PriceSource,
    RiskLevel,
    SelfTrade,
    Side,
)
from steelyard.v1 import account_pb2, admin_pb2, common_pb2, market_data_pb2, replica_pb2, trading_pb2

_REASONS: Final[dict[int, str]] = {
    number: name.removeprefix("REJECT_") for name, number in common_pb2.Reject.items() if number != 0
}


def reply_of(wire: trading_pb2.Reply) -> Reply:
    """Return what came of a request; what this version does not know is a refusal."""
    kind = wire.WhichOneof("result")
    if kind == "placed":
        placed = wire.placed
        return Placed(
            wire.request,
            wire.fingerprint,
            wire.log_index,
            placed.number,
            placed.executed_lots,
            placed.executed_atoms,
            placed.fee_atoms,
            placed.open_lots,
        )
    if kind == "cancelled":
        cancelled = wire.cancelled
        return Cancelled(
            wire.request, wire.fingerprint, wire.log_index, cancelled.number, cancelled.open_lots
        )
    return _uncommon_reply(wire, kind)


def _uncommon_reply(wire: trading_pb2.Reply, kind: str | None) -> Reply:
    at = (wire.request, wire.fingerprint, wire.log_index)
    match kind:
        case "accepted":
            return Accepted(*at, wire.accepted.made)
        case "waiting":
            return Waiting(*at, wire.waiting.number)
        case "amended":
            return _amended(at, wire.amended)
        case "swept":
            return Swept(*at, wire.swept.count)
        case "many":
            return Many(*at, tuple(_leg_reply(at, leg) for leg in wire.many.legs))
        case _:
            return _refused(at, wire.refused)


_At = tuple[int, int, int]


def _leg_reply(at: _At, leg: trading_pb2.LegReply) -> LegReply:
    match leg.WhichOneof("result"):
        case "placed":
            placed = leg.placed
            return Placed(
                *at,
                placed.number,
                placed.executed_lots,
                placed.executed_atoms,
                placed.fee_atoms,
                placed.open_lots,
            )
        case "waiting":
            return Waiting(*at, leg.waiting.number)
        case "cancelled":
            return Cancelled(*at, leg.cancelled.number, leg.cancelled.open_lots)
        case "amended":
            return _amended(at, leg.amended)
        case _:
            return _refused(at, leg.refused)


def _amended(at: _At, wire: trading_pb2.Amended) -> Amended:
    return Amended(*at, wire.number, wire.executed_lots, wire.executed_atoms, wire.fee_atoms, wire.open_lots)


def _refused(at: _At, wire: trading_pb2.Refused) -> Refused:
    return Refused(*at, _REASONS.get(wire.reason) or f"REASON_{wire.reason}", wire.expected)


def reason_of(reject: int) -> str:
    """Return a reason's name; empty for none."""
    return (_REASONS.get(reject) or f"REASON_{reject}") if reject else ""


def terms_of(wire: trading_pb2.OrderTerms) -> OrderTerms:
    """Return an order's terms."""
    return OrderTerms(
        wire.expires_ns,
        wire.slide,
        wire.budget_atoms,
        wire.trigger,
        wire.trigger_source or PriceSource.LAST,
        wire.trigger_ticks,
        wire.callback_ppm,
        wire.display_lots,
        wire.self_trade,
        wire.leg,
        wire.reduce_only,
        wire.close_position,
    )


def assets_of(response: market_data_pb2.ListInstrumentsResponse) -> dict[int, Asset]:
    """Return the listed assets by id."""
    return {row.asset: Asset(row.asset, row.symbol, row.decimals) for row in response.assets}


def instruments_of(response: market_data_pb2.ListInstrumentsResponse) -> dict[str, Instrument]:
    """Return the listed instruments by symbol."""
    assets = assets_of(response)
    return {
        row.symbol: Instrument(
            instrument=row.instrument,
            symbol=row.symbol,
            base=assets[row.base_asset],
            quote=assets[row.quote_asset],
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
            state=InstrumentState(row.state),
            last_ticks=row.last_ticks,
            mark_ticks=row.mark_ticks,
            next_state=InstrumentState(row.next_state) if row.next_state else None,
            next_ns=row.next_ns,
            contract=Contract(
                ContractKind(row.contract.kind),
                row.contract.index,
                assets[row.contract.settle_asset],
                row.contract.scale,
            )
            if row.HasField("contract")
            else None,
        )
        for row in response.instruments
    }


def book_of(response: market_data_pb2.GetBookResponse) -> Book:
    """Return a book."""
    return Book(
        response.log_index,
        list(zip(response.bid_ticks, response.bid_lots, strict=True)),
        list(zip(response.ask_ticks, response.ask_lots, strict=True)),
    )


def orders_of(response: trading_pb2.ListOrdersResponse) -> list[RestingOrder]:
    """Return living orders."""
    return [
        RestingOrder(
            row.instrument,
            row.order,
            row.number,
            row.label,
            Side(row.side),
            row.price_ticks,
            row.size_lots,
            row.open_lots,
            OrderState(row.state),
            terms_of(row.terms) if row.HasField("terms") else None,
            row.list_number,
            row.prevented_lots,
            row.shown_lots,
            OrderKind(row.kind),
            row.post_only,
        )
        for row in response.orders
    ]


def account_of(response: account_pb2.GetAccountResponse) -> AccountInfo:
    """Return an account's rules."""
    return AccountInfo(
        log_index=response.log_index,
        account=response.account,
        master=response.master,
        sub_accounts=list(response.sub_accounts),
        permissions=response.permissions,
        trade_group=response.trade_group,
        self_trade=SelfTrade(response.self_trade) if response.self_trade else None,
        orders_max=response.orders_max,
        frozen=response.frozen,
        legal_hold=response.legal_hold,
        tier=response.tier,
        referrer=response.referrer,
        share_ppm=response.share_ppm,
        holds=[Hold(row.hold, row.asset, row.amount_atoms, row.legal) for row in response.holds],
        owed={row.asset: row.amount_atoms for row in response.owed},
        order_limits=[
            OrderLimit(row.instrument, row.size_max_lots, row.notional_max_atoms)
            for row in response.order_limits
        ],
        rates=[FeeRate(row.instrument, row.maker_ppm, row.taker_ppm) for row in response.rates],
        countdowns={row.instrument: row.due_ns for row in response.countdowns},
        margins=[
            Margin(
                row.asset,
                row.wallet_atoms,
                row.equity_atoms,
                row.maintenance_atoms,
                row.used_atoms,
                row.available_atoms,
                row.withdrawable_atoms,
                RiskLevel(row.level),
                row.ratio_ppm,
                row.liquidation,
            )
            for row in response.margins
        ],
        positions=[_position(row) for row in response.positions],
    )


def _position(row: account_pb2.Position) -> Position:
    return Position(
        instrument=row.instrument,
        leg=PositionLeg(row.leg),
        margin=MarginMode(row.margin),
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
        level=RiskLevel(row.level),
        ratio_ppm=row.ratio_ppm,
        liquidation=row.liquidation,
        entry_numerator=row.entry_numerator,
        entry_denominator=row.entry_denominator,
    )


def trial_of(response: trading_pb2.TryOrderResponse) -> Trial:
    """Return what an order would come to."""
    return Trial(
        response.log_index,
        reason_of(response.refused),
        response.executed_lots,
        response.executed_atoms,
        response.fee_atoms,
        response.open_lots,
        response.waits,
        reason_of(response.expires),
        response.margin_atoms,
        response.available_atoms,
        response.liquidation_ticks,
    )


def totals_of(response: admin_pb2.GetTotalsResponse) -> list[AssetTotal]:
    """Return where all the atoms are."""
    return [
        AssetTotal(
            row.asset,
            row.customers_atoms,
            row.omnibus_atoms,
            row.fees_atoms,
            row.rounding_atoms,
            row.sum_atoms,
            row.referral_atoms,
            row.clearing_atoms,
            row.funding_atoms,
            row.insurance_atoms,
            row.debt_atoms,
        )
        for row in response.totals
    ]


def status_of(target: str, response: replica_pb2.GetStatusResponse) -> NodeStatus:
    """Return what a node says it is."""
    return NodeStatus(
        target, True, **{field.name: getattr(response, field.name) for field in response.DESCRIPTOR.fields}
    )

"""Protocol messages to what a trader handles."""

from typing import Final

from steelyard.client.model import (
    Accepted,
    Asset,
    AssetTotal,
    Book,
    Cancelled,
    Event,
    Fill,
    FundsEvent,
    Instrument,
    InstrumentState,
    NodeStatus,
    OrderEvent,
    OrderStep,
    Placed,
    Refused,
    Reply,
    RestingOrder,
    Side,
)
from steelyard.v1 import admin_pb2, common_pb2, market_data_pb2, replica_pb2, trading_pb2

_REASONS: Final = {
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
    if kind == "accepted":
        return Accepted(wire.request, wire.fingerprint, wire.log_index, wire.accepted.made)
    refused = wire.refused
    return Refused(
        wire.request,
        wire.fingerprint,
        wire.log_index,
        _REASONS.get(refused.reason) or f"REASON_{refused.reason}",
        refused.expected,
    )


def event_of(wire: trading_pb2.Event) -> Event | None:
    """Return what happened, or None for a kind that this version does not know."""
    at = (wire.log_index, wire.event_number, wire.log_time_ns)
    match wire.WhichOneof("kind"):
        case "fill":
            fill = wire.fill
            return Fill(
                *at,
                trade=fill.trade,
                instrument=fill.instrument,
                order=fill.order,
                number=fill.number,
                side=fill.side,
                maker=fill.maker,
                price_ticks=fill.price_ticks,
                size_lots=fill.size_lots,
                notional_atoms=fill.notional_atoms,
                fee_atoms=fill.fee_atoms,
                open_lots=fill.open_lots,
            )
        case "order" if wire.order.step in _STEPS:
            order = wire.order
            return OrderEvent(
                *at,
                step=_STEPS[order.step],
                instrument=order.instrument,
                order=order.order,
                number=order.number,
                side=order.side,
                price_ticks=order.price_ticks,
                lots=order.lots,
            )
        case "funds":
            funds = wire.funds
            return FundsEvent(*at, funds.asset, funds.amount_atoms, funds.free_atoms)
        case _:
            return None


_STEPS: Final[dict[int, OrderStep]] = {step.value: step for step in OrderStep}


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
    """Return resting orders."""
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
        )
        for row in response.orders
    ]


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
        )
        for row in response.totals
    ]


def status_of(target: str, response: replica_pb2.GetStatusResponse) -> NodeStatus:
    """Return what a node says it is."""
    return NodeStatus(
        target, True, **{field.name: getattr(response, field.name) for field in response.DESCRIPTOR.fields}
    )

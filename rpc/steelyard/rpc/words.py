"""The exchange's enumerations and terms as the protocol's: numbers are equal, and zero says nothing."""

from typing import cast

from steelyard.core.commands import NO_TERMS, OrderTerms
from steelyard.core.queries import OrderDetail
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    ContractKind,
    Leg,
    LiquidationEnd,
    MarginMode,
    OrderKind,
    OrderState,
    PriceSource,
    RiskLevel,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)
from steelyard.v1 import common_pb2, trading_pb2


def side(value: Side | None) -> "common_pb2.Side.ValueType":
    """Return the protocol's side."""
    return cast("common_pb2.Side.ValueType", value or 0)


def order_kind(value: OrderKind) -> "common_pb2.OrderKind.ValueType":
    """Return the protocol's order kind."""
    return cast("common_pb2.OrderKind.ValueType", value)


def time_in_force(value: TimeInForce) -> "common_pb2.TimeInForce.ValueType":
    """Return the protocol's time in force."""
    return cast("common_pb2.TimeInForce.ValueType", value)


def order_state(value: OrderState) -> "common_pb2.OrderState.ValueType":
    """Return the protocol's order state."""
    return cast("common_pb2.OrderState.ValueType", value)


def self_trade(value: SelfTrade | None) -> "common_pb2.SelfTrade.ValueType":
    """Return the protocol's mode of self-trade prevention; None: unspecified."""
    return cast("common_pb2.SelfTrade.ValueType", value or 0)


def trigger_kind(value: TriggerKind | None) -> "common_pb2.TriggerKind.ValueType":
    """Return the protocol's trigger; None: unspecified."""
    return cast("common_pb2.TriggerKind.ValueType", value or 0)


def price_source(value: PriceSource) -> "common_pb2.PriceSource.ValueType":
    """Return the protocol's price source."""
    return cast("common_pb2.PriceSource.ValueType", value)


def reject(value: Reject | None) -> "common_pb2.Reject.ValueType":
    """Return the protocol's reason; None: unspecified."""
    return cast("common_pb2.Reject.ValueType", value or 0)


def contract_kind(value: ContractKind) -> "common_pb2.ContractKind.ValueType":
    """Return the protocol's kind of contract."""
    return cast("common_pb2.ContractKind.ValueType", value)


def position_leg(value: Leg) -> "common_pb2.PositionLeg.ValueType":
    """Return the protocol's leg."""
    return cast("common_pb2.PositionLeg.ValueType", value)


def margin_mode(value: MarginMode) -> "common_pb2.MarginMode.ValueType":
    """Return the protocol's margin mode."""
    return cast("common_pb2.MarginMode.ValueType", value)


def risk_level(value: RiskLevel) -> "common_pb2.RiskLevel.ValueType":
    """Return the protocol's risk level."""
    return cast("common_pb2.RiskLevel.ValueType", value)


def liquidation_end(value: LiquidationEnd) -> "common_pb2.LiquidationEnd.ValueType":
    """Return how a liquidation ended, in the protocol."""
    return cast("common_pb2.LiquidationEnd.ValueType", value)


def terms_of_order(row: OrderDetail) -> trading_pb2.OrderTerms | None:
    """Return what a living order says beyond the common fields; None: nothing."""
    of_contract = row.leg != Leg.NET or row.reduce_only or row.close_position
    if row.terms == NO_TERMS and not of_contract:
        return None
    terms = order_terms(row.terms)
    if of_contract:
        terms.leg, terms.reduce_only, terms.close_position = (
            position_leg(row.leg),
            row.reduce_only,
            row.close_position,
        )
    return terms


def order_terms(terms: OrderTerms) -> trading_pb2.OrderTerms:
    """Return the protocol's terms; the price source is said only where there is a trigger."""
    return trading_pb2.OrderTerms(
        expires_ns=terms.expires_ns,
        slide=terms.slide,
        budget_atoms=terms.budget_atoms,
        trigger=trigger_kind(terms.trigger),
        trigger_source=price_source(terms.trigger_source) if terms.trigger else price_source_unsaid(),
        trigger_ticks=terms.trigger_ticks,
        callback_ppm=terms.callback_ppm,
        display_lots=terms.display_lots,
        self_trade=self_trade(terms.self_trade),
    )


def price_source_unsaid() -> "common_pb2.PriceSource.ValueType":
    """Return the protocol's word for no price source."""
    return common_pb2.PRICE_SOURCE_UNSPECIFIED

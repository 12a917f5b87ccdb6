"""Private events of the protocol to what a trader handles."""

from typing import Final

from steelyard.client.events import (
    AccountEvent,
    Event,
    Fill,
    FundsEvent,
    LiquidationEvent,
    LotsEvent,
    MarginEvent,
    OrderEvent,
    PositionEvent,
    PreventedEvent,
    RiskEvent,
)
from steelyard.client.translate import reason_of, terms_of
from steelyard.client.words import (
    AccountStep,
    FundsCause,
    LiquidationStep,
    OrderStep,
    PositionStep,
    RiskLevel,
)
from steelyard.v1 import trading_pb2


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
                reason=reason_of(order.reason),
                before=order.before,
                terms=terms_of(order.terms) if order.HasField("terms") else None,
                state=order.state,
                list_number=order.list_number,
                label=order.label,
                kind=order.kind,
                time_in_force=order.time_in_force,
                liquidation=order.liquidation,
            )
        case "funds":
            funds = wire.funds
            cause = _CAUSES.get(funds.cause, FundsCause.UNKNOWN)
            return FundsEvent(*at, funds.asset, funds.amount_atoms, funds.free_atoms, cause, funds.other)
        case "prevented":
            prevented = wire.prevented
            return PreventedEvent(
                *at,
                instrument=prevented.instrument,
                mode=prevented.mode,
                order=prevented.order,
                number=prevented.number,
                maker=prevented.maker,
                price_ticks=prevented.price_ticks,
                prevented_lots=prevented.prevented_lots,
                open_lots=prevented.open_lots,
            )
        case "lots":
            lots = wire.lots
            return LotsEvent(
                *at,
                instrument=lots.instrument,
                side=lots.side,
                price_ticks=lots.price_ticks,
                size_lots=lots.size_lots,
                notional_atoms=lots.notional_atoms,
                other=lots.other,
            )
        case "account" if wire.account.step in _ACCOUNT_STEPS:
            account = wire.account
            return AccountEvent(
                *at,
                step=_ACCOUNT_STEPS[account.step],
                instrument=account.instrument,
                asset=account.asset,
                amount=account.amount,
                until_ns=account.until_ns,
            )
        case _:
            return _event_of_position(wire, at)


def _event_of_position(wire: trading_pb2.Event, at: tuple[int, int, int]) -> Event | None:
    match wire.WhichOneof("kind"):
        case "position" if wire.position.step in _POSITION_STEPS:
            position = wire.position
            return PositionEvent(
                *at,
                step=_POSITION_STEPS[position.step],
                instrument=position.instrument,
                leg=position.leg,
                trade=position.trade,
                qty_lots=position.qty_lots,
                cash_flow_atoms=position.cash_flow_atoms,
                realised_atoms=position.realised_atoms,
                funding_atoms=position.funding_atoms,
                lots=position.lots,
                price_ticks=position.price_ticks,
                amount_atoms=position.amount_atoms,
                bucket_atoms=position.bucket_atoms,
                leverage=position.leverage,
                margin=position.margin,
                hedge=position.hedge,
                liquidation=position.liquidation,
                place=position.place,
                ranked=position.ranked,
            )
        case "margin":
            margin = wire.margin
            return MarginEvent(*at, margin.asset, margin.amount_atoms, margin.free_atoms, margin.wallet_atoms)
        case "risk" if wire.risk.before in _LEVELS and wire.risk.after in _LEVELS:
            risk = wire.risk
            return RiskEvent(
                *at,
                asset=risk.asset,
                instrument=risk.instrument,
                leg=risk.leg,
                before=_LEVELS[risk.before],
                after=_LEVELS[risk.after],
                ratio_ppm=risk.ratio_ppm,
            )
        case "liquidation" if wire.liquidation.step in _LIQUIDATION_STEPS:
            found = wire.liquidation
            return LiquidationEvent(
                *at,
                step=_LIQUIDATION_STEPS[found.step],
                liquidation=found.liquidation,
                asset=found.asset,
                instrument=found.instrument,
                leg=found.leg,
                equity_atoms=found.equity_atoms,
                maintenance_atoms=found.maintenance_atoms,
                lots=found.lots,
                received_atoms=found.received_atoms,
                bankruptcy_atoms=found.bankruptcy_atoms,
                insurance_atoms=found.insurance_atoms,
                debt_atoms=found.debt_atoms,
                how=found.how,
            )
        case _:
            return None


_STEPS: Final[dict[int, OrderStep]] = {step.value: step for step in OrderStep}
_CAUSES: Final[dict[int, FundsCause]] = {cause.value: cause for cause in FundsCause}
_ACCOUNT_STEPS: Final[dict[int, AccountStep]] = {step.value: step for step in AccountStep}
_POSITION_STEPS: Final[dict[int, PositionStep]] = {step.value: step for step in PositionStep}
_LIQUIDATION_STEPS: Final[dict[int, LiquidationStep]] = {step.value: step for step in LiquidationStep}
_LEVELS: Final[dict[int, RiskLevel]] = {level.value: level for level in RiskLevel}

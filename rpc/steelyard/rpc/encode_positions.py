"""Private events about positions, margin and liquidations to protobuf."""

from collections.abc import Iterator

from steelyard.core import events
from steelyard.core.units import AccountId
from steelyard.rpc.words import liquidation_end, margin_mode, position_leg, risk_level
from steelyard.v1 import common_pb2, trading_pb2

Told = (
    trading_pb2.PositionEvent | trading_pb2.MarginEvent | trading_pb2.RiskEvent | trading_pb2.LiquidationEvent
)


def several(
    event: events.PositionsTraded | events.AdlSettled | events.LossShared, account: AccountId
) -> Iterator[Told]:
    """Yield what an account is told of an event that names several positions: one for each of its own."""
    match event:
        case events.PositionsTraded():
            yield from _traded(event, account)
        case events.AdlSettled():
            yield from _deleveraged(event, account)
        case events.LossShared():
            for owner, leg, atoms in event.shares:
                if owner == account:
                    yield trading_pb2.PositionEvent(
                        step=trading_pb2.POSITION_STEP_LOSS_SHARED,
                        instrument=event.instrument,
                        leg=position_leg(leg),
                        amount_atoms=atoms,
                        liquidation=event.liquidation,
                    )


def _traded(event: events.PositionsTraded, account: AccountId) -> Iterator[Told]:
    for owner, leg, qty_lots, cash_flow_atoms, realised_atoms, funding_atoms in (
        (
            event.maker,
            event.maker_leg,
            event.maker_qty_lots,
            event.maker_cash_flow_atoms,
            event.maker_realised_atoms,
            event.maker_funding_atoms,
        ),
        (
            event.taker,
            event.taker_leg,
            event.taker_qty_lots,
            event.taker_cash_flow_atoms,
            event.taker_realised_atoms,
            event.taker_funding_atoms,
        ),
    ):
        if owner == account:
            yield trading_pb2.PositionEvent(
                step=trading_pb2.POSITION_STEP_TRADED,
                instrument=event.instrument,
                leg=position_leg(leg),
                trade=event.trade,
                qty_lots=qty_lots,
                cash_flow_atoms=cash_flow_atoms,
                realised_atoms=realised_atoms,
                funding_atoms=funding_atoms,
            )


def _deleveraged(event: events.AdlSettled, account: AccountId) -> Iterator[Told]:
    if event.account == account:
        yield trading_pb2.LiquidationEvent(
            step=common_pb2.LIQUIDATION_STEP_DELEVERAGED,
            liquidation=event.liquidation,
            instrument=event.instrument,
            leg=position_leg(event.leg),
            lots=event.lots,
            received_atoms=event.cash_atoms,
        )
        yield trading_pb2.PositionEvent(
            step=trading_pb2.POSITION_STEP_DELEVERAGED,
            instrument=event.instrument,
            leg=position_leg(event.leg),
            realised_atoms=event.realised_atoms,
            funding_atoms=event.funding_atoms,
            lots=event.lots,
            price_ticks=event.mark_ticks,
            amount_atoms=event.cash_atoms,
            liquidation=event.liquidation,
            ranked=event.ranked,
        )
    for row in event.givers:
        if row.account == account:
            yield trading_pb2.PositionEvent(
                step=trading_pb2.POSITION_STEP_DELEVERAGED,
                instrument=event.instrument,
                leg=position_leg(row.leg),
                realised_atoms=row.realised_atoms,
                funding_atoms=row.funding_atoms,
                lots=row.lots,
                price_ticks=event.mark_ticks,
                amount_atoms=row.cash_atoms,
                liquidation=event.liquidation,
                place=row.place,
                ranked=event.ranked,
            )


def single(event: events.AnyEvent) -> Told | None:
    """Return what the one account that an event names is told of it; None: nothing that is said here."""
    match event:
        case events.MarginMoved():
            return trading_pb2.MarginEvent(
                asset=event.asset,
                amount_atoms=event.amount_atoms,
                free_atoms=event.free_atoms,
                wallet_atoms=event.wallet_atoms,
            )
        case events.RiskLevelChanged():
            return trading_pb2.RiskEvent(
                asset=event.asset,
                instrument=event.instrument,
                leg=position_leg(event.leg),
                before=risk_level(event.before),
                after=risk_level(event.after),
                ratio_ppm=event.ratio_ppm,
            )
        case _:
            return _position(event) or _liquidation(event)


def _position(event: events.AnyEvent) -> trading_pb2.PositionEvent | None:
    told = trading_pb2.PositionEvent()
    match event:
        case events.FundingPaid():
            told.step, told.funding_atoms = trading_pb2.POSITION_STEP_FUNDED, event.paid_atoms
        case events.PositionSettled():
            told.step, told.qty_lots = trading_pb2.POSITION_STEP_SETTLED, event.qty_lots
            told.price_ticks, told.realised_atoms = event.price_ticks, event.realised_atoms
            told.funding_atoms = event.funding_atoms
        case events.LeverageSet():
            told.step, told.leverage = trading_pb2.POSITION_STEP_LEVERAGE, event.leverage
            told.amount_atoms = event.bucket_atoms
        case events.BucketAdjusted():
            told.step, told.amount_atoms = trading_pb2.POSITION_STEP_BUCKET, event.amount_atoms
            told.bucket_atoms = event.bucket_atoms
        case events.ContractModesSet():
            return trading_pb2.PositionEvent(
                step=trading_pb2.POSITION_STEP_MODES,
                instrument=event.instrument,
                margin=margin_mode(event.margin),
                hedge=event.hedge,
            )
        case _:
            return None
    told.instrument, told.leg = event.instrument, position_leg(event.leg)
    return told


def _liquidation(event: events.AnyEvent) -> trading_pb2.LiquidationEvent | None:
    told = trading_pb2.LiquidationEvent()
    match event:
        case events.LiquidationStarted():
            told.step, told.leg = common_pb2.LIQUIDATION_STEP_STARTED, position_leg(event.leg)
            told.asset, told.equity_atoms = event.asset, event.equity_atoms
            told.maintenance_atoms = event.maintenance_atoms
        case events.LiquidationPaid():
            told.step, told.lots = common_pb2.LIQUIDATION_STEP_PAID, event.lots
            told.received_atoms, told.bankruptcy_atoms = event.received_atoms, event.bankruptcy_atoms
            told.insurance_atoms = event.insurance_atoms
        case events.DebtTaken():
            told.step, told.asset = common_pb2.LIQUIDATION_STEP_DEBT, event.asset
            told.insurance_atoms, told.debt_atoms = event.insurance_atoms, event.debt_atoms
        case events.LiquidationEnded():
            told.step, told.leg = common_pb2.LIQUIDATION_STEP_ENDED, position_leg(event.leg)
            told.asset, told.equity_atoms = event.asset, event.equity_atoms
            told.maintenance_atoms, told.how = event.maintenance_atoms, liquidation_end(event.how)
        case _:
            return None
    told.liquidation, told.instrument = event.liquidation, event.instrument
    return told

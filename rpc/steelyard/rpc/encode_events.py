"""Private events to protobuf: whom each concerns, and what that account is told."""

from typing import Final

from steelyard.client.wire import delimited
from steelyard.core import events
from steelyard.core.units import AccountId, Side
from steelyard.rpc import encode_positions
from steelyard.rpc.words import (
    order_kind,
    order_state,
    order_terms,
    position_leg,
    reject,
    self_trade,
    side,
    time_in_force,
)
from steelyard.v1 import trading_pb2

#: The field's tag in ``TradeResponse``.
EVENTS: Final = b"\x2a"

#: What else is known of an event: the message, by the name of its field in ``Event``.
_Told = (
    trading_pb2.Fill
    | trading_pb2.OrderEvent
    | trading_pb2.FundsEvent
    | trading_pb2.PreventedEvent
    | trading_pb2.AccountEvent
    | trading_pb2.LotsEvent
    | encode_positions.Told
)
_FIELDS: Final[dict[type[_Told], str]] = {
    trading_pb2.Fill: "fill",
    trading_pb2.OrderEvent: "order",
    trading_pb2.FundsEvent: "funds",
    trading_pb2.PreventedEvent: "prevented",
    trading_pb2.AccountEvent: "account",
    trading_pb2.LotsEvent: "lots",
    trading_pb2.PositionEvent: "position",
    trading_pb2.MarginEvent: "margin",
    trading_pb2.RiskEvent: "risk",
    trading_pb2.LiquidationEvent: "liquidation",
}

#: Events that name one account and are its own.
_OF_ONE: Final = (
    events.OrderAccepted
    | events.OrderRested
    | events.OrderFilled
    | events.OrderCancelled
    | events.OrderExpired
    | events.OrderTermsSet
    | events.OrderTriggered
    | events.TrailingActivated
    | events.OrderReplenished
    | events.OrderReduced
    | events.OrderReplaced
    | events.OrderAmended
    | events.Deposited
    | events.Withdrawn
    | events.FundsHeld
    | events.HoldReleased
    | events.ReferralPaid
    | events.CountdownArmed
    | events.CountdownFired
    | events.AccountRulesSet
    | events.OrderLimitSet
    | events.SelfTradeSet
    | events.AccountFrozen
    | events.LegalHoldSet
    | events.AccountTierSet
    | events.ReferrerSet
    | events.OrderContractSet
    | events.FundingPaid
    | events.LeverageSet
    | events.ContractModesSet
    | events.MarginMoved
    | events.BucketAdjusted
    | events.RiskLevelChanged
    | events.LiquidationStarted
    | events.LiquidationPaid
    | events.DebtTaken
    | events.LiquidationEnded
    | events.PositionSettled
)


def accounts_of(event: events.AnyEvent) -> tuple[AccountId, ...]:
    """Return whose private event this is; nobody's for some.

    ``OrderListAccepted`` and ``OrdersSwept`` are told by the events of each order that follow them,
    ``LiquidationStepped`` by those of its order.
    """
    match event:
        case events.Traded() | events.TradePrevented() | events.PositionsTraded():
            return _both(event.maker, event.taker)
        case events.LotsTransferred():
            return _both(event.buyer, event.seller)
        case events.Transferred():
            return _both(event.giver, event.taker)
        case events.ReferralEarned():
            return (event.referrer,)
        case events.AdlSettled():
            others = {row.account: None for row in event.givers}
            return tuple({event.account: None} | others)
        case events.LossShared():
            return tuple({account: None for account, _, _ in event.shares})
        case events.KillSwitchSet() if event.account:
            return (event.account,)
        case events.SubAccountOpened():
            return (event.master,)
        case _ if isinstance(event, _OF_ONE):
            return (event.account,)
        case _:
            return ()


def event_fields(index: int, number: int, time_ns: int, event: events.AnyEvent, account: AccountId) -> bytes:
    """Return the ``events`` fields of a ``TradeResponse`` that tell ``account`` of this event.

    An account that traded with itself, or was kept from it, hears it for each of its orders.
    """
    fields = []
    for told in _told(event, account):
        message = trading_pb2.Event(log_index=index, event_number=number, log_time_ns=time_ns)
        getattr(message, _FIELDS[type(told)]).CopyFrom(told)
        fields.append(delimited(EVENTS, message.SerializeToString()))
    return b"".join(fields)


def _told(event: events.AnyEvent, account: AccountId) -> list[_Told]:
    match event:
        case events.Traded():
            sides = ((event.maker, _maker_fill), (event.taker, _taker_fill))
            return [fill(event) for owner, fill in sides if owner == account]
        case events.TradePrevented():
            return _prevented(event, account)
        case events.LotsTransferred():
            return [_lots(event, bought=event.buyer == account)]
        case events.PositionsTraded() | events.AdlSettled() | events.LossShared():
            return [*encode_positions.several(event, account)]
        case _:
            told = _order_event(event) or _other_event(event, account)
            return [] if told is None else [told]


def _other_event(event: events.AnyEvent, account: AccountId) -> _Told | None:
    return _funds_event(event, account) or _account_event(event) or encode_positions.single(event)


def _both(first: AccountId, second: AccountId) -> tuple[AccountId, ...]:
    return (first,) if first == second else (first, second)


def _maker_fill(event: events.Traded) -> trading_pb2.Fill:
    return trading_pb2.Fill(
        trade=event.trade,
        instrument=event.instrument,
        order=event.maker_order,
        number=event.maker_number,
        side=side(Side.BUY if event.taker_side is Side.SELL else Side.SELL),
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
        side=side(event.taker_side),
        maker=False,
        price_ticks=event.price_ticks,
        size_lots=event.size_lots,
        notional_atoms=event.notional_atoms,
        fee_atoms=event.taker_fee_atoms,
        open_lots=event.taker_open_lots,
    )


def _prevented(event: events.TradePrevented, account: AccountId) -> list[_Told]:
    told: list[_Told] = []
    for owner, maker, order, number, lots, open_lots in (
        (event.maker, True, event.maker_order, event.maker_number, event.maker_lots, event.maker_open_lots),
        (event.taker, False, event.taker_order, event.taker_number, event.taker_lots, event.taker_open_lots),
    ):
        if owner == account:
            told.append(
                trading_pb2.PreventedEvent(
                    instrument=event.instrument,
                    mode=self_trade(event.mode),
                    order=order,
                    number=number,
                    maker=maker,
                    price_ticks=event.price_ticks,
                    prevented_lots=lots,
                    open_lots=open_lots,
                )
            )
    return told


def _lots(event: events.LotsTransferred, *, bought: bool) -> trading_pb2.LotsEvent:
    return trading_pb2.LotsEvent(
        instrument=event.instrument,
        side=side(Side.BUY if bought else Side.SELL),
        price_ticks=event.price_ticks,
        size_lots=event.size_lots,
        notional_atoms=event.notional_atoms,
        other=event.seller if bought else event.buyer,
    )


def _order_event(event: events.AnyEvent) -> trading_pb2.OrderEvent | None:
    """Return the step that an order took, if this is one; zeros go without saying."""
    step = trading_pb2.OrderEvent()
    match event:
        case events.OrderAccepted():
            step.step = trading_pb2.ORDER_STEP_ACCEPTED
            step.side, step.kind = side(event.side), order_kind(event.kind)
            step.time_in_force = time_in_force(event.time_in_force)
            step.price_ticks, step.lots, step.label = event.limit_ticks, event.size_lots, event.label
        case events.OrderRested():
            step.step = trading_pb2.ORDER_STEP_RESTED
            step.side, step.price_ticks, step.lots = side(event.side), event.price_ticks, event.open_lots
        case events.OrderFilled():
            step.step = trading_pb2.ORDER_STEP_FILLED
        case events.OrderCancelled():
            step.step, step.lots = trading_pb2.ORDER_STEP_CANCELLED, event.open_lots
        case events.OrderExpired():
            step.step, step.lots = trading_pb2.ORDER_STEP_EXPIRED, event.open_lots
            step.reason = reject(event.reason)
        case events.OrderTermsSet():
            step.step, step.state = trading_pb2.ORDER_STEP_TERMS, order_state(event.state)
            step.list_number = event.list_number
            step.terms.CopyFrom(order_terms(event.terms))
        case events.OrderTriggered():
            step.step, step.price_ticks = trading_pb2.ORDER_STEP_TRIGGERED, event.price_ticks
        case events.TrailingActivated():
            step.step, step.price_ticks = trading_pb2.ORDER_STEP_ACTIVATED, event.price_ticks
        case events.OrderReplenished():
            step.step, step.before = trading_pb2.ORDER_STEP_REPLENISHED, event.before
            step.side, step.price_ticks, step.lots = side(event.side), event.price_ticks, event.open_lots
        case events.OrderReduced():
            step.step, step.lots = trading_pb2.ORDER_STEP_REDUCED, event.open_lots
        case events.OrderReplaced():
            step.step, step.before = trading_pb2.ORDER_STEP_REPLACED, event.before
            step.price_ticks, step.lots = event.limit_ticks, event.size_lots
        case events.OrderAmended():
            step.step, step.label = trading_pb2.ORDER_STEP_AMENDED, event.label
            step.terms.CopyFrom(order_terms(event.terms))
        case events.OrderContractSet():
            step.step, step.liquidation = trading_pb2.ORDER_STEP_CONTRACT, event.liquidation
            step.terms.leg, step.terms.reduce_only = position_leg(event.leg), event.reduce_only
            step.terms.close_position = event.close_position
        case _:
            return None
    step.instrument, step.order, step.number = event.instrument, event.order, event.number
    return step


def _funds_event(event: events.AnyEvent, account: AccountId) -> trading_pb2.FundsEvent | None:
    match event:
        case events.Deposited():
            cause, sign, free_atoms, other = trading_pb2.FUNDS_CAUSE_DEPOSIT, 1, event.free_atoms, 0
        case events.Withdrawn():
            cause, sign, free_atoms, other = trading_pb2.FUNDS_CAUSE_WITHDRAWAL, -1, event.free_atoms, 0
        case events.Transferred() if event.giver == account:
            cause, sign = trading_pb2.FUNDS_CAUSE_TRANSFER, -1
            free_atoms, other = event.giver_free_atoms, event.taker
        case events.Transferred():
            cause, sign = trading_pb2.FUNDS_CAUSE_TRANSFER, 1
            free_atoms, other = event.taker_free_atoms, event.giver
        case events.ReferralPaid():
            cause, sign, free_atoms, other = trading_pb2.FUNDS_CAUSE_REFERRAL, 1, event.free_atoms, 0
        case _:
            return None
    return trading_pb2.FundsEvent(
        asset=event.asset,
        amount_atoms=sign * event.amount_atoms,
        free_atoms=free_atoms,
        cause=cause,
        other=other,
    )


def _account_event(event: events.AnyEvent) -> trading_pb2.AccountEvent | None:
    told = trading_pb2.AccountEvent()
    match event:
        case events.CountdownArmed():
            told.step, told.instrument = trading_pb2.ACCOUNT_STEP_COUNTDOWN_ARMED, event.instrument
            told.until_ns = event.due_ns
        case events.CountdownFired():
            told.step, told.instrument = trading_pb2.ACCOUNT_STEP_COUNTDOWN_FIRED, event.instrument
        case events.AccountFrozen():
            told.step = trading_pb2.ACCOUNT_STEP_FROZEN if event.frozen else trading_pb2.ACCOUNT_STEP_UNFROZEN
        case events.LegalHoldSet():
            told.step = (
                trading_pb2.ACCOUNT_STEP_LEGAL_HOLD
                if event.on
                else trading_pb2.ACCOUNT_STEP_LEGAL_HOLD_LIFTED
            )
        case events.FundsHeld():
            told.step, told.asset = trading_pb2.ACCOUNT_STEP_FUNDS_HELD, event.asset
            told.amount = event.amount_atoms
        case events.HoldReleased():
            told.step, told.asset = trading_pb2.ACCOUNT_STEP_FUNDS_RELEASED, event.asset
            told.amount = event.amount_atoms
        case events.AccountTierSet():
            told.step, told.amount = trading_pb2.ACCOUNT_STEP_TIER, event.tier
        case events.SelfTradeSet():
            told.step = trading_pb2.ACCOUNT_STEP_SELF_TRADE
        case events.AccountRulesSet():
            told.step = trading_pb2.ACCOUNT_STEP_RULES
        case events.OrderLimitSet():
            told.step, told.instrument = trading_pb2.ACCOUNT_STEP_RULES, event.instrument
        case events.ReferralEarned():
            told.step, told.asset = trading_pb2.ACCOUNT_STEP_REFERRAL_EARNED, event.asset
            told.amount = event.amount_atoms
        case events.ReferrerSet():
            told.step = trading_pb2.ACCOUNT_STEP_REFERRER
        case events.SubAccountOpened():
            told.step, told.amount = trading_pb2.ACCOUNT_STEP_SUB_ACCOUNT, event.account
        case events.KillSwitchSet():
            told.step = (
                trading_pb2.ACCOUNT_STEP_KILL_SWITCH_ON
                if event.on
                else trading_pb2.ACCOUNT_STEP_KILL_SWITCH_OFF
            )
            told.instrument = event.instrument
        case _:
            return None
    return told

"""What traders ask for, are told and hear, in words and exact decimals, for tables and JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime

from steelyard.client import (
    Accepted,
    AccountEvent,
    AdjustBucket,
    Amended,
    AmendOrder,
    ArmCountdown,
    Batch,
    Cancelled,
    CancelOrder,
    CancelOrders,
    Command,
    Event,
    EventsMissed,
    Fill,
    FundsEvent,
    Instrument,
    LiquidationEnd,
    LiquidationEvent,
    LiquidationStep,
    ListKind,
    LotsEvent,
    Many,
    MarginEvent,
    MarginMode,
    MoveMargin,
    OpenSubAccount,
    OrderEvent,
    OrderKind,
    OrderState,
    OrderStep,
    OrderTerms,
    PayReferral,
    Placed,
    PlaceOrder,
    PlaceOrderList,
    PositionEvent,
    PositionLeg,
    PositionStep,
    PreventedEvent,
    PriceSource,
    Refused,
    ReplaceOrder,
    Reply,
    RiskEvent,
    SelfTrade,
    SetContractModes,
    SetLeverage,
    SetSelfTrade,
    Side,
    Swept,
    TimeInForce,
    Transfer,
    TriggerKind,
    Waiting,
)
from steelyard.client.reasons import sentence

Instruments = Mapping[int, Instrument]
NS_PER_S = 1_000_000_000


def asked(command: Command, instruments: Instruments) -> str:
    """Return a command as a person would say it."""
    match command:
        case PlaceOrder():
            return order(command, instruments)
        case CancelOrder():
            return f"cancel {_named(command)}"
        case PlaceOrderList():
            legs = "; ".join(order(leg, instruments) for leg in command.legs)
            return f"{ListKind(command.kind).name}: {legs}"
        case AmendOrder():
            return f"amend {_named(command)}: {_changes(command)}"
        case ReplaceOrder():
            return f"replace {_named(command.cancel)} by: {order(command.place, instruments)}"
        case Batch():
            mode = "all or none" if command.mode != 1 else "each by itself"
            return f"batch, {mode}: " + "; ".join(asked(leg, instruments) for leg in command.legs)
        case CancelOrders():
            whose = ", those of its sub-accounts too" if command.sub_accounts else ""
            side = f" {Side(command.side).name.lower()} orders" if command.side else ""
            return f"cancel all{side}{whose}"
        case ArmCountdown():
            return f"countdown of {command.countdown_ms} ms" if command.countdown_ms else "no countdown"
        case Transfer():
            return f"transfer {_amount(command.asset, command.amount_atoms, instruments)}"
        case SetSelfTrade():
            return f"self-trade prevention: {SelfTrade(command.mode).name if command.mode else 'default'}"
        case OpenSubAccount():
            return f"open sub-account {command.account}"
        case PayReferral():
            return f"pay what referrals earned of {_asset(command.asset, instruments)}"
        case SetLeverage():
            chosen = f"{command.leverage}" if command.leverage else "none"
            return f"leverage of {_position(command.instrument, command.leg, instruments)}: {chosen}"
        case SetContractModes():
            hedge = ", hedge mode" if command.hedge else ", one position"
            symbol = instruments[command.instrument].symbol
            return f"{symbol}: {MarginMode(command.margin).name.lower()} margin{hedge}"
        case MoveMargin():
            way = "to the margin wallet" if command.amount_atoms > 0 else "from the margin wallet"
            return f"move {_amount(command.asset, abs(command.amount_atoms), instruments)} {way}"
        case AdjustBucket():
            settle = instruments[command.instrument].settle
            way = "add" if command.amount_atoms > 0 else "take"
            amount = f"{settle.amount(abs(command.amount_atoms)):f} {settle.symbol}"
            where = _position(command.instrument, command.leg, instruments)
            return f"{way} {amount} {'to' if command.amount_atoms > 0 else 'from'} the bucket of {where}"


def order(command: PlaceOrder, instruments: Instruments) -> str:
    """Return an order as a person would say it."""
    instrument = instruments[command.instrument]
    terms = command.terms or OrderTerms()
    said = [Side(command.side).name.lower()]
    if terms.budget_atoms:
        said.append(f"for {instrument.quote.amount(terms.budget_atoms)} {instrument.quote.symbol}")
    elif terms.close_position:
        said.append("the whole position")
    else:
        said.append(str(instrument.size(command.size_lots)))
    if command.kind == OrderKind.LIMIT:
        said.append(f"at {instrument.price(command.limit_ticks)}")
    else:
        said.append("at the market")
    if command.time_in_force != (TimeInForce.GTC if command.kind == OrderKind.LIMIT else TimeInForce.IOC):
        said.append(TimeInForce(command.time_in_force).name)
    if command.post_only:
        said.append("post-only, sliding" if terms.slide else "post-only")
    said += order_terms(terms._replace(close_position=False), instrument)
    return " ".join(said)


def order_terms(terms: OrderTerms, instrument: Instrument) -> list[str]:
    """Return what an order says beyond side, size and price, budget and sliding left out."""
    said = []
    if terms.trigger:
        words = TriggerKind(terms.trigger).name.lower().replace("_", "-")
        source = f" ({PriceSource(terms.trigger_source).name.lower()})"
        source = "" if terms.trigger_source == PriceSource.LAST else source
        at = f" {instrument.price(terms.trigger_ticks)}" if terms.trigger_ticks else ""
        said.append(f"{words}{at}{source}")
    if terms.callback_ppm:
        said.append(f"trailing by {terms.callback_ppm / 10_000:g} %")
    if terms.display_lots:
        said.append(f"showing {instrument.size(terms.display_lots)}")
    if terms.expires_ns:
        said.append(f"until {moment(terms.expires_ns)}")
    if terms.self_trade:
        said.append(f"self-trade {SelfTrade(terms.self_trade).name}")
    if terms.leg in {PositionLeg.LONG, PositionLeg.SHORT}:
        said.append(f"about the {PositionLeg(terms.leg).name.lower()} position")
    if terms.reduce_only:
        said.append("reduce-only")
    if terms.close_position:
        said.append("closing the position")
    return said


def answered(reply: Reply, instrument: Instrument) -> str:
    """Return a reply in words; sizes are those of ``instrument``."""
    match reply:
        case Placed():
            return f"taken as #{reply.number}: {_done(reply, instrument)}"
        case Amended():
            return f"amended, now #{reply.number}: {_done(reply, instrument)}"
        case Waiting():
            return f"taken as #{reply.number}, waits"
        case Cancelled():
            return f"cancelled #{reply.number}, {instrument.size(reply.open_lots)} were open"
        case Swept():
            return f"cancelled {reply.orders_count}"
        case Accepted():
            return "done"
        case Refused():
            return f"refused: {sentence(reply.reason)}" + (f" ({reply.expected})" if reply.expected else "")
        case Many():
            return "; ".join(answered(leg, instrument) for leg in reply.legs)


def happened(event: Event, instruments: Instruments) -> str:
    """Return an event in words."""
    match event:
        case Fill():
            instrument = instruments[event.instrument]
            fee = instrument.settle.amount(event.fee_atoms)
            return (
                f"{Side(event.side).name.lower()} of #{event.number} filled: "
                f"{instrument.size(event.size_lots)} at {instrument.price(event.price_ticks)}, fee {fee}"
            )
        case OrderEvent():
            return _step(event, instruments[event.instrument])
        case PreventedEvent():
            instrument = instruments[event.instrument]
            return f"#{event.number}: {instrument.size(event.prevented_lots)} kept from a trade with itself"
        case LotsEvent():
            instrument = instruments[event.instrument]
            way = "got" if event.side == Side.BUY else "gave"
            return (
                f"{way} {instrument.size(event.size_lots)} for "
                f"{instrument.quote.amount(event.notional_atoms)} without a fee"
            )
        case FundsEvent():
            return f"{event.cause.name.lower()}: {_amount(event.asset, event.amount_atoms, instruments)}"
        case AccountEvent():
            return event.step.name.lower().replace("_", " ")
        case EventsMissed():
            return "some events were missed"
        case PositionEvent():
            return _about_position(event, instruments)
        case MarginEvent():
            moved = _amount(event.asset, event.amount_atoms, instruments)
            return f"margin wallet: {moved}, has {_amount(event.asset, event.wallet_atoms, instruments)}"
        case RiskEvent():
            where = _scope(event.instrument, event.leg, event.asset, instruments)
            return f"{where}: {event.before.name.lower()} to {event.after.name.lower()}"
        case LiquidationEvent():
            return _about_liquidation(event, instruments)


def _about_position(event: PositionEvent, instruments: Instruments) -> str:
    instrument = instruments[event.instrument]
    settle = instrument.settle
    said = f"position in {_position(event.instrument, event.leg, instruments)}: "
    match event.step:
        case PositionStep.TRADED:
            return (
                said + f"{instrument.size(event.qty_lots)}, realised {settle.amount(event.realised_atoms):f}"
            )
        case PositionStep.FUNDED:
            way = "paid" if event.funding_atoms > 0 else "received"
            return said + f"{way} {settle.amount(abs(event.funding_atoms)):f} of funding"
        case PositionStep.SETTLED:
            return said + (
                f"{instrument.size(event.qty_lots)} settled at {instrument.price(event.price_ticks)}, "
                f"realised {settle.amount(event.realised_atoms):f}"
            )
        case PositionStep.DELEVERAGED:
            turn = f" as number {event.place} of {event.ranked}" if event.place else ""
            against = "a bankrupt position" if event.place else "opposite positions"
            return said + (
                f"{instrument.size(event.lots)} closed against {against}{turn}, "
                f"realised {settle.amount(event.realised_atoms):f}"
            )
        case PositionStep.LEVERAGE:
            return said + f"leverage {event.leverage or 'none'}"
        case PositionStep.BUCKET:
            return said + f"{settle.amount(event.bucket_atoms):f} in its bucket"
        case PositionStep.MODES:
            hedge = ", hedge mode" if event.hedge else ""
            return said + f"{MarginMode(event.margin).name.lower()} margin{hedge}"
        case PositionStep.LOSS_SHARED:
            return said + f"bore {settle.amount(event.amount_atoms):f} of a loss"


def _about_liquidation(event: LiquidationEvent, instruments: Instruments) -> str:
    said = f"liquidation {event.liquidation}"
    instrument = instruments.get(event.instrument)
    match event.step:
        case LiquidationStep.STARTED:
            return f"{said} of {_scope(event.instrument, event.leg, event.asset, instruments)} started"
        case LiquidationStep.ENDED:
            return f"{said} ended: {LiquidationEnd(event.how).name.lower()}"
        case LiquidationStep.DEBT:
            paid = _amount(event.asset, event.insurance_atoms, instruments)
            owed = _amount(event.asset, event.debt_atoms, instruments)
            return f"{said}: the insurance fund paid {paid}, {owed} stayed open"
        case _ if instrument is not None:
            lots, brought = instrument.size(event.lots), instrument.settle.amount(event.received_atoms)
            how = "closed against others" if event.step == LiquidationStep.DELEVERAGED else "closed"
            return f"{said}: {lots} of {instrument.symbol} {how} for {brought:f} {instrument.settle.symbol}"
        case _:
            return f"{said}: {event.step.name.lower()}"


def _scope(instrument: int, leg: int, asset: int, instruments: Instruments) -> str:
    if instrument:
        return f"the position in {_position(instrument, leg, instruments)}"
    return f"the margin wallet of {_asset(asset, instruments)}"


def _position(instrument: int, leg: int, instruments: Instruments) -> str:
    which = f" {PositionLeg(leg).name.lower()}" if leg in {PositionLeg.LONG, PositionLeg.SHORT} else ""
    return instruments[instrument].symbol + which


def moment(time_ns: int) -> str:
    """Return log time as UTC to the second."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


_STEPS = {
    OrderStep.ACCEPTED: "accepted",
    OrderStep.RESTED: "in the book",
    OrderStep.FILLED: "filled",
    OrderStep.CANCELLED: "cancelled",
    OrderStep.EXPIRED: "ended",
    OrderStep.TERMS: "has its terms",
    OrderStep.TRIGGERED: "triggered",
    OrderStep.ACTIVATED: "follows the price",
    OrderStep.REPLENISHED: "shows its next slice",
    OrderStep.REDUCED: "reduced",
    OrderStep.REPLACED: "has a new place",
    OrderStep.AMENDED: "amended",
    OrderStep.CONTRACT: "is about a position",
}


def _step(event: OrderEvent, instrument: Instrument) -> str:
    said = f"#{event.number} {_STEPS[event.step]}"
    if event.before:
        said += f" (was #{event.before})"
    if event.price_ticks:
        said += f" at {instrument.price(event.price_ticks)}"
    if event.reason:
        said += f": {event.reason}"
    if event.state and event.state != OrderState.WORKING:
        said += f", {OrderState(event.state).name.lower()}"
    return said


def _done(reply: Placed | Amended, instrument: Instrument) -> str:
    if not reply.executed_lots:
        return f"{instrument.size(reply.open_lots)} open"
    settle = instrument.settle
    spent, fee = settle.amount(reply.executed_atoms), settle.amount(reply.fee_atoms)
    return (
        f"traded {instrument.size(reply.executed_lots)} for {spent:f} {settle.symbol}, "
        f"fee {fee:f}, {instrument.size(reply.open_lots)} open"
    )


def _asset(number: int, instruments: Instruments) -> str:
    for instrument in instruments.values():
        for asset in (instrument.base, instrument.quote):
            if asset.asset == number:
                return asset.symbol
    return f"asset {number}"


def _amount(number: int, atoms: int, instruments: Instruments) -> str:
    for instrument in instruments.values():
        for asset in (instrument.base, instrument.quote):
            if asset.asset == number:
                return f"{asset.amount(atoms):f} {asset.symbol}"
    return f"{atoms:,} atoms of asset {number}"


def _named(command: CancelOrder | AmendOrder) -> str:
    if command.number:
        return f"#{command.number}"
    return f"order {command.order}" if command.order else repr(command.label)


def _changes(command: AmendOrder) -> str:
    names = ("size_lots", "limit_ticks", "trigger_ticks", "callback_ppm", "display_lots", "expires_ns")
    said = [f"{name} {getattr(command, name)}" for name in names if getattr(command, name)]
    if command.new_label is not None:
        said.append(f"label {command.new_label!r}")
    return ", ".join(said)

"""What traders ask for, are told and hear, in words and exact decimals, for tables and JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime

from steelyard.client import (
    Accepted,
    AccountEvent,
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
    ListKind,
    LotsEvent,
    Many,
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
    PreventedEvent,
    PriceSource,
    Refused,
    ReplaceOrder,
    Reply,
    SelfTrade,
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


def order(command: PlaceOrder, instruments: Instruments) -> str:
    """Return an order as a person would say it."""
    instrument = instruments[command.instrument]
    terms = command.terms or OrderTerms()
    said = [Side(command.side).name.lower()]
    if terms.budget_atoms:
        said.append(f"for {instrument.quote.amount(terms.budget_atoms)} {instrument.quote.symbol}")
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
    said += order_terms(terms, instrument)
    return " ".join(said)


def order_terms(terms: OrderTerms, instrument: Instrument) -> list[str]:
    """Return what an order says beyond side, size and price, budget and sliding left out."""
    said = []
    if terms.trigger:
        words = TriggerKind(terms.trigger).name.lower().replace("_", "-")
        source = " (mark)" if terms.trigger_source == PriceSource.MARK else ""
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
            fee = instrument.quote.amount(event.fee_atoms)
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
    spent = instrument.quote.amount(reply.executed_atoms)
    return (
        f"traded {instrument.size(reply.executed_lots)} for {spent} {instrument.quote.symbol}, "
        f"fee {instrument.quote.amount(reply.fee_atoms)}, {instrument.size(reply.open_lots)} open"
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

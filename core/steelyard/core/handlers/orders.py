"""Orders in and out of the book: the common path in one go, and the general path for all others.

``place_order`` and ``place_generally`` give the same replies, events and state for every order that could go
either way.  What is compared by identity here are members of enumerations, which is what decoding gives.
"""

from typing import Final

from steelyard.core import versions
from steelyard.core.accounts import ApiKey
from steelyard.core.commands import CancelOrder, PlaceOrder
from steelyard.core.contracts.scales import flow_atoms
from steelyard.core.entry import AnyReply, Cancelled, Placed, Request, Waiting
from steelyard.core.events import (
    AnyEvent,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
)
from steelyard.core.handlers import contract_orders, contracting, spot_orders
from steelyard.core.handlers.accepting import accept_order
from steelyard.core.handlers.checks import may, named_order
from steelyard.core.handlers.conditional import begin_waiting
from steelyard.core.handlers.ending import end_order
from steelyard.core.handlers.placing import check_order, special_of
from steelyard.core.handlers.taking import place_taken, work_order
from steelyard.core.instruments import Instrument
from steelyard.core.instruments.bands import protection_ticks
from steelyard.core.ledger import Balance, lot_pledge_atoms
from steelyard.core.limits import (
    INTEGER_MAX,
    LABEL_MAX,
    ORDERS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    is_printable_ascii,
)
from steelyard.core.matching import NO_BALANCE, Order, Position, Special, can_fill
from steelyard.core.rejects import Reject
from steelyard.core.rounding import ppm_up
from steelyard.core.state import State, remember_closed
from steelyard.core.units import (
    FIRST_CUSTOMER,
    InstrumentState,
    LiquidationId,
    OrderId,
    OrderKind,
    OrderNumber,
    OrderState,
    Permission,
    Side,
    TimeInForce,
)

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_LIMIT: Final = OrderKind.LIMIT
_GTC: Final = TimeInForce.GTC
_FOK: Final = TimeInForce.FOK
_OPEN: Final = InstrumentState.OPEN
_WAITING: Final = OrderState.WAITING
_SPOT_COMPLETE: Final = versions.SPOT_COMPLETE
_TRADE: Final = int(Permission.TRADE)
_NO_LIQUIDITY: Final = Reject.NO_LIQUIDITY


def place_order(
    state: State, command: PlaceOrder, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Match what crosses at the makers' prices, then rest or expire the remainder.

    For an account and an instrument without anything uncommon; the others are led to the general path.
    Spot orders and orders about a cross position differ in what backs them (``pledge`` or ``position``), and
    so in how they take and rest; the order of checks is the same.
    """
    account_id = command.account
    client_id = command.order
    limit_ticks = command.limit_ticks
    size_lots = command.size_lots
    side = command.side
    label = command.label
    time_in_force = command.time_in_force
    is_limit = command.kind is _LIMIT
    rests = time_in_force is _GTC
    if client_id <= 0 or client_id > INTEGER_MAX or (label and not is_printable_ascii(label, LABEL_MAX)):
        return Reject.MALFORMED
    if rests:
        if not is_limit:
            return Reject.MALFORMED
    elif command.post_only or not (is_limit or limit_ticks == 0):
        return Reject.MALFORMED
    if request.not_after_ns and state.time_ns > request.not_after_ns:
        return Reject.TOO_LATE
    if account_id != key.account or not key.permissions & _TRADE:
        return Reject.NOT_PERMITTED
    if account_id < FIRST_CUSTOMER:
        return Reject.UNKNOWN_ACCOUNT
    account = state.accounts[account_id]
    instrument = state.markets.instruments.get(command.instrument)
    if (
        instrument is None
        or account.rules is not None
        or instrument.specials
        or instrument.rules is not None
        or instrument.state is not _OPEN
        or state.kill_switches
    ):
        return place_generally(state, command, request, key, out)
    contract = instrument.contract
    position: Position | None = None
    if contract is not None:
        position = contract_orders.common_position(instrument, contract, account)
        if position is None or (not is_limit and contract_orders.only_reduces(position, side, size_lots)):
            return place_generally(state, command, request, key, out)
    if client_id in account.orders or client_id in account.recent:
        return Reject.DUPLICATE_ORDER
    if label and label in account.labels:
        return Reject.DUPLICATE_LABEL
    # An account cannot have that many unless all accounts together do.
    living = len(state.orders)
    if living >= ORDERS_PER_ACCOUNT_MAX and (
        living >= ORDERS_MAX or len(account.orders) >= ORDERS_PER_ACCOUNT_MAX
    ):
        return Reject.TOO_MANY_ORDERS
    if is_limit and (limit_ticks <= 0 or limit_ticks > instrument.price_max_ticks):
        return Reject.PRICE_OUT_OF_RANGE
    if size_lots <= 0 or size_lots > instrument.size_max_lots:
        return Reject.SIZE_OUT_OF_RANGE
    # Zero of an inverse contract, whose notional is not price times size.
    k = instrument.tick_lot_atoms
    if is_limit:
        notional_atoms = (
            limit_ticks * size_lots * k
            if k
            else contracting.notional_atoms(instrument, limit_ticks, size_lots)
        )
        if notional_atoms < instrument.notional_min_atoms:
            return Reject.NOTIONAL_OUT_OF_RANGE
    else:
        opposite = _SELL if side is _BUY else _BUY
        limit_ticks = protection_ticks(instrument, side, instrument.book.best_ticks(opposite) or 0)
    if side is _BUY:
        keys, reach = instrument.book.asks.keys, -limit_ticks
    else:
        keys, reach = instrument.book.bids.keys, limit_ticks
    would_trade = False
    if keys and keys[-1] >= reach:
        would_trade = True
        if command.post_only:
            return Reject.POST_ONLY_WOULD_TRADE
    pledge: Balance | None = None
    if position is not None:
        lot_atoms = (
            ppm_up(limit_ticks * k, instrument.cap_ppm)
            if k
            else contract_orders.lot_fee_atoms(instrument, limit_ticks)
        )
        fault = contract_orders.margin_fault(
            state, instrument, position, side, size_lots, limit_ticks, lot_atoms
        )
        if fault is not None:
            return fault
    else:
        if side is _BUY:
            pledge = account.balances.get(instrument.quote)
            lot_atoms = lot_pledge_atoms(limit_ticks, k, instrument.cap_ppm)
        else:
            pledge = account.balances.get(instrument.base)
            lot_atoms = instrument.lot_atoms
        if (0 if pledge is None else pledge.free_atoms) < size_lots * lot_atoms:
            return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    # Calling OrderNumber would take as long as ten of the checks above.
    number: OrderNumber = state.last_number + 1  # type: ignore[assignment]
    state.last_number = number
    out.append(
        OrderAccepted(
            account_id,
            command.instrument,
            client_id,
            number,
            side,
            command.kind,
            time_in_force,
            limit_ticks,
            size_lots,
            label,
        )
    )
    if position is not None:
        if position.living == 0 and position.qty_lots == 0:
            position = contract_orders.adopt(instrument, account)
        # Whoever it meets may be of the same account: the position must not be forgotten meanwhile.
        position.living += 1
    open_lots = size_lots
    executed_atoms = fees_atoms = 0
    if would_trade and (time_in_force is not _FOK or can_fill(instrument.book, side, limit_ticks, size_lots)):
        if position is not None:
            open_lots, executed_atoms, fees_atoms = contract_orders.take(
                state, instrument, account, position, command, number, limit_ticks, out
            )
        else:
            open_lots, executed_atoms, fees_atoms = spot_orders.take(
                state, instrument, account, command, number, limit_ticks, out
            )
    rested_lots = 0
    if rests and open_lots:
        rested_lots = open_lots
        if position is not None:
            contract_orders.rest(
                state, instrument, account, position, command, number, open_lots, lot_atoms, out
            )
        else:
            assert pledge is not None, "what pledges nothing cannot rest"
            spot_orders.rest(state, instrument, account, command, number, open_lots, lot_atoms, pledge, out)
    else:
        if position is not None:
            contract_orders.let_go(account, position)
        if open_lots:
            out.append(
                OrderExpired(
                    account=account_id,
                    instrument=command.instrument,
                    order=client_id,
                    number=number,
                    open_lots=open_lots,
                    reason=_NO_LIQUIDITY,
                )
            )
        if state.version >= _SPOT_COMPLETE:
            remember_closed(account, client_id)
    return Placed(
        request=request.request,
        fingerprint=request.fingerprint,
        number=number,
        executed_lots=size_lots - open_lots,
        executed_atoms=executed_atoms,
        fee_atoms=fees_atoms,
        open_lots=rested_lots,
    )


def place_generally(
    state: State, command: PlaceOrder, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Place any order of any account in any instrument: check, pledge, then wait, trade or rest."""
    order = check_order(state, command, key, request.not_after_ns)
    if isinstance(order, Reject):
        return order
    instrument = state.markets.instruments[order.instrument]
    fault = contracting.funds_fault(state, instrument, order)
    if fault is not None:
        return fault

    # Nothing below can fail.
    accept_order(state, instrument, order, out)
    if special_of(order).state == _WAITING:
        begin_waiting(state, instrument, order, out)
        return Waiting(request=request.request, fingerprint=request.fingerprint, number=order.number)
    return place_taken(state, instrument, order, request, out)


def liquidate(
    state: State,
    instrument: Instrument,
    position: Position,
    side: Side,
    lots: int,
    limit_ticks: int,
    liquidation: LiquidationId,
    out: list[AnyEvent],
) -> tuple[int, int, int]:
    """Let the liquidation engine close lots of a position as a taker, as far as they trade within the limit.

    The order has no id of its own, takes no fee from the position, and gives makers no rebate.  Returns
    (traded lots, the cash that they brought in atoms, below zero if they cost it, notional in atoms).
    """
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    order = Order(
        position.account,
        instrument.instrument,
        OrderId(0),
        OrderNumber(0),
        "",
        side,
        limit_ticks,
        lots,
        lots,
        0,
        NO_BALANCE,
        NO_BALANCE,
    )
    order.position = position
    # Without a cap there is no fee.
    special = order.special = Special(time_in_force=TimeInForce.IOC)
    special.leg = position.leg
    special.reduce_only = True
    special.liquidation = liquidation
    accept_order(state, instrument, order, out)
    taken = work_order(state, instrument, order, out)
    signed_lots = taken.executed_lots if side is _BUY else -taken.executed_lots
    cash_atoms = flow_atoms(contract, signed_lots, taken.executed_atoms) if signed_lots else 0
    return taken.executed_lots, cash_atoms, taken.executed_atoms


def cancel_order(
    state: State, command: CancelOrder, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Take an order from wherever it stands and give its pledge back."""
    client_id = command.order
    if client_id:
        if command.number or command.label:
            return Reject.MALFORMED
    elif (command.number != 0) == (command.label != ""):
        return Reject.MALFORMED
    if request.not_after_ns and state.time_ns > request.not_after_ns:
        return Reject.TOO_LATE
    account_id = command.account
    if account_id != key.account or not key.permissions & _TRADE:
        return Reject.NOT_PERMITTED
    if account_id < FIRST_CUSTOMER:
        return Reject.UNKNOWN_ACCOUNT
    account = state.accounts[account_id]
    if account.rules is not None and not may(account, key, _TRADE):
        return Reject.NOT_PERMITTED
    if client_id:
        order = account.orders.get(client_id)
    else:
        order = named_order(state, account, client_id, command.number, command.label)
    if order is None:
        return Reject.UNKNOWN_ORDER
    instrument = state.markets.instruments[order.instrument]
    if instrument.uncross_ticks:
        return Reject.INSTRUMENT_STATE

    # Nothing below can fail.
    position = order.position
    if order.special is not None or (position is not None and position.is_isolated):
        end_order(state, order, None, out)
    else:
        instrument.book.remove(order)
        if position is None:
            order.pledge.release(order.open_lots * order.lot_pledge_atoms)
        else:
            position.end(order)
        state.drop_order(order)
        out.append(
            OrderCancelled(
                order.account,
                order.instrument,
                order.order,
                order.number,
                order.open_lots,
            )
        )
    return Cancelled(
        request=request.request,
        fingerprint=request.fingerprint,
        number=order.number,
        open_lots=order.open_lots,
    )

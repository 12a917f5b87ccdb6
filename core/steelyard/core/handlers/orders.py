"""Orders in and out of the book: the common path in one go, and the general path for all others.

``place_order`` and ``place_generally`` give the same replies, events and state for every order that could go
either way.  What is compared by identity here are members of enumerations, which is what decoding gives.
"""

from typing import Final

from steelyard.core import versions
from steelyard.core.accounts import Account, ApiKey
from steelyard.core.commands import CancelOrder, PlaceOrder
from steelyard.core.contracts.scales import flow_atoms
from steelyard.core.entry import AnyReply, Cancelled, Placed, Request, Waiting
from steelyard.core.events import (
    AnyEvent,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRested,
    Traded,
)
from steelyard.core.handlers import contract_orders, contracting
from steelyard.core.handlers.checks import may, named_order
from steelyard.core.handlers.conditional import begin_waiting
from steelyard.core.handlers.ending import end_order
from steelyard.core.handlers.placing import accept_order, check_order, special_of
from steelyard.core.handlers.taking import place_taken, work_order
from steelyard.core.handlers.trading import refer
from steelyard.core.instruments import Instrument
from steelyard.core.instruments.bands import protection_ticks
from steelyard.core.ledger import Balance, fee_atoms, fill_fees, lot_pledge_atoms
from steelyard.core.limits import (
    INTEGER_MAX,
    LABEL_MAX,
    ORDERS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    is_printable_ascii,
)
from steelyard.core.matching import NO_BALANCE, Order, Position, Special, can_fill, match
from steelyard.core.rejects import Reject
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
    TradeId,
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
    if not rests and command.post_only:
        return Reject.MALFORMED
    if not is_limit and (rests or limit_ticks != 0):
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
        or instrument.contract is not None
        or state.kill_switches
    ):
        if instrument is not None and instrument.contract is not None:
            contract = instrument.contract
            position = contract_orders.common_position(state, instrument, contract, account)
            if position is not None and (
                is_limit or not contract_orders.only_reduces(position, side, size_lots)
            ):
                return contract_orders.place(
                    state, command, request, instrument, contract, account, position, out
                )
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
    if is_limit:
        if limit_ticks * size_lots * instrument.tick_lot_atoms < instrument.notional_min_atoms:
            return Reject.NOTIONAL_OUT_OF_RANGE
    else:
        opposite = _SELL if side is _BUY else _BUY
        limit_ticks = protection_ticks(instrument, side, instrument.book.best_ticks(opposite) or 0)
    if side is _BUY:
        keys = instrument.book.asks.keys
        would_trade = bool(keys) and -keys[-1] <= limit_ticks
        pledge = account.balances.get(instrument.quote)
        pledge_per_lot_atoms = lot_pledge_atoms(limit_ticks, instrument.tick_lot_atoms, instrument.cap_ppm)
    else:
        keys = instrument.book.bids.keys
        would_trade = bool(keys) and keys[-1] >= limit_ticks
        pledge = account.balances.get(instrument.base)
        pledge_per_lot_atoms = instrument.lot_atoms
    if would_trade and command.post_only:
        return Reject.POST_ONLY_WOULD_TRADE
    if (0 if pledge is None else pledge.free_atoms) < size_lots * pledge_per_lot_atoms:
        return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    # Calling OrderNumber would take as long as ten of the checks above.
    number: OrderNumber = state.last_number + 1  # type: ignore[assignment]
    state.last_number = number
    out.append(
        OrderAccepted(
            account=account_id,
            instrument=command.instrument,
            order=client_id,
            number=number,
            side=side,
            kind=command.kind,
            time_in_force=time_in_force,
            limit_ticks=limit_ticks,
            size_lots=size_lots,
            label=label,
        )
    )
    open_lots = size_lots
    executed_atoms = fees_atoms = 0
    if would_trade and (time_in_force is not _FOK or can_fill(instrument.book, side, limit_ticks, size_lots)):
        open_lots, executed_atoms, fees_atoms = _take(
            state, instrument, account, command, number, limit_ticks, out
        )
    rested_lots = 0
    if rests and open_lots:
        assert pledge is not None, "what pledges nothing cannot rest"
        rested_lots = open_lots
        _rest(state, instrument, account, command, number, open_lots, pledge_per_lot_atoms, pledge, out)
    else:
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
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                number=order.number,
                open_lots=order.open_lots,
            )
        )
    return Cancelled(
        request=request.request,
        fingerprint=request.fingerprint,
        number=order.number,
        open_lots=order.open_lots,
    )


def _take(
    state: State,
    instrument: Instrument,
    account: Account,
    command: PlaceOrder,
    number: OrderNumber,
    limit_ticks: int,
    out: list[AnyEvent],
) -> tuple[int, int, int]:
    """Trade with every maker in reach and post what moved.

    Returns the taker's open lots, the notional it traded and the fees it paid, in quote atoms.  The taker
    has pledged nothing yet: what its limit would pledge is free, and the trades cost at most that.
    """
    buying = command.side is _BUY
    k = instrument.tick_lot_atoms
    accounts = state.accounts
    house = state.ledger.houses[instrument.quote]
    open_lots = command.size_lots
    price_ticks = 0
    executed_atoms = taker_fees_atoms = fees_atoms = 0
    for maker, lots in match(instrument.book, command.side, limit_ticks, open_lots):
        price_ticks = maker.price_ticks
        notional_atoms = price_ticks * lots * k
        base_atoms = lots * instrument.lot_atoms
        taker_fee_atoms = fee_atoms(notional_atoms, instrument.taker_ppm)
        maker_fee_atoms = fee_atoms(notional_atoms, instrument.maker_ppm)
        maker_account = accounts[maker.account]
        if maker_account.rules is not None:
            maker_ppm, _ = state.rates(maker_account, instrument)
            maker_fee_atoms, _ = fill_fees(
                notional_atoms, min(maker_ppm, instrument.cap_ppm), instrument.taker_ppm
            )
        if buying:
            maker.pledge.spend_held(base_atoms, base_atoms)
            maker.proceeds.free_atoms += notional_atoms - maker_fee_atoms
        else:
            maker.pledge.spend_held(lots * maker.lot_pledge_atoms, notional_atoms + maker_fee_atoms)
            maker.proceeds.free_atoms += base_atoms
        open_lots -= lots
        executed_atoms += notional_atoms
        taker_fees_atoms += taker_fee_atoms
        fees_atoms += maker_fee_atoms + taker_fee_atoms
        state.last_trade += 1
        out.append(
            Traded(
                TradeId(state.last_trade),
                instrument.instrument,
                maker=maker.account,
                maker_order=maker.order,
                maker_number=maker.number,
                taker=command.account,
                taker_order=command.order,
                taker_number=number,
                taker_side=command.side,
                price_ticks=price_ticks,
                size_lots=lots,
                notional_atoms=notional_atoms,
                maker_fee_atoms=maker_fee_atoms,
                taker_fee_atoms=taker_fee_atoms,
                maker_open_lots=maker.open_lots,
                taker_open_lots=open_lots,
            )
        )
        if maker_account.rules is not None:
            house.fees_atoms += fees_atoms
            fees_atoms = 0
            refer(
                state,
                instrument,
                TradeId(state.last_trade),
                (maker_account, maker_fee_atoms),
                (account, taker_fee_atoms),
                out,
            )
        if maker.open_lots == 0:
            state.drop_order(maker)
            out.append(
                OrderFilled(
                    account=maker.account,
                    instrument=maker.instrument,
                    order=maker.order,
                    number=maker.number,
                )
            )
    if open_lots == 0:
        out.append(
            OrderFilled(
                account=command.account,
                instrument=command.instrument,
                order=command.order,
                number=number,
            )
        )
    instrument.last_ticks = price_ticks
    base = account.balance(instrument.base)
    quote = account.balance(instrument.quote)
    taken_atoms = (command.size_lots - open_lots) * instrument.lot_atoms
    if buying:
        quote.spend_free(executed_atoms + taker_fees_atoms)
        base.free_atoms += taken_atoms
    else:
        base.spend_free(taken_atoms)
        quote.free_atoms += executed_atoms - taker_fees_atoms
    house.fees_atoms += fees_atoms
    return open_lots, executed_atoms, taker_fees_atoms


def _rest(
    state: State,
    instrument: Instrument,
    account: Account,
    command: PlaceOrder,
    number: OrderNumber,
    open_lots: int,
    pledge_per_lot_atoms: int,
    pledge: Balance,
    out: list[AnyEvent],
) -> None:
    """Pledge for what is left of a limit order and queue it."""
    side = command.side
    client_id = command.order
    label = command.label
    price_ticks = command.limit_ticks
    pledge.hold(open_lots * pledge_per_lot_atoms)
    earned = instrument.base if side is _BUY else instrument.quote
    order = Order(
        account.account,
        instrument.instrument,
        client_id,
        number,
        label,
        side,
        price_ticks,
        command.size_lots,
        open_lots,
        pledge_per_lot_atoms,
        pledge,
        account.balances.get(earned) or account.balance(earned),
    )
    order.post_only = command.post_only
    instrument.book.rest(order)
    state.orders[number] = order
    account.orders[client_id] = order
    if label:
        account.labels[label] = order
    out.append(
        OrderRested(
            account=account.account,
            instrument=instrument.instrument,
            order=client_id,
            number=number,
            side=side,
            price_ticks=price_ticks,
            open_lots=open_lots,
        )
    )

"""The common path of orders about cross positions; it comes to what the general path comes to.

Nobody here is hedged, reduce-only or of rules of its own, for such orders make their instrument uncommon:
so nothing is trimmed, and a trade changes two positions and nothing else.
"""

from typing import Final

from steelyard.core.accounts import Account
from steelyard.core.commands import PlaceOrder
from steelyard.core.contracts import equity
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.contracts.schedule import initial_atoms
from steelyard.core.entry import AnyReply, Placed, Request
from steelyard.core.events import (
    AnyEvent,
    OrderAccepted,
    OrderExpired,
    OrderFilled,
    OrderRested,
    PositionsTraded,
    Traded,
)
from steelyard.core.handlers.pledging import touch
from steelyard.core.handlers.trading import refer
from steelyard.core.instruments import Instrument
from steelyard.core.instruments.bands import protection_ticks
from steelyard.core.ledger import fill_fees
from steelyard.core.limits import (
    ORDERS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    ORDERS_PER_POSITION_MAX,
    POSITIONS_PER_MARGIN_MAX,
)
from steelyard.core.matching import NO_BALANCE, Margin, Order, Position, can_fill, match
from steelyard.core.rejects import Reject
from steelyard.core.rounding import ppm_up
from steelyard.core.state import State, remember_closed
from steelyard.core.units import (
    InstrumentState,
    Leg,
    OrderKind,
    OrderNumber,
    RiskLevel,
    Side,
    TimeInForce,
    TradeId,
)

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_NET: Final = Leg.NET
_LIMIT: Final = OrderKind.LIMIT
_GTC: Final = TimeInForce.GTC
_FOK: Final = TimeInForce.FOK
_OPEN: Final = InstrumentState.OPEN
_CRITICAL: Final = RiskLevel.CRITICAL
_NO_LIQUIDITY: Final = Reject.NO_LIQUIDITY


def common_position(
    state: State, instrument: Instrument, contract: Contract, account: Account
) -> Position | None:
    """Return the position of an order that may take the common path, perhaps one that nobody knows yet."""
    if (
        account.rules is not None
        or instrument.specials
        or instrument.rules is not None
        or instrument.state is not _OPEN
        or state.kill_switches
        or instrument.mark_ticks == 0
        or contract.index.is_stale
    ):
        return None
    margin = account.margins.get(contract.settle)
    if margin is None:
        margin = Margin(account.account, contract.settle)
    elif margin.level >= _CRITICAL or instrument.instrument in margin.hedged:
        return None
    position = margin.positions.get((instrument.instrument, _NET))
    if position is None:
        return Position(margin, instrument.instrument, _NET, 0)
    return None if position.is_isolated else position


def only_reduces(position: Position, side: Side, lots: int) -> bool:
    """Return whether an order would not let the position become larger; such a market order is uncommon."""
    buys, sells = (lots, 0) if side is _BUY else (0, lots)
    return equity.worst_lots(position, buys, sells) == equity.worst_lots(position)


def place(
    state: State,
    command: PlaceOrder,
    request: Request,
    instrument: Instrument,
    contract: Contract,
    account: Account,
    position: Position,
    out: list[AnyEvent],
) -> AnyReply | Reject:
    """Go on with an order whose shape and owner were checked: match what crosses, rest or expire the rest."""
    client_id = command.order
    label = command.label
    side = command.side
    size_lots = command.size_lots
    limit_ticks = command.limit_ticks
    time_in_force = command.time_in_force
    is_limit = command.kind is _LIMIT
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
    if len(position.orders) >= ORDERS_PER_POSITION_MAX:
        return Reject.TOO_MANY_ORDERS
    positions = position.margin.positions
    is_known = (instrument.instrument, _NET) in positions
    if not is_known and len(positions) >= POSITIONS_PER_MARGIN_MAX:
        return Reject.TOO_MANY_POSITIONS
    if is_limit and (limit_ticks <= 0 or limit_ticks > instrument.price_max_ticks):
        return Reject.PRICE_OUT_OF_RANGE
    if size_lots <= 0 or size_lots > instrument.size_max_lots:
        return Reject.SIZE_OUT_OF_RANGE
    if is_limit:
        least_atoms = instrument.notional_min_atoms
        if least_atoms and notional_atoms(contract, limit_ticks, size_lots) < least_atoms:
            return Reject.NOTIONAL_OUT_OF_RANGE
    else:
        opposite = _SELL if side is _BUY else _BUY
        limit_ticks = protection_ticks(instrument, side, instrument.book.best_ticks(opposite) or 0)
    if side is _BUY:
        keys = instrument.book.asks.keys
        would_trade = bool(keys) and -keys[-1] <= limit_ticks
    else:
        keys = instrument.book.bids.keys
        would_trade = bool(keys) and keys[-1] >= limit_ticks
    if would_trade and command.post_only:
        return Reject.POST_ONLY_WOULD_TRADE
    if limit_ticks == 0:
        lot_fee_atoms = 0
    elif instrument.tick_lot_atoms:
        lot_fee_atoms = ppm_up(limit_ticks * instrument.tick_lot_atoms, instrument.cap_ppm)
    else:
        lot_fee_atoms = equity.lot_fee_atoms(contract, limit_ticks, instrument.cap_ppm)
    fault = _margin_fault(state, instrument, contract, position, side, size_lots, limit_ticks, lot_fee_atoms)
    if fault is not None:
        return fault

    # Nothing below can fail.
    if not is_known:
        position = account.margin(contract.settle).position(instrument.instrument, _NET)
    # Whoever it meets may be of the same account: the position must not be forgotten meanwhile.
    position.living += 1
    # Calling OrderNumber would take as long as ten of the checks above.
    number: OrderNumber = state.last_number + 1  # type: ignore[assignment]
    state.last_number = number
    out.append(
        OrderAccepted(
            account=command.account,
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
            state, instrument, contract, account, position, command, number, limit_ticks, out
        )
    rested_lots = 0
    if open_lots and time_in_force is _GTC:
        rested_lots = open_lots
        _rest(state, instrument, account, position, command, number, open_lots, lot_fee_atoms, out)
    else:
        position.living -= 1
        if position.qty_lots == 0:
            account.forget_silent(position)
        if open_lots:
            out.append(
                OrderExpired(
                    account=command.account,
                    instrument=command.instrument,
                    order=client_id,
                    number=number,
                    open_lots=open_lots,
                    reason=_NO_LIQUIDITY,
                )
            )
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


def _margin_fault(
    state: State,
    instrument: Instrument,
    contract: Contract,
    position: Position,
    side: Side,
    lots: int,
    limit_ticks: int,
    lot_fee_atoms: int,
) -> Reject | None:
    """Return what the position, the open interest or the margin wallet cannot take, or None."""
    marks = state.markets.instruments
    mark_ticks = instrument.mark_ticks
    # A market order that meets nobody has no limit, and loses nothing.
    limit_ticks = limit_ticks or mark_ticks
    qty_lots = position.qty_lots
    buys, sells = position.open_buy_lots, position.open_sell_lots
    worst = buys + qty_lots if buys + qty_lots > sells - qty_lots else sells - qty_lots  # noqa: FURB136
    worst_with = buys + lots + qty_lots if side is _BUY else sells + lots - qty_lots
    rules = contract.rules
    is_reducing = worst_with <= worst
    if not is_reducing:
        if worst_with > rules.position_max_lots:
            return Reject.POSITION_LIMIT
        if contract.open_interest_lots + lots > rules.open_interest_max_lots:
            return Reject.OPEN_INTEREST_LIMIT
    margin = position.margin
    k = instrument.tick_lot_atoms
    if (
        k
        and len(margin.positions) == 1
        and (instrument.instrument, _NET) in margin.positions
        and position.settled_nanoatoms == contract.cumulative_nanoatoms
        and not rules.margin.open_interest_high_atoms
    ):
        # ``equity.available_with_atoms`` written out for what nearly every order meets.
        lot_atoms = mark_ticks * k
        worst_lots = worst if is_reducing else worst_with
        available_atoms = (
            margin.wallet_atoms
            + qty_lots * lot_atoms
            + position.cash_flow_atoms
            - position.fees_atoms
            - lots * lot_fee_atoms
            - initial_atoms(rules.margin, worst_lots * lot_atoms, worst_lots, position.leverage, 0)
        )
        if (limit_ticks > mark_ticks) if side is _BUY else (limit_ticks < mark_ticks):
            available_atoms -= lots * abs(limit_ticks - mark_ticks) * k
        if (buys and position.buy_high_ticks > mark_ticks) or (
            sells and position.sell_low_ticks < mark_ticks
        ):
            available_atoms -= equity.open_loss_atoms(contract, position, mark_ticks)
    else:
        available_atoms = equity.available_with_atoms(
            margin, marks, position, side, lots, limit_ticks, lot_fee_atoms
        )
    if available_atoms >= 0:
        # What an order that reduces must leave is less than what any other must.
        return None
    if not is_reducing:
        return Reject.INSUFFICIENT_MARGIN
    left_atoms = equity.equity_atoms(margin, marks) - equity.open_losses_atoms(margin, marks)
    left_atoms -= lots * lot_fee_atoms
    left_atoms -= equity.order_loss_atoms(contract, side, lots, limit_ticks, mark_ticks)
    return None if left_atoms >= 0 else Reject.INSUFFICIENT_MARGIN


def _take(
    state: State,
    instrument: Instrument,
    contract: Contract,
    account: Account,
    position: Position,
    command: PlaceOrder,
    number: OrderNumber,
    limit_ticks: int,
    out: list[AnyEvent],
) -> tuple[int, int, int]:
    """Trade with every maker in reach; return the taker's open lots, its notional and its fees in atoms."""
    side = command.side
    sign = 1 if side is _BUY else -1
    accounts = state.accounts
    house = state.ledger.houses[contract.settle]
    open_lots = command.size_lots
    executed_atoms = fees_atoms = 0
    for maker, lots in match(instrument.book, side, limit_ticks, open_lots):
        price_ticks = maker.price_ticks
        traded_atoms = notional_atoms(contract, price_ticks, lots)
        maker_account = accounts[maker.account]
        maker_ppm = instrument.maker_ppm
        if maker_account.rules is not None:
            maker_ppm = min(state.rates(maker_account, instrument)[0], instrument.cap_ppm)
        maker_fee_atoms, taker_fee_atoms = fill_fees(traded_atoms, maker_ppm, instrument.taker_ppm)
        maker_position = maker.position
        assert maker_position is not None, maker.number
        signed_lots = sign * lots
        flow = flow_atoms(contract, signed_lots, traded_atoms)
        cumulative_nanoatoms = contract.cumulative_nanoatoms
        maker_funding_atoms = taker_funding_atoms = 0
        if maker_position.settled_nanoatoms != cumulative_nanoatoms:
            maker_funding_atoms = settle(contract, maker_position)
        maker_position.lose(maker, lots)
        maker_realised_atoms = fill(
            contract, maker_position, -signed_lots, -flow, maker_fee_atoms, maker.lot_pledge_atoms
        )
        # Maker and taker may be one position: what the maker's fill left of it is said as well.
        maker_qty_lots, maker_cash_flow_atoms = maker_position.qty_lots, maker_position.cash_flow_atoms
        if position.settled_nanoatoms != cumulative_nanoatoms:
            taker_funding_atoms = settle(contract, position)
        taker_realised_atoms = fill(contract, position, signed_lots, flow, taker_fee_atoms, 0)
        touch(state, maker_position)
        house.fees_atoms += maker_fee_atoms + taker_fee_atoms
        open_lots -= lots
        executed_atoms += traded_atoms
        fees_atoms += taker_fee_atoms
        state.last_trade += 1
        trade = TradeId(state.last_trade)
        out.append(
            Traded(
                trade,
                instrument.instrument,
                maker.account,
                maker.order,
                maker.number,
                command.account,
                command.order,
                number,
                side,
                price_ticks,
                lots,
                traded_atoms,
                maker_fee_atoms,
                taker_fee_atoms,
                maker.open_lots,
                open_lots,
            )
        )
        out.append(
            PositionsTraded(
                trade,
                instrument.instrument,
                maker.account,
                _NET,
                maker_qty_lots,
                maker_cash_flow_atoms,
                maker_realised_atoms,
                maker_funding_atoms,
                command.account,
                _NET,
                position.qty_lots,
                position.cash_flow_atoms,
                taker_realised_atoms,
                taker_funding_atoms,
            )
        )
        if maker_account.rules is not None:
            sides = (maker_account, maker_fee_atoms), (account, taker_fee_atoms)
            refer(state, instrument, trade, *sides, out)
        if maker.open_lots == 0:
            maker_position.end(maker)
            state.drop_order(maker)
            out.append(
                OrderFilled(
                    account=maker.account,
                    instrument=maker.instrument,
                    order=maker.order,
                    number=maker.number,
                )
            )
        instrument.last_ticks = price_ticks
    touch(state, position)
    if open_lots == 0:
        out.append(
            OrderFilled(
                account=command.account,
                instrument=command.instrument,
                order=command.order,
                number=number,
            )
        )
    return open_lots, executed_atoms, fees_atoms


def _rest(
    state: State,
    instrument: Instrument,
    account: Account,
    position: Position,
    command: PlaceOrder,
    number: OrderNumber,
    open_lots: int,
    lot_fee_atoms: int,
    out: list[AnyEvent],
) -> None:
    """Queue what is left of a limit order, and let its position count it."""
    side = command.side
    label = command.label
    order = Order(
        account.account,
        instrument.instrument,
        command.order,
        number,
        label,
        side,
        command.limit_ticks,
        command.size_lots,
        open_lots,
        lot_fee_atoms,
        NO_BALANCE,
        NO_BALANCE,
    )
    order.post_only = command.post_only
    order.position = position
    position.begin(order)
    instrument.book.rest(order)
    state.orders[number] = order
    account.orders[command.order] = order
    if label:
        account.labels[label] = order
    out.append(
        OrderRested(
            account=account.account,
            instrument=instrument.instrument,
            order=command.order,
            number=number,
            side=side,
            price_ticks=command.limit_ticks,
            open_lots=open_lots,
        )
    )

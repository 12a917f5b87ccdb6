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
from steelyard.core.contracts.schedule import covers_initial
from steelyard.core.events import AnyEvent, OrderFilled, OrderRested, PositionsTraded, Traded
from steelyard.core.handlers.pledging import touch
from steelyard.core.handlers.trading import refer
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import fee_atoms, fill_fees
from steelyard.core.limits import ORDERS_PER_POSITION_MAX, POSITIONS_PER_MARGIN_MAX
from steelyard.core.matching import NO_BALANCE, Margin, Order, Position, match
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import PPM, Leg, OrderNumber, RiskLevel, Side, TradeId

_BUY: Final = Side.BUY
_NET: Final = Leg.NET
_SAFE: Final = RiskLevel.SAFE
_CRITICAL: Final = RiskLevel.CRITICAL


def common_position(instrument: Instrument, contract: Contract, account: Account) -> Position | None:
    """Return the position of an order that may take the common path, perhaps one that nobody knows yet.

    None: a check waits for the order that only the general path knows.
    """
    if instrument.mark_ticks == 0 or contract.index.is_stale:
        return None
    margin = account.margins.get(contract.settle)
    if margin is None:
        margin = Margin(account.account, contract.settle)
    elif margin.level >= _CRITICAL or (margin.hedged and instrument.instrument in margin.hedged):
        return None
    position = margin.positions.get((instrument.instrument, _NET))
    if position is None:
        if len(margin.positions) >= POSITIONS_PER_MARGIN_MAX:
            return None
        return Position(margin, instrument.instrument, _NET, 0)
    if position.is_isolated or len(position.orders) >= ORDERS_PER_POSITION_MAX:
        return None
    return position


def only_reduces(position: Position, side: Side, lots: int) -> bool:
    """Return whether an order would not let the position become larger; such a market order is uncommon."""
    buys, sells = (lots, 0) if side is _BUY else (0, lots)
    return equity.worst_lots(position, buys, sells) == equity.worst_lots(position)


def lot_fee_atoms(instrument: Instrument, limit_ticks: int) -> int:
    """Return what a lot of a common order may cost in fees; nothing without a limit, for nobody is met."""
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    return equity.lot_fee_atoms(contract, limit_ticks, instrument.cap_ppm) if limit_ticks else 0


def adopt(instrument: Instrument, account: Account) -> Position:
    """Return the position of an order that is taken on; the account knows it from now on."""
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    return account.margin(contract.settle).position(instrument.instrument, _NET)


def let_go(account: Account, position: Position) -> None:
    """Let a position know that an order about it lives no more which never stood in the book."""
    position.living -= 1
    if position.qty_lots == 0:
        account.forget_silent(position)


def margin_fault(
    state: State,
    instrument: Instrument,
    position: Position,
    side: Side,
    lots: int,
    limit_ticks: int,
    lot_fee_atoms: int,
) -> Reject | None:
    """Return what the position, the open interest or the margin wallet cannot take, or None."""
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    mark_ticks = instrument.mark_ticks
    # A market order that meets nobody has no limit, and loses nothing.
    limit_ticks = limit_ticks or mark_ticks
    qty_lots = position.qty_lots
    buys, sells = position.open_buy_lots, position.open_sell_lots
    if side is _BUY:
        worst, other_worst = qty_lots + buys + lots, sells - qty_lots
        loses = limit_ticks > mark_ticks
    else:
        worst, other_worst = sells + lots - qty_lots, qty_lots + buys
        loses = limit_ticks < mark_ticks
    rules = contract.rules
    is_reducing = worst <= other_worst
    if is_reducing:
        worst = other_worst
    elif worst > rules.position_max_lots:
        return Reject.POSITION_LIMIT
    elif contract.open_interest_lots + lots > rules.open_interest_max_lots:
        return Reject.OPEN_INTEREST_LIMIT
    margin = position.margin
    k = instrument.tick_lot_atoms
    if (
        k
        and len(margin.positions) == 1
        and (qty_lots or position.living)
        and position.settled_nanoatoms == contract.cumulative_nanoatoms
        and not rules.margin.open_interest_high_atoms
    ):
        # ``equity.available_with_atoms`` written out for what nearly every order meets: the margin knows this
        # position alone (which has lots or orders, or it might know another one).
        lot_atoms = mark_ticks * k
        spare_atoms = (
            margin.wallet_atoms
            + qty_lots * lot_atoms
            + position.cash_flow_atoms
            - position.fees_atoms
            - lots * lot_fee_atoms
        )
        if loses:
            spare_atoms -= lots * abs(limit_ticks - mark_ticks) * k
        if (buys and position.buy_high_ticks > mark_ticks) or (
            sells and position.sell_low_ticks < mark_ticks
        ):
            spare_atoms -= equity.open_loss_atoms(contract, position, mark_ticks)
        is_covered = covers_initial(rules.margin, spare_atoms, worst * lot_atoms, worst, position.leverage)
    else:
        is_covered = (
            equity.available_with_atoms(
                margin, state.markets.instruments, position, side, lots, limit_ticks, lot_fee_atoms
            )
            >= 0
        )
    if is_covered:
        # What an order that reduces must leave is less than what any other must.
        return None
    if not is_reducing:
        return Reject.INSUFFICIENT_MARGIN
    marks = state.markets.instruments
    left_atoms = equity.equity_atoms(margin, marks) - equity.open_losses_atoms(margin, marks)
    left_atoms -= lots * lot_fee_atoms
    left_atoms -= equity.order_loss_atoms(contract, side, lots, limit_ticks, mark_ticks)
    return None if left_atoms >= 0 else Reject.INSUFFICIENT_MARGIN


def take(
    state: State,
    instrument: Instrument,
    account: Account,
    position: Position,
    command: PlaceOrder,
    number: OrderNumber,
    limit_ticks: int,
    out: list[AnyEvent],
) -> tuple[int, int, int]:
    """Trade with every maker in reach; return the taker's open lots, its notional and its fees in atoms."""
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    side = command.side
    sign = 1 if side is _BUY else -1
    flow_sign = flow_atoms(contract, sign, 1)
    k = instrument.tick_lot_atoms
    cumulative_nanoatoms = contract.cumulative_nanoatoms
    moved: dict[Position, None] = {position: None}
    accounts = state.accounts
    house = state.ledger.houses[contract.settle]
    open_lots = command.size_lots
    executed_atoms = fees_atoms = 0
    for maker, lots in match(instrument.book, side, limit_ticks, open_lots):
        price_ticks = maker.price_ticks
        traded_atoms = price_ticks * lots * k if k else notional_atoms(contract, price_ticks, lots)
        maker_account = accounts[maker.account]
        taker_fee_atoms = fee_atoms(traded_atoms, instrument.taker_ppm)
        maker_fee_atoms = fee_atoms(traded_atoms, instrument.maker_ppm)
        if maker_account.rules is not None:
            maker_ppm, _ = state.rates(maker_account, instrument)
            maker_fee_atoms, _ = fill_fees(
                traded_atoms, min(maker_ppm, instrument.cap_ppm), instrument.taker_ppm
            )
        maker_position = maker.position
        assert maker_position is not None, maker.number
        signed_lots = sign * lots
        flow = flow_sign * traded_atoms
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
        moved[maker_position] = None
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
    for each in moved:
        _touch(state, contract, instrument.mark_ticks, each)
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


def rest(
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
            account.account,
            instrument.instrument,
            command.order,
            number,
            side,
            command.limit_ticks,
            open_lots,
        )
    )


def _touch(state: State, contract: Contract, mark_ticks: int, position: Position) -> None:
    """Have whom a fill has moved judged when the command is over, unless that would plainly say nothing.

    It would not where a wallet with this one position stands on the first level, and far from the next one.
    """
    margin = position.margin
    if margin.level is _SAFE and len(margin.positions) == 1 and not position.is_isolated:
        worth_atoms, maintenance_atoms = equity.position_standing_atoms(contract, mark_ticks, position)
        equity_atoms = margin.wallet_atoms + worth_atoms
        if maintenance_atoms * PPM < equity_atoms * contract.rules.liquidation.warning_ppm:
            state.trigger_index.touch(margin)
            if state.rankings.books:
                state.rankings.touch(margin)
            return
    touch(state, position)

"""The common path of spot orders below the line: what they trade, and how what is left of them rests."""

from typing import Final

from steelyard.core.accounts import Account
from steelyard.core.commands import PlaceOrder
from steelyard.core.events import AnyEvent, OrderFilled, OrderRested, Traded
from steelyard.core.handlers.trading import refer
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import Balance, fee_atoms, fill_fees
from steelyard.core.matching import Order, match
from steelyard.core.state import State
from steelyard.core.units import OrderNumber, Side, TradeId

_BUY: Final = Side.BUY


def take(
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


def rest(
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
            account.account,
            instrument.instrument,
            client_id,
            number,
            side,
            price_ticks,
            open_lots,
        )
    )

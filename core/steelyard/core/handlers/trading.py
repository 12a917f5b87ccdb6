"""What happens between two orders that meet: a trade and its fees, or that the trade is prevented."""

from typing import Final, NamedTuple

from steelyard.core.accounts import Account
from steelyard.core.events import (
    AnyEvent,
    LotsTransferred,
    OrderReduced,
    OrderReplenished,
    ReferralEarned,
    Traded,
    TradePrevented,
)
from steelyard.core.handlers import contracting, ending, lists, pledging
from steelyard.core.handlers.accepting import renumber
from steelyard.core.handlers.filling import Move, move_position, say_traded
from steelyard.core.handlers.placing import special_of
from steelyard.core.handlers.trimming import trim
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import fill_fees, referral_atoms
from steelyard.core.matching import Order, Special
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import AssetId, SelfTrade, Side, TradeId

_BUY: Final = Side.BUY


class Prevention(NamedTuple):
    """How a trade inside one house is prevented, and how many lots each order loses by it."""

    mode: SelfTrade
    maker_lots: int
    taker_lots: int


def fees(
    state: State, instrument: Instrument, maker: Order, taker: Order, notional_atoms: int
) -> tuple[int, int]:
    """Return what (maker, taker) would pay for a fill, in quote or settle atoms; below zero is a rebate."""
    maker_ppm, _ = state.rates(state.accounts[maker.account], instrument)
    _, taker_ppm = state.rates(state.accounts[taker.account], instrument)
    return fill_fees(
        notional_atoms, min(maker_ppm, cap_ppm(instrument, maker)), min(taker_ppm, cap_ppm(instrument, taker))
    )


def cap_ppm(instrument: Instrument, order: Order) -> int:
    """Return the highest rate that a fill of the order may be charged."""
    return instrument.cap_ppm if order.special is None else order.special.cap_ppm


def fee_asset(instrument: Instrument) -> AssetId:
    """Return the asset in which fees are paid: the quote, of a contract the settle asset."""
    return instrument.quote if instrument.contract is None else instrument.contract.settle


def trade(
    state: State,
    instrument: Instrument,
    maker: Order,
    taker: Order,
    lots: int,
    price_ticks: int,
    out: list[AnyEvent],
) -> None:
    """Let two living orders trade; both have pledged, the maker is in the book, the taker may be.

    Says ``Traded``, who earned by it, and what became of the maker: see ``after_fill``, which the caller asks
    for the taker.  In a contract ``PositionsTraded`` follows ``Traded``, and reduce-only orders of both
    positions are trimmed at last.
    """
    claim(state, maker, out)
    claim(state, taker, out)
    notional_atoms = contracting.notional_atoms(instrument, price_ticks, lots)
    maker_fee_atoms, taker_fee_atoms = fees(state, instrument, maker, taker, notional_atoms)
    contract = instrument.contract
    moves: tuple[Move, Move] | None = None
    if contract is not None:
        moves = (
            move_position(state, contract, maker, lots, notional_atoms, maker_fee_atoms),
            move_position(state, contract, taker, lots, notional_atoms, taker_fee_atoms),
        )
    elif taker.side == _BUY:
        _pay(instrument, taker, maker, lots, notional_atoms, taker_fee_atoms, maker_fee_atoms)
    else:
        _pay(instrument, maker, taker, lots, notional_atoms, maker_fee_atoms, taker_fee_atoms)
    state.ledger.houses[fee_asset(instrument)].fees_atoms += maker_fee_atoms + taker_fee_atoms
    _give(instrument, maker, lots)
    _give(instrument, taker, lots)
    state.last_trade += 1
    number = TradeId(state.last_trade)
    out.append(
        Traded(
            number,
            instrument.instrument,
            maker.account,
            maker.order,
            maker.number,
            taker.account,
            taker.order,
            taker.number,
            taker.side,
            price_ticks,
            lots,
            notional_atoms,
            maker_fee_atoms,
            taker_fee_atoms,
            maker.open_lots,
            _open_lots(taker),
        )
    )
    if moves is not None:
        say_traded(number, (maker, moves[0]), (taker, moves[1]), out)
    refer(
        state,
        instrument,
        number,
        (state.accounts[maker.account], maker_fee_atoms),
        (state.accounts[taker.account], taker_fee_atoms),
        out,
    )
    after_fill(state, instrument, maker, out)
    for order in (maker, taker):
        if order.position is not None:
            trim(state, order.position, out)


def refer(
    state: State,
    instrument: Instrument,
    trade_id: TradeId,
    maker: tuple[Account, int],
    taker: tuple[Account, int],
    out: list[AnyEvent],
) -> None:
    """Let the referrers of (account, fee in atoms) of both sides of a trade earn their shares of it."""
    maker_rules, taker_rules = maker[0].rules, taker[0].rules
    maker_atoms, taker_atoms = referral_atoms(
        maker[1],
        taker[1],
        0 if maker_rules is None else maker_rules.share_ppm,
        0 if taker_rules is None else taker_rules.share_ppm,
    )
    asset = fee_asset(instrument)
    for account, atoms in ((taker[0], taker_atoms), (maker[0], maker_atoms)):
        if atoms == 0 or account.rules is None:
            continue
        referrer = account.rules.referrer
        state.ledger.houses[asset].earn_referral(atoms)
        owed = state.accounts[referrer].ruled().owed
        owed[asset] = owed.get(asset, 0) + atoms
        out.append(
            ReferralEarned(
                trade=trade_id, account=account.account, referrer=referrer, asset=asset, amount_atoms=atoms
            )
        )


def after_fill(state: State, instrument: Instrument, order: Order, out: list[AnyEvent]) -> None:
    """Let an order that has traded end if it has nothing left, or show its next slice if it shows nothing."""
    if order.open_lots == 0:
        ending.fill_order(state, order, out)
    elif order.level is None:
        special = special_of(order)
        special.shown_lots = min(special.terms.display_lots, order.open_lots)
        before = renumber(state, order)
        instrument.book.rest(order)
        out.append(
            OrderReplenished(
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                before=before,
                number=order.number,
                side=order.side,
                price_ticks=order.price_ticks,
                shown_lots=order.shown_lots,
                open_lots=order.open_lots,
            )
        )


def prevention(
    state: State, instrument: Instrument, maker: Order, taker: Order, maker_lots: int, taker_lots: int
) -> Prevention | None:
    """Return how two orders with these rests are kept from trading, or None if they may."""
    if maker.account != taker.account:
        maker_rules, taker_rules = state.accounts[maker.account].rules, state.accounts[taker.account].rules
        if maker_rules is None or taker_rules is None:
            return None
        if maker_rules.trade_group == 0 or maker_rules.trade_group != taker_rules.trade_group:
            return None
    lots = min(maker_lots, taker_lots)
    match self_trade_mode(state, instrument, taker):
        case SelfTrade.NONE:
            return None
        case SelfTrade.EXPIRE_TAKER:
            return Prevention(SelfTrade.EXPIRE_TAKER, 0, taker_lots)
        case SelfTrade.EXPIRE_MAKER:
            return Prevention(SelfTrade.EXPIRE_MAKER, maker_lots, 0)
        case SelfTrade.EXPIRE_BOTH:
            return Prevention(SelfTrade.EXPIRE_BOTH, maker_lots, taker_lots)
        case SelfTrade.TRANSFER if (
            # Positions do not change hands.
            instrument.contract is None
            and maker.account != taker.account
            and self_trade_mode(state, instrument, maker) == SelfTrade.TRANSFER
        ):
            return Prevention(SelfTrade.TRANSFER, lots, lots)
        case _:
            return Prevention(SelfTrade.DECREMENT, lots, lots)


def self_trade_mode(state: State, instrument: Instrument, order: Order) -> SelfTrade:
    """Return what an order does to one of its own house: its own word, its account's, its instrument's."""
    special = order.special
    if special is not None and special.liquidation:
        return SelfTrade.NONE
    own = None if special is None else special.terms.self_trade
    if own is None:
        rules = state.accounts[order.account].rules
        own = None if rules is None else rules.self_trade
    if own is None:
        return SelfTrade.NONE if instrument.rules is None else instrument.rules.self_trade
    return own


def prevent(
    state: State,
    instrument: Instrument,
    maker: Order,
    taker: Order,
    what: Prevention,
    price_ticks: int,
    out: list[AnyEvent],
) -> None:
    """Keep two living orders from trading; the maker ends if it has nothing left.

    A taker that has nothing left ends next, by the caller: SELF_TRADE.
    """
    if what.maker_lots:
        claim(state, maker, out)
    if what.taker_lots:
        claim(state, taker, out)
    notional_atoms = price_ticks * what.maker_lots * instrument.tick_lot_atoms
    if what.mode == SelfTrade.TRANSFER:
        buyer, seller = (taker, maker) if taker.side == _BUY else (maker, taker)
        _pay(instrument, buyer, seller, what.maker_lots, notional_atoms, 0, 0)
    else:
        pledging.unpledge_lots(state, maker, what.maker_lots, notional_atoms)
        taker_atoms = price_ticks * what.taker_lots * instrument.tick_lot_atoms
        pledging.unpledge_lots(state, taker, what.taker_lots, taker_atoms)
    _lose(instrument, maker, what.maker_lots)
    _lose(instrument, taker, what.taker_lots)
    out.append(
        TradePrevented(
            instrument=instrument.instrument,
            mode=what.mode,
            maker=maker.account,
            maker_order=maker.order,
            maker_number=maker.number,
            taker=taker.account,
            taker_order=taker.order,
            taker_number=taker.number,
            price_ticks=price_ticks,
            maker_lots=what.maker_lots,
            taker_lots=what.taker_lots,
            maker_open_lots=maker.open_lots,
            taker_open_lots=_open_lots(taker),
        )
    )
    if what.mode == SelfTrade.TRANSFER:
        out.append(
            LotsTransferred(
                instrument=instrument.instrument,
                buyer=buyer.account,
                seller=seller.account,
                price_ticks=price_ticks,
                size_lots=what.maker_lots,
                notional_atoms=notional_atoms,
            )
        )
    if maker.open_lots == 0:
        ending.end_order(state, maker, Reject.SELF_TRADE, out)
    elif what.maker_lots:
        out.append(
            OrderReduced(
                account=maker.account,
                instrument=maker.instrument,
                order=maker.order,
                number=maker.number,
                size_lots=maker.size_lots,
                open_lots=maker.open_lots,
            )
        )


def claim(state: State, order: Order, out: list[AnyEvent]) -> None:
    """Let an order that is about to lose lots stand for itself, if it has an alternative."""
    if order.special is not None and order.special.list_number:
        lists.claim(state, order, out)


def _pay(
    instrument: Instrument,
    buyer: Order,
    seller: Order,
    lots: int,
    notional_atoms: int,
    buyer_fee_atoms: int,
    seller_fee_atoms: int,
) -> None:
    """Move base and quote between two orders, out of what they hold; FEES is the caller's to credit."""
    spent_atoms = notional_atoms + buyer_fee_atoms
    if _by_budget(buyer):
        special_of(buyer).budget_atoms -= spent_atoms
        buyer.pledge.spend_held(spent_atoms, spent_atoms)
    else:
        buyer.pledge.spend_held(lots * buyer.lot_pledge_atoms, spent_atoms)
    base_atoms = lots * instrument.lot_atoms
    buyer.proceeds.free_atoms += base_atoms
    seller.pledge.spend_held(base_atoms, base_atoms)
    seller.proceeds.free_atoms += notional_atoms - seller_fee_atoms


def _give(instrument: Instrument, order: Order, lots: int) -> None:
    """Take traded lots out of an order."""
    if order.level is not None:
        instrument.book.take(order, lots)
    elif not (_by_budget(order) and order.side == _BUY):
        order.open_lots -= lots


def _lose(instrument: Instrument, order: Order, lots: int) -> None:
    """Take prevented lots out of an order."""
    if lots == 0 or (_by_budget(order) and order.side == _BUY):
        return
    if order.level is None:
        order.open_lots -= lots
    elif lots == order.open_lots:
        instrument.book.remove(order)
        order.open_lots = 0
    else:
        instrument.book.reduce(order, lots)
    if order.special is None:
        order.special = Special(cap_ppm=instrument.cap_ppm)
        instrument.specials += 1
    order.special.prevented_lots += lots


def _by_budget(order: Order) -> bool:
    return order.special is not None and order.special.terms.budget_atoms > 0


def _open_lots(order: Order) -> int:
    """Return the lots that an order is said to have left; by budget it has none to speak of."""
    return 0 if _by_budget(order) else order.open_lots

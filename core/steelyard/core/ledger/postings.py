"""What each event moves, as double entries, each with its cause.

Everything is said by the events alone, so whoever has them from the first one on has every balance.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol

from steelyard.core.events import (
    AnyEvent,
    Deposited,
    FundsHeld,
    HoldReleased,
    LotsTransferred,
    ReferralEarned,
    ReferralPaid,
    Traded,
    Transferred,
    Withdrawn,
)
from steelyard.core.units import FEES, OMNIBUS, REFERRAL, AccountId, AssetId, InstrumentId, Side


class Cause(IntEnum):
    """Why money moved.  Numbers are append-only."""

    DEPOSIT = 1
    WITHDRAWAL = 2
    TRANSFER = 3
    """Within a family."""
    TRADE = 4
    FEE = 5
    REBATE = 6
    SELF_TRADE = 7
    """Changed hands between an owner's own orders, without a fee."""
    REFERRAL = 8
    """A referrer's share: from FEES to REFERRAL when it is earned, from there when it is paid."""
    HOLD = 9
    """Set aside; giver and taker are the same account, whose free funds become held ones."""
    RELEASE = 10
    """Free again; giver and taker are the same account."""


class Posting(NamedTuple):
    """``atoms``, above zero, go from the giver to the taker."""

    giver: AccountId
    taker: AccountId
    asset: AssetId
    atoms: int
    cause: Cause


class Pair(Protocol):
    """What has to be known of an instrument: an ``Instrument``, or the ``InstrumentListed`` that made it."""

    @property
    def base(self) -> AssetId:
        """The asset that is bought and sold."""

    @property
    def quote(self) -> AssetId:
        """The asset that pays for it."""

    @property
    def lot_atoms(self) -> int:
        """Atoms of the base per lot."""


#: (account, asset) to atoms.
Balances = dict[tuple[AccountId, AssetId], int]
#: Anything that leads from an instrument to its pair.
Pairs = Mapping[InstrumentId, Pair]


def postings(event: AnyEvent, pairs: Pairs) -> list[Posting]:
    """Return what ``event`` moves between accounts, or between an account's free and held funds.

    An order's pledge is not among them: what is held for an order follows from the order.

    Raises ``KeyError`` if the event is of an instrument that is not among ``pairs``.
    """
    match event:
        case Deposited():
            return [_posting(OMNIBUS, event.account, event.asset, event.amount_atoms, Cause.DEPOSIT)]
        case Withdrawn():
            return [_posting(event.account, OMNIBUS, event.asset, event.amount_atoms, Cause.WITHDRAWAL)]
        case Transferred():
            return [_posting(event.giver, event.taker, event.asset, event.amount_atoms, Cause.TRANSFER)]
        case Traded():
            return _traded(event, pairs[event.instrument])
        case LotsTransferred():
            return _exchanged(
                event.buyer,
                event.seller,
                pairs[event.instrument],
                event.size_lots,
                event.notional_atoms,
                Cause.SELF_TRADE,
            )
        case ReferralEarned():
            return [_posting(FEES, REFERRAL, event.asset, event.amount_atoms, Cause.REFERRAL)]
        case ReferralPaid():
            return [_posting(REFERRAL, event.account, event.asset, event.amount_atoms, Cause.REFERRAL)]
        case FundsHeld():
            return [_posting(event.account, event.account, event.asset, event.amount_atoms, Cause.HOLD)]
        case HoldReleased():
            return [_posting(event.account, event.account, event.asset, event.amount_atoms, Cause.RELEASE)]
        case _:
            return []


def post(balances: Balances, events: Iterable[AnyEvent], pairs: Pairs) -> None:
    """Add what ``events`` move to ``balances``, free and held together, the system's own accounts included.

    Begun with nothing and given all events from the first, they are the balances of the state.
    """
    for event in events:
        for giver, taker, asset, atoms, _ in postings(event, pairs):
            balances[giver, asset] = balances.get((giver, asset), 0) - atoms
            balances[taker, asset] = balances.get((taker, asset), 0) + atoms


def _traded(event: Traded, pair: Pair) -> list[Posting]:
    buyer, seller = event.maker, event.taker
    if event.taker_side == Side.BUY:
        buyer, seller = seller, buyer
    moved = _exchanged(buyer, seller, pair, event.size_lots, event.notional_atoms, Cause.TRADE)
    for account, fee_atoms in ((event.taker, event.taker_fee_atoms), (event.maker, event.maker_fee_atoms)):
        if fee_atoms > 0:
            moved.append(_posting(account, FEES, pair.quote, fee_atoms, Cause.FEE))
        elif fee_atoms < 0:
            moved.append(_posting(FEES, account, pair.quote, -fee_atoms, Cause.REBATE))
    return moved


def _exchanged(
    buyer: AccountId, seller: AccountId, pair: Pair, size_lots: int, notional_atoms: int, cause: Cause
) -> list[Posting]:
    return [
        _posting(seller, buyer, pair.base, size_lots * pair.lot_atoms, cause),
        _posting(buyer, seller, pair.quote, notional_atoms, cause),
    ]


def _posting(giver: AccountId, taker: AccountId, asset: AssetId, atoms: int, cause: Cause) -> Posting:
    assert atoms > 0, (giver, taker, asset, atoms, cause)
    return Posting(giver, taker, asset, atoms, cause)

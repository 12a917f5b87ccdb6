"""What each event moves, as double entries, each with its cause.

Everything is said by the events alone, so whoever has them from the first one on has every balance.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple, Protocol

from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    ContractSettled,
    DebtRepaid,
    DebtTaken,
    Deposited,
    FundingPaid,
    FundingSwept,
    FundsHeld,
    HoldReleased,
    InsuranceFunded,
    LiquidationPaid,
    LossShared,
    LotsTransferred,
    MarginMoved,
    PositionSettled,
    PositionsTraded,
    ReferralEarned,
    ReferralPaid,
    Traded,
    Transferred,
    Withdrawn,
)
from steelyard.core.units import (
    BAD_DEBT,
    CLEARING,
    FEES,
    FUNDING,
    INSURANCE,
    OMNIBUS,
    REFERRAL,
    ROUNDING,
    AccountId,
    AssetId,
    InstrumentId,
    Side,
)


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
    MARGIN = 11
    """Paid into a margin wallet, or out of it; giver and taker are the same account."""
    PNL = 12
    """What closing lots of a contract realised, to or from CLEARING."""
    FUNDING = 13
    """Between longs and shorts, through the account of that name."""
    LIQUIDATION = 14
    """The fund's share of what a liquidated position's lots brought beyond their bankruptcy price."""
    INSURANCE = 15
    """Paid into the fund or out of it by the operator, or given by it for what a position lacks."""
    ADL = 16
    """What lots realised that were closed against a bankrupt position, on both sides."""
    SETTLEMENT = 17
    """What a closed contract's positions realised at its final price."""
    DEBT = 18
    """A loss that nobody could pay, taken over by BAD_DEBT."""
    SHARED_LOSS = 19
    """Taken by BAD_DEBT from who has a gain."""
    ROUNDING = 20
    """What roundings left in FUNDING or CLEARING."""
    REPAYMENT = 21
    """Paid by INSURANCE for what BAD_DEBT had taken over."""


class Posting(NamedTuple):
    """``atoms``, above zero, go from the giver to the taker."""

    giver: AccountId
    taker: AccountId
    asset: AssetId
    atoms: int
    cause: Cause


class Pair(Protocol):
    """What has to be known of an instrument: an ``Instrument``, or the event of its listing."""

    @property
    def base(self) -> AssetId:
        """The asset that is bought and sold."""

    @property
    def quote(self) -> AssetId:
        """The asset that pays for it."""

    @property
    def lot_atoms(self) -> int:
        """Atoms of the base per lot of a spot instrument."""

    @property
    def settle(self) -> AssetId | None:
        """The asset in which a contract is settled; None for spot."""


#: (account, asset) to atoms.
Balances = dict[tuple[AccountId, AssetId], int]
#: Anything that leads from an instrument to its pair.
Pairs = Mapping[InstrumentId, Pair]


def postings(event: AnyEvent, pairs: Pairs) -> list[Posting]:
    """Return what ``event`` moves between accounts, or out of and back to an account's free funds.

    An order's pledge is not among them: what is held for an order follows from the order.  Nor is what moves
    between an account's margin wallet, its buckets and what its isolated orders hold.

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
        case MarginMoved():
            return _moved(event.account, event.account, event.asset, event.amount_atoms, Cause.MARGIN)
        case InsuranceFunded():
            return _moved(OMNIBUS, INSURANCE, event.asset, event.amount_atoms, Cause.INSURANCE)
        case DebtTaken():
            return [
                *_moved(INSURANCE, event.account, event.asset, event.insurance_atoms, Cause.INSURANCE),
                *_moved(BAD_DEBT, event.account, event.asset, event.debt_atoms, Cause.DEBT),
            ]
        case DebtRepaid():
            return [_posting(INSURANCE, BAD_DEBT, event.asset, event.atoms, Cause.REPAYMENT)]
        case LossShared():
            return [
                _posting(account, BAD_DEBT, event.asset, atoms, Cause.SHARED_LOSS)
                for account, _, atoms in event.shares
            ]
        case (
            PositionsTraded()
            | FundingPaid()
            | FundingSwept()
            | LiquidationPaid()
            | AdlSettled()
            | PositionSettled()
            | ContractSettled()
        ):
            settle = pairs[event.instrument].settle
            assert settle is not None, event.instrument
            return _of_contract(event, settle)
        case _:
            return []


def post(balances: Balances, events: Iterable[AnyEvent], pairs: Pairs) -> None:
    """Add what ``events`` move to ``balances``: all that an account has, the system's own included.

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
    moved: list[Posting] = []
    if pair.settle is None:
        moved += _exchanged(buyer, seller, pair, event.size_lots, event.notional_atoms, Cause.TRADE)
    paid = pair.settle or pair.quote
    for account, fee_atoms in ((event.taker, event.taker_fee_atoms), (event.maker, event.maker_fee_atoms)):
        if fee_atoms > 0:
            moved.append(_posting(account, FEES, paid, fee_atoms, Cause.FEE))
        elif fee_atoms < 0:
            moved.append(_posting(FEES, account, paid, -fee_atoms, Cause.REBATE))
    return moved


_OfContract = (
    PositionsTraded
    | FundingPaid
    | FundingSwept
    | LiquidationPaid
    | AdlSettled
    | PositionSettled
    | ContractSettled
)


def _of_contract(event: _OfContract, settle: AssetId) -> list[Posting]:
    """Return what an event moves in a contract's settle asset: funding first, then what was realised."""
    match event:
        case PositionsTraded():
            return [
                *_moved(event.maker, FUNDING, settle, event.maker_funding_atoms, Cause.FUNDING),
                *_moved(CLEARING, event.maker, settle, event.maker_realised_atoms, Cause.PNL),
                *_moved(event.taker, FUNDING, settle, event.taker_funding_atoms, Cause.FUNDING),
                *_moved(CLEARING, event.taker, settle, event.taker_realised_atoms, Cause.PNL),
            ]
        case FundingPaid():
            return _moved(event.account, FUNDING, settle, event.paid_atoms, Cause.FUNDING)
        case FundingSwept():
            return _moved(FUNDING, ROUNDING, settle, event.rounding_atoms, Cause.ROUNDING)
        case LiquidationPaid():
            cause = Cause.LIQUIDATION if event.insurance_atoms > 0 else Cause.INSURANCE
            return _moved(event.account, INSURANCE, settle, event.insurance_atoms, cause)
        case AdlSettled():
            moved: list[Posting] = []
            sides = [(row.account, row.funding_atoms, row.realised_atoms) for row in event.givers]
            sides.append((event.account, event.funding_atoms, event.realised_atoms))
            for account, funding_atoms, realised_atoms in sides:
                moved += _moved(account, FUNDING, settle, funding_atoms, Cause.FUNDING)
                moved += _moved(CLEARING, account, settle, realised_atoms, Cause.ADL)
            return moved
        case PositionSettled():
            return [
                *_moved(event.account, FUNDING, settle, event.funding_atoms, Cause.FUNDING),
                *_moved(CLEARING, event.account, settle, event.realised_atoms, Cause.SETTLEMENT),
            ]
        case ContractSettled():
            cleared_atoms = event.rounding_atoms - event.funding_atoms
            return [
                *_moved(FUNDING, ROUNDING, settle, event.funding_atoms, Cause.ROUNDING),
                *_moved(CLEARING, ROUNDING, settle, cleared_atoms, Cause.ROUNDING),
            ]


def _exchanged(
    buyer: AccountId, seller: AccountId, pair: Pair, size_lots: int, notional_atoms: int, cause: Cause
) -> list[Posting]:
    return [
        _posting(seller, buyer, pair.base, size_lots * pair.lot_atoms, cause),
        _posting(buyer, seller, pair.quote, notional_atoms, cause),
    ]


def _moved(giver: AccountId, taker: AccountId, asset: AssetId, atoms: int, cause: Cause) -> list[Posting]:
    """Return one posting, the other way round if ``atoms`` is below zero; none of zero."""
    if atoms == 0:
        return []
    if atoms < 0:
        giver, taker, atoms = taker, giver, -atoms
    return [_posting(giver, taker, asset, atoms, cause)]


def _posting(giver: AccountId, taker: AccountId, asset: AssetId, atoms: int, cause: Cause) -> Posting:
    assert atoms > 0, (giver, taker, asset, atoms, cause)
    return Posting(giver, taker, asset, atoms, cause)

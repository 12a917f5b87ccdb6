"""What happens to an account, as its sessions hear it."""

from typing import NamedTuple

from steelyard.client.commands import OrderTerms
from steelyard.client.words import (
    AccountStep,
    FundsCause,
    LiquidationStep,
    OrderStep,
    PositionStep,
    RiskLevel,
)


class Fill(NamedTuple):
    """One side of a trade."""

    log_index: int
    event_number: int
    log_time_ns: int
    trade: int
    instrument: int
    order: int
    number: int
    side: int
    maker: bool
    price_ticks: int
    size_lots: int
    notional_atoms: int
    fee_atoms: int
    open_lots: int


class OrderEvent(NamedTuple):
    """An order took a step; ``lots`` is its size with ACCEPTED and REPLACED, else what was open.

    ``reason`` comes with EXPIRED; ``before``, the number it had, with REPLENISHED and REPLACED; ``terms``
    with TERMS, AMENDED and CONTRACT; ``state`` and ``list_number`` with TERMS; ``label`` with ACCEPTED and
    AMENDED; ``liquidation``, whose step the order is, with CONTRACT.
    """

    log_index: int
    event_number: int
    log_time_ns: int
    step: OrderStep
    instrument: int
    order: int
    number: int
    side: int
    price_ticks: int
    lots: int
    reason: str = ""
    before: int = 0
    terms: OrderTerms | None = None
    state: int = 0
    list_number: int = 0
    label: str = ""
    kind: int = 0
    time_in_force: int = 0
    liquidation: int = 0


class FundsEvent(NamedTuple):
    """Money came in (above zero) or went out."""

    log_index: int
    event_number: int
    log_time_ns: int
    asset: int
    amount_atoms: int
    free_atoms: int
    cause: FundsCause = FundsCause.UNKNOWN
    other: int = 0


class PreventedEvent(NamedTuple):
    """One of the account's orders met another of its own side of the house, and did not trade with it."""

    log_index: int
    event_number: int
    log_time_ns: int
    instrument: int
    mode: int
    order: int
    number: int
    maker: bool
    price_ticks: int
    prevented_lots: int
    open_lots: int


class LotsEvent(NamedTuple):
    """Follows a prevention of mode TRANSFER: lots and money changed hands without a fee, and no trade."""

    log_index: int
    event_number: int
    log_time_ns: int
    instrument: int
    side: int
    price_ticks: int
    size_lots: int
    notional_atoms: int
    other: int


class AccountEvent(NamedTuple):
    """Something about the account itself; ``amount`` and ``until_ns`` as the step has them."""

    log_index: int
    event_number: int
    log_time_ns: int
    step: AccountStep
    instrument: int
    asset: int
    amount: int
    until_ns: int


class EventsMissed(NamedTuple):
    """The node no longer held all events after ``after_index``; they are complete above ``log_index``."""

    log_index: int
    event_number: int
    log_time_ns: int
    after_index: int


class PositionEvent(NamedTuple):
    """Something about one of the account's positions; which numbers are said depends on the step.

    * TRADED: ``trade``, the lots and the cash flow afterwards, what was realised and the funding paid by it.
    * FUNDED: ``funding_atoms``, below zero: received.
    * SETTLED: the lots that ended at ``price_ticks``, realised and funding.
    * DELEVERAGED: ``liquidation``, the ``lots`` closed at the mark ``price_ticks``, ``amount_atoms`` is their
      cash, realised and funding; who gave them was at ``place`` (1 is first, zero: it was the bankrupt
      itself) of the ``ranked`` opposite positions.
    * LEVERAGE: ``leverage``, and what came from the margin wallet for it (``amount_atoms``).
    * BUCKET: what came from the wallet, below zero went, and ``bucket_atoms`` afterwards.
    * MODES: ``margin`` (a ``MarginMode``) and ``hedge``.
    * LOSS_SHARED: ``liquidation``, and what was borne (``amount_atoms``).
    """

    log_index: int
    event_number: int
    log_time_ns: int
    step: PositionStep
    instrument: int
    leg: int = 0
    trade: int = 0
    qty_lots: int = 0
    cash_flow_atoms: int = 0
    realised_atoms: int = 0
    funding_atoms: int = 0
    lots: int = 0
    price_ticks: int = 0
    amount_atoms: int = 0
    bucket_atoms: int = 0
    leverage: int = 0
    margin: int = 0
    hedge: bool = False
    liquidation: int = 0
    place: int = 0
    ranked: int = 0


class MarginEvent(NamedTuple):
    """Free funds went to the margin wallet (above zero) or came back; what there is of both afterwards."""

    log_index: int
    event_number: int
    log_time_ns: int
    asset: int
    amount_atoms: int
    free_atoms: int
    wallet_atoms: int


class RiskEvent(NamedTuple):
    """A margin wallet (``instrument`` is zero) or an isolated position crossed a threshold.

    ``ratio_ppm`` is maintenance margin by equity, 10**9 without equity.
    """

    log_index: int
    event_number: int
    log_time_ns: int
    asset: int
    instrument: int
    leg: int
    before: RiskLevel
    after: RiskLevel
    ratio_ppm: int


class LiquidationEvent(NamedTuple):
    """Something about a liquidation of the account's; which numbers are said depends on the step.

    * STARTED: equity and maintenance margin; ``instrument`` zero: of a margin wallet.
    * PAID: what ``lots`` lots brought (below zero: cost), had to bring, and the insurance fund took.
    * DELEVERAGED: the ``lots`` closed against others, and their cash.
    * DEBT: what the insurance fund paid, and what nobody has paid.
    * ENDED: ``how`` (a ``LiquidationEnd``), equity and maintenance margin.
    """

    log_index: int
    event_number: int
    log_time_ns: int
    step: LiquidationStep
    liquidation: int
    asset: int = 0
    instrument: int = 0
    leg: int = 0
    equity_atoms: int = 0
    maintenance_atoms: int = 0
    lots: int = 0
    received_atoms: int = 0
    bankruptcy_atoms: int = 0
    insurance_atoms: int = 0
    debt_atoms: int = 0
    how: int = 0


Event = (
    Fill
    | OrderEvent
    | FundsEvent
    | PreventedEvent
    | LotsEvent
    | AccountEvent
    | PositionEvent
    | MarginEvent
    | RiskEvent
    | LiquidationEvent
    | EventsMissed
)

"""What happens to an account, as its sessions hear it."""

from typing import NamedTuple

from steelyard.client.commands import OrderTerms
from steelyard.client.words import AccountStep, FundsCause, OrderStep


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
    with TERMS and AMENDED; ``state`` and ``list_number`` with TERMS; ``label`` with ACCEPTED and AMENDED.
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


Event = Fill | OrderEvent | FundsEvent | PreventedEvent | LotsEvent | AccountEvent | EventsMissed

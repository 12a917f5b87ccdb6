"""Several orders in one command: lists, replacements and batches."""

from steelyard.core.commands.base import Command
from steelyard.core.commands.contracts import PlaceContractOrder
from steelyard.core.commands.orders import AmendOrder, CancelOrder, PlaceOrder, PlaceOrderOnTerms
from steelyard.core.units import AccountId, BatchMode, InstrumentId, ListKind


class PlaceOrderList(Command, frozen=True, kw_only=True, tag=33):
    """Place two or three orders of one account and instrument that depend on each other.

    All are taken or none; a fault is reported for the list and names the leg.  OCO: a limit order and one
    with a trigger, or two with triggers, on the same side; they pledge once, the larger of both.
    OTO, OTOCO: the legs after the first are held against prices, and pledge, when they are admitted.
    """

    account: AccountId
    instrument: InstrumentId
    kind: ListKind
    legs: list[PlaceOrderOnTerms | PlaceContractOrder]


class ReplaceOrder(Command, frozen=True, kw_only=True, tag=35):
    """Cancel one order and place another, in one command.

    The pledge of the first is free for the second.  If the first is gone, nothing is placed unless
    ``place_anyway``; if the second is refused, the first stays unless ``cancel_anyway``.
    """

    cancel: CancelOrder
    place: PlaceOrderOnTerms | PlaceContractOrder
    place_anyway: bool = False
    cancel_anyway: bool = False


Leg = PlaceOrder | PlaceOrderOnTerms | PlaceContractOrder | CancelOrder | AmendOrder


class Batch(Command, frozen=True, kw_only=True, tag=36):
    """Up to ``BATCH_MAX`` commands of one account in one request.

    EACH: every leg stands for itself, in order.  ALL_OR_NONE: cancels, amends that lower a size at the same
    price, and limit orders that rest (GTC, with or without post-only, nothing that would trade); cancels and
    amends act first, what they release counts, and one fault refuses the whole and names the leg.
    """

    account: AccountId
    mode: BatchMode
    legs: list[Leg]

"""What a trader can ask for, in integers as the exchange counts them; ``orders`` makes them from decimals."""

from typing import NamedTuple

from steelyard.client.words import BatchMode, OrderKind, PriceSource, TimeInForce


class OrderTerms(NamedTuple):
    """The uncommon terms of an order; each default says nothing.

    ``trigger`` is a ``TriggerKind`` or zero, ``self_trade`` a ``SelfTrade`` or zero.  The last three are of
    contracts: ``leg`` is a ``PositionLeg`` or zero, which says NET of a contract and nothing of spot.
    """

    expires_ns: int = 0
    slide: bool = False
    budget_atoms: int = 0
    trigger: int = 0
    trigger_source: int = PriceSource.LAST
    trigger_ticks: int = 0
    callback_ppm: int = 0
    display_lots: int = 0
    self_trade: int = 0
    leg: int = 0
    reduce_only: bool = False
    close_position: bool = False


NO_TERMS = OrderTerms()


class PlaceOrder(NamedTuple):
    """Place an order; integers as the exchange counts them.

    ``order`` zero lets the session choose one.
    """

    instrument: int
    side: int
    size_lots: int
    limit_ticks: int = 0
    order: int = 0
    kind: int = OrderKind.LIMIT
    time_in_force: int = TimeInForce.GTC
    post_only: bool = False
    label: str = ""
    not_after_ns: int = 0
    terms: OrderTerms | None = None


class CancelOrder(NamedTuple):
    """Cancel an order, named in exactly one way: client's ``order``, exchange's ``number``, or ``label``."""

    order: int = 0
    number: int = 0
    label: str = ""
    not_after_ns: int = 0


class PlaceOrderList(NamedTuple):
    """Place two or three orders that depend on each other; all are taken or none."""

    kind: int
    legs: tuple[PlaceOrder, ...]
    not_after_ns: int = 0


class AmendOrder(NamedTuple):
    """Change a living order, named in exactly one way; what is zero, or None, stays as it is.

    ``size_lots`` is the new total, what was executed included; ``expires_ns`` of -1: good till cancelled.
    """

    order: int = 0
    number: int = 0
    label: str = ""
    size_lots: int = 0
    limit_ticks: int = 0
    trigger_ticks: int = 0
    callback_ppm: int = 0
    display_lots: int = 0
    expires_ns: int = 0
    new_label: str | None = None
    not_after_ns: int = 0


class ReplaceOrder(NamedTuple):
    """Cancel one order and place another, as one."""

    cancel: CancelOrder
    place: PlaceOrder
    place_anyway: bool = False
    cancel_anyway: bool = False
    not_after_ns: int = 0


Leg = PlaceOrder | CancelOrder | AmendOrder


class Batch(NamedTuple):
    """Up to 100 commands in one."""

    legs: tuple[Leg, ...]
    mode: int = BatchMode.EACH
    not_after_ns: int = 0


class CancelOrders(NamedTuple):
    """Cancel all of the account's living orders; of one instrument or side, or of all (zero)."""

    instrument: int = 0
    side: int = 0
    sub_accounts: bool = False
    not_after_ns: int = 0


class ArmCountdown(NamedTuple):
    """Cancel the account's orders unless armed again in time; zero disarms."""

    countdown_ms: int
    instrument: int = 0
    not_after_ns: int = 0


class Transfer(NamedTuple):
    """Move free funds within a family of accounts; an account of zero is the session's own."""

    asset: int
    amount_atoms: int
    giver: int = 0
    taker: int = 0
    not_after_ns: int = 0


class SetSelfTrade(NamedTuple):
    """Choose the account's default; zero: the instrument's."""

    mode: int
    not_after_ns: int = 0


class OpenSubAccount(NamedTuple):
    """Open an account that belongs to the session's account."""

    account: int
    permissions: int
    not_after_ns: int = 0


class SetLeverage(NamedTuple):
    """Choose the leverage of a position; zero: none.  An account of zero is the session's own."""

    instrument: int
    leverage: int
    leg: int = 0
    account: int = 0
    not_after_ns: int = 0


class SetContractModes(NamedTuple):
    """Choose a ``MarginMode``, and one position or two (hedge), while there is neither position nor order."""

    instrument: int
    margin: int
    hedge: bool = False
    account: int = 0
    not_after_ns: int = 0


class MoveMargin(NamedTuple):
    """Move free funds to the margin wallet of their asset (above zero), or back (below zero)."""

    asset: int
    amount_atoms: int
    account: int = 0
    not_after_ns: int = 0


class AdjustBucket(NamedTuple):
    """Add to the bucket of an isolated position from the margin wallet (above zero), or remove (below)."""

    instrument: int
    amount_atoms: int
    leg: int = 0
    account: int = 0
    not_after_ns: int = 0


class PayReferral(NamedTuple):
    """Move what was earned as a referrer to the account's free funds."""

    asset: int
    not_after_ns: int = 0


Command = (
    PlaceOrder
    | CancelOrder
    | PlaceOrderList
    | AmendOrder
    | ReplaceOrder
    | Batch
    | CancelOrders
    | ArmCountdown
    | Transfer
    | SetSelfTrade
    | OpenSubAccount
    | PayReferral
    | SetLeverage
    | SetContractModes
    | MoveMargin
    | AdjustBucket
)

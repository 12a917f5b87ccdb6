"""What the slow exchange is made of: rows of its tables, its way to say no, and its arithmetic."""

from copy import copy
from dataclasses import dataclass, field
from typing import Self

from steelyard.core import commands, limits
from steelyard.core.commands import (
    HoldFunds,
    ListInstrument,
    OrderTerms,
    SetInstrumentRules,
)
from steelyard.core.entry import (
    AnyReply,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderKind,
    OrderState,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)
from steelyard.core.units import Leg as PositionLeg

TOO_BIG = 2**62
MILLION = 10**6
#: READ, TRADE, TRANSFER, WITHDRAW, OPERATE; version 2 adds FEED.
FIRST_PERMISSIONS = 31
ALL_PERMISSIONS = 63
#: The reasons that version 1 has a number for end here.
FIRST_REJECTS = Reject.STORAGE_LOW

#: The moves of an instrument between its states that an operator can ask for, as a table.
MOVES = {
    InstrumentState.PRE_OPEN: (InstrumentState.POST_ONLY, InstrumentState.CLOSED),
    InstrumentState.POST_ONLY: (
        InstrumentState.OPEN,
        InstrumentState.CANCEL_ONLY,
        InstrumentState.HALTED,
        InstrumentState.CLOSED,
    ),
    InstrumentState.OPEN: (
        InstrumentState.POST_ONLY,
        InstrumentState.CANCEL_ONLY,
        InstrumentState.HALTED,
        InstrumentState.CLOSED,
    ),
    InstrumentState.CANCEL_ONLY: (
        InstrumentState.POST_ONLY,
        InstrumentState.HALTED,
        InstrumentState.CLOSED,
    ),
    InstrumentState.HALTED: (
        InstrumentState.POST_ONLY,
        InstrumentState.CANCEL_ONLY,
        InstrumentState.CLOSED,
    ),
    InstrumentState.AUCTION: (
        InstrumentState.CANCEL_ONLY,
        InstrumentState.HALTED,
        InstrumentState.CLOSED,
    ),
    InstrumentState.CLOSED: (),
}

#: From where a call auction may begin.
AUCTION_FROM = (
    InstrumentState.PRE_OPEN,
    InstrumentState.HALTED,
    InstrumentState.CANCEL_ONLY,
    InstrumentState.POST_ONLY,
)

#: What version 1 does not know.
SINCE_VERSION_2 = (
    commands.AmendOrder,
    commands.ArmCountdown,
    commands.Batch,
    commands.CancelOrders,
    commands.HoldFunds,
    commands.OpenSubAccount,
    commands.PayReferral,
    commands.PlaceOrderList,
    commands.PlaceOrderOnTerms,
    commands.ReleaseHold,
    commands.ReplaceOrder,
    commands.ScheduleState,
    commands.SetAccountRules,
    commands.SetAccountTier,
    commands.SetFeeTier,
    commands.SetFrozen,
    commands.SetInstrumentRules,
    commands.SetLegalHold,
    commands.SetMark,
    commands.SetOrderLimit,
    commands.SetReferrer,
    commands.SetSelfTrade,
    commands.StartAuction,
    commands.Transfer,
)


def ceil_div(a: int, b: int) -> int:
    """Divide, rounding up; ``b`` above zero."""
    return -((-a) // b)


def fee_of(notional: int, rate_ppm: int) -> int:
    """Return the fee of a fill: what is charged rounded up, what is given back rounded down."""
    return ceil_div(notional * rate_ppm, MILLION) if rate_ppm >= 0 else -(notional * -rate_ppm // MILLION)


def printable(text: str, length_max: int) -> bool:
    """Tell whether a text is ASCII from space to tilde and not too long."""
    return len(text) <= length_max and all(" " <= letter <= "~" for letter in text)


def symbolic(text: str) -> bool:
    """Tell whether a text may name what is listed."""
    return 1 <= len(text) <= limits.SYMBOL_MAX and all(letter in limits.SYMBOL_ALPHABET for letter in text)


class Row:
    """A row of plain values, none of which changes in itself: a copy of it needs no copies of them."""

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a copy of the row."""
        return copy(self)


@dataclass
class Key(Row):
    """An API key."""

    account: int
    permissions: int
    expires_ns: int
    revoked: bool = False


@dataclass
class Session:
    """A session, with every reply it still keeps."""

    account: int
    name: str
    used_ns: int
    last: int = 0
    wants_from: int = 1
    replies: dict[int, tuple[int, AnyReply]] = field(default_factory=dict)


@dataclass
class Account:
    """A customer's account and what has been decided about it; ``recent`` are its closed orders' ids."""

    master: int = 0
    permissions: int = ALL_PERMISSIONS
    trade_group: int = 0
    orders_max: int = 0
    order_limits: dict[int, tuple[int, int]] = field(default_factory=dict)
    self_trade: SelfTrade | None = None
    frozen: bool = False
    legal_hold: bool = False
    holds: dict[int, HoldFunds] = field(default_factory=dict)
    tier: int = 0
    referrer: int = 0
    share_ppm: int = 0
    owed: dict[int, int] = field(default_factory=dict)
    recent: list[int] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a copy of the row, with tables of its own."""
        copied = copy(self)
        copied.order_limits, copied.holds = dict(self.order_limits), dict(self.holds)
        copied.owed, copied.recent = dict(self.owed), list(self.recent)
        return copied


@dataclass
class Market(Row):
    """An instrument.  ``uncross`` is the price of an auction while it makes its trades, else zero.

    The halt window began at ``window_ns`` (zero: none has) with the last price ``anchor``.
    """

    spec: ListInstrument
    lot_atoms: int
    k: int
    rules: SetInstrumentRules
    state: InstrumentState = InstrumentState.PRE_OPEN
    last: int = 0
    mark: int = 0
    anchor: int = 0
    window_ns: int = 0
    next_state: InstrumentState | None = None
    next_ns: int = 0
    uncross: int = 0


def no_rules(instrument: InstrumentId) -> SetInstrumentRules:
    """Return the rules of an instrument for which none were set."""
    return SetInstrumentRules(instrument=instrument)


@dataclass(eq=False)
class Order(Row):
    """A living order, wherever it is.

    ``price`` is its limit: a market order's protection price.  ``open`` is all it may still trade; if it is
    ``resting``, the book shows ``shown`` of that.  By budget, ``size`` and ``open`` are zero; ``budget`` and,
    of a sell, ``stock`` are what is left.  ``extreme`` is the best price an active trailing order has seen.
    What ends in ``now`` counts what one command traded.

    Of a contract: ``reduce_only`` is said or follows from the leg; ``about_position``: its command can only
    be about one; ``lot_pledge`` is what a lot holds for an isolated position.
    """

    account: int
    instrument: int
    order: int
    label: str
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    post_only: bool
    terms: OrderTerms
    price: int
    size: int
    open: int
    cap_ppm: int = 0
    number: int = 0
    state: OrderState = OrderState.WORKING
    resting: bool = False
    shown: int = 0
    executed: int = 0
    prevented: int = 0
    budget: int = 0
    stock: int = 0
    list_number: int = 0
    extreme: int = 0
    leg: PositionLeg = PositionLeg.NET
    reduce_only: bool = False
    close_position: bool = False
    about_position: bool = False
    liquidation: int = 0
    lot_pledge: int = 0
    lots_now: int = 0
    atoms_now: int = 0
    fees_now: int = 0

    @property
    def buying(self) -> bool:
        """Whether it buys."""
        return self.side == Side.BUY

    @property
    def trailing(self) -> bool:
        """Whether its trigger follows the price."""
        return self.terms.callback_ppm > 0

    @property
    def on_rise(self) -> bool:
        """Whether its ``trigger_ticks`` is met from below."""
        return (self.terms.trigger == TriggerKind.STOP) == self.buying

    def met(self, price: int) -> bool:
        """Tell whether a price meets ``trigger_ticks``."""
        return price >= self.terms.trigger_ticks if self.on_rise else price <= self.terms.trigger_ticks


@dataclass(eq=False)
class OrderList:
    """Orders that depend on each other; ``legs`` are those alive, in the order of placing."""

    kind: ListKind
    legs: list[Order]


class Refusal(Exception):
    """A command is refused; nothing has been changed yet."""

    def __init__(self, reason: Reject, expected: int = 0) -> None:
        super().__init__(reason.name)
        self.reason = reason
        self.expected = expected


def refuse_if(condition: bool, reason: Reject, expected: int = 0) -> None:
    """Raise the refusal if the condition holds."""
    if condition:
        raise Refusal(reason, expected)

"""Names for the integers of the exchange: ids, sides, kinds, and what the last word of a name means.

Every quantity says its unit last: ``_ticks`` and ``_lots`` are an instrument's price and size steps,
``_atoms`` an asset's smallest unit, ``_ppm`` parts per million, ``_ns`` nanoseconds of log time.
"""

from enum import IntEnum, IntFlag
from typing import Final, NewType

AccountId = NewType("AccountId", int)
AssetId = NewType("AssetId", int)
InstrumentId = NewType("InstrumentId", int)
#: Picked by the client, unique among an account's living orders.
OrderId = NewType("OrderId", int)
#: Given by the exchange, increasing; it is the order's time priority and its public id.
OrderNumber = NewType("OrderNumber", int)
TradeId = NewType("TradeId", int)
#: Given by the exchange from the same counter as order numbers: one-cancels-other and the like.
ListNumber = NewType("ListNumber", int)
#: Picked by the operator, unique among an account's holds.
HoldId = NewType("HoldId", int)
SessionId = NewType("SessionId", int)
KeyId = NewType("KeyId", int)

#: The outside world: minus everything that was deposited and has not left.  The one balance below zero.
OMNIBUS: Final = AccountId(1)
#: Fees kept.
FEES: Final = AccountId(2)
#: What roundings leave over; visible, never below zero.
ROUNDING: Final = AccountId(3)
#: Referral shares earned and not yet paid out.
REFERRAL: Final = AccountId(4)
#: Owns the operator's keys and sessions; holds no money.
OPERATOR: Final = AccountId(9)
#: Customers' accounts start here.
FIRST_CUSTOMER: Final = AccountId(1000)

#: The key made when a group is founded.
OPERATOR_KEY: Final = KeyId(1)

PPM: Final = 1_000_000


class Side(IntEnum):
    """Which way an order trades."""

    BUY = 1
    SELL = 2


class OrderKind(IntEnum):
    """How an order's price is given."""

    LIMIT = 1
    MARKET = 2


class TimeInForce(IntEnum):
    """What happens to what does not trade at once."""

    GTC = 1
    IOC = 2
    FOK = 3


class InstrumentState(IntEnum):
    """What an instrument allows at the moment."""

    PRE_OPEN = 1
    POST_ONLY = 2
    OPEN = 3
    CANCEL_ONLY = 4
    HALTED = 5
    CLOSED = 6
    AUCTION = 7
    """Orders are collected and nothing trades, until one price is found for all."""


class Permission(IntFlag):
    """What an API key may do."""

    READ = 1
    TRADE = 2
    TRANSFER = 4
    WITHDRAW = 8
    OPERATE = 16
    FEED = 32
    """Set mark prices."""


class SelfTrade(IntEnum):
    """What happens when an order meets one of the same account, or of the same trade group."""

    NONE = 1
    """They trade."""
    EXPIRE_TAKER = 2
    EXPIRE_MAKER = 3
    EXPIRE_BOTH = 4
    DECREMENT = 5
    """Both shrink by the smaller rest."""
    TRANSFER = 6
    """As DECREMENT, and what is prevented changes hands without a fee, if both orders say so."""


class TriggerKind(IntEnum):
    """Which way the price must go to wake a waiting order.

    STOP buy and TAKE_PROFIT sell: at or above the trigger.  STOP sell and TAKE_PROFIT buy: at or below.
    """

    STOP = 1
    TAKE_PROFIT = 2


class PriceSource(IntEnum):
    """Which price wakes a waiting order."""

    LAST = 1
    MARK = 2


class OrderState(IntEnum):
    """Where a living order stands."""

    PENDING = 1
    """It waits for the first order of its list to be filled."""
    WAITING = 2
    """It waits for its trigger."""
    WORKING = 3
    """It is in the book."""


class ListKind(IntEnum):
    """How the orders of a list depend on each other."""

    OCO = 1
    """Two orders: any fill or the trigger of one cancels the other."""
    OTO = 2
    """The second is admitted when the first is completely filled, and ends with it otherwise."""
    OTOCO = 3
    """As OTO, and the second and third are an OCO."""


class BatchMode(IntEnum):
    """What one fault in a batch does to the rest."""

    EACH = 1
    ALL_OR_NONE = 2

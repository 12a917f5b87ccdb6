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
SessionId = NewType("SessionId", int)
KeyId = NewType("KeyId", int)

#: The outside world: minus everything that was deposited and has not left.  The one balance below zero.
OMNIBUS: Final = AccountId(1)
#: Fees kept.
FEES: Final = AccountId(2)
#: What roundings leave over; visible, never below zero.
ROUNDING: Final = AccountId(3)
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


class Permission(IntFlag):
    """What an API key may do."""

    READ = 1
    TRADE = 2
    TRANSFER = 4
    WITHDRAW = 8
    OPERATE = 16

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
#: An index price, which contracts lean on.
IndexId = NewType("IndexId", int)
#: Given by the exchange, increasing: one run of the liquidation engine over one scope.
LiquidationId = NewType("LiquidationId", int)

#: The outside world: minus everything that was deposited and has not left.  The one balance below zero.
OMNIBUS: Final = AccountId(1)
#: Fees kept.
FEES: Final = AccountId(2)
#: What roundings leave over; visible, never below zero.
ROUNDING: Final = AccountId(3)
#: Referral shares earned and not yet paid out.
REFERRAL: Final = AccountId(4)
#: Pays for what bankrupt positions lack, as far as it goes.
INSURANCE: Final = AccountId(5)
#: Minus the negative balances taken over and not shared yet; never above zero.
BAD_DEBT: Final = AccountId(6)
#: The other side of realised profits and losses, over all contracts of a settle asset.
CLEARING: Final = AccountId(7)
#: Passes funding payments through; between two rounds it holds nothing.
FUNDING: Final = AccountId(8)
#: Owns the operator's keys and sessions; holds no money.
OPERATOR: Final = AccountId(9)
#: Customers' accounts start here.
FIRST_CUSTOMER: Final = AccountId(1000)

#: The key made when a group is founded.
OPERATOR_KEY: Final = KeyId(1)

PPM: Final = 1_000_000
PPB: Final = 1_000_000_000


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
    INDEX = 3
    """Of a contract: the price of its index."""


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


class ContractKind(IntEnum):
    """How a contract's value follows its price."""

    LINEAR = 1
    """Settled in the quote: a lot is worth ``price * k``."""
    INVERSE = 2
    """Settled in the base: a lot is worth ``S / price``."""


class MarginMode(IntEnum):
    """What stands behind a position."""

    CROSS = 1
    """The account's whole margin wallet of the settle asset, with all its cross positions."""
    ISOLATED = 2
    """A bucket of its own, and nothing else."""


class Leg(IntEnum):
    """Which position of an account in a contract."""

    NET = 1
    """The one position of one-way mode, of either sign."""
    LONG = 2
    """Hedge mode: never below zero; only buys enlarge it."""
    SHORT = 3
    """Hedge mode: never above zero; only sells enlarge it."""


class FundingRule(IntEnum):
    """How a perpetual's funding rate follows from its premium; see ``contracts.funding``."""

    AVERAGED = 1
    DEAD_BAND = 2
    SAMPLED = 3


class MarkRule(IntEnum):
    """Where a contract's mark price comes from."""

    MEDIAN = 1
    """The median of three prices, worked out inside."""
    FED = 2
    """``SetMark`` of a key with FEED."""


class RiskLevel(IntEnum):
    """How near a scope is to liquidation."""

    SAFE = 1
    WARNING = 2
    """A margin call."""
    DANGER = 3
    """Nothing leaves the margin wallet."""
    CRITICAL = 4
    """Only orders that reduce."""
    LIQUIDATING = 5
    """The engine has it; no orders."""


class LiquidationEnd(IntEnum):
    """How a liquidation ended."""

    CURED = 1
    """Equity is no longer below maintenance margin."""
    CLOSED = 2
    """Nothing is left, and the account paid for all of it."""
    FUND = 3
    """Nothing is left, and the insurance fund paid a part."""
    ADL = 4
    """A part was closed against opposite positions."""
    SHARED = 5
    """The loss was shared."""

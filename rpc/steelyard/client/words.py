"""The words of the protocol: sides, kinds, states, modes and steps; numbers equal those on the wire."""

from enum import IntEnum


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
    """Collects orders; nothing trades until one price is found for all."""


class ReadMode(IntEnum):
    """How fresh an answer must be."""

    LINEARIZABLE = 1
    """Sees every write acknowledged before the call."""
    AT_LEAST = 2
    """Any node that has applied the index given."""
    STALE = 3
    """Any node, at once."""


class Permission(IntEnum):
    """What an API key may do; add them up."""

    READ = 1
    TRADE = 2
    TRANSFER = 4
    WITHDRAW = 8
    OPERATE = 16
    FEED = 32
    """Set mark prices, and say what the sources of an index say."""


class OrderStep(IntEnum):
    """A step of an order's life."""

    ACCEPTED = 1
    RESTED = 2
    FILLED = 3
    CANCELLED = 4
    EXPIRED = 5
    TERMS = 6
    """It has uncommon terms; follows ACCEPTED."""
    TRIGGERED = 7
    ACTIVATED = 8
    """It began to follow the price."""
    REPLENISHED = 9
    """An iceberg shows its next slice."""
    REDUCED = 10
    REPLACED = 11
    """Amended: a new number, and the back of the queue."""
    AMENDED = 12
    """Amended: label or uncommon terms."""
    CONTRACT = 13
    """It says more about its position; follows ACCEPTED."""


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
    """Which way the price must go to wake a waiting order."""

    STOP = 1
    """Buy at or above the trigger, sell at or below."""
    TAKE_PROFIT = 2
    """Buy at or below the trigger, sell at or above."""


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
    OTO = 2
    OTOCO = 3


class BatchMode(IntEnum):
    """What one fault in a batch does to the rest."""

    EACH = 1
    ALL_OR_NONE = 2


class FundsCause(IntEnum):
    """Why money moved; UNKNOWN: for a reason that this version does not know."""

    UNKNOWN = 0
    DEPOSIT = 1
    WITHDRAWAL = 2
    TRANSFER = 3
    REFERRAL = 4


class AccountStep(IntEnum):
    """What happened to the account itself."""

    COUNTDOWN_ARMED = 1
    COUNTDOWN_FIRED = 2
    FROZEN = 3
    UNFROZEN = 4
    LEGAL_HOLD = 5
    LEGAL_HOLD_LIFTED = 6
    FUNDS_HELD = 7
    FUNDS_RELEASED = 8
    TIER = 9
    SELF_TRADE = 10
    RULES = 11
    REFERRAL_EARNED = 12
    REFERRER = 13
    SUB_ACCOUNT = 14
    KILL_SWITCH_ON = 15
    KILL_SWITCH_OFF = 16


class ContractKind(IntEnum):
    """How a contract's value follows its price."""

    LINEAR = 1
    """Settled in the quote."""
    INVERSE = 2
    """Settled in the base; lots count quote units."""


class MarginMode(IntEnum):
    """What stands behind a position."""

    CROSS = 1
    """The account's whole margin wallet of the settle asset, with all its cross positions."""
    ISOLATED = 2
    """A bucket of its own, and nothing else."""


class PositionLeg(IntEnum):
    """Which position of an account in a contract."""

    NET = 1
    """The one position of one-way mode, of either sign."""
    LONG = 2
    """Hedge mode: only buys enlarge it."""
    SHORT = 3
    """Hedge mode: only sells enlarge it."""


class FundingRule(IntEnum):
    """How a perpetual's funding rate follows from its premium."""

    AVERAGED = 1
    """The mean premium, pulled to the interest by at most the clamp."""
    DEAD_BAND = 2
    """The premium beyond the dead band, accrued with each sample."""
    SAMPLED = 3
    """The mean of the minutes' medians without the tails, plus the interest."""


class MarkRule(IntEnum):
    """Where a contract's mark price comes from."""

    MEDIAN = 1
    """The median of three prices, worked out inside."""
    FED = 2
    """``Admin.set_mark`` with a key that has FEED."""


class RiskLevel(IntEnum):
    """How near a margin wallet, or an isolated position, is to liquidation."""

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


class LiquidationStep(IntEnum):
    """What happened in a liquidation."""

    STARTED = 1
    STEPPED = 2
    """The engine closes so many lots; the order's own events follow."""
    PAID = 3
    """What the fills of a step brought, and what the insurance fund took or gave."""
    DELEVERAGED = 4
    """So many lots were closed against opposite positions, off the tape."""
    DEBT = 5
    """There was less than nothing: the insurance fund paid a part, bad debt the rest."""
    SHARED = 6
    """Bad debt was borne by those who had a gain."""
    ENDED = 7
    REPAID = 8
    """The insurance fund paid off bad debt: of no liquidation, and told in public alone."""


class PositionStep(IntEnum):
    """What happened to a position."""

    TRADED = 1
    FUNDED = 2
    """It paid funding, or was paid."""
    SETTLED = 3
    """Its contract is closed: it ended at the final price."""
    DELEVERAGED = 4
    """A part of it was closed against a bankrupt position."""
    LEVERAGE = 5
    BUCKET = 6
    """Its bucket was added to, or taken from."""
    MODES = 7
    LOSS_SHARED = 8
    """It bore a part of a loss that nobody else could bear."""

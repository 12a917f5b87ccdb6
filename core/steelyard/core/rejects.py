"""Why a well-formed command was refused."""

from enum import IntEnum
from typing import final


@final
class Reject(IntEnum):
    """A business refusal: expected, replicated, and part of the public contract.

    Listed in the order in which the checks run, so that a command with several faults always reports
    the same one.  Numbers are append-only and equal those of ``steelyard.v1.Reject``.
    """

    MALFORMED = 1
    """Shape or an impossible combination; the door refuses it, the core again."""

    # The session: these are never stored as a reply and never use up a request number.
    SESSION_REQUIRED = 2
    UNKNOWN_SESSION = 3
    SESSION_EXPIRED = 4
    UNKNOWN_KEY = 5
    KEY_EXPIRED = 6
    """The key was revoked, or its time has passed."""
    NOT_SESSION_OWNER = 7
    REQUEST_GAP = 8
    """A request number was left out; the refusal says which one is expected."""
    REPLY_RELEASED = 9
    """The request was applied, and the client had said that it no longer wants the reply."""
    WINDOW_FULL = 10

    # Who.
    TOO_LATE = 11
    NOT_PERMITTED = 12
    UNKNOWN_ACCOUNT = 13
    ACCOUNT_EXISTS = 14
    TOO_MANY_ACCOUNTS = 15
    TOO_MANY_SESSIONS = 16
    TOO_MANY_KEYS = 17
    ALREADY_FOUNDED = 18

    # Where.
    UNKNOWN_ASSET = 19
    ASSET_EXISTS = 20
    UNKNOWN_INSTRUMENT = 21
    INSTRUMENT_EXISTS = 22
    INSTRUMENT_STATE = 23
    """The instrument's state does not allow this now."""
    STATE_MOVE = 24
    """No such move between instrument states, or between versions."""
    SCALE_NOT_INTEGER = 25
    """Tick, lot and decimals do not make whole atoms."""
    BOUNDS_TOO_WIDE = 26
    """The listing's largest notional would not fit the ledger."""
    FEE_OUT_OF_RANGE = 27
    TOO_MANY_LISTINGS = 28

    # Names and counts.
    DUPLICATE_ORDER = 29
    DUPLICATE_LABEL = 30
    UNKNOWN_ORDER = 31
    TOO_MANY_ORDERS = 32

    # Numbers.
    PRICE_OUT_OF_RANGE = 33
    SIZE_OUT_OF_RANGE = 34
    NOTIONAL_OUT_OF_RANGE = 35
    AMOUNT_OUT_OF_RANGE = 36

    # The book, then money, last.
    POST_ONLY_WOULD_TRADE = 37
    NO_LIQUIDITY = 38
    """A market order met an empty book side."""
    INSUFFICIENT_FUNDS = 39
    BALANCE_LIMIT = 40
    STORAGE_LOW = 41
    """The log is nearly full: only what lowers risk is taken."""

    # From version 2 on.  Who.
    ACCOUNT_FROZEN = 42
    """The account may not order, transfer or withdraw; it may cancel."""
    LEGAL_HOLD = 43
    """The account, or the hold, is kept by law: only an operator who says so can lift it."""
    NOT_FAMILY = 44
    """Money moves only between a master account and its sub-accounts."""
    TOO_MANY_SUB_ACCOUNTS = 45
    UNKNOWN_HOLD = 46
    HOLD_EXISTS = 47
    TOO_MANY_HOLDS = 48
    UNKNOWN_TIER = 49
    TOO_MANY_TIERS = 50

    # Numbers of an order.
    PRICE_OFF_STEP = 51
    SIZE_OFF_STEP = 52
    EXPIRY_IN_PAST = 53
    TRIGGER_OUT_OF_RANGE = 54
    NO_REFERENCE_PRICE = 55
    PRICE_BAND = 56
    """The price, or the next trade, lies outside what the instrument allows around its reference price."""
    TRIGGER_ALREADY_MET = 57
    NOTHING_TO_CHANGE = 58
    TOO_MANY_LEGS = 59

    # Why an order ended that its owner did not cancel.
    SELF_TRADE = 60
    EXPIRED = 61
    """Its time came."""
    OTHER_LEG = 62
    """Another order of its list traded, was triggered or ended."""
    COUNTDOWN = 63
    """The account's countdown ran out, or its connection closed."""
    AMENDED_BELOW_FILLED = 64
    INSTRUMENT_CLOSED = 65
    VOLATILITY_HALT = 66
    """The next trade would have been outside the halt band; trading stopped."""

    # From version 3 on.  Who, and where.
    KILL_SWITCH = 67
    """New orders of this account, in this instrument or of everybody are switched off."""
    NOT_THIS_KIND = 68
    """A contract's command about a spot instrument, or the other way round."""
    UNKNOWN_INDEX = 69
    INDEX_EXISTS = 70
    UNKNOWN_POSITION = 71
    """No such position, or not of that leg."""
    POSITION_NOT_EMPTY = 72
    """The mode can change only without a position and without orders."""

    # Numbers of contracts.
    LEVERAGE_OUT_OF_RANGE = 73
    MARGIN_OUT_OF_RANGE = 74
    """The contract's margin tiers make no schedule, or its penalty is not below their first rate."""
    TOO_MANY_POSITIONS = 75

    # Against positions, limits and margin.
    REDUCE_ONLY_NOTHING = 76
    """There is nothing to reduce, or reduce-only orders already reduce all of it."""
    RISK_LEVEL = 77
    """At this risk level only orders that reduce are taken, or none."""
    POSITION_LIMIT = 78
    OPEN_INTEREST_LIMIT = 79
    INSUFFICIENT_MARGIN = 80
    WITHDRAWAL_GATE = 81
    """Nothing leaves margin wallets of this asset while a loss is open."""

    # Why an order ended that its owner did not cancel.
    LIQUIDATED = 82
    """The liquidation engine cancelled it."""
    REDUCED_AWAY = 83
    """Its position has become too small for it."""
    AUTO_DELEVERAGED = 84
    """The position behind it was closed against a bankrupt one."""

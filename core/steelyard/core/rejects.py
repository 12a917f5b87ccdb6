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

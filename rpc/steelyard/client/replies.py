"""What comes of a command; the same for ever."""

from typing import NamedTuple


class Placed(NamedTuple):
    """An order was taken: what traded at once, and what rests."""

    request: int
    fingerprint: int
    log_index: int
    number: int
    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int


class Cancelled(NamedTuple):
    """An order left the book with ``open_lots`` untraded."""

    request: int
    fingerprint: int
    log_index: int
    number: int
    open_lots: int


class Refused(NamedTuple):
    """The exchange said no and changed nothing."""

    request: int
    fingerprint: int
    log_index: int
    reason: str
    expected: int


class Accepted(NamedTuple):
    """Carried out, with nothing more to say; ``made`` is the id of the key it made, or zero."""

    request: int
    fingerprint: int
    log_index: int
    made: int


class Waiting(NamedTuple):
    """An order was taken that waits for its trigger or its list."""

    request: int
    fingerprint: int
    log_index: int
    number: int


class Amended(NamedTuple):
    """An order has new terms: its number now, what traded at once because of them, and what is open."""

    request: int
    fingerprint: int
    log_index: int
    number: int
    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int


class Swept(NamedTuple):
    """So many orders were cancelled."""

    request: int
    fingerprint: int
    log_index: int
    orders_count: int


LegReply = Placed | Waiting | Cancelled | Amended | Refused


class Many(NamedTuple):
    """One reply for each leg, in order; all of them carry the request's number."""

    request: int
    fingerprint: int
    log_index: int
    legs: tuple[LegReply, ...]


Reply = Placed | Cancelled | Refused | Accepted | Waiting | Amended | Swept | Many

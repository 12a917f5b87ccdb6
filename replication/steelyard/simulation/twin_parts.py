"""What the slow exchange is made of: rows of its tables, its way to say no, and its arithmetic."""

from dataclasses import dataclass, field

from steelyard.core import limits
from steelyard.core.commands import (
    ListInstrument,
    PlaceOrder,
)
from steelyard.core.entry import (
    AnyReply,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentState,
)

TOO_BIG = 2**62
MILLION = 10**6

#: The moves of an instrument between its states, as a table.
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
    InstrumentState.CLOSED: (),
}


def ceil_div(a: int, b: int) -> int:
    """Divide, rounding up; ``b`` above zero."""
    return -((-a) // b)


def printable(text: str, length_max: int) -> bool:
    """Tell whether a text is ASCII from space to tilde and not too long."""
    return len(text) <= length_max and all(" " <= letter <= "~" for letter in text)


def symbolic(text: str) -> bool:
    """Tell whether a text may name what is listed."""
    return 1 <= len(text) <= limits.SYMBOL_MAX and all(letter in limits.SYMBOL_ALPHABET for letter in text)


@dataclass
class Key:
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
class Market:
    """An instrument, and its living orders in the order of their numbers."""

    spec: ListInstrument
    lot_atoms: int
    k: int
    state: InstrumentState = InstrumentState.PRE_OPEN


@dataclass(eq=False)
class Order:
    """A living order."""

    command: PlaceOrder
    number: int
    price: int
    open: int


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

"""What a trader handles: instruments, orders, replies, events, balances and books."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple, TypeVar

from steelyard.client.errors import PriceOffStep, SizeOffStep, SteelyardError

R = TypeVar("R")


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


class OrderStep(IntEnum):
    """A step of an order's life."""

    ACCEPTED = 1
    RESTED = 2
    FILLED = 3
    CANCELLED = 4
    EXPIRED = 5


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


class CancelOrder(NamedTuple):
    """Cancel an order, named in exactly one way: client's ``order``, exchange's ``number``, or ``label``."""

    order: int = 0
    number: int = 0
    label: str = ""
    not_after_ns: int = 0


Command = PlaceOrder | CancelOrder


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


Reply = Placed | Cancelled | Refused | Accepted


class Fill(NamedTuple):
    """One side of a trade."""

    log_index: int
    event_number: int
    log_time_ns: int
    trade: int
    instrument: int
    order: int
    number: int
    side: int
    maker: bool
    price_ticks: int
    size_lots: int
    notional_atoms: int
    fee_atoms: int
    open_lots: int


class OrderEvent(NamedTuple):
    """An order took a step; ``lots`` is its size with ACCEPTED, else what was open."""

    log_index: int
    event_number: int
    log_time_ns: int
    step: OrderStep
    instrument: int
    order: int
    number: int
    side: int
    price_ticks: int
    lots: int


class FundsEvent(NamedTuple):
    """Money came in (above zero) or went out."""

    log_index: int
    event_number: int
    log_time_ns: int
    asset: int
    amount_atoms: int
    free_atoms: int


class EventsMissed(NamedTuple):
    """The node no longer held all events after ``after_index``; they are complete above ``log_index``."""

    log_index: int
    event_number: int
    log_time_ns: int
    after_index: int


Event = Fill | OrderEvent | FundsEvent | EventsMissed


@dataclass(frozen=True, slots=True)
class Asset:
    """A listed asset; one unit is ``10**decimals`` atoms."""

    asset: int
    symbol: str
    decimals: int

    def amount(self, atoms: int) -> Decimal:
        """Return so many atoms as a decimal number of units, exactly."""
        return Decimal(atoms).scaleb(-self.decimals)

    def atoms(self, amount: Decimal | int) -> int:
        """Return a decimal number of units in atoms.

        Raises:
            SizeOffStep: It is no whole number of atoms.

        """
        return _steps(amount, 1, self.decimals, f"{self.symbol} has {self.decimals} decimals", SizeOffStep)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A listed spot instrument, with its scales, bounds and fees."""

    instrument: int
    symbol: str
    base: Asset
    quote: Asset
    tick_mantissa: int
    tick_decimals: int
    lot_mantissa: int
    lot_decimals: int
    lot_atoms: int
    tick_lot_atoms: int
    price_max_ticks: int
    size_max_lots: int
    notional_min_atoms: int
    maker_ppm: int
    taker_ppm: int
    market_protection_ppm: int
    state: InstrumentState

    @property
    def tick(self) -> Decimal:
        """The price step, in quote units per base unit."""
        return Decimal(self.tick_mantissa).scaleb(-self.tick_decimals)

    @property
    def lot(self) -> Decimal:
        """The size step, in base units."""
        return Decimal(self.lot_mantissa).scaleb(-self.lot_decimals)

    def ticks(self, limit: Decimal | int) -> int:
        """Return a price in ticks.

        Raises:
            PriceOffStep: It is no multiple of the tick.
            TypeError: It is a float, or no number.

        """
        reason = f"{self.symbol} moves in ticks of {self.tick}"
        return _steps(limit, self.tick_mantissa, self.tick_decimals, reason, PriceOffStep)

    def lots(self, size: Decimal | int) -> int:
        """Return a size in lots.

        Raises:
            SizeOffStep: It is no multiple of the lot.
            TypeError: It is a float, or no number.

        """
        reason = f"{self.symbol} trades in lots of {self.lot}"
        return _steps(size, self.lot_mantissa, self.lot_decimals, reason, SizeOffStep)

    def price(self, ticks: int) -> Decimal:
        """Return so many ticks as a price."""
        return Decimal(ticks * self.tick_mantissa).scaleb(-self.tick_decimals)

    def size(self, lots: int) -> Decimal:
        """Return so many lots as a size."""
        return Decimal(lots * self.lot_mantissa).scaleb(-self.lot_decimals)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has of one asset."""

    asset: Asset
    free_atoms: int
    held_atoms: int

    @property
    def free(self) -> Decimal:
        """What may be spent, in units."""
        return self.asset.amount(self.free_atoms)

    @property
    def held(self) -> Decimal:
        """What is pledged to open orders, in units."""
        return self.asset.amount(self.held_atoms)


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """A resting order."""

    instrument: int
    order: int
    number: int
    label: str
    side: Side
    price_ticks: int
    size_lots: int
    open_lots: int


class Rows(list[R]):
    """The rows of an answer, and the state that they are of: all that was applied up to ``log_index``."""

    def __init__(self, log_index: int, rows: Iterable[R] = ()) -> None:
        super().__init__(rows)
        self.log_index = log_index


@dataclass(frozen=True, slots=True)
class Book:
    """The best levels of a book as (ticks, lots), best first, as of ``log_index``."""

    log_index: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AssetTotal:
    """Where the atoms of one asset are; ``sum_atoms`` must be zero."""

    asset: int
    customers_atoms: int
    omnibus_atoms: int
    fees_atoms: int
    rounding_atoms: int
    sum_atoms: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says it is; not ``reachable``, and the rest empty, if nobody answered at ``target``."""

    target: str
    reachable: bool
    log_index: int = 0
    group: str = ""
    member: int = 0
    role: str = "unreachable"
    ready: bool = False
    term: int = 0
    leader: int = 0
    leader_endpoint: str = ""
    last_index: int = 0
    commit_index: int = 0
    log_time_ns: int = 0
    digest_index: int = 0
    digest: bytes = b""
    snapshot_index: int = 0
    log_first_index: int = 0
    log_used_ppm: int = 0
    commands_applied: int = 0
    sync_mode: str = ""
    replica_pid: int = 0
    gateway_pid: int = 0
    version: str = ""

    @property
    def leads(self) -> bool:
        """Whether it is a leader that can decide now."""
        return self.role == "leader" and self.ready


def _steps(
    number: Decimal | int, mantissa: int, decimals: int, reason: str, error: type[SteelyardError]
) -> int:
    """Return ``number / (mantissa / 10**decimals)``, which must be a whole number."""
    if isinstance(number, bool) or not isinstance(number, Decimal | int):
        raise TypeError(f"need a Decimal or an int, got {type(number).__name__}: floats are not exact")
    if isinstance(number, Decimal) and not number.is_finite():
        raise error(f"{number} is not a number; {reason}")
    numerator, denominator = number.as_integer_ratio()
    scale: int = 10**decimals
    steps, rest = divmod(numerator * scale, denominator * mantissa)
    if rest:
        raise error(f"{number} is off step; {reason}")
    return steps

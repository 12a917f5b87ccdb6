"""A resting order, linked to its level and its neighbours in the queue."""

from typing import Final

from steelyard.core.commands.terms import NO_TERMS, OrderTerms
from steelyard.core.ledger import Balance
from steelyard.core.matching.position import Position
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    Leg,
    LiquidationId,
    ListNumber,
    OrderId,
    OrderKind,
    OrderNumber,
    OrderState,
    Side,
    TimeInForce,
)

#: Two such heaps become one in O(log n): a leftist tree of (height to the right, key, number, left, right).
Heap = tuple[int, int, OrderNumber, "Heap | None", "Heap | None"]


class Level:
    """All orders at one price, oldest first.  ``key`` sorts the best price last on both sides."""

    __slots__ = ("count", "key", "newest", "oldest", "open_lots")

    def __init__(self, key: int) -> None:
        self.key = key
        self.count = 0
        self.open_lots = 0
        self.oldest: Order | None = None
        self.newest: Order | None = None


class Trail:
    """What active trailing orders share that follow the same price: the best one seen, and who waits.

    ``waiting`` is a heap by callback, of ``size`` entries, in which those that have left are still found;
    ``count`` are those that have not.  A trail that has ``joined`` another one is only a way to that.
    """

    __slots__ = ("count", "extreme_ticks", "joined", "size", "waiting")

    def __init__(self, extreme_ticks: int) -> None:
        self.extreme_ticks = extreme_ticks
        self.waiting: Heap | None = None
        self.size = 0
        self.count = 0
        self.joined: Trail | None = None

    def end(self) -> "Trail":
        """Return the trail that this one has become; the next one who asks finds it at once."""
        end = self
        while end.joined is not None:
            end = end.joined
        trail = self
        while trail.joined is not None:
            trail.joined, trail = end, trail.joined
        return end


class Special:
    """What an uncommon order keeps beside the common fields; a common order has none.

    ``terms`` are those asked for, as amended since.  ``open_lots`` of the order is everything that may still
    trade; an iceberg's level counts ``shown_lots`` of it.  ``size = executed + prevented + open`` always.
    A waiting order by quote amount keeps what is left of its budget in ``budget_atoms``, and holds that.
    ``cap_ppm`` is the highest rate that a fill may be charged, fixed when the order was taken.
    ``trail`` is what an active trailing order follows; see ``extreme_ticks``.
    """

    __slots__ = (
        "budget_atoms",
        "cap_ppm",
        "close_position",
        "kind",
        "leg",
        "liquidation",
        "list_number",
        "prevented_lots",
        "reduce_only",
        "shown_lots",
        "state",
        "terms",
        "time_in_force",
        "trail",
    )

    def __init__(
        self,
        terms: OrderTerms = NO_TERMS,
        kind: OrderKind = OrderKind.LIMIT,
        time_in_force: TimeInForce = TimeInForce.GTC,
        cap_ppm: int = 0,
        state: OrderState = OrderState.WORKING,
    ) -> None:
        self.terms = terms
        self.kind = kind
        self.time_in_force = time_in_force
        self.cap_ppm = cap_ppm
        self.state = state
        self.list_number = ListNumber(0)
        self.shown_lots = 0
        self.prevented_lots = 0
        self.budget_atoms = terms.budget_atoms
        self.trail: Trail | None = None
        #: of an order in a contract
        self.leg = Leg.NET
        self.reduce_only = False
        self.close_position = False
        #: whose order of the engine it is, or zero
        self.liquidation = LiquidationId(0)

    @property
    def extreme_ticks(self) -> int:
        """The best price that an active trailing order has seen; zero before, and for others."""
        return 0 if self.trail is None else self.trail.end().extreme_ticks

    @extreme_ticks.setter
    def extreme_ticks(self, extreme_ticks: int) -> None:
        """Let an order that is not in the index go on from there; zero: not active."""
        self.trail = Trail(extreme_ticks) if extreme_ticks else None


#: Stands for the balances of an order about a position: nothing is ever moved there.
NO_BALANCE: Final = Balance()


class Order:
    """An order waiting in the book.

    ``pledge`` is the balance that pays for it and holds ``open_lots * lot_pledge_atoms`` for it;
    ``proceeds`` is the balance that its trades credit.  An order about a position has neither, but its
    ``position``, which counts the lots of those that work: there ``lot_pledge_atoms`` is what a lot may cost
    in fees (cross), or what is held for it (isolated).  The three links are None outside a book, so
    that an order that has left leaves no cycle behind.
    """

    __slots__ = (
        "account",
        "after",
        "before",
        "instrument",
        "label",
        "level",
        "lot_pledge_atoms",
        "number",
        "open_lots",
        "order",
        "pledge",
        "position",
        "post_only",
        "price_ticks",
        "proceeds",
        "side",
        "size_lots",
        "special",
    )

    def __init__(
        self,
        account: AccountId,
        instrument: InstrumentId,
        order: OrderId,
        number: OrderNumber,
        label: str,
        side: Side,
        price_ticks: int,
        size_lots: int,
        open_lots: int,
        lot_pledge_atoms: int,
        pledge: Balance,
        proceeds: Balance,
    ) -> None:
        self.account = account
        self.instrument = instrument
        self.order = order
        self.number = number
        self.label = label
        self.side = side
        self.price_ticks = price_ticks
        self.size_lots = size_lots
        self.open_lots = open_lots
        self.lot_pledge_atoms = lot_pledge_atoms
        self.pledge = pledge
        self.proceeds = proceeds
        self.post_only = False
        #: of an order in a contract: the position that it is about
        self.position: Position | None = None
        self.special: Special | None = None
        self.level: Level | None = None
        self.before: Order | None = None
        self.after: Order | None = None

    @property
    def shown_lots(self) -> int:
        """How many of the open lots can be seen: all, unless it is an iceberg that stands in the book."""
        special = self.special
        return self.open_lots if special is None else special.shown_lots or self.open_lots

    @property
    def is_reduce_only(self) -> bool:
        """Whether the order may only make its position smaller."""
        special = self.special
        return special is not None and special.reduce_only

    @property
    def pledged_atoms(self) -> int:
        """What the order needs held to be paid for whatever happens; of two OCO legs one holds it."""
        special = self.special
        if special is not None:
            if special.state == OrderState.PENDING:
                return 0
            if special.budget_atoms and self.side == Side.BUY:
                return special.budget_atoms
        return self.open_lots * self.lot_pledge_atoms

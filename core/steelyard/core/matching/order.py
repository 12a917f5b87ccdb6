"""A resting order, linked to its level and its neighbours in the queue."""

from steelyard.core.commands.terms import NO_TERMS, OrderTerms
from steelyard.core.ledger import Balance
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    ListNumber,
    OrderId,
    OrderKind,
    OrderNumber,
    OrderState,
    Side,
    TimeInForce,
)


class Level:
    """All orders at one price, oldest first.  ``key`` sorts the best price last on both sides."""

    __slots__ = ("count", "key", "newest", "oldest", "open_lots")

    def __init__(self, key: int) -> None:
        self.key = key
        self.count = 0
        self.open_lots = 0
        self.oldest: Order | None = None
        self.newest: Order | None = None


class Special:
    """What an uncommon order keeps beside the common fields; a common order has none.

    ``terms`` are those asked for, as amended since.  ``open_lots`` of the order is everything that may still
    trade; an iceberg's level counts ``shown_lots`` of it.  ``size = executed + prevented + open`` always.
    A waiting order by quote amount keeps what is left of its budget in ``budget_atoms``, and holds that.
    ``cap_ppm`` is the highest rate that a fill may be charged, fixed when the order was taken.
    ``extreme_ticks`` is the best price that an active trailing order has seen, zero before.
    """

    __slots__ = (
        "budget_atoms",
        "cap_ppm",
        "extreme_ticks",
        "kind",
        "list_number",
        "prevented_lots",
        "shown_lots",
        "state",
        "terms",
        "time_in_force",
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
        self.extreme_ticks = 0


class Order:
    """An order waiting in the book.

    ``pledge`` is the balance that pays for it and holds ``open_lots * lot_pledge_atoms`` for it;
    ``proceeds`` is the balance that its trades credit.  The three links are None outside a book, so
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
        self.special: Special | None = None
        self.level: Level | None = None
        self.before: Order | None = None
        self.after: Order | None = None

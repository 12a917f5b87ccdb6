"""A resting order, linked to its level and its neighbours in the queue."""

from steelyard.core.ledger import Balance
from steelyard.core.units import AccountId, InstrumentId, OrderId, OrderNumber, Side


class Level:
    """All orders at one price, oldest first.  ``key`` sorts the best price last on both sides."""

    __slots__ = ("count", "key", "newest", "oldest", "open_lots")

    def __init__(self, key: int) -> None:
        self.key = key
        self.count = 0
        self.open_lots = 0
        self.oldest: Order | None = None
        self.newest: Order | None = None


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
        "price_ticks",
        "proceeds",
        "side",
        "size_lots",
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
        self.level: Level | None = None
        self.before: Order | None = None
        self.after: Order | None = None

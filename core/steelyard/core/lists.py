"""Orders that depend on each other: one-cancels-other, one-triggers-other."""

from steelyard.core.units import AccountId, InstrumentId, ListKind, ListNumber, OrderNumber


class OrderList:
    """A living list.  ``legs`` are the numbers of its living orders, in the order of placing.

    Of two OCO legs only ``holder`` pledges, the one that needs more; before the other trades or is triggered,
    the holder is cancelled and what it held pays for the other.
    """

    __slots__ = ("account", "holder", "instrument", "kind", "legs", "number")

    def __init__(
        self, number: ListNumber, account: AccountId, instrument: InstrumentId, kind: ListKind
    ) -> None:
        self.number = number
        self.account = account
        self.instrument = instrument
        self.kind = kind
        self.legs: list[OrderNumber] = []
        self.holder = OrderNumber(0)

"""What a perpetual contract and an index keep in the state."""

from collections import deque

from steelyard.core.commands import ContractRules, IndexQuote, ListIndex
from steelyard.core.matching import Position
from steelyard.core.units import AccountId, AssetId, ContractKind, IndexId, InstrumentId, Leg


class Index:
    """An index price: what its sources said last, and what follows from it.

    ``price_ticks`` is zero before the first; ``is_stale`` while no source is young enough, and then the price
    is the last one.  It becomes stale at ``stale_at_ns`` (zero while it is).  ``contracts`` are those that
    lean on it, by id.
    """

    __slots__ = ("contracts", "index", "is_stale", "listing", "price_ticks", "quotes", "stale_at_ns")

    def __init__(self, listing: ListIndex) -> None:
        self.listing = listing
        self.index: IndexId = listing.index
        self.price_ticks = 0
        self.is_stale = True
        self.stale_at_ns = 0
        self.quotes: list[IndexQuote] = []
        self.contracts: list[InstrumentId] = []


class Premiums:
    """What the samples of the running funding interval have been, as its rule needs it.

    ``count`` is how many there were.  AVERAGED: their (weighted) ``sum_ppb``.  SAMPLED: the premiums of the
    minute that ends at ``minute_ns``, and the medians of the minutes before.
    """

    __slots__ = ("count", "medians_ppb", "minute_ns", "minute_ppb", "sum_ppb")

    def __init__(self) -> None:
        self.count = 0
        self.sum_ppb = 0
        self.minute_ns = 0
        self.minute_ppb: list[int] = []
        self.medians_ppb: list[int] = []


class Contract:
    """What a perpetual contract has beside its instrument.

    ``scale`` is ``k`` or ``S``.  ``positions`` are those with lots, by (account, leg); the others are known
    to their margin alone.  ``open_interest_lots`` is the sum of all longs.

    ``cumulative_nanoatoms`` is what a long of one lot has owed since the listing; ``pending_nanoatoms`` waits
    for the end of a sweep.  ``bases_ticks`` are the last samples of the mid price less the index.  The next
    sample is due at ``sample_ns`` and funding at ``funding_ns``; both are zero until the contract first has a
    mark.  The last sample was at ``sampled_ns``, zero: never.  ``settle_ticks`` is the final price, once the
    contract is closed; it ``is_settling`` from then on until every position is.

    ``turns`` are the positions that the running sweep or settlement has not come to, see ``turns``, or None
    while nobody has looked; recomputed when needed, and no part of a snapshot.
    """

    __slots__ = (
        "bases_ticks",
        "clearing_atoms",
        "cumulative_nanoatoms",
        "funding_atoms",
        "funding_ns",
        "index",
        "is_settling",
        "is_sweeping",
        "kind",
        "open_interest_lots",
        "pending_nanoatoms",
        "positions",
        "predicted_ppb",
        "premiums",
        "rate_ppb",
        "rules",
        "sample_ns",
        "sampled_ns",
        "scale",
        "settle",
        "settle_ticks",
        "turns",
    )

    def __init__(
        self, kind: ContractKind, scale: int, settle: AssetId, index: Index, rules: ContractRules
    ) -> None:
        self.kind = kind
        self.scale = scale
        self.settle = settle
        self.index = index
        self.rules = rules
        self.positions: dict[tuple[AccountId, Leg], Position] = {}
        self.open_interest_lots = 0
        self.clearing_atoms = 0
        self.funding_atoms = 0
        self.cumulative_nanoatoms = 0
        self.pending_nanoatoms = 0
        self.is_sweeping = False
        #: of the last interval, and of the running one if it ended now
        self.rate_ppb = 0
        self.predicted_ppb = 0
        self.premiums = Premiums()
        self.bases_ticks: deque[int] = deque()
        self.sample_ns = 0
        self.sampled_ns = 0
        self.funding_ns = 0
        self.settle_ticks = 0
        self.is_settling = False
        self.turns: list[int] | None = None

"""A listed asset, a listed instrument, and the moves between an instrument's states."""

from typing import Final

from steelyard.core.commands import ListInstrument, SetInstrumentRules
from steelyard.core.contracts.contract import Contract
from steelyard.core.ledger import fee_cap_ppm
from steelyard.core.matching import Book, Triggers
from steelyard.core.units import AccountId, AssetId, InstrumentState

#: Where an instrument may go from each state.  Trading resumes only through POST_ONLY, so that makers can
#: set their prices before anybody takes.
MOVES: Final[dict[InstrumentState, tuple[InstrumentState, ...]]] = {
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
    # OPEN follows from the auction's own end.
    InstrumentState.AUCTION: (
        InstrumentState.CANCEL_ONLY,
        InstrumentState.HALTED,
        InstrumentState.CLOSED,
    ),
}


class Asset:
    """A listed asset: one unit is ``10**decimals`` atoms."""

    __slots__ = ("asset", "decimals", "symbol")

    def __init__(self, asset: AssetId, symbol: str, decimals: int) -> None:
        self.asset = asset
        self.symbol = symbol
        self.decimals = decimals


class Instrument:
    """A listed instrument: its terms, its state and its book.

    ``lot_atoms`` is base atoms per lot and ``tick_lot_atoms`` quote atoms per tick and lot, so that a
    notional is exactly ``price_ticks * size_lots * tick_lot_atoms``.  Of a contract ``lot_atoms`` is zero and
    ``tick_lot_atoms`` is ``k``, or zero if it is inverse; what else it has is in ``contract``.

    ``last_ticks`` and ``mark_ticks`` are the last trade's price and the last mark, zero before the first.  An
    instrument moves to ``next_state`` at ``next_ns``.
    """

    __slots__ = (
        "anchor_ns",
        "anchor_ticks",
        "base",
        "book",
        "cap_ppm",
        "contract",
        "counts",
        "instrument",
        "last_ticks",
        "listing",
        "lot_atoms",
        "maker_ppm",
        "mark_ticks",
        "market_protection_ppm",
        "next_ns",
        "next_state",
        "notional_min_atoms",
        "price_max_ticks",
        "quote",
        "rules",
        "size_max_lots",
        "specials",
        "state",
        "symbol",
        "taker_ppm",
        "tick_lot_atoms",
        "triggers",
        "uncross_ticks",
    )

    def __init__(
        self, listing: ListInstrument, lot_atoms: int, tick_lot_atoms: int, state: InstrumentState
    ) -> None:
        self.listing = listing
        self.instrument = listing.instrument
        self.symbol = listing.symbol
        self.base = listing.base
        self.quote = listing.quote
        self.price_max_ticks = listing.price_max_ticks
        self.size_max_lots = listing.size_max_lots
        self.notional_min_atoms = listing.notional_min_atoms
        self.maker_ppm = listing.maker_ppm
        self.taker_ppm = listing.taker_ppm
        self.cap_ppm = fee_cap_ppm(listing.maker_ppm, listing.taker_ppm)
        self.market_protection_ppm = listing.market_protection_ppm
        self.lot_atoms = lot_atoms
        self.tick_lot_atoms = tick_lot_atoms
        self.state = state
        self.book = Book()
        #: from version 2 on
        self.rules: SetInstrumentRules | None = None
        self.last_ticks = 0
        self.mark_ticks = 0
        self.anchor_ticks = 0
        self.anchor_ns = 0
        self.next_state: InstrumentState | None = None
        self.next_ns = 0
        #: the auction's price while its trades are being made, else zero
        self.uncross_ticks = 0
        #: living orders that are uncommon: waiting, or in the book with something special
        self.specials = 0
        self.triggers = Triggers()
        #: living orders by account while the rules bound them, else None; recomputed on load
        self.counts: dict[AccountId, int] | None = None
        #: of a perpetual contract; spot instruments have none
        self.contract: Contract | None = None

    @property
    def settle(self) -> AssetId | None:
        """The asset in which a contract is settled; None for spot."""
        return None if self.contract is None else self.contract.settle

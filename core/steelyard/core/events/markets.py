"""What can be traded, and when."""

from steelyard.core.events.base import Event
from steelyard.core.units import AssetId, InstrumentId, InstrumentState


class AssetListed(Event, frozen=True, kw_only=True, tag=20):
    """An asset can be deposited."""

    asset: AssetId
    symbol: str
    decimals: int


class InstrumentListed(Event, frozen=True, kw_only=True, tag=21):
    """A spot instrument exists, in state PRE_OPEN."""

    instrument: InstrumentId
    symbol: str
    base: AssetId
    quote: AssetId
    lot_atoms: int
    tick_lot_atoms: int


class InstrumentStateChanged(Event, frozen=True, kw_only=True, tag=22):
    """An instrument allows something else now."""

    instrument: InstrumentId
    before: InstrumentState
    after: InstrumentState

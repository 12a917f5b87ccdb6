"""What can be traded, and when."""

from steelyard.core.commands.markets import SetInstrumentRules
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

    @property
    def settle(self) -> AssetId | None:
        """The asset in which a contract is settled: this is none."""
        return None


class InstrumentStateChanged(Event, frozen=True, kw_only=True, tag=22):
    """An instrument allows something else now."""

    instrument: InstrumentId
    before: InstrumentState
    after: InstrumentState


class InstrumentRulesSet(Event, frozen=True, kw_only=True, tag=23):
    """An instrument has these protections now."""

    rules: SetInstrumentRules


class MarkSet(Event, frozen=True, kw_only=True, tag=24):
    """An instrument's mark price changed."""

    instrument: InstrumentId
    mark_ticks: int


class StateScheduled(Event, frozen=True, kw_only=True, tag=25):
    """An instrument will move to ``state`` when log time reaches ``at_ns``; zero: it will not."""

    instrument: InstrumentId
    state: InstrumentState
    at_ns: int


class TradingHalted(Event, frozen=True, kw_only=True, tag=26):
    """A trade at ``price_ticks`` would have been outside the halt band around ``anchor_ticks``."""

    instrument: InstrumentId
    anchor_ticks: int
    price_ticks: int
    until_ns: int


class AuctionEnded(Event, frozen=True, kw_only=True, tag=27):
    """The call auction found its price (zero: nothing crossed); its trades follow.

    ``imbalance_lots`` is demand minus supply at that price.
    """

    instrument: InstrumentId
    price_ticks: int
    volume_lots: int
    imbalance_lots: int

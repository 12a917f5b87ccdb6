"""Everything listed, by id and by symbol."""

from bisect import insort

from steelyard.core.commands import ListContract, ListIndex, ListInstrument
from steelyard.core.contracts.contract import Contract, Index
from steelyard.core.contracts.scales import contract_scale
from steelyard.core.instruments.perpetual import settle_asset
from steelyard.core.instruments.spec import Asset, Instrument
from steelyard.core.instruments.spot import spot_scales
from steelyard.core.units import AssetId, ContractKind, IndexId, InstrumentId, InstrumentState


class Markets:
    """The listed assets, instruments and indices.

    ``uncrossing`` are the instruments whose auction is making its trades, by id.  ``sweeping`` are the
    contracts that collect funding from every position, ``settling`` the closed ones that are not settled;
    both by id, and recomputed on load.
    """

    def __init__(self) -> None:
        self.assets: dict[AssetId, Asset] = {}
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.asset_symbols: dict[str, AssetId] = {}
        self.instrument_symbols: dict[str, InstrumentId] = {}
        self.uncrossing: list[InstrumentId] = []
        self.sweeping: list[InstrumentId] = []
        self.settling: list[InstrumentId] = []
        self.indices: dict[IndexId, Index] = {}
        self.index_symbols: dict[str, IndexId] = {}

    def list_asset(self, asset: AssetId, symbol: str, decimals: int) -> None:
        """Add an asset under a new id and symbol."""
        assert asset not in self.assets, asset
        assert symbol not in self.asset_symbols, symbol
        self.assets[asset] = Asset(asset, symbol, decimals)
        self.asset_symbols[symbol] = asset

    def list_instrument(self, listing: ListInstrument, state: InstrumentState) -> Instrument:
        """Add an instrument, whose listing has been checked, under a new id and symbol."""
        assert listing.instrument not in self.instruments, listing.instrument
        assert listing.symbol not in self.instrument_symbols, listing.symbol
        if isinstance(listing, ListContract):
            instrument = self._contract(listing, state)
        else:
            instrument = self._spot(listing, state)
        self.instruments[listing.instrument] = instrument
        self.instrument_symbols[listing.symbol] = listing.instrument
        return instrument

    def _spot(self, listing: ListInstrument, state: InstrumentState) -> Instrument:
        scales = spot_scales(listing, self.assets[listing.base].decimals, self.assets[listing.quote].decimals)
        assert scales is not None, listing.instrument
        return Instrument(listing, scales.lot_atoms, scales.tick_lot_atoms, state)

    def _contract(self, listing: ListContract, state: InstrumentState) -> Instrument:
        settle, index = settle_asset(listing), self.indices[listing.index]
        scale = contract_scale(listing, self.assets[settle].decimals)
        assert scale is not None, listing.instrument
        instrument = Instrument(listing, 0, scale if listing.contract == ContractKind.LINEAR else 0, state)
        instrument.contract = Contract(listing.contract, scale, settle, index, listing.rules)
        insort(index.contracts, listing.instrument)
        return instrument

    def list_index(self, listing: ListIndex) -> Index:
        """Add an index, without a price, under a new id and symbol."""
        assert listing.index not in self.indices, listing.index
        assert listing.symbol not in self.index_symbols, listing.symbol
        index = Index(listing)
        self.indices[listing.index] = index
        self.index_symbols[listing.symbol] = listing.index
        return index

    def begin_uncrossing(self, instrument: Instrument, price_ticks: int) -> None:
        """Let an auction that has found its price make its trades, a few with each entry."""
        assert price_ticks > 0, price_ticks
        assert instrument.uncross_ticks == 0, instrument.uncross_ticks
        assert instrument.state == InstrumentState.AUCTION, instrument.state
        instrument.uncross_ticks = price_ticks
        insort(self.uncrossing, instrument.instrument)

    def end_uncrossing(self, instrument: Instrument) -> None:
        """Forget an auction that has made all its trades."""
        instrument.uncross_ticks = 0
        self.uncrossing.remove(instrument.instrument)

    def begin_sweeping(self, instrument: Instrument) -> None:
        """Let a contract collect what every position owes of funding, one by one."""
        contract = instrument.contract
        assert contract is not None, instrument.instrument
        contract.is_sweeping = True
        contract.turns = None
        insort(self.sweeping, instrument.instrument)

    def end_sweeping(self, instrument: Instrument) -> None:
        """Forget a sweep in which every position has paid."""
        contract = instrument.contract
        assert contract is not None, instrument.instrument
        contract.is_sweeping = False
        contract.turns = None
        self.sweeping.remove(instrument.instrument)

    def begin_settling(self, instrument: Instrument) -> None:
        """Let the mark of a closed contract be its final price, and its positions be closed one by one."""
        contract = instrument.contract
        assert contract is not None, instrument.instrument
        assert instrument.state == InstrumentState.CLOSED, instrument.state
        contract.settle_ticks = instrument.mark_ticks
        if contract.positions:
            contract.is_settling = True
            insort(self.settling, instrument.instrument)

    def end_settling(self, instrument: Instrument) -> None:
        """Forget a contract that has no positions any more."""
        contract = instrument.contract
        assert contract is not None, instrument.instrument
        contract.is_settling = False
        contract.turns = None
        self.settling.remove(instrument.instrument)

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless ids and symbols agree and every book is sound."""
        assert len(self.asset_symbols) == len(self.assets), self.asset_symbols
        for asset_id, asset in self.assets.items():
            assert asset.asset == asset_id, (asset.asset, asset_id)
            assert self.asset_symbols.get(asset.symbol) == asset_id, asset.symbol
        assert len(self.instrument_symbols) == len(self.instruments), self.instrument_symbols
        for instrument_id, instrument in self.instruments.items():
            assert instrument.instrument == instrument_id, (instrument.instrument, instrument_id)
            assert self.instrument_symbols.get(instrument.symbol) == instrument_id, instrument.symbol
            assert instrument.base in self.assets, instrument.base
            assert instrument.quote in self.assets, instrument.quote
            may_cross = instrument.state not in (InstrumentState.POST_ONLY, InstrumentState.OPEN)
            instrument.book.check_invariants(may_cross=may_cross)
            if instrument.state in (InstrumentState.PRE_OPEN, InstrumentState.CLOSED):
                assert not instrument.book.bids.keys, instrument_id
                assert not instrument.book.asks.keys, instrument_id
        uncrossing = [id_ for id_, instrument in sorted(self.instruments.items()) if instrument.uncross_ticks]
        assert self.uncrossing == uncrossing, (self.uncrossing, uncrossing)
        sweeping: list[InstrumentId] = []
        settling: list[InstrumentId] = []
        for instrument_id, instrument in sorted(self.instruments.items()):
            contract = instrument.contract
            if contract is not None and contract.is_sweeping:
                sweeping.append(instrument_id)
            if contract is not None and contract.is_settling:
                settling.append(instrument_id)
        assert self.sweeping == sweeping, (self.sweeping, sweeping)
        assert self.settling == settling, (self.settling, settling)
        for instrument_id in uncrossing:
            assert self.instruments[instrument_id].state == InstrumentState.AUCTION, instrument_id

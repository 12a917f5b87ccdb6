"""What is asked about markets, fees in general, and where all the money is."""

from collections.abc import Iterator
from itertools import islice

from steelyard.core.instruments import Instrument
from steelyard.core.invariants import customers_atoms
from steelyard.core.limits import BOOK_DEPTH_MAX
from steelyard.core.matching import BookSide, Order
from steelyard.core.queries import contracts
from steelyard.core.queries.answers import (
    AssetInfo,
    AssetTotal,
    Book,
    InstrumentInfo,
    InstrumentStanding,
    Markets,
    Picture,
    TierInfo,
    Tiers,
    Totals,
)
from steelyard.core.queries.questions import GetBook, GetInstrument, GetPicture
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import OrderNumber


def book(state: State, query: GetBook) -> Book | Reject:
    """Return the best levels of a book."""
    if not 0 < query.depth <= BOOK_DEPTH_MAX:
        return Reject.MALFORMED
    instrument = state.markets.instruments.get(query.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    return Book(_levels(instrument.book.bids, query.depth), _levels(instrument.book.asks, query.depth))


def markets(state: State) -> Markets:
    """Return everything listed."""
    assets = [
        AssetInfo(asset.asset, asset.symbol, asset.decimals)
        for _, asset in sorted(state.markets.assets.items())
    ]
    instruments = [
        InstrumentInfo(
            instrument=instrument.instrument,
            symbol=instrument.symbol,
            base=instrument.base,
            quote=instrument.quote,
            tick_mantissa=instrument.listing.tick_mantissa,
            tick_decimals=instrument.listing.tick_decimals,
            lot_mantissa=instrument.listing.lot_mantissa,
            lot_decimals=instrument.listing.lot_decimals,
            lot_atoms=instrument.lot_atoms,
            tick_lot_atoms=instrument.tick_lot_atoms,
            price_max_ticks=instrument.price_max_ticks,
            size_max_lots=instrument.size_max_lots,
            notional_min_atoms=instrument.notional_min_atoms,
            maker_ppm=instrument.maker_ppm,
            taker_ppm=instrument.taker_ppm,
            market_protection_ppm=instrument.market_protection_ppm,
            state=instrument.state,
            standing=_standing(instrument),
            contract=contracts.info(instrument),
        )
        for _, instrument in sorted(state.markets.instruments.items())
    ]
    return Markets(assets, instruments)


def standing(state: State, query: GetInstrument) -> InstrumentStanding | Reject:
    """Return where an instrument stands."""
    instrument = state.markets.instruments.get(query.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    return _standing(instrument)


def _standing(instrument: Instrument) -> InstrumentStanding:
    return InstrumentStanding(
        instrument=instrument.instrument,
        state=instrument.state,
        rules=instrument.rules,
        last_ticks=instrument.last_ticks,
        mark_ticks=instrument.mark_ticks,
        next_state=instrument.next_state,
        next_ns=instrument.next_ns,
        uncross_ticks=instrument.uncross_ticks,
        anchor_ticks=instrument.anchor_ticks,
        anchor_ns=instrument.anchor_ns,
    )


def picture(state: State, query: GetPicture) -> Picture | Reject:
    """Return all that is public about an instrument."""
    if query.orders_max < 0:
        return Reject.MALFORMED
    where = standing(state, GetInstrument(instrument=query.instrument))
    if isinstance(where, Reject):
        return where
    instrument = state.markets.instruments[query.instrument]
    book = instrument.book
    count = query.orders_max or None
    return Picture(
        where,
        state.time_ns,
        list(islice(_shown(book.bids), count)),
        list(islice(_shown(book.asks), count)),
        contracts.standing(state, instrument),
    )


def tiers(state: State) -> Tiers:
    """Return the rates of every tier."""
    return Tiers(
        [
            TierInfo(tier, instrument, maker_ppm, taker_ppm)
            for (tier, instrument), (maker_ppm, taker_ppm) in sorted(state.tiers.items())
        ]
    )


def totals(state: State) -> Totals:
    """Return where all the money is."""
    totals: list[AssetTotal] = []
    of_customers = customers_atoms(state)
    for asset, house in sorted(state.ledger.houses.items()):
        customers = of_customers[asset]
        settling = [
            instrument.contract
            for instrument in state.markets.instruments.values()
            if instrument.contract is not None and instrument.contract.settle == asset
        ]
        clearing_atoms = sum(contract.clearing_atoms for contract in settling)
        funding_atoms = sum(contract.funding_atoms for contract in settling)
        totals.append(
            AssetTotal(
                asset=asset,
                customers_atoms=customers,
                omnibus_atoms=house.omnibus_atoms,
                fees_atoms=house.fees_atoms,
                rounding_atoms=house.rounding_atoms,
                sum_atoms=customers + house.sum_atoms + clearing_atoms + funding_atoms,
                referral_atoms=house.referral_atoms,
                clearing_atoms=clearing_atoms,
                funding_atoms=funding_atoms,
                insurance_atoms=house.insurance_atoms,
                debt_atoms=house.debt_atoms,
            )
        )
    return Totals(totals)


def _levels(side: BookSide, depth: int) -> list[tuple[int, int, int]]:
    return [(abs(level.key), level.open_lots, level.count) for level in islice(side.best_first(), depth)]


def _shown(side: BookSide) -> Iterator[tuple[OrderNumber, int, int]]:
    """Yield what everybody may see of each order of a side: best price first, oldest first."""
    for level in side.best_first():
        order: Order | None = level.oldest
        while order is not None:
            yield order.number, order.price_ticks, order.shown_lots
            order = order.after

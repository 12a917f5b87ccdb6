"""Books rebuilt from events are the exchange's own, at every index and whatever the traffic."""

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.helpers.spot_traffic import SpotTraffic

from steelyard.core import Exchange, queries
from steelyard.core.entry import Applied
from steelyard.core.events import (
    AuctionEnded,
    LotsTransferred,
    MarkSet,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderReduced,
    OrderReplaced,
    OrderReplenished,
    OrderRested,
    StateScheduled,
    Traded,
    TradePrevented,
)
from steelyard.core.queries import Picture
from steelyard.core.rejects import Reject
from steelyard.core.units import OPERATOR_KEY, InstrumentId, Side
from steelyard.rpc.market.book import Level, Shown, checksum_of
from steelyard.rpc.market.market import Market, Status, by_instrument

ENTRIES = 400
SEEDS = range(1, 13)


def market_of(exchange: Exchange, instrument: InstrumentId) -> tuple[Market, Picture] | None:
    picture = queries.answer(exchange.state, OPERATOR_KEY, queries.GetPicture(instrument=instrument))
    if isinstance(picture, Reject):
        return None
    assert isinstance(picture, Picture)
    return Market(exchange.applied_index, picture), picture


def entries(seed: int) -> Iterator[tuple[Exchange, Applied]]:
    """Yield an exchange after each of its entries, and what the entry came to."""
    exchange = Exchange()
    script = SpotTraffic(seed).script()
    entry = next(script)
    for index in range(1, ENTRIES + 1):
        applied = exchange.apply(index, entry)
        yield exchange, applied
        entry = script.send(applied)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_followed_market_is_the_exchanges_own_at_every_index(seed: int) -> None:
    followed: dict[InstrumentId, Market] = {}
    compared = 0
    for exchange, applied in entries(seed):
        events = by_instrument(applied, exchange.state.markets.instruments)
        for instrument in exchange.state.markets.instruments:
            market = followed.get(instrument)
            looked = market_of(exchange, instrument)
            assert looked is not None
            anew, picture = looked
            if market is None:
                followed[instrument] = anew
                continue
            market.apply(applied.index, applied.time_ns, events[instrument])
            for side, orders in ((Side.BUY, picture.bids), (Side.SELL, picture.asks)):
                assert market.book.orders(side) == [Shown(side, *order) for order in orders]
                assert market.book.levels(side) == anew.book.levels(side)
            assert (market.best, market.status) == (anew.best, anew.status)
            assert market.book.checksum() == anew.book.checksum()
            compared += len(picture.bids) + len(picture.asks)
    assert compared > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_picture_and_the_changes_after_it_rebuild_levels_and_orders(seed: int) -> None:
    market: Market | None = None
    levels: dict[tuple[Side, int], Level] = {}
    orders: dict[int, Shown] = {}
    statuses: list[Status] = []
    for exchange, applied in entries(seed):
        if market is None:
            if InstrumentId(1) not in exchange.state.markets.instruments or applied.index < ENTRIES // 8:
                continue
            looked = market_of(exchange, InstrumentId(1))
            assert looked is not None
            market = looked[0]
            for side in Side:
                levels |= {(side, level.price_ticks): level for level in market.book.levels(side)}
                orders |= {order.number: order for order in market.book.orders(side)}
            continue
        events = by_instrument(applied, [InstrumentId(1)])
        change = market.apply(applied.index, applied.time_ns, events[InstrumentId(1)])
        levels |= {(level.side, level.price_ticks): level for level in change.levels}
        orders |= {order.number: order for order in change.orders}
        levels = {place: level for place, level in levels.items() if level.lots}
        orders = {number: order for number, order in orders.items() if order.lots}
        statuses += change.statuses
        best = [
            sorted(
                (level for level in levels.values() if level.side is side),
                key=lambda level: sign * level.price_ticks,
            )
            for side, sign in ((Side.BUY, -1), (Side.SELL, 1))
        ]
        assert best == [market.book.levels(side) for side in Side]
        assert sorted(orders.values()) == sorted(o for side in Side for o in market.book.orders(side))
        listed = ((level.price_ticks, level.lots) for side in best for level in side[:25])
        assert checksum_of(listed) == market.book.checksum()


#: Every way in which a book changes, and what could be taken for one.
_MET = {
    OrderRested,
    Traded,
    OrderFilled,
    OrderCancelled,
    OrderExpired,
    OrderReduced,
    OrderReplaced,
    OrderReplenished,
    TradePrevented,
    LotsTransferred,
    AuctionEnded,
    StateScheduled,
    MarkSet,
}


def test_the_traffic_of_these_tests_changes_books_in_every_way_there_is() -> None:
    met: Counter[type] = Counter()
    for seed in SEEDS:
        for _, applied in entries(seed):
            met.update(type(event) for event in applied.events())
    assert not {kind.__name__ for kind in _MET if met[kind] < 10}

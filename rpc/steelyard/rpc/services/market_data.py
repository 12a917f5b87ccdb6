"""``MarketDataService``: what everybody with a key may see."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from steelyard.core.limits import BOOK_DEPTH_MAX
from steelyard.core.queries import Book, GetBook, GetMarkets, GetPicture, Markets, Picture
from steelyard.core.units import InstrumentId
from steelyard.replication.intervals import Interval
from steelyard.rpc import encode, translate
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.interceptors import Calls, Handler
from steelyard.rpc.market import messages
from steelyard.v1 import market_data_pb2

NAME: Final = "steelyard.v1.MarketDataService"
#: Orders a side in one answer.
ORDERS_MAX: Final = 5_000


class MarketDataService:
    """Reads of the markets."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        unary = {
            "ListInstruments": self.list_instruments,
            "GetBook": self.get_book,
            "GetOrders": self.get_orders,
        }
        handlers = {name: self._calls.signed(f"/{NAME}/{name}", handle) for name, handle in unary.items()}
        handlers["Watch"] = self._calls.signed_stream(f"/{NAME}/Watch", self.watch)
        return handlers

    async def list_instruments(self, body: bytes, caller: Caller) -> bytes:
        """Return everything listed."""
        request = translate.parse(market_data_pb2.ListInstrumentsRequest, body)
        mode, min_index = translate.read_at(request.at)
        return encode.markets(*await self._door.read(Markets, caller.key, GetMarkets(), mode, min_index))

    async def get_book(self, body: bytes, caller: Caller) -> bytes:
        """Return the best levels of a book."""
        request = translate.parse(market_data_pb2.GetBookRequest, body)
        mode, min_index = translate.read_at(request.at)
        if not 0 < request.depth <= BOOK_DEPTH_MAX:
            raise DoorError(Reason.MALFORMED, f"depth goes from 1 to {BOOK_DEPTH_MAX}")
        query = GetBook(instrument=InstrumentId(request.instrument), depth=request.depth)
        return encode.book(*await self._door.read(Book, caller.key, query, mode, min_index))

    async def get_orders(self, body: bytes, caller: Caller) -> bytes:
        """Return every order of a book, or as many as are wanted."""
        request = translate.parse(market_data_pb2.GetOrdersRequest, body)
        mode, min_index = translate.read_at(request.at)
        if not 0 < request.orders_max <= ORDERS_MAX:
            raise DoorError(Reason.MALFORMED, f"orders_max goes from 1 to {ORDERS_MAX}")
        query = GetPicture(instrument=InstrumentId(request.instrument), orders_max=request.orders_max)
        return messages.orders(*await self._door.read(Picture, caller.key, query, mode, min_index))

    async def watch(self, body: bytes, caller: Caller) -> AsyncGenerator[bytes]:
        """Yield a picture, then every change."""
        request = translate.parse(market_data_pb2.WatchRequest, body)
        feed = self._door.market_feed
        if self._door.draining:
            raise DoorError(Reason.DRAINING, leader=self._door.leader_endpoint)
        watcher = feed.watch(caller.key, InstrumentId(request.instrument), wish_of(request))
        try:
            async with aclosing(watcher.messages()) as told:
                async for message in told:
                    yield message
        finally:
            feed.forget(watcher)


def wish_of(request: market_data_pb2.WatchRequest) -> messages.Wish:
    """Return what a watcher wants.

    Raises:
        DoorError: MALFORMED; it makes no sense.

    """
    channels = frozenset(request.channels)
    if not channels or not channels <= messages.CHANNELS:
        raise DoorError(Reason.MALFORMED, "name the channels to watch")
    if not 0 <= request.depth <= BOOK_DEPTH_MAX:
        raise DoorError(Reason.MALFORMED, f"depth goes from 1 to {BOOK_DEPTH_MAX}, or is zero for all")
    interval = None
    if market_data_pb2.CHANNEL_CANDLES in channels:
        interval = interval_of(request.interval)
    return messages.Wish(channels, interval, request.depth)


def interval_of(interval: int) -> Interval:
    """Return a candle's interval.

    Raises:
        DoorError: MALFORMED; it is none.

    """
    try:
        return Interval(interval)
    except ValueError as error:
        raise DoorError(Reason.MALFORMED, "name an interval") from error

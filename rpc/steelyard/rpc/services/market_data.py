"""``MarketDataService``: what everybody with a key may see."""

from typing import Final

from steelyard.core.limits import BOOK_DEPTH_MAX
from steelyard.core.queries import Book, GetBook, GetMarkets, Markets
from steelyard.core.units import InstrumentId
from steelyard.rpc import encode, translate
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.interceptors import Calls, Handler
from steelyard.v1 import market_data_pb2

NAME: Final = "steelyard.v1.MarketDataService"


class MarketDataService:
    """Reads of the markets."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        unary = {"ListInstruments": self.list_instruments, "GetBook": self.get_book}
        return {name: self._calls.signed(f"/{NAME}/{name}", handle) for name, handle in unary.items()}

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

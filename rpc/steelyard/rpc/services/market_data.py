"""``MarketDataService``: what everybody with a key may see."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from steelyard.core.limits import BOOK_DEPTH_MAX, INTEGER_MAX
from steelyard.core.queries import (
    Book,
    Contracts,
    GetBook,
    GetContracts,
    GetInstrument,
    GetMarkets,
    GetPicture,
    InstrumentStanding,
    Markets,
    Picture,
)
from steelyard.core.units import AssetId, InstrumentId
from steelyard.replication.archive_file import Gap
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.front import ReadMode
from steelyard.replication.intervals import SECOND_NS, Interval, end_s
from steelyard.rpc import encode, encode_contracts, translate
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.interceptors import Calls, Handler
from steelyard.rpc.market import messages
from steelyard.rpc.market.book import Best
from steelyard.rpc.market.contract import MarketContract
from steelyard.rpc.market.history import ticker_of
from steelyard.rpc.market.tape import Ticker24h, first_minute_s
from steelyard.v1 import market_data_pb2

NAME: Final = "steelyard.v1.MarketDataService"
#: Orders a side in one answer.
ORDERS_MAX: Final = 5_000
#: Trades or candles in one answer.
ROWS_MAX: Final = 1_000
_NONE: Final = (0, 0, 0)


class MarketDataService:
    """Reads of the markets."""

    def __init__(self, door: Door, calls: Calls) -> None:
        self._door = door
        self._calls = calls

    def handlers(self) -> dict[str, Handler]:
        """Return the service's methods by name."""
        unary = {
            "ListInstruments": self.list_instruments,
            "ListContracts": self.list_contracts,
            "GetBook": self.get_book,
            "GetOrders": self.get_orders,
            "GetTicker": self.get_ticker,
            "ListTrades": self.list_trades,
            "ListCandles": self.list_candles,
            "ListFunding": self.list_funding,
            "ListLiquidations": self.list_liquidations,
        }
        handlers = {name: self._calls.signed(f"/{NAME}/{name}", handle) for name, handle in unary.items()}
        handlers["Watch"] = self._calls.signed_stream(f"/{NAME}/Watch", self.watch)
        return handlers

    async def list_instruments(self, body: bytes, caller: Caller) -> bytes:
        """Return everything listed."""
        request = translate.parse(market_data_pb2.ListInstrumentsRequest, body)
        mode, min_index = translate.read_at(request.at)
        return encode.markets(*await self._door.read(Markets, caller.key, GetMarkets(), mode, min_index))

    async def list_contracts(self, body: bytes, caller: Caller) -> bytes:
        """Return where contracts, indices and insurance funds stand."""
        request = translate.parse(market_data_pb2.ListContractsRequest, body)
        mode, min_index = translate.read_at(request.at)
        return encode_contracts.contracts(
            *await self._door.read(Contracts, caller.key, GetContracts(), mode, min_index)
        )

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

    async def get_ticker(self, body: bytes, caller: Caller) -> bytes:
        """Return the last 24 hours of log time of one instrument, or of all."""
        request = translate.parse(market_data_pb2.GetTickerRequest, body)
        _, listed = await self._door.read(Markets, caller.key, GetMarkets(), ReadMode.STALE)
        wanted = [
            each.instrument for each in listed.instruments if request.instrument in (0, each.instrument)
        ]
        if request.instrument and not wanted:
            raise DoorError(Reason.NOT_FOUND, "UNKNOWN_INSTRUMENT")

        def look(reader: ArchiveReader) -> tuple[int, dict[InstrumentId, Ticker24h], list[Gap]]:
            since_ns = first_minute_s(reader.last_ns) * SECOND_NS - 1
            gaps = reader.gaps(reader.index_at(since_ns), reader.last_index)
            return reader.last_index, {each: ticker_of(reader, each) for each in wanted}, gaps

        index, tickers, gaps = await self._door.history.read(look)
        response = market_data_pb2.GetTickerResponse(log_index=index, gaps=map(messages.gap_message, gaps))
        for instrument, ticker in tickers.items():
            response.tickers.append(await self._ticker(caller, instrument, ticker))
        return response.SerializeToString()

    async def _ticker(
        self, caller: Caller, instrument: InstrumentId, ticker: Ticker24h
    ) -> market_data_pb2.Ticker:
        query = GetPicture(instrument=instrument, orders_max=1)
        _, picture = await self._door.read(Picture, caller.key, query, ReadMode.STALE)
        _, book = await self._door.read(
            Book, caller.key, GetBook(instrument=instrument, depth=1), ReadMode.STALE
        )
        (bid_ticks, bid_lots, _), (ask_ticks, ask_lots, _) = (*book.bids, _NONE)[0], (*book.asks, _NONE)[0]
        best = Best(bid_ticks, bid_lots, ask_ticks, ask_lots)
        contract = None if picture.contract is None else MarketContract(picture.contract)
        return messages.ticker_message(
            instrument, ticker, best, picture.standing.mark_ticks, picture.time_ns, contract
        )

    async def list_trades(self, body: bytes, caller: Caller) -> bytes:
        """Return trades by number."""
        request = translate.parse(market_data_pb2.ListTradesRequest, body)
        count = _bounded(request.trades_max, "trades_max")
        instrument = await self._listed(caller, request.instrument)
        if request.after_trade > INTEGER_MAX:
            raise DoorError(Reason.MALFORMED, "after_trade is out of range")

        def look(reader: ArchiveReader) -> bytes:
            found = reader.trades(instrument, request.after_trade, count)
            whole = len(found) == count
            begin, end = reader.index_of(request.after_trade), reader.last_index
            if whole and request.after_trade:
                end = found[-1].log_index
            elif whole:
                begin = found[0].log_index
            return messages.trades(reader.last_index, found, reader.gaps(begin, end))

        return await self._door.history.read(look)

    async def list_candles(self, body: bytes, caller: Caller) -> bytes:
        """Return candles, oldest first."""
        request = translate.parse(market_data_pb2.ListCandlesRequest, body)
        count = _bounded(request.candles_max, "candles_max")
        interval = interval_of(request.interval)
        if not 0 <= request.from_ns <= INTEGER_MAX:
            raise DoorError(Reason.MALFORMED, "from_ns is out of range")
        instrument = await self._listed(caller, request.instrument)
        from_s = -(-request.from_ns // SECOND_NS)

        def look(reader: ArchiveReader) -> bytes:
            found = reader.candles(instrument, interval, from_s, count)
            response = market_data_pb2.ListCandlesResponse(
                log_index=reader.last_index, candles=map(messages.candle_message, found)
            )
            if found:
                after = reader.index_at(found[0].start_s * SECOND_NS - 1)
                end_ns = end_s(interval, found[-1].start_s) * SECOND_NS - 1
                response.gaps.extend(map(messages.gap_message, reader.gaps(after, reader.index_at(end_ns))))
            return response.SerializeToString()

        return await self._door.history.read(look)

    async def list_funding(self, body: bytes, caller: Caller) -> bytes:
        """Return settlements of a contract's funding, oldest first."""
        request = translate.parse(market_data_pb2.ListFundingRequest, body)
        count = _bounded(request.rows_max, "rows_max")
        instrument = await self._listed(caller, request.instrument)
        after_index = _index(request.after_index)

        def look(reader: ArchiveReader) -> bytes:
            found = reader.fundings(instrument, after_index, count)
            between = _between(reader, after_index, [row.log_index for row in found], count)
            return messages.fundings(reader.last_index, found, reader.gaps(*between))

        return await self._door.history.read(look)

    async def list_liquidations(self, body: bytes, caller: Caller) -> bytes:
        """Return what liquidations did in public, in one contract or in all, oldest first.

        With one contract come those of margin wallets of the asset that it is settled in.
        """
        request = translate.parse(market_data_pb2.ListLiquidationsRequest, body)
        count = _bounded(request.rows_max, "rows_max")
        instrument, settle = InstrumentId(0), AssetId(0)
        if request.instrument:
            instrument = await self._listed(caller, request.instrument)
            settle = await self._settle(caller, instrument)
        after_index = _index(request.after_index)

        def look(reader: ArchiveReader) -> bytes:
            found = reader.liquidations(instrument, settle, after_index, count)
            between = _between(reader, after_index, [row.log_index for row in found], count)
            return messages.liquidations(reader.last_index, found, reader.gaps(*between))

        return await self._door.history.read(look)

    async def _settle(self, caller: Caller, instrument: InstrumentId) -> AssetId:
        """Return the asset in which a contract is settled; zero for spot."""
        _, listed = await self._door.read(Markets, caller.key, GetMarkets(), ReadMode.STALE)
        settled = {each.instrument: each.contract.settle for each in listed.instruments if each.contract}
        return settled.get(instrument, AssetId(0))

    async def _listed(self, caller: Caller, instrument: int) -> InstrumentId:
        """Return an instrument that is listed, and that the caller may ask about."""
        query = GetInstrument(instrument=InstrumentId(instrument))
        await self._door.read(InstrumentStanding, caller.key, query, ReadMode.STALE)
        return InstrumentId(instrument)

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


def _bounded(count: int, name: str) -> int:
    if not 0 < count <= ROWS_MAX:
        raise DoorError(Reason.MALFORMED, f"{name} goes from 1 to {ROWS_MAX}")
    return count


def _index(after_index: int) -> int:
    if after_index > INTEGER_MAX:
        raise DoorError(Reason.MALFORMED, "after_index is out of range")
    return after_index


def _between(reader: ArchiveReader, after_index: int, indexes: list[int], count: int) -> tuple[int, int]:
    """Return between which indexes an answer tells everything: the newest rows, or those after an index."""
    whole = len(indexes) >= count
    if after_index:
        return after_index, indexes[-1] if whole else reader.last_index
    return indexes[0] - 1 if whole else 0, reader.last_index


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

"""Market data: watch a market from whichever node is there, and read what the archives keep."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import fields, replace
from typing import Final

from google.protobuf.message import Message

from steelyard.client.admin import read_at
from steelyard.client.errors import NoArchive, OutcomeUnknown
from steelyard.client.failover import Backoff
from steelyard.client.market_model import (
    Best,
    Candle,
    Channel,
    Funding,
    FundingRow,
    Gap,
    History,
    Interval,
    Level,
    Liquidation,
    MarketStatus,
    MarketUpdate,
    Movement,
    Prices,
    ShownOrder,
    Statement,
    StatementBalance,
    StatementLine,
    Ticker,
    Trade,
)
from steelyard.client.model import Instrument
from steelyard.client.nodes import Nodes
from steelyard.client.words import InstrumentState, LiquidationEnd, LiquidationStep, ReadMode, Side
from steelyard.v1 import account_pb2, common_pb2, market_data_pb2

_SERVICE: Final = "/steelyard.v1.MarketDataService"
WATCH: Final = f"{_SERVICE}/Watch"
GET_TICKER: Final = f"{_SERVICE}/GetTicker"
LIST_TRADES: Final = f"{_SERVICE}/ListTrades"
LIST_CANDLES: Final = f"{_SERVICE}/ListCandles"
LIST_FUNDING: Final = f"{_SERVICE}/ListFunding"
LIST_LIQUIDATIONS: Final = f"{_SERVICE}/ListLiquidations"
GET_STATEMENT: Final = "/steelyard.v1.AccountService/GetStatement"
GET_ORDERS: Final = f"{_SERVICE}/GetOrders"
#: Orders a side in one answer.
ORDERS_MAX: Final = 5_000
#: An archive may have to catch up first, and to add up much.
ARCHIVE_TIMEOUT_S: Final = 10.0


class MarketData:
    """The market's side of a client; see ``Client.market``."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def watch(
        self,
        instrument: Instrument | int,
        channels: Iterable[Channel],
        *,
        depth: int = 0,
        interval: Interval | None = None,
        node: str | None = None,
    ) -> AsyncGenerator[MarketUpdate]:
        """Yield a picture of what is watched, then what each log entry changes of it, for ever.

        When a node goes away the next one goes on with a picture that is not older; whoever reads too slowly
        gets a picture, too.  Log indexes never fall.

        Args:
            instrument: Which.
            channels: What of it.
            depth: Levels a side for ``LEVELS``; zero: all.
            interval: For ``CANDLES``.
            node: Watch there and nowhere else; None: at the nodes in turn.

        Raises:
            SteelyardError: It cannot be watched, or no node was there within the retry deadline.

        """
        request = market_data_pb2.WatchRequest(
            instrument=id_of(instrument),
            channels=[market_data_pb2.Channel.ValueType(channel) for channel in channels],
            depth=depth,
            interval=market_data_pb2.Interval.ValueType(interval or 0),
        ).SerializeToString()
        seen_index = 0
        backoff = Backoff()
        until_s = time.monotonic() + self._nodes.retry_deadline_s
        while True:
            try:
                target = node or self._nodes.next_target()
                async with aclosing(self._watch_at(target, request, seen_index)) as updates:
                    async for update in updates:
                        seen_index = update.log_index
                        backoff.reset()
                        yield update
                        until_s = time.monotonic() + self._nodes.retry_deadline_s
            except OutcomeUnknown as error:
                wait_s = backoff.next_s() if error.delay_s is None else error.delay_s
                if time.monotonic() + wait_s >= until_s:
                    raise
                await asyncio.sleep(wait_s)

    async def orders(
        self,
        instrument: Instrument | int,
        orders_max: int = ORDERS_MAX,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> tuple[int, list[ShownOrder]]:
        """Return every order of a book and the index it was seen at: bids, then asks, best first."""
        request = market_data_pb2.GetOrdersRequest(
            at=read_at(at, min_index), instrument=id_of(instrument), orders_max=orders_max
        )
        body = await self._nodes.call(
            GET_ORDERS, request.SerializeToString(), at_leader=at is ReadMode.LINEARIZABLE, node=node
        )
        response = market_data_pb2.GetOrdersResponse.FromString(body)
        return response.log_index, [
            ShownOrder(side, order.number, order.price_ticks, order.lots)
            for side, orders in ((Side.BUY, response.bids), (Side.SELL, response.asks))
            for order in orders
        ]

    async def tickers(self, instrument: Instrument | int = 0, *, node: str | None = None) -> History[Ticker]:
        """Return the last 24 hours of one instrument, or of all (zero); see ``History``."""
        request = market_data_pb2.GetTickerRequest(instrument=id_of(instrument))
        response = market_data_pb2.GetTickerResponse.FromString(await self._ask(GET_TICKER, request, node))
        return History(
            response.log_index, [ticker_of(row) for row in response.tickers], gaps_of(response.gaps)
        )

    async def trades(
        self,
        instrument: Instrument | int,
        *,
        after_trade: int = 0,
        trades_max: int = 100,
        node: str | None = None,
    ) -> History[Trade]:
        """Return trades by number: those above ``after_trade``, or with zero the newest; at most 1000."""
        request = market_data_pb2.ListTradesRequest(
            instrument=id_of(instrument), after_trade=after_trade, trades_max=trades_max
        )
        response = market_data_pb2.ListTradesResponse.FromString(await self._ask(LIST_TRADES, request, node))
        return History(response.log_index, [trade_of(row) for row in response.trades], gaps_of(response.gaps))

    async def candles(
        self,
        instrument: Instrument | int,
        interval: Interval,
        *,
        from_ns: int = 0,
        candles_max: int = 100,
        node: str | None = None,
    ) -> History[Candle]:
        """Return candles, oldest first: those that begin at ``from_ns`` or later, or with zero the newest.

        At most 1000; intervals without a trade have none.
        """
        request = market_data_pb2.ListCandlesRequest(
            instrument=id_of(instrument),
            interval=market_data_pb2.Interval.ValueType(interval),
            from_ns=from_ns,
            candles_max=candles_max,
        )
        response = market_data_pb2.ListCandlesResponse.FromString(
            await self._ask(LIST_CANDLES, request, node)
        )
        return History(
            response.log_index, [candle_of(row) for row in response.candles], gaps_of(response.gaps)
        )

    async def funding(
        self,
        contract: Instrument | int,
        *,
        after_index: int = 0,
        rows_max: int = 100,
        node: str | None = None,
    ) -> History[FundingRow]:
        """Return settlements of a contract's funding: those after a log index, or with zero the newest."""
        request = market_data_pb2.ListFundingRequest(
            instrument=id_of(contract), after_index=after_index, rows_max=rows_max
        )
        response = market_data_pb2.ListFundingResponse.FromString(
            await self._ask(LIST_FUNDING, request, node)
        )
        return History(
            response.log_index,
            [FundingRow(*(getattr(row, name) for name in _FUNDING_ROW)) for row in response.rows],
            gaps_of(response.gaps),
        )

    async def liquidations(
        self,
        contract: Instrument | int = 0,
        *,
        after_index: int = 0,
        rows_max: int = 100,
        node: str | None = None,
    ) -> History[Liquidation]:
        """Return steps of liquidations in a contract, or in all (zero), without their owners.

        With a contract's come those of margin wallets of the asset that it is settled in.
        Those after a log index, or with zero the newest; at most 1000.
        """
        request = market_data_pb2.ListLiquidationsRequest(
            instrument=id_of(contract), after_index=after_index, rows_max=rows_max
        )
        response = market_data_pb2.ListLiquidationsResponse.FromString(
            await self._ask(LIST_LIQUIDATIONS, request, node)
        )
        return History(
            response.log_index, [liquidation_of(row) for row in response.rows], gaps_of(response.gaps)
        )

    async def statement(
        self,
        account: int | None = None,
        *,
        after_index: int = 0,
        to_index: int = 0,
        movements: bool = False,
        node: str | None = None,
    ) -> Statement:
        """Return what moved for an account after one log index and up to another, and why.

        Without gaps, the lines of each asset are the difference of its balances exactly.

        Args:
            account: The key's own account unless told otherwise.
            after_index: Movements after this index; zero: from the beginning.
            to_index: Up to this one; zero: the last that the archive has.
            movements: Whether every single one is wanted; at most 10,000.
            node: The node whose archive to ask; None: any that has one.

        """
        request = account_pb2.GetStatementRequest(
            account=account or 0, after_index=after_index, to_index=to_index, movements=movements
        )
        return statement_of(
            account_pb2.GetStatementResponse.FromString(await self._ask(GET_STATEMENT, request, node))
        )

    async def _ask(self, method: str, request: Message, node: str | None) -> bytes:
        """Ask an archive: any node's that has one, the nodes in turn.

        Raises:
            NoArchive: No node that is there has one that has come far enough.

        """
        body = request.SerializeToString()
        deadline_s = time.monotonic() + self._nodes.retry_deadline_s
        backoff = Backoff()
        while True:
            refused: list[OutcomeUnknown] = []
            for target in self._nodes.targets if node is None else (node,):
                try:
                    return await self._nodes.call_at(target, method, body, ARCHIVE_TIMEOUT_S)
                except OutcomeUnknown as error:
                    refused.append(error)
            wait_s = backoff.next_s()
            without = [error for error in refused if isinstance(error, NoArchive)]
            if len(without) == len(refused) or time.monotonic() + wait_s >= deadline_s:
                raise NoArchive("; ".join(dict.fromkeys(map(str, without)))) if without else refused[0]
            await asyncio.sleep(wait_s)

    async def _watch_at(self, target: str, request: bytes, seen_index: int) -> AsyncGenerator[MarketUpdate]:
        """Yield a node's updates, whole pictures each as one, unless it knows less than we have seen."""
        parts: list[MarketUpdate] = []
        async with aclosing(self._nodes.stream_at(target, WATCH, request)) as messages:
            async for body in messages:
                message = market_data_pb2.WatchResponse.FromString(body)
                update = update_of(message)
                if update.log_index < seen_index:
                    raise OutcomeUnknown(f"{target} is behind log index {seen_index}", delay_s=BEHIND_S)
                parts.append(update)
                if not message.more:
                    yield parts[0] if len(parts) == 1 else _joined(parts)
                    parts = []


#: A node that knows less than we have seen is asked again so much later.
BEHIND_S: Final = 0.05
_BEST: Final = tuple(each.name for each in fields(Best))
_TICKER: Final = tuple(each.name for each in fields(Ticker))
_CANDLE: Final = tuple(each.name for each in fields(Candle))
_PRICES: Final = tuple(each.name for each in fields(Prices))
_FUNDING: Final = tuple(each.name for each in fields(Funding))
_FUNDING_ROW: Final = tuple(each.name for each in fields(FundingRow))


def id_of(instrument: Instrument | int) -> int:
    """Return an instrument's number."""
    return instrument if isinstance(instrument, int) else instrument.instrument


def update_of(message: market_data_pb2.WatchResponse) -> MarketUpdate:
    """Return one message as a trader handles it."""
    return MarketUpdate(
        message.log_index,
        message.log_time_ns,
        message.picture,
        best=Best(*(getattr(message.best, name) for name in _BEST)) if message.HasField("best") else None,
        levels=[
            Level(Side(level.side), level.price_ticks, level.lots, level.orders) for level in message.levels
        ],
        orders=[
            ShownOrder(Side(order.side), order.number, order.price_ticks, order.lots)
            for order in message.orders
        ],
        trades=[trade_of(trade) for trade in message.trades],
        ticker=ticker_of(message.ticker) if message.HasField("ticker") else None,
        candle=candle_of(message.candle) if message.HasField("candle") else None,
        status=[_status_of(status) for status in message.status],
        checksum=message.checksum if message.HasField("checksum") else None,
        prices=[Prices(*(getattr(row, name) for name in _PRICES)) for row in message.prices],
        funding=[Funding(*(getattr(row, name) for name in _FUNDING)) for row in message.funding],
        open_interest_lots=message.open_interest_lots if message.HasField("open_interest_lots") else None,
        liquidations=[liquidation_of(row) for row in message.liquidations],
    )


def trade_of(row: market_data_pb2.PublicTrade) -> Trade:
    """Return a trade."""
    return Trade(
        row.trade, row.log_index, row.log_time_ns, row.price_ticks, row.size_lots, Side(row.taker_side)
    )


def candle_of(row: market_data_pb2.Candle) -> Candle:
    """Return a candle."""
    return Candle(*(getattr(row, name) for name in _CANDLE))


def liquidation_of(row: market_data_pb2.LiquidationUpdate) -> Liquidation:
    """Return a step of a liquidation."""
    return Liquidation(
        row.log_index,
        row.log_time_ns,
        row.instrument,
        row.liquidation,
        LiquidationStep(row.step),
        Side(row.side) if row.side else None,
        row.lots,
        row.mark_ticks,
        row.limit_ticks,
        row.received_atoms,
        row.bankruptcy_atoms,
        row.insurance_atoms,
        row.debt_atoms,
        row.others,
        row.asset,
        LiquidationEnd(row.how) if row.how else None,
    )


def ticker_of(row: market_data_pb2.Ticker) -> Ticker:
    """Return a ticker."""
    return Ticker(*(getattr(row, name) for name in _TICKER))


def gaps_of(rows: Iterable[common_pb2.Gap]) -> list[Gap]:
    """Return what an archive misses."""
    return [Gap(row.after_index, row.to_index) for row in rows]


def statement_of(response: account_pb2.GetStatementResponse) -> Statement:
    """Return a statement."""
    return Statement(
        response.log_index,
        response.after_index,
        response.to_index,
        [StatementLine(row.asset, row.cause, row.amount_atoms, row.count) for row in response.lines],
        [StatementBalance(row.asset, row.before_atoms, row.after_atoms) for row in response.balances],
        [
            Movement(
                row.log_index,
                row.log_time_ns,
                row.asset,
                row.cause,
                row.amount_atoms,
                row.other,
                row.trade,
            )
            for row in response.movements
        ],
        gaps_of(response.gaps),
    )


def _status_of(row: market_data_pb2.StatusUpdate) -> MarketStatus:
    return MarketStatus(
        InstrumentState(row.state),
        InstrumentState(row.next_state) if row.next_state else None,
        row.next_ns,
        row.mark_ticks,
        row.auction_ticks,
        row.auction_lots,
    )


def _joined(parts: list[MarketUpdate]) -> MarketUpdate:
    """Return a picture that came in parts."""
    return replace(
        parts[0],
        levels=[level for part in parts for level in part.levels],
        orders=[order for part in parts for order in part.orders],
        checksum=parts[-1].checksum,
    )

"""Changes and pictures of a market as ``WatchResponse``, for one wish that many watchers may share."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, cast

from steelyard.core.events import Traded
from steelyard.core.queries import Picture
from steelyard.core.units import InstrumentState, Side
from steelyard.replication.archive_file import Gap
from steelyard.replication.archive_read import FundingSettled, Printed
from steelyard.replication.candles import Candle
from steelyard.replication.intervals import SECOND_NS, Interval
from steelyard.replication.liquidations import Stepped
from steelyard.rpc.market.book import Best, Level, MarketBook, Shown
from steelyard.rpc.market.contract import ContractChange, Funding, MarketContract, Prices
from steelyard.rpc.market.market import Change, Market, Status
from steelyard.rpc.market.tape import Tape, Ticker24h
from steelyard.v1 import common_pb2
from steelyard.v1 import market_data_pb2 as pb

#: Levels and orders in one message: about half a megabyte.
ITEMS_MAX: Final = 20_000

SIDES: Final[dict[Side, "common_pb2.Side.ValueType"]] = {
    Side.BUY: common_pb2.SIDE_BUY,
    Side.SELL: common_pb2.SIDE_SELL,
}
STATES: Final[dict[InstrumentState, "common_pb2.InstrumentState.ValueType"]] = {
    state: common_pb2.InstrumentState.Value(f"INSTRUMENT_STATE_{state.name}") for state in InstrumentState
}
CHANNELS: Final = frozenset(value for value in pb.Channel.values() if value != pb.CHANNEL_UNSPECIFIED)
#: Channels that need to know what was traded before.
OF_TRADES: Final = frozenset({pb.CHANNEL_TICKER, pb.CHANNEL_CANDLES})


class Wish(NamedTuple):
    """What a watcher wants of an instrument."""

    channels: frozenset[int]
    interval: Interval | None
    depth: int

    @property
    def needs_tape(self) -> bool:
        """Whether what was traded before has to be known."""
        return not OF_TRADES.isdisjoint(self.channels)


class View:
    """What has been told to those who share a wish, so that the next message says what is new."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self._levels: dict[tuple[Side, int], Level] = {}
        self._ticker_owed = False
        self._ticker_second = 0

    def picture(self, market: Market, tape: Tape | None) -> list[bytes]:
        """Return the messages that say how everything is now."""
        channels = self.wish.channels
        message = pb.WatchResponse(log_index=market.index, log_time_ns=market.time_ns, picture=True)
        if pb.CHANNEL_BEST in channels:
            message.best.CopyFrom(_best(market.best))
        if pb.CHANNEL_STATUS in channels:
            message.status.append(_status(market.status))
        if market.contract is not None:
            self._tell_standing(message, market.contract)
        if tape is not None:
            if pb.CHANNEL_TICKER in channels:
                message.ticker.CopyFrom(_ticker(market, tape))
            candle = tape.candles.get(self.wish.interval) if self.wish.interval is not None else None
            if pb.CHANNEL_CANDLES in channels and candle is not None:
                message.candle.CopyFrom(candle_message(candle))
        levels: list[Level] = []
        if pb.CHANNEL_LEVELS in channels:
            levels = [level for side in Side for level in market.book.levels(side, self.wish.depth)]
            self._levels = {(level.side, level.price_ticks): level for level in levels}
        orders: list[Shown] = []
        if pb.CHANNEL_ORDERS in channels:
            orders = [order for side in Side for order in market.book.orders(side)]
        return list(self._parts(message, market.book, levels, orders))

    def change(self, market: Market, change: Change, tape: Tape | None) -> list[bytes]:
        """Return the messages that say what an entry has changed; none if that is nothing."""
        channels = self.wish.channels
        message = pb.WatchResponse(log_index=change.index, log_time_ns=change.time_ns)
        said = False
        if pb.CHANNEL_BEST in channels and change.best_changed:
            message.best.CopyFrom(_best(market.best))
            said = True
        if pb.CHANNEL_TRADES in channels and change.trades:
            message.trades.extend(_trade(event, change) for event in change.trades)
            said = True
        if pb.CHANNEL_STATUS in channels and change.statuses:
            message.status.extend(_status(status) for status in change.statuses)
            said = True
        if change.contract is not None:
            said |= self._tell_of_contract(message, change.contract)
        if tape is not None:
            said |= self._tell_of_trades(message, market, change, tape)
        levels = self._new_levels(market.book, change) if pb.CHANNEL_LEVELS in channels else []
        orders = change.orders if pb.CHANNEL_ORDERS in channels else []
        if not said and not levels and not orders:
            return []
        return list(self._parts(message, market.book, levels, orders))

    def _tell_standing(self, message: pb.WatchResponse, contract: MarketContract) -> None:
        """Add how a contract stands; liquidations are no standing."""
        channels = self.wish.channels
        if pb.CHANNEL_PRICES in channels:
            message.prices.append(_prices(contract.prices))
        if pb.CHANNEL_FUNDING in channels:
            message.funding.append(_funding(contract.funding))
        if pb.CHANNEL_OPEN_INTEREST in channels:
            message.open_interest_lots = contract.open_interest_lots

    def _tell_of_contract(self, message: pb.WatchResponse, change: ContractChange) -> bool:
        """Add everything that has changed of a contract; return whether something wanted has."""
        channels = self.wish.channels
        if pb.CHANNEL_PRICES in channels:
            message.prices.extend(map(_prices, change.prices))
        if pb.CHANNEL_FUNDING in channels:
            message.funding.extend(map(_funding, change.fundings))
        if pb.CHANNEL_OPEN_INTEREST in channels and change.open_interest_lots is not None:
            message.open_interest_lots = change.open_interest_lots
        if pb.CHANNEL_LIQUIDATIONS in channels:
            message.liquidations.extend(map(liquidation_message, change.liquidations))
        return bool(
            message.prices
            or message.funding
            or message.liquidations
            or message.HasField("open_interest_lots")
        )

    def _tell_of_trades(self, message: pb.WatchResponse, market: Market, change: Change, tape: Tape) -> bool:
        """Add ticker and candle if they are due; return whether one was."""
        said = False
        if pb.CHANNEL_TICKER in self.wish.channels:
            self._ticker_owed |= bool(change.trades or change.statuses or change.best_changed)
            self._ticker_owed |= change.contract is not None and change.contract.moves_ticker
            second = change.time_ns // SECOND_NS
            if self._ticker_owed and second > self._ticker_second:
                self._ticker_owed, self._ticker_second = False, second
                message.ticker.CopyFrom(_ticker(market, tape))
                said = True
        interval = self.wish.interval
        if pb.CHANNEL_CANDLES in self.wish.channels and interval is not None and change.trades:
            candle = tape.candles[interval]
            assert candle is not None, "a trade makes a candle"
            message.candle.CopyFrom(candle_message(candle))
            said = True
        return said

    def _new_levels(self, book: MarketBook, change: Change) -> list[Level]:
        """Return the levels to tell of: with a depth also those that come into sight or go out of it."""
        if not change.levels:
            return []
        depth = self.wish.depth
        if not depth:
            return change.levels
        seen = {(level.side, level.price_ticks): level for side in Side for level in book.levels(side, depth)}
        new = [level for place, level in seen.items() if self._levels.get(place) != level]
        new += [
            level._replace(lots=0, orders=0) for place, level in self._levels.items() if place not in seen
        ]
        self._levels = seen
        return new

    def _parts(
        self, first: pb.WatchResponse, book: MarketBook, levels: list[Level], orders: list[Shown]
    ) -> Iterator[bytes]:
        """Yield the first message with levels and orders, and more of them if they are too many for one."""
        message = first
        room = ITEMS_MAX
        items: list[Level | Shown] = [*levels, *orders]
        for item in items:
            if room == 0:
                message.more = True
                yield message.SerializeToString()
                message = pb.WatchResponse(log_index=first.log_index, log_time_ns=first.log_time_ns)
                room = ITEMS_MAX
            if isinstance(item, Level):
                message.levels.append(_level(item))
            else:
                message.orders.append(_order(item))
            room -= 1
        if pb.CHANNEL_LEVELS in self.wish.channels:
            message.checksum = book.checksum(self.wish.depth)
        yield message.SerializeToString()


def orders(index: int, picture: Picture) -> bytes:
    """Return the orders of a book as the protocol has them."""
    response = pb.GetOrdersResponse(log_index=index)
    for side, found in ((response.bids, picture.bids), (response.asks, picture.asks)):
        side.extend(
            pb.PublicOrder(number=number, price_ticks=price_ticks, lots=lots)
            for number, price_ticks, lots in found
        )
    return response.SerializeToString()


def trades(index: int, found: Iterable[Printed], gaps: Iterable[Gap]) -> bytes:
    """Return trades as the protocol has them."""
    response = pb.ListTradesResponse(log_index=index, gaps=map(gap_message, gaps))
    response.trades.extend(
        pb.PublicTrade(
            trade=trade.trade,
            log_index=trade.log_index,
            log_time_ns=trade.time_ns,
            price_ticks=trade.price_ticks,
            size_lots=trade.size_lots,
            taker_side=SIDES[Side(trade.taker_side)],
        )
        for trade in found
    )
    return response.SerializeToString()


def fundings(index: int, found: Iterable[FundingSettled], gaps: Iterable[Gap]) -> bytes:
    """Return settlements of funding as the protocol has them."""
    response = pb.ListFundingResponse(log_index=index, gaps=map(gap_message, gaps))
    response.rows.extend(
        pb.FundingRow(
            log_index=row.log_index,
            log_time_ns=row.time_ns,
            rate_ppb=row.rate_ppb,
            mark_ticks=row.mark_ticks,
            delta_nanoatoms=row.delta_nanoatoms,
            cumulative_nanoatoms=row.cumulative_nanoatoms,
        )
        for row in found
    )
    return response.SerializeToString()


def liquidations(index: int, found: Iterable[Stepped], gaps: Iterable[Gap]) -> bytes:
    """Return steps of liquidations as the protocol has them."""
    return pb.ListLiquidationsResponse(
        log_index=index, rows=map(liquidation_message, found), gaps=map(gap_message, gaps)
    ).SerializeToString()


def gap_message(gap: Gap) -> common_pb2.Gap:
    """Return a gap as the protocol has it."""
    return common_pb2.Gap(after_index=gap.after_index, to_index=gap.to_index)


def candle_message(candle: Candle) -> pb.Candle:
    """Return a candle as the protocol has it."""
    return pb.Candle(
        start_ns=candle.start_s * SECOND_NS,
        open_ticks=candle.open_ticks,
        high_ticks=candle.high_ticks,
        low_ticks=candle.low_ticks,
        close_ticks=candle.close_ticks,
        volume_lots=candle.volume_lots,
        volume_atoms=candle.volume_atoms,
        trades=candle.trades,
        taker_buy_lots=candle.taker_buy_lots,
    )


def liquidation_message(stepped: Stepped) -> pb.LiquidationUpdate:
    """Return a step of a liquidation as the protocol has it."""
    return pb.LiquidationUpdate(
        log_index=stepped.log_index,
        log_time_ns=stepped.time_ns,
        instrument=stepped.instrument,
        liquidation=stepped.liquidation,
        step=cast("common_pb2.LiquidationStep.ValueType", stepped.step),
        side=cast("common_pb2.Side.ValueType", stepped.side),
        lots=stepped.lots,
        mark_ticks=stepped.mark_ticks,
        limit_ticks=stepped.limit_ticks,
        received_atoms=stepped.received_atoms,
        bankruptcy_atoms=stepped.bankruptcy_atoms,
        insurance_atoms=stepped.insurance_atoms,
        debt_atoms=stepped.debt_atoms,
        others=stepped.others,
        asset=stepped.asset,
        how=cast("common_pb2.LiquidationEnd.ValueType", stepped.how),
    )


def ticker_message(
    instrument: int,
    ticker: Ticker24h,
    best: Best,
    mark_ticks: int,
    time_ns: int,
    contract: MarketContract | None,
) -> pb.Ticker:
    """Return a ticker as the protocol has it; ``contract`` is None for spot."""
    day = ticker.day(time_ns)
    message = pb.Ticker(
        instrument=instrument,
        last_ticks=ticker.last_ticks,
        last_lots=ticker.last_lots,
        bid_ticks=best.bid_ticks,
        bid_lots=best.bid_lots,
        ask_ticks=best.ask_ticks,
        ask_lots=best.ask_lots,
        open_ticks=day.open_ticks,
        high_ticks=day.high_ticks,
        low_ticks=day.low_ticks,
        volume_lots=day.volume_lots,
        volume_atoms=day.volume_atoms,
        trades=day.trades,
        mark_ticks=mark_ticks,
        log_time_ns=time_ns,
    )
    if contract is not None:
        message.index_ticks = contract.prices.index_ticks
        message.open_interest_lots = contract.open_interest_lots
        message.predicted_ppb = contract.predicted_ppb
        message.funding_ns = contract.funding_ns
    return message


def _ticker(market: Market, tape: Tape) -> pb.Ticker:
    return ticker_message(
        market.instrument,
        tape.ticker,
        market.best,
        market.status.mark_ticks,
        market.time_ns,
        market.contract,
    )


def _prices(prices: Prices) -> pb.PriceUpdate:
    return pb.PriceUpdate(
        mark_ticks=prices.mark_ticks, index_ticks=prices.index_ticks, index_stale=prices.index_stale
    )


def _funding(funding: Funding) -> pb.FundingUpdate:
    return pb.FundingUpdate(
        settled=funding.settled,
        premium_ppb=funding.premium_ppb,
        predicted_ppb=funding.predicted_ppb,
        rate_ppb=funding.rate_ppb,
        mark_ticks=funding.mark_ticks,
        delta_nanoatoms=funding.delta_nanoatoms,
        cumulative_nanoatoms=funding.cumulative_nanoatoms,
        next_ns=funding.next_ns,
    )


def _best(best: Best) -> pb.Best:
    return pb.Best(
        bid_ticks=best.bid_ticks, bid_lots=best.bid_lots, ask_ticks=best.ask_ticks, ask_lots=best.ask_lots
    )


def _level(level: Level) -> pb.LevelUpdate:
    return pb.LevelUpdate(
        side=SIDES[level.side], price_ticks=level.price_ticks, lots=level.lots, orders=level.orders
    )


def _order(order: Shown) -> pb.OrderUpdate:
    return pb.OrderUpdate(
        side=SIDES[order.side], number=order.number, price_ticks=order.price_ticks, lots=order.lots
    )


def _trade(event: Traded, change: Change) -> pb.PublicTrade:
    return pb.PublicTrade(
        trade=event.trade,
        log_index=change.index,
        log_time_ns=change.time_ns,
        price_ticks=event.price_ticks,
        size_lots=event.size_lots,
        taker_side=SIDES[event.taker_side],
    )


def _status(status: Status) -> pb.StatusUpdate:
    return pb.StatusUpdate(
        state=STATES[status.state],
        next_state=common_pb2.INSTRUMENT_STATE_UNSPECIFIED
        if status.next_state is None
        else STATES[status.next_state],
        next_ns=status.next_ns,
        mark_ticks=status.mark_ticks,
        auction_ticks=status.auction_ticks,
        auction_lots=status.auction_lots,
    )

"""A client of a group: find the leader, read, and open sessions to trade in."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from steelyard.client.admin import Admin, read_at
from steelyard.client.commands import PlaceOrder
from steelyard.client.contracts import Contracts, contracts_of
from steelyard.client.errors import NotFound
from steelyard.client.failover import COMMANDS_MAX
from steelyard.client.keys import ApiKey
from steelyard.client.market import MarketData
from steelyard.client.messages import place_order
from steelyard.client.model import (
    AccountInfo,
    Asset,
    Balance,
    Book,
    Instrument,
    NodeStatus,
    RestingOrder,
    Rows,
    Trial,
)
from steelyard.client.nodes import Nodes
from steelyard.client.session import Session
from steelyard.client.translate import account_of, assets_of, book_of, instruments_of, orders_of, trial_of
from steelyard.client.unary import UnarySession, open_session
from steelyard.client.wire import NUMBER_MAX
from steelyard.client.words import ReadMode
from steelyard.v1 import account_pb2, market_data_pb2, trading_pb2

LIST_INSTRUMENTS = "/steelyard.v1.MarketDataService/ListInstruments"
LIST_CONTRACTS = "/steelyard.v1.MarketDataService/ListContracts"
GET_BOOK = "/steelyard.v1.MarketDataService/GetBook"
GET_ACCOUNT = "/steelyard.v1.AccountService/GetAccount"
TRY_ORDER = "/steelyard.v1.TradingService/TryOrder"
GET_BALANCES = "/steelyard.v1.AccountService/GetBalances"
LIST_ORDERS = "/steelyard.v1.TradingService/ListOrders"


class Client:
    """A connection to a group of nodes, for one API key.

    Use it as ``async with Client(["host:port", …], key) as client``.  A failover in the middle of a call is a
    pause, up to ``retry_deadline_s``.

    Every read takes how fresh its answer must be, and who is to give it:

    * ``at=LINEARIZABLE``: it sees every write acknowledged before the call, whoever made it.
    * ``at=AT_LEAST`` and ``min_index``: it sees that log index, such as a reply's ``log_index``.
    * ``at=STALE``: what the node has applied, at once, with or without a leader.
    * ``node``: one of the targets, asked alone for as long as the retry deadline allows, whether or not it
      leads; a follower gives linearizable answers too, after asking the leader how far it must be.
      None: the leader if linearizable, else the nodes in turn.

    A ``node`` that is none of the targets is a ``ValueError``.
    """

    def __init__(self, targets: Sequence[str], key: ApiKey, *, retry_deadline_s: float = 30.0) -> None:
        self.key = key
        self._nodes = Nodes(targets, key, retry_deadline_s=retry_deadline_s)
        self.market = MarketData(self._nodes)
        """Watching markets, and what the archives keep of them."""
        self._sessions: list[Session] = []
        self._assets: dict[int, Asset] = {}

    def beside(self, key: ApiKey) -> "Client":
        """Return a client with another key over this one's connections, which stay this one's to close.

        For a process that acts for many accounts.
        """
        other = Client(self._nodes.targets, key, retry_deadline_s=self._nodes.retry_deadline_s)
        other._nodes = self._nodes.beside(key)
        other.market = MarketData(other._nodes)
        return other

    async def __aenter__(self) -> "Client":
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        await self.close()

    async def close(self) -> None:
        """Detach all sessions and close all connections."""
        sessions, self._sessions = self._sessions, []
        await asyncio.gather(*(session.close() for session in sessions))
        await self._nodes.close()

    # Nodes.

    async def status(self, target: str | None = None) -> NodeStatus:
        """Return what a node says it is; of the leader if no ``target`` is given."""
        return await self._nodes.status(target or await self._nodes.leading())

    async def statuses(self) -> list[NodeStatus]:
        """Return what each node says it is, in the order of the targets; unreachable ones included."""
        return await self._nodes.statuses()

    # Markets.

    async def instruments(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> dict[str, Instrument]:
        """Return the listed instruments by symbol."""
        return instruments_of(await self._markets(at, min_index, node))

    async def instrument(
        self,
        symbol: str,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Instrument:
        """Return one instrument.

        Raises:
            NotFound: It is not listed.

        """
        instruments = await self.instruments(at, min_index, node=node)
        if symbol not in instruments:
            raise NotFound(f"no instrument {symbol}; listed: {', '.join(instruments) or 'none'}")
        return instruments[symbol]

    async def assets(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> dict[str, Asset]:
        """Return the listed assets by symbol."""
        assets = assets_of(await self._markets(at, min_index, node))
        return {asset.symbol: asset for asset in assets.values()}

    async def contracts(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> Contracts:
        """Return where contracts, indices and insurance funds stand."""
        request = market_data_pb2.ListContractsRequest(at=read_at(at, min_index))
        body = await self._read(LIST_CONTRACTS, request.SerializeToString(), at, node)
        return contracts_of(market_data_pb2.ListContractsResponse.FromString(body))

    async def book(
        self,
        instrument: Instrument | int,
        depth: int = 10,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Book:
        """Return the best levels of a book."""
        request = market_data_pb2.GetBookRequest(
            at=read_at(at, min_index), instrument=_id_of(instrument), depth=depth
        )
        body = await self._read(GET_BOOK, request.SerializeToString(), at, node)
        return book_of(market_data_pb2.GetBookResponse.FromString(body))

    # The account.

    async def balances(
        self,
        account: int | None = None,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Rows[Balance]:
        """Return what an account owns, by asset; the key's own account unless told otherwise."""
        request = account_pb2.GetBalancesRequest(at=read_at(at, min_index), account=account or 0)
        body = await self._read(GET_BALANCES, request.SerializeToString(), at, node)
        response = account_pb2.GetBalancesResponse.FromString(body)
        rows = response.balances
        if any(row.asset not in self._assets for row in rows):
            # Assets are never taken back: a node that has applied the answer's index knows these.
            self._assets = assets_of(await self._markets(ReadMode.AT_LEAST, response.log_index, node))
        return Rows(
            response.log_index,
            [Balance(self._assets[row.asset], row.free_atoms, row.held_atoms) for row in rows],
        )

    async def open_orders(
        self,
        account: int | None = None,
        instrument: Instrument | int | None = None,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Rows[RestingOrder]:
        """Return an account's living orders by number, with terms and state, of one instrument or of all."""
        request = trading_pb2.ListOrdersRequest(
            at=read_at(at, min_index),
            account=account or 0,
            instrument=0 if instrument is None else _id_of(instrument),
        )
        body = await self._read(LIST_ORDERS, request.SerializeToString(), at, node)
        response = trading_pb2.ListOrdersResponse.FromString(body)
        return Rows(response.log_index, orders_of(response))

    async def account(
        self,
        account: int | None = None,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> AccountInfo:
        """Return everything about an account (the key's own by default) but its free funds and orders.

        Margin wallets and positions are part of it.
        """
        request = account_pb2.GetAccountRequest(at=read_at(at, min_index), account=account or 0)
        body = await self._read(GET_ACCOUNT, request.SerializeToString(), at, node)
        return account_of(account_pb2.GetAccountResponse.FromString(body))

    async def try_order(
        self,
        order: PlaceOrder,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Trial:
        """Return what an order (made by ``order(…)``) would come to now; changes nothing."""
        wanted = trading_pb2.PlaceOrder.FromString(place_order(order, NUMBER_MAX))
        request = trading_pb2.TryOrderRequest(at=read_at(at, min_index), order=wanted)
        body = await self._read(TRY_ORDER, request.SerializeToString(), at, node)
        return trial_of(trading_pb2.TryOrderResponse.FromString(body))

    # Writing.

    async def session(
        self,
        name: str,
        *,
        events: bool = False,
        batch_max: int = COMMANDS_MAX,
        cancel_on_disconnect: timedelta | None = None,
    ) -> Session:
        """Attach to the account's session of that name, opened if it is new, and stay attached.

        Args:
            name: Unique per account; at most 64 printable ASCII characters.
            events: Whether private events are wanted.
            batch_max: Commands per message, at most.
            cancel_on_disconnect: Cancel all of the account's orders when the stream closes, and so long after
                its node has died, unless the session is attached again by then; a second to a day.

        """
        session = Session(
            self._nodes,
            name,
            events=events,
            batch_max=batch_max,
            cancel_on_disconnect=cancel_on_disconnect,
        )
        try:
            await session.start()
        except BaseException:
            await session.close()
            raise
        self._sessions.append(session)
        return session

    async def unary_session(self, name: str) -> UnarySession:
        """Open a session whose orders go out as one call each."""
        opened = await open_session(self._nodes, name)
        return UnarySession(self._nodes, name, opened.session, opened.last_request)

    async def admin(self, name: str = "operator") -> Admin:
        """Open the operator's session of that name; needs a key with OPERATE."""
        opened = await open_session(self._nodes, name)
        return Admin(self._nodes, name, opened.session, opened.last_request)

    async def _markets(
        self, at: ReadMode, min_index: int, node: str | None
    ) -> market_data_pb2.ListInstrumentsResponse:
        request = market_data_pb2.ListInstrumentsRequest(at=read_at(at, min_index))
        body = await self._read(LIST_INSTRUMENTS, request.SerializeToString(), at, node)
        return market_data_pb2.ListInstrumentsResponse.FromString(body)

    async def _read(self, method: str, body: bytes, at: ReadMode, node: str | None) -> bytes:
        return await self._nodes.call(method, body, at_leader=at is ReadMode.LINEARIZABLE, node=node)


def _id_of(instrument: Instrument | int) -> int:
    return instrument if isinstance(instrument, int) else instrument.instrument

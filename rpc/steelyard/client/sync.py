"""The same client for scripts: every call blocks."""

import asyncio
import threading
from collections.abc import Coroutine, Generator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from steelyard.client.admin import Admin
from steelyard.client.client import Client
from steelyard.client.keys import ApiKey
from steelyard.client.model import (
    AssetTotal,
    Balance,
    Book,
    Cancelled,
    Command,
    Event,
    Instrument,
    InstrumentState,
    NodeStatus,
    Placed,
    ReadMode,
    Reply,
    RestingOrder,
    Rows,
    Side,
    TimeInForce,
)
from steelyard.client.session import Session

T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="steelyard", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` there and wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


class SyncClient:
    """``Client``, blocking; use it as ``with SyncClient(["host:port", …], key) as client``.

    Reads take ``at``, ``min_index`` and ``node`` as those of ``Client`` do.
    """

    def __init__(self, targets: Sequence[str], key: ApiKey, *, retry_deadline_s: float = 30.0) -> None:
        self._loop = _Loop()

        async def make() -> Client:
            return Client(targets, key, retry_deadline_s=retry_deadline_s)

        try:
            self._client = self._loop.run(make())
        except BaseException:
            self._loop.close()
            raise

    def __enter__(self) -> "SyncClient":
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self.close()

    def close(self) -> None:
        """Detach all sessions, close all connections and end the thread."""
        self._loop.run(self._client.close())
        self._loop.close()

    def status(self, target: str | None = None) -> NodeStatus:
        """Return what a node says it is; of the leader if no ``target`` is given."""
        return self._loop.run(self._client.status(target))

    def statuses(self) -> list[NodeStatus]:
        """Return what each node says it is; unreachable ones included."""
        return self._loop.run(self._client.statuses())

    def instruments(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> dict[str, Instrument]:
        """Return the listed instruments by symbol."""
        return self._loop.run(self._client.instruments(at, min_index, node=node))

    def instrument(
        self,
        symbol: str,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Instrument:
        """Return one instrument."""
        return self._loop.run(self._client.instrument(symbol, at, min_index, node=node))

    def book(
        self,
        instrument: Instrument | int,
        depth: int = 10,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Book:
        """Return the best levels of a book."""
        return self._loop.run(self._client.book(instrument, depth, at, min_index, node=node))

    def balances(
        self,
        account: int | None = None,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Rows[Balance]:
        """Return what an account owns, by asset."""
        return self._loop.run(self._client.balances(account, at, min_index, node=node))

    def open_orders(
        self,
        account: int | None = None,
        instrument: Instrument | int | None = None,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Rows[RestingOrder]:
        """Return an account's resting orders by number."""
        return self._loop.run(self._client.open_orders(account, instrument, at, min_index, node=node))

    def session(self, name: str, *, events: bool = False) -> "SyncSession":
        """Attach to the account's session of that name, and stay attached."""
        return SyncSession(self._loop, self._loop.run(self._client.session(name, events=events)))

    def admin(self, name: str = "operator") -> "SyncAdmin":
        """Open the operator's session of that name."""
        return SyncAdmin(self._loop, self._loop.run(self._client.admin(name)))


class SyncSession:
    """``Session``, blocking."""

    def __init__(self, loop: _Loop, session: Session) -> None:
        self._loop = loop
        self._session = session

    def place(
        self,
        instrument: Instrument,
        side: Side,
        *,
        size: Decimal | int | None = None,
        size_lots: int | None = None,
        limit: Decimal | int | None = None,
        limit_ticks: int | None = None,
        market: bool = False,
        time_in_force: TimeInForce | None = None,
        post_only: bool = False,
        order: int | None = None,
        label: str = "",
        not_after_ns: int = 0,
    ) -> Placed:
        """Place an order and return what came of it; see ``Session.place``."""
        return self._loop.run(
            self._session.place(
                instrument,
                side,
                size=size,
                size_lots=size_lots,
                limit=limit,
                limit_ticks=limit_ticks,
                market=market,
                time_in_force=time_in_force,
                post_only=post_only,
                order=order,
                label=label,
                not_after_ns=not_after_ns,
            )
        )

    def cancel(self, order: Placed | int | None = None, *, number: int = 0, label: str = "") -> Cancelled:
        """Cancel an order; see ``Session.cancel``."""
        return self._loop.run(self._session.cancel(order, number=number, label=label))

    def submit_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and return their replies, in order."""
        return self._loop.run(self._session.submit_many(commands))

    def events(self) -> Generator[Event, None, None]:
        """Yield the account's private events in log order; blocks until the next one."""
        events = self._session.events()
        try:
            while True:
                yield self._loop.run(_next(events))
        finally:
            self._loop.run(_close(events))

    def close(self) -> None:
        """Detach; resting orders stay."""
        self._loop.run(self._session.close())

    @property
    def id(self) -> int:
        """Given by the exchange."""
        return self._session.id

    @property
    def last_request(self) -> int:
        """The last number given out."""
        return self._session.last_request

    @property
    def reconnects(self) -> int:
        """How often the stream was attached again."""
        return self._session.reconnects


class SyncAdmin:
    """``Admin``, blocking."""

    def __init__(self, loop: _Loop, admin: Admin) -> None:
        self._loop = loop
        self._admin = admin

    def list_asset(self, asset: int, symbol: str, decimals: int) -> int:
        """List an asset."""
        return self._loop.run(self._admin.list_asset(asset, symbol, decimals))

    def list_instrument(
        self,
        instrument: int,
        symbol: str,
        base: int,
        quote: int,
        *,
        tick: Decimal,
        lot: Decimal,
        price_max_ticks: int,
        size_max_lots: int,
        notional_min_atoms: int = 0,
        maker_ppm: int = 0,
        taker_ppm: int = 0,
        market_protection_ppm: int = 50_000,
    ) -> int:
        """List a spot instrument; see ``Admin.list_instrument``."""
        return self._loop.run(
            self._admin.list_instrument(
                instrument,
                symbol,
                base,
                quote,
                tick=tick,
                lot=lot,
                price_max_ticks=price_max_ticks,
                size_max_lots=size_max_lots,
                notional_min_atoms=notional_min_atoms,
                maker_ppm=maker_ppm,
                taker_ppm=taker_ppm,
                market_protection_ppm=market_protection_ppm,
            )
        )

    def set_instrument_state(self, instrument: int, state: InstrumentState) -> int:
        """Move an instrument through its life."""
        return self._loop.run(self._admin.set_instrument_state(instrument, state))

    def open_account(self, account: int) -> int:
        """Open an empty customer account."""
        return self._loop.run(self._admin.open_account(account))

    def deposit(self, account: int, asset: int, amount_atoms: int) -> int:
        """Credit an account."""
        return self._loop.run(self._admin.deposit(account, asset, amount_atoms))

    def withdraw(self, account: int, asset: int, amount_atoms: int) -> int:
        """Pay out of an account."""
        return self._loop.run(self._admin.withdraw(account, asset, amount_atoms))

    def create_api_key(self, account: int, public_key: bytes, permissions: int) -> int:
        """Let the holder of a key act for an account; return the key's id."""
        return self._loop.run(self._admin.create_api_key(account, public_key, permissions))

    def revoke_api_key(self, key: int) -> int:
        """End a key for good."""
        return self._loop.run(self._admin.revoke_api_key(key))

    def activate_version(self, version: int) -> int:
        """Let the group do what the next version does, once every member runs a build that knows it."""
        return self._loop.run(self._admin.activate_version(version))

    def totals(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> Rows[AssetTotal]:
        """Return where all the atoms are, by asset."""
        return self._loop.run(self._admin.totals(at, min_index, node=node))


async def _next(events: Any) -> Event:  # noqa: ANN401 - an async generator of events
    event: Event = await anext(events)
    return event


async def _close(events: Any) -> None:  # noqa: ANN401 - an async generator of events
    await events.aclose()

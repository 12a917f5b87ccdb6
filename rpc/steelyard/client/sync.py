"""The same client for scripts: every call blocks."""

from collections.abc import Generator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Unpack, overload

from steelyard.client.blocking import Blocking, Loop, blocking
from steelyard.client.client import Client
from steelyard.client.commands import Command, Leg, PlaceOrder
from steelyard.client.contracts import Contracts
from steelyard.client.events import Event
from steelyard.client.keys import ApiKey
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
from steelyard.client.orders import AmendWords, Named, OrderWords, Trigger
from steelyard.client.replies import Accepted, Amended, Cancelled, LegReply, Placed, Reply, Swept, Waiting
from steelyard.client.session import Session
from steelyard.client.sync_parts import SyncAdmin, SyncMarketData
from steelyard.client.words import BatchMode, ReadMode, SelfTrade, Side


class SyncClient:
    """``Client``, blocking; use it as ``with SyncClient(["host:port", …], key) as client``.

    Reads take ``at``, ``min_index`` and ``node`` as those of ``Client`` do.
    """

    def __init__(self, targets: Sequence[str], key: ApiKey, *, retry_deadline_s: float = 30.0) -> None:
        self._loop = Loop()

        async def make() -> Client:
            return Client(targets, key, retry_deadline_s=retry_deadline_s)

        try:
            self._client = self._loop.run(make())
        except BaseException:
            self._loop.close()
            raise
        self.market = SyncMarketData(self._loop, self._client.market)
        """Watching markets, and what the archives keep of them."""

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

    def contracts(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> Contracts:
        """Return where contracts, indices and insurance funds stand."""
        return self._loop.run(self._client.contracts(at, min_index, node=node))

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
        """Return an account's living orders by number, with terms and state."""
        return self._loop.run(self._client.open_orders(account, instrument, at, min_index, node=node))

    def assets(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> dict[str, Asset]:
        """Return the listed assets by symbol."""
        return self._loop.run(self._client.assets(at, min_index, node=node))

    def account(
        self,
        account: int | None = None,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> AccountInfo:
        """Return everything about an account but its funds and orders."""
        return self._loop.run(self._client.account(account, at, min_index, node=node))

    def try_order(
        self,
        order: PlaceOrder,
        at: ReadMode = ReadMode.LINEARIZABLE,
        min_index: int = 0,
        *,
        node: str | None = None,
    ) -> Trial:
        """Return what an order would come to if it were placed now; changes nothing."""
        return self._loop.run(self._client.try_order(order, at, min_index, node=node))

    def session(
        self, name: str, *, events: bool = False, cancel_on_disconnect: timedelta | None = None
    ) -> "SyncSession":
        """Attach to the account's session of that name, and stay attached; see ``Client.session``."""
        opened = self._client.session(name, events=events, cancel_on_disconnect=cancel_on_disconnect)
        return SyncSession(self._loop, self._loop.run(opened))

    def admin(self, name: str = "operator") -> "SyncAdmin":
        """Open the operator's session of that name."""
        return SyncAdmin(self._loop, self._loop.run(self._client.admin(name)))


class SyncSession(Blocking[Session]):
    """``Session``, blocking."""

    set_leverage = blocking(Session.set_leverage)
    set_contract_modes = blocking(Session.set_contract_modes)
    move_margin = blocking(Session.move_margin)
    adjust_bucket = blocking(Session.adjust_bucket)

    @overload
    def place(
        self, instrument: Instrument, side: Side, *, trigger: None = None, **words: Unpack[OrderWords]
    ) -> Placed: ...

    @overload
    def place(
        self, instrument: Instrument, side: Side, *, trigger: Trigger, **words: Unpack[OrderWords]
    ) -> Waiting: ...

    def place(
        self,
        instrument: Instrument,
        side: Side,
        *,
        trigger: Trigger | None = None,
        **words: Unpack[OrderWords],
    ) -> Placed | Waiting:
        """Place an order and return what came of it; see ``Trader.place``."""
        if trigger is None:
            return self._loop.run(self._inner.place(instrument, side, **words))
        return self._loop.run(self._inner.place(instrument, side, trigger=trigger, **words))

    def cancel(self, order: Named | None = None, *, number: int = 0, label: str = "") -> Cancelled:
        """Cancel an order; see ``Trader.cancel``."""
        return self._loop.run(self._inner.cancel(order, number=number, label=label))

    def amend(
        self, order: Named | None = None, *, number: int = 0, label: str = "", **words: Unpack[AmendWords]
    ) -> Amended:
        """Change a living order; see ``Trader.amend``."""
        return self._loop.run(self._inner.amend(order, number=number, label=label, **words))

    def replace(
        self, old: Named, new: PlaceOrder, *, place_anyway: bool = False, cancel_anyway: bool = False
    ) -> tuple[LegReply, LegReply]:
        """Cancel one order and place another as one command; see ``Trader.replace``."""
        return self._loop.run(
            self._inner.replace(old, new, place_anyway=place_anyway, cancel_anyway=cancel_anyway)
        )

    def place_oco(self, first: PlaceOrder, second: PlaceOrder) -> tuple[LegReply, ...]:
        """Place two orders of which one ends the other; see ``Trader.place_oco``."""
        return self._loop.run(self._inner.place_oco(first, second))

    def place_oto(self, first: PlaceOrder, second: PlaceOrder) -> tuple[LegReply, ...]:
        """Place an order and one that follows it; see ``Trader.place_oto``."""
        return self._loop.run(self._inner.place_oto(first, second))

    def place_otoco(self, first: PlaceOrder, second: PlaceOrder, third: PlaceOrder) -> tuple[LegReply, ...]:
        """Place an order and two that follow it as an OCO; see ``Trader.place_otoco``."""
        return self._loop.run(self._inner.place_otoco(first, second, third))

    def batch(self, legs: Sequence[Leg], *, mode: BatchMode = BatchMode.EACH) -> tuple[LegReply, ...]:
        """Carry out many commands as one; see ``Trader.batch``."""
        return self._loop.run(self._inner.batch(legs, mode=mode))

    def cancel_all(
        self, instrument: Instrument | None = None, side: Side | None = None, *, sub_accounts: bool = False
    ) -> Swept:
        """Cancel all living orders; see ``Trader.cancel_all``."""
        return self._loop.run(self._inner.cancel_all(instrument, side, sub_accounts=sub_accounts))

    def countdown(self, after: timedelta, instrument: Instrument | None = None) -> Accepted:
        """Let all orders be cancelled unless called again in time; see ``Trader.countdown``."""
        return self._loop.run(self._inner.countdown(after, instrument))

    def transfer(self, asset: Asset, amount: Decimal | int, *, giver: int = 0, taker: int = 0) -> Accepted:
        """Move free funds within the family; see ``Trader.transfer``."""
        return self._loop.run(self._inner.transfer(asset, amount, giver=giver, taker=taker))

    def set_self_trade(self, mode: SelfTrade | None) -> Accepted:
        """Choose what the account's orders do that do not say; see ``Trader.set_self_trade``."""
        return self._loop.run(self._inner.set_self_trade(mode))

    def open_sub_account(self, account: int, permissions: int) -> Accepted:
        """Open an account that belongs to this one."""
        return self._loop.run(self._inner.open_sub_account(account, permissions))

    def pay_referral(self, asset: Asset) -> Accepted:
        """Move what was earned as a referrer to the account's free funds."""
        return self._loop.run(self._inner.pay_referral(asset))

    def submit_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and return their replies, in order."""
        return self._loop.run(self._inner.submit_many(commands))

    def events(self) -> Generator[Event, None, None]:
        """Yield the account's private events in log order; blocks until the next one."""
        return self._loop.items(self._inner.events())

    def close(self) -> None:
        """Detach; orders stay, unless the session cancels on disconnect."""
        self._loop.run(self._inner.close())

    @property
    def id(self) -> int:
        """Given by the exchange."""
        return self._inner.id

    @property
    def last_request(self) -> int:
        """The last number given out."""
        return self._inner.last_request

    @property
    def reconnects(self) -> int:
        """How often the stream was attached again."""
        return self._inner.reconnects

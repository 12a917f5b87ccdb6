"""The same client for scripts: every call blocks."""

import asyncio
import threading
from collections.abc import Coroutine, Generator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar, Unpack, overload

from steelyard.client.admin import Admin
from steelyard.client.client import Client
from steelyard.client.commands import Command, Leg, PlaceOrder
from steelyard.client.events import Event
from steelyard.client.keys import ApiKey
from steelyard.client.model import (
    AccountInfo,
    Asset,
    AssetTotal,
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
from steelyard.client.words import BatchMode, InstrumentState, ReadMode, SelfTrade, Side

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


class SyncSession:
    """``Session``, blocking."""

    def __init__(self, loop: _Loop, session: Session) -> None:
        self._loop = loop
        self._session = session

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
            return self._loop.run(self._session.place(instrument, side, **words))
        return self._loop.run(self._session.place(instrument, side, trigger=trigger, **words))

    def cancel(self, order: Named | None = None, *, number: int = 0, label: str = "") -> Cancelled:
        """Cancel an order; see ``Trader.cancel``."""
        return self._loop.run(self._session.cancel(order, number=number, label=label))

    def amend(
        self, order: Named | None = None, *, number: int = 0, label: str = "", **words: Unpack[AmendWords]
    ) -> Amended:
        """Change a living order; see ``Trader.amend``."""
        return self._loop.run(self._session.amend(order, number=number, label=label, **words))

    def replace(
        self, old: Named, new: PlaceOrder, *, place_anyway: bool = False, cancel_anyway: bool = False
    ) -> tuple[LegReply, LegReply]:
        """Cancel one order and place another as one command; see ``Trader.replace``."""
        return self._loop.run(
            self._session.replace(old, new, place_anyway=place_anyway, cancel_anyway=cancel_anyway)
        )

    def place_oco(self, first: PlaceOrder, second: PlaceOrder) -> tuple[LegReply, ...]:
        """Place two orders of which one ends the other; see ``Trader.place_oco``."""
        return self._loop.run(self._session.place_oco(first, second))

    def place_oto(self, first: PlaceOrder, second: PlaceOrder) -> tuple[LegReply, ...]:
        """Place an order and one that follows it; see ``Trader.place_oto``."""
        return self._loop.run(self._session.place_oto(first, second))

    def place_otoco(self, first: PlaceOrder, second: PlaceOrder, third: PlaceOrder) -> tuple[LegReply, ...]:
        """Place an order and two that follow it as an OCO; see ``Trader.place_otoco``."""
        return self._loop.run(self._session.place_otoco(first, second, third))

    def batch(self, legs: Sequence[Leg], *, mode: BatchMode = BatchMode.EACH) -> tuple[LegReply, ...]:
        """Carry out many commands as one; see ``Trader.batch``."""
        return self._loop.run(self._session.batch(legs, mode=mode))

    def cancel_all(
        self, instrument: Instrument | None = None, side: Side | None = None, *, sub_accounts: bool = False
    ) -> Swept:
        """Cancel all living orders; see ``Trader.cancel_all``."""
        return self._loop.run(self._session.cancel_all(instrument, side, sub_accounts=sub_accounts))

    def countdown(self, after: timedelta, instrument: Instrument | None = None) -> Accepted:
        """Let all orders be cancelled unless called again in time; see ``Trader.countdown``."""
        return self._loop.run(self._session.countdown(after, instrument))

    def transfer(self, asset: Asset, amount: Decimal | int, *, giver: int = 0, taker: int = 0) -> Accepted:
        """Move free funds within the family; see ``Trader.transfer``."""
        return self._loop.run(self._session.transfer(asset, amount, giver=giver, taker=taker))

    def set_self_trade(self, mode: SelfTrade | None) -> Accepted:
        """Choose what the account's orders do that do not say; see ``Trader.set_self_trade``."""
        return self._loop.run(self._session.set_self_trade(mode))

    def open_sub_account(self, account: int, permissions: int) -> Accepted:
        """Open an account that belongs to this one."""
        return self._loop.run(self._session.open_sub_account(account, permissions))

    def pay_referral(self, asset: Asset) -> Accepted:
        """Move what was earned as a referrer to the account's free funds."""
        return self._loop.run(self._session.pay_referral(asset))

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
        """Detach; orders stay, unless the session cancels on disconnect."""
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
        """Block on ``Admin.list_instrument``."""
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

    def set_instrument_rules(
        self,
        instrument: int,
        *,
        price_step_ticks: int = 1,
        size_step_lots: int = 1,
        size_min_lots: int = 1,
        notional_max_atoms: int = 0,
        orders_max: int = 0,
        buy_down_ppm: int = 0,
        buy_up_ppm: int = 0,
        sell_down_ppm: int = 0,
        sell_up_ppm: int = 0,
        execution_down_ppm: int = 0,
        execution_up_ppm: int = 0,
        halt_ppm: int = 0,
        halt_window_ns: int = 0,
        halt_ns: int = 0,
        auction_ns: int = 0,
        self_trade: SelfTrade = SelfTrade.NONE,
    ) -> int:
        """Block on ``Admin.set_instrument_rules``."""
        return self._loop.run(
            self._admin.set_instrument_rules(
                instrument,
                price_step_ticks=price_step_ticks,
                size_step_lots=size_step_lots,
                size_min_lots=size_min_lots,
                notional_max_atoms=notional_max_atoms,
                orders_max=orders_max,
                buy_down_ppm=buy_down_ppm,
                buy_up_ppm=buy_up_ppm,
                sell_down_ppm=sell_down_ppm,
                sell_up_ppm=sell_up_ppm,
                execution_down_ppm=execution_down_ppm,
                execution_up_ppm=execution_up_ppm,
                halt_ppm=halt_ppm,
                halt_window_ns=halt_window_ns,
                halt_ns=halt_ns,
                auction_ns=auction_ns,
                self_trade=self_trade,
            )
        )

    def set_mark(self, instrument: int, mark_ticks: int) -> int:
        """Block on ``Admin.set_mark``."""
        return self._loop.run(self._admin.set_mark(instrument, mark_ticks))

    def start_auction(self, instrument: int, auction_ns: int) -> int:
        """Block on ``Admin.start_auction``."""
        return self._loop.run(self._admin.start_auction(instrument, auction_ns))

    def schedule_state(self, instrument: int, state: InstrumentState, at_ns: int) -> int:
        """Block on ``Admin.schedule_state``."""
        return self._loop.run(self._admin.schedule_state(instrument, state, at_ns))

    def open_sub_account(self, master: int, account: int, permissions: int) -> int:
        """Block on ``Admin.open_sub_account``."""
        return self._loop.run(self._admin.open_sub_account(master, account, permissions))

    def set_account_rules(
        self, account: int, *, permissions: int, trade_group: int = 0, orders_max: int = 0
    ) -> int:
        """Block on ``Admin.set_account_rules``."""
        return self._loop.run(
            self._admin.set_account_rules(
                account, permissions=permissions, trade_group=trade_group, orders_max=orders_max
            )
        )

    def set_order_limit(
        self, account: int, instrument: int, *, size_max_lots: int = 0, notional_max_atoms: int = 0
    ) -> int:
        """Block on ``Admin.set_order_limit``."""
        return self._loop.run(
            self._admin.set_order_limit(
                account, instrument, size_max_lots=size_max_lots, notional_max_atoms=notional_max_atoms
            )
        )

    def set_frozen(self, account: int, frozen: bool) -> int:
        """Block on ``Admin.set_frozen``."""
        return self._loop.run(self._admin.set_frozen(account, frozen))

    def set_legal_hold(self, account: int, on: bool) -> int:
        """Block on ``Admin.set_legal_hold``."""
        return self._loop.run(self._admin.set_legal_hold(account, on))

    def hold_funds(
        self, account: int, hold: int, asset: int, amount_atoms: int, *, legal: bool = False
    ) -> int:
        """Block on ``Admin.hold_funds``."""
        return self._loop.run(self._admin.hold_funds(account, hold, asset, amount_atoms, legal=legal))

    def release_hold(self, account: int, hold: int, *, legal: bool = False) -> int:
        """Block on ``Admin.release_hold``."""
        return self._loop.run(self._admin.release_hold(account, hold, legal=legal))

    def set_fee_tier(self, tier: int, instrument: int, *, maker_ppm: int, taker_ppm: int) -> int:
        """Block on ``Admin.set_fee_tier``."""
        return self._loop.run(
            self._admin.set_fee_tier(tier, instrument, maker_ppm=maker_ppm, taker_ppm=taker_ppm)
        )

    def set_account_tier(self, account: int, tier: int) -> int:
        """Block on ``Admin.set_account_tier``."""
        return self._loop.run(self._admin.set_account_tier(account, tier))

    def set_referrer(self, account: int, referrer: int, share_ppm: int) -> int:
        """Block on ``Admin.set_referrer``."""
        return self._loop.run(self._admin.set_referrer(account, referrer, share_ppm))

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

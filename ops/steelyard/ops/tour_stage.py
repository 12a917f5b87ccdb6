"""What the tour's steps play on: a market of its own for each, three traders, and a record of every word."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self, TypeVar

from steelyard.client import (
    Admin,
    ApiKey,
    Client,
    Command,
    Event,
    Instrument,
    InstrumentState,
    Permission,
    Reply,
    Session,
    Side,
    TimeInForce,
    order,
)
from steelyard.ops import words
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.ops.verdict import AckBook

BTC: Final = 1
USDT: Final = 2
NAMES: Final = ("alice", "bob", "carol")
FIRST_ACCOUNT: Final = 1000
RICH_ATOMS: Final = 10**13
MAKER_PPM: Final = 1_000
TAKER_PPM: Final = 2_000
ALL_PERMISSIONS: Final = sum(Permission)
#: Longer than a leader's death and everything else that a step waits for.
PATIENCE_S: Final = 30.0
POLL_S: Final = 0.02

E = TypeVar("E", bound=Event)


class StepFailed(OpsError):
    """A step of the tour did not come out as it must."""


class Row(NamedTuple):
    """One line of a step: who, what they asked for or heard, and what they were told."""

    who: str
    what: str
    answer: str


class Actor:
    """A trader of the tour, and everything heard so far."""

    def __init__(self, name: str, account: int, client: Client, session: Session) -> None:
        self.name = name
        self.account = account
        self.client = client
        self.session = session
        self.heard: list[Event] = []
        self._arrived = asyncio.Event()
        self._listening = asyncio.ensure_future(self._listen())

    async def until(self, kind: type[E], match: Callable[[E], bool], mark: int) -> E:
        """Return the first event of that kind after the ``mark``-th that matches.

        Raises:
            StepFailed: There is none in time.

        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                at = mark
                while True:
                    while at < len(self.heard):
                        event = self.heard[at]
                        at += 1
                        if isinstance(event, kind) and match(event):
                            return event
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError as error:
            heard = [str(event) for event in self.heard[mark:]]
            raise StepFailed(f"{self.name} never heard of {kind.__name__}; of this: {heard}") from error

    async def close(self) -> None:
        """Hear no more."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        async for event in self.session.events():
            self.heard.append(event)
            self._arrived.set()


class Step:
    """One step: a new market, the traders, and what was said; ``require`` is what it is for."""

    def __init__(self, stage: "Stage", title: str, instrument: Instrument) -> None:
        self.title = title
        self.instrument = instrument
        self.stage = stage
        self.rows: list[Row] = []
        self.shows: list[str] = []
        self.failure = ""
        self.alice, self.bob, self.carol = stage.actors
        self._marks = {actor.name: len(actor.heard) for actor in stage.actors}
        self._instruments = {instrument.instrument: instrument}

    @property
    def ok(self) -> bool:
        """Whether every claim held."""
        return not self.failure

    async def send(self, actor: Actor, command: Command) -> Reply:
        """Send a command and note what was asked and answered; a refusal is a reply."""
        reply = await actor.session.submit(command)
        self.rows.append(
            Row(actor.name, words.asked(command, self._instruments), words.answered(reply, self.instrument))
        )
        return reply

    async def get(self, kind: type[Any], actor: Actor, command: Command) -> Any:  # noqa: ANN401 - of that kind
        """Send a command whose reply must be of that kind; return it."""
        reply = await self.send(actor, command)
        if not isinstance(reply, kind):
            raise StepFailed(f"{actor.name} was told: {words.answered(reply, self.instrument)}")
        return reply

    def buy(self, size: str | None = None, limit: str | None = None, **said: Any) -> Any:  # noqa: ANN401 - words of an order
        """Return an order to buy; decimals as texts, the rest as ``order`` has it."""
        return self._order(Side.BUY, size, limit, said)

    def sell(self, size: str | None = None, limit: str | None = None, **said: Any) -> Any:  # noqa: ANN401 - words of an order
        """Return an order to sell."""
        return self._order(Side.SELL, size, limit, said)

    async def trade_at(self, price: str) -> None:
        """Make the last price this one: Carol and Bob trade the smallest size at it."""
        await self.send(self.carol, self.sell("0.01", price))
        await self.send(self.bob, self.buy("0.01", price, time_in_force=TimeInForce.IOC))

    async def hears(self, actor: Actor, kind: type[E], match: Callable[[E], bool] = lambda _: True) -> E:
        """Wait for an event of this step, and note it."""
        event = await actor.until(kind, match, self._marks[actor.name])
        self.rows.append(Row(f"{actor.name} hears", words.happened(event, self._instruments), ""))
        return event

    def heard(self, actor: Actor, kind: type[E], match: Callable[[E], bool] = lambda _: True) -> list[E]:
        """Return the events of this step that came so far."""
        events = actor.heard[self._marks[actor.name] :]
        return [event for event in events if isinstance(event, kind) and match(event)]

    def note(self, who: str, what: str, answer: str = "") -> None:
        """Note something else that was done."""
        self.rows.append(Row(who, what, answer))

    def require(self, holds: bool, claim: str) -> None:
        """Note a claim that holds.

        Raises:
            StepFailed: It does not.

        """
        if not holds:
            raise StepFailed(f"not so: {claim}")
        self.shows.append(claim)

    async def book(self) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Return bids and asks as (price, size)."""
        found = await self.bob.client.book(self.instrument)
        price, size = self.instrument.price, self.instrument.size
        return (
            [(price(ticks), size(lots)) for ticks, lots in found.bids],
            [(price(ticks), size(lots)) for ticks, lots in found.asks],
        )

    async def living(self, actor: Actor) -> dict[int, Any]:
        """Return an actor's living orders in this market, by number."""
        return {row.number: row for row in await actor.client.open_orders(instrument=self.instrument)}

    async def wait_for_state(self, state: InstrumentState) -> None:
        """Wait until the market is in a state, and note it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (await self.bob.client.instrument(self.instrument.symbol)).state is not state:
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise StepFailed(f"{self.instrument.symbol} never became {state.name}") from error
        self.note(self.instrument.symbol, f"is {state.name} now")

    def _order(self, side: Side, size: str | None, limit: str | None, said: dict[str, Any]) -> Any:  # noqa: ANN401 - an order
        return order(
            self.instrument,
            side,
            size=None if size is None else Decimal(size),
            limit=None if limit is None else Decimal(limit),
            **said,
        )


class Stage:
    """A running group with two assets and three funded traders who listen."""

    def __init__(self, group: LocalGroup, operator: Client, admin: Admin, acks: AckBook) -> None:
        self.group = group
        self.operator = operator
        self.admin = admin
        self.acks = acks
        self.actors: list[Actor] = []
        self.kills = 0
        self._markets = 0
        self._open = AsyncExitStack()

    @classmethod
    async def of(cls, group: LocalGroup, operator: Client) -> Self:
        """List, open and fund, and attach everybody."""
        acks = AckBook()
        admin = await operator.admin("tour")
        admin.on_ack = acks.recorder(admin.id)
        stage = cls(group, operator, admin, acks)
        await admin.list_asset(BTC, "BTC", 8)
        await admin.list_asset(USDT, "USDT", 6)
        for account, name in enumerate(NAMES, FIRST_ACCOUNT):
            await admin.open_account(account)
            for asset in (BTC, USDT):
                await admin.deposit(account, asset, RICH_ATOMS)
            await stage._attach(name, account)
        return stage

    async def __aenter__(self) -> Self:
        """Return the stage."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Detach everybody."""
        for actor in self.actors:
            await actor.close()
        await self._open.aclose()

    async def key(self, account: int, permissions: int = ALL_PERMISSIONS & ~Permission.OPERATE) -> ApiKey:
        """Return a new key for an account."""
        key = ApiKey.generate()
        return key.with_id(await self.admin.create_api_key(account, key.public_key, permissions), account)

    async def step(self, title: str) -> Step:
        """Return a new step with an empty market of its own, open."""
        self._markets += 1
        number, symbol = self._markets, f"BTC-USDT.{self._markets}"
        await self.admin.list_instrument(
            number,
            symbol,
            BTC,
            USDT,
            tick=Decimal("0.01"),
            lot=Decimal("0.01"),
            price_max_ticks=10_000_000,
            size_max_lots=100_000,
            maker_ppm=MAKER_PPM,
            taker_ppm=TAKER_PPM,
        )
        for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN):
            await self.admin.set_instrument_state(number, state)
        return Step(self, title, await self.operator.instrument(symbol))

    async def kill_leader(self) -> int:
        """Kill the node that leads, replica and gateway; return its number."""
        leader = await self.group.leader(self.operator)
        if leader is None:
            raise StepFailed("the group has no leader to kill")
        self.group.kill(leader)
        self.kills += 1
        return leader

    async def attached(
        self, client: Client, name: str, *, cancel_on_disconnect: timedelta | None = None
    ) -> Session:
        """Return a session whose replies are judged at the end."""
        session = await client.session(name, events=True, cancel_on_disconnect=cancel_on_disconnect)
        session.on_ack = self.acks.recorder(session.id)
        return session

    async def _attach(self, name: str, account: int) -> None:
        client = Client(self.group.endpoints, await self.key(account))
        await self._open.enter_async_context(client)
        self.actors.append(Actor(name, account, client, await self.attached(client, "tour")))

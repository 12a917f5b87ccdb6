"""How fast one core applies a log in memory: bytes in, bytes out, without disk or network."""

import gc
import random
import tracemalloc
from collections.abc import Callable
from enum import StrEnum
from importlib.machinery import EXTENSION_SUFFIXES
from time import perf_counter_ns, process_time_ns
from typing import Final

import msgspec

from steelyard.core import Entry, Exchange, Request, exchange, snapshot, versions, wire
from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    ContractRules,
    CreateApiKey,
    Deposit,
    FoundGroupAt,
    IndexQuote,
    LiquidationTerms,
    ListAsset,
    ListContract,
    ListIndex,
    ListInstrument,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OpenAccount,
    OpenSession,
    PlaceOrder,
    SetIndexSources,
    SetInstrumentState,
    SetMark,
)
from steelyard.core.limits import OMNIBUS_ATOMS_MAX
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    AssetId,
    ContractKind,
    IndexId,
    InstrumentId,
    InstrumentState,
    KeyId,
    MarkRule,
    OrderId,
    OrderNumber,
    Permission,
    SessionId,
    Side,
    TimeInForce,
)
from steelyard.ops import machine

_BASE: Final = AssetId(1)
_QUOTE: Final = AssetId(2)
_INSTRUMENT: Final = InstrumentId(1)
_INDEX: Final = IndexId(1)
_SIDES: Final = (Side.BUY, Side.SELL)
_MID_TICKS: Final = 50_000
_SPREAD_TICKS: Final = 500
_SIZE_MAX_LOTS: Final = 10
#: How many answers behind a client of the benchmark is.
_LAG: Final = 50
_CANCELS: Final = 0.45
_CROSSES: Final = 0.10


class Mix(StrEnum):
    """What the orders of a log are about."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    """One linear perpetual contract: every order that rests or trades passes the checks of margin."""


class _Trader:
    """One account with its session and the orders it believes to be living."""

    def __init__(self, account: AccountId, key: KeyId) -> None:
        self.account = account
        self.key = key
        self.session = SessionId(0)
        self.request = 0
        self.last_order = 0

    def ask(self, command: AnyCommand) -> Request:
        """Wrap a command as this trader's next request."""
        if self.session != 0:
            self.request += 1
        wants_from = max(1, self.request - _LAG)
        return Request(self.session, self.request, wants_from, self.key, self.request, 0, command)

    def next_order(self) -> OrderId:
        """Return an order id that was not used before."""
        self.last_order += 1
        return OrderId(self.last_order)


class _Generator:
    """Makes a log by running it: only so can a cancel name an order that is really there."""

    def __init__(self, accounts: int, seed: int, mix: Mix = Mix.SPOT) -> None:
        self._mix = mix
        self.exchange = Exchange()
        self._random = random.Random(seed)
        self._operator = _Trader(OPERATOR, OPERATOR_KEY)
        self._traders: list[_Trader] = []
        self._numbers: list[OrderNumber] = []
        self._found(accounts)

    def entry(self, requests: list[Request]) -> bytes:
        """Apply the requests as the next entry, and return it as the log would hold it."""
        index = self.exchange.applied_index + 1
        body = wire.encode_entry(Entry(self.exchange.state.version, self.exchange.time_ns + 1000, requests))
        self.exchange.apply_bytes(index, body)
        return body

    def place(self) -> Request:
        """Place an order that rests."""
        trader = self._random.choice(self._traders)
        away_ticks = self._random.randint(1, _SPREAD_TICKS)
        side = self._random.choice(_SIDES)
        return trader.ask(
            PlaceOrder(
                account=trader.account,
                instrument=_INSTRUMENT,
                order=trader.next_order(),
                side=side,
                size_lots=self._random.randint(1, _SIZE_MAX_LOTS),
                limit_ticks=_MID_TICKS + (away_ticks if side == Side.SELL else -away_ticks),
            )
        )

    def cross(self) -> Request:
        """Take from the best levels, and expire the rest."""
        trader = self._random.choice(self._traders)
        side = self._random.choice(_SIDES)
        reach_ticks = _SPREAD_TICKS if side == Side.BUY else -_SPREAD_TICKS
        return trader.ask(
            PlaceOrder(
                account=trader.account,
                instrument=_INSTRUMENT,
                order=trader.next_order(),
                side=side,
                size_lots=self._random.randint(1, _SIZE_MAX_LOTS),
                limit_ticks=_MID_TICKS + reach_ticks,
                time_in_force=TimeInForce.IOC,
            )
        )

    def cancel(self, cancelled: dict[int, None]) -> Request:
        """Cancel some living order that this entry has not cancelled yet."""
        orders = self.exchange.state.orders
        while True:
            number = self._random.choice(self._numbers)
            order = orders.get(number)
            if order is not None and number not in cancelled:
                cancelled[number] = None
                trader = self._traders[order.account - FIRST_CUSTOMER]
                return trader.ask(CancelOrder(account=order.account, order=order.order))

    def mixed(self, batch: int, resting: int) -> bytes:
        """Make an entry of 45 % cancels, 10 % takers, and placements that keep the book at its size."""
        self._numbers = list(self.exchange.state.orders)
        requests: list[Request] = []
        cancelled: dict[int, None] = {}
        balance = len(self._numbers) - resting
        for _ in range(batch):
            draw = self._random.random()
            if draw < _CROSSES:
                requests.append(self.cross())
            elif draw < _CROSSES + _CANCELS + min(max(balance / 1000, -0.1), 0.1):
                requests.append(self.cancel(cancelled))
            else:
                requests.append(self.place())
        return self.entry(requests)

    def _found(self, accounts: int) -> None:
        public_key = bytes(32)
        found = FoundGroupAt(group="bench", operator_public_key=public_key, version=versions.KNOWN_MAX)
        self.entry([self._operator.ask(found)])
        self.entry([self._operator.ask(OpenSession(account=OPERATOR, name="bench"))])
        self._operator.session = SessionId(1)
        commands: list[AnyCommand] = [
            ListAsset(asset=_BASE, symbol="BTC", decimals=8),
            ListAsset(asset=_QUOTE, symbol="USDT", decimals=8),
            *_listing(self._mix),
            SetInstrumentState(instrument=_INSTRUMENT, state=InstrumentState.POST_ONLY),
            SetInstrumentState(instrument=_INSTRUMENT, state=InstrumentState.OPEN),
        ]
        funds_atoms = min(10**15, OMNIBUS_ATOMS_MAX // accounts)
        for number in range(accounts):
            account = AccountId(FIRST_CUSTOMER + number)
            self._traders.append(_Trader(account, KeyId(OPERATOR_KEY + 1 + number)))
            commands += [
                OpenAccount(account=account),
                CreateApiKey(
                    account=account,
                    public_key=public_key,
                    permissions=int(
                        Permission.READ | Permission.TRADE | Permission.TRANSFER | Permission.FEED
                    ),
                ),
                Deposit(account=account, asset=_BASE, amount_atoms=funds_atoms),
                Deposit(account=account, asset=_QUOTE, amount_atoms=funds_atoms),
            ]
        self.entry([self._operator.ask(command) for command in commands])
        self.entry(
            [trader.ask(OpenSession(account=trader.account, name="bench")) for trader in self._traders]
        )
        for trader in self._traders:
            trader.session = self.exchange.state.accounts[trader.account].sessions["bench"].session
        if self._mix == Mix.PERPETUAL:
            self._feed()

    def _feed(self) -> None:
        """Give the contract its index and its mark, and every trader margin."""
        quote = IndexQuote(source=1, price_ticks=_MID_TICKS, weight=1, time_ns=self.exchange.time_ns)
        feeder = self._traders[0]
        prices: list[AnyCommand] = [
            SetIndexSources(index=_INDEX, quotes=[quote]),
            SetMark(instrument=_INSTRUMENT, mark_ticks=_MID_TICKS),
        ]
        self.entry([feeder.ask(command) for command in prices])
        self.entry(
            [
                trader.ask(
                    MoveMargin(
                        account=trader.account,
                        asset=_QUOTE,
                        amount_atoms=self.exchange.state.accounts[trader.account].free_atoms(_QUOTE),
                    )
                )
                for trader in self._traders
            ]
        )


def run(
    commands: int = 200_000,
    *,
    batch: int = 100,
    resting: int = 10_000,
    accounts: int = 100,
    seed: int = 1,
    mix: Mix = Mix.SPOT,
    advanced: Callable[[int], None] = lambda _: None,
) -> dict[str, object]:
    """Apply a generated log of ``commands`` and return what it took.

    The log is 45 % placements, 45 % cancels and 10 % taking orders on one book of ``resting`` orders, in
    entries of ``batch``.  The times include decoding each entry and encoding what it came to, and the
    digest.  The collector is off, as it is in a replica.  ``advanced`` is told how many more commands were
    generated or applied; there are twice as many of them as ``commands``.
    """
    generator = _Generator(accounts, seed, mix)
    while len(generator.exchange.state.orders) < resting:
        generator.entry([generator.place() for _ in range(batch)])
    start = snapshot.dump(generator.exchange)
    bodies: list[bytes] = []
    for _ in range(commands // batch):
        bodies.append(generator.mixed(batch, resting))
        advanced(batch)
    subject = snapshot.load(start)
    first = subject.applied_index + 1
    times_ns: list[int] = []
    gc.collect()
    gc.freeze()
    gc.disable()
    cpu_began_ns = process_time_ns()
    try:
        for index, body in enumerate(bodies, first):
            began_ns = perf_counter_ns()
            subject.apply_bytes(index, body)
            times_ns.append(perf_counter_ns() - began_ns)
            advanced(batch)
        cpu_ns = process_time_ns() - cpu_began_ns
    finally:
        gc.enable()
        gc.unfreeze()
    assert subject.digest == generator.exchange.digest, "the same log gave another result"
    subject.check_invariants()
    total_ns = sum(times_ns)
    times_ns.sort()
    return {
        "mix": str(mix),
        "version": subject.state.version,
        "commands_per_second": len(bodies) * batch * 10**9 // total_ns,
        "us_per_command": round(total_ns / (len(bodies) * batch) / 1000, 3),
        "cpu_us_per_command": round(cpu_ns / (len(bodies) * batch) / 1000, 3),
        "p50_ms": round(times_ns[len(times_ns) // 2] / 1e6, 3),
        "p99_ms": round(times_ns[len(times_ns) * 99 // 100] / 1e6, 3),
        "commands": len(bodies) * batch,
        "batch": batch,
        "resting": len(subject.state.orders),
        "trades": subject.state.last_trade,
        "accounts": accounts,
        "flavour": flavour(),
        "machine": msgspec.to_builtins(machine.describe()),
    }


def perpetual_market() -> Exchange:
    """Return an exchange with an open perpetual contract that has an index and a mark, and no positions."""
    return _Generator(1, seed=1, mix=Mix.PERPETUAL).exchange


def _listing(mix: Mix) -> list[AnyCommand]:
    """Return how the one instrument is listed: a spot market, or a perpetual contract with its index."""
    listing = ListInstrument(
        instrument=_INSTRUMENT,
        symbol="BTC-USDT",
        base=_BASE,
        quote=_QUOTE,
        tick_mantissa=1,
        tick_decimals=1,
        lot_mantissa=1,
        lot_decimals=3,
        price_max_ticks=10**7,
        size_max_lots=10**6,
        notional_min_atoms=0,
        maker_ppm=-100,
        taker_ppm=750,
    )
    if mix == Mix.SPOT:
        return [listing]
    tiers = [
        MarginTier(floor_atoms=0, maintenance_ppm=5_000, initial_ppm=10_000),
        MarginTier(floor_atoms=10**13, maintenance_ppm=10_000, initial_ppm=20_000),
        MarginTier(floor_atoms=10**14, maintenance_ppm=25_000, initial_ppm=50_000),
    ]
    rules = ContractRules(
        margin=MarginTerms(tiers=tiers),
        position_max_lots=10**6,
        open_interest_max_lots=10**6,
        mark_rule=MarkRule.FED,
        liquidation=LiquidationTerms(penalty_ppm=2_000),
    )
    return [
        ListIndex(index=_INDEX, symbol="BTC-USDT", tick_mantissa=1, tick_decimals=1),
        ListContract(
            **msgspec.structs.asdict(listing), contract=ContractKind.LINEAR, index=_INDEX, rules=rules
        ),
    ]


def flavour() -> str:
    """Return whether the core runs from source or compiled."""
    path = exchange.__file__ or ""
    return "compiled" if path.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"


def grow(
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000), *, commands: int = 50_000
) -> dict[str, object]:
    """Return what a command costs in books of these sizes, and what a resting order takes.

    The cost is in microseconds of processor time, of the mix of ``run``; ``ratio`` compares the dearest with
    the cheapest.
    """
    cost_us = {str(size): run(commands, resting=size)["cpu_us_per_command"] for size in sizes}
    figures = [float(str(cost)) for cost in cost_us.values()]
    return {
        "cpu_us_per_command_by_resting": cost_us,
        "ratio": round(max(figures) / min(figures), 2),
        "bytes_per_resting_order": order_bytes(),
        "flavour": flavour(),
        "machine": msgspec.to_builtins(machine.describe()),
    }


def order_bytes(orders: int = 100_000) -> int:
    """Return how many bytes a resting order takes, with its place in the book and its two names.

    Measured by Python's own account of what it allocates, while orders of 100 accounts come to rest as they
    do in a replica: from the bytes of the log.
    """
    generator = _Generator(100, seed=1)
    start = snapshot.dump(generator.exchange)
    bodies = [generator.entry([generator.place() for _ in range(100)]) for _ in range(orders // 100)]
    kept = len(bodies) // 2
    tracemalloc.start()
    try:
        subject = snapshot.load(start)
        first = subject.applied_index + 1
        # With the first half come the replies that sessions keep anyway.
        for index, body in enumerate(bodies[:kept], first):
            subject.apply_bytes(index, body)
        before_bytes, _ = tracemalloc.get_traced_memory()
        for index, body in enumerate(bodies[kept:], first + kept):
            subject.apply_bytes(index, body)
        after_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after_bytes - before_bytes) // (orders - kept * 100)

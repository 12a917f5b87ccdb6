"""A simulated group in which one step of an index ruins many at once, and whose leaders may die meanwhile."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from steelyard.client import replies
from steelyard.core import Exchange, wire
from steelyard.core.commands import (
    AnyCommand,
    ContractRules,
    CreateApiKey,
    Deposit,
    FundInsurance,
    IndexQuote,
    LiquidationTerms,
    ListAsset,
    ListContract,
    ListIndex,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OpenAccount,
    PlaceOrder,
    SetContractModes,
    SetIndexSources,
    SetInstrumentState,
    SetLeverage,
)
from steelyard.core.events import AnyEvent, Deposited, PremiumSampled, SessionOpened
from steelyard.core.limits import PAUSE_NS_MAX
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    ContractKind,
    IndexId,
    InstrumentId,
    InstrumentState,
    KeyId,
    MarginMode,
    OrderId,
    Side,
)
from steelyard.replication.group import DEDICATED
from steelyard.simulation.cascade import cascade
from steelyard.simulation.clock import WALL_START_NS
from steelyard.simulation.cluster import Cluster
from steelyard.simulation.history import History
from steelyard.simulation.node import Tuning
from steelyard.simulation.patches import quiet
from steelyard.simulation.verdict import judge, judge_member, judge_snapshots
from steelyard.simulation.wishes import BTC, PERMISSIONS, USD, account_of
from steelyard.simulation.workload import Client, Habits

INDEX: Final = IndexId(1)
CONTRACTS: Final = {InstrumentId(1): ContractKind.LINEAR, InstrumentId(2): ContractKind.INVERSE}
#: The index: before; where most are ruined; where those are who found nobody to trade with.
PRICES_TICKS: Final = (1_000, 930, 890)
#: The first ones make the market: all but the last of them are short of everything, and that one bids.
MAKERS: Final = 3
TRADERS: Final = 56
#: The last ones say where the index is.
EVERYBODY: Final = MAKERS + TRADERS + len(PRICES_TICKS)
#: At the price afterwards some of them are below their maintenance margin, the others below zero.
LEVERAGES: Final = (13, 14, 15, 18, 20)
#: Of simulated time, for each part of a run.
PATIENCE_S: Final = 200.0
_RULES: Final = ContractRules(
    margin=MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)]),
    position_max_lots=100_000,
    open_interest_max_lots=100_000,
    # The mark is the index: what a leader's calendar says changes nothing.
    mark_band_ppm=0,
    liquidation=LiquidationTerms(step_ppm=100_000, adl_share_ppm=20_000),
)


@dataclass
class Fall:
    """What a run came to: who said what in which entry, and at which entries leaders died."""

    cluster: Cluster
    said: list[tuple[int, AnyEvent]]
    deaths: list[int]
    exchange: Exchange

    def told(self) -> list[AnyEvent]:
        """Return everything that was said but what follows from the time that passed, and of deposits."""
        return [e for _, e in self.said if not isinstance(e, PremiumSampled | SessionOpened | Deposited)]


class Group:
    """The group, its operator, its traders, and their scripts, one after the other."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        tuning = Tuning(
            timeouts=DEDICATED,
            snapshot_entries=100,
            log_keep_entries=30,
            cache_bytes=1 << 20,
            append_entries=20,
            apply_entries=20,
            children=False,
            loop_wait_s=0.05,
            read_s=0.000_05,
            old_builds=True,
        )
        self.cluster = Cluster(rng, tuning)
        self.history = History()
        self.rng = rng
        self.habits = Habits(rng)
        self.habits.lost_rate = self.habits.twice_rate = self.habits.gap_rate = 0.0
        self.habits.think_s = 0.1
        self.keys: list[KeyId] = []
        self.busy = 0

    def do(self, account: AccountId, key: KeyId, script: Iterable[AnyCommand]) -> Client:
        """Let a client go through a script in a session of its own name."""
        self.busy += 1

        def steps() -> Iterator[AnyCommand]:
            yield from script
            self.busy -= 1

        def heard(reply: replies.Reply) -> None:
            assert isinstance(reply, replies.Accepted), reply
            if account == OPERATOR and reply.made:
                self.keys.append(KeyId(reply.made))

        def never(_: Client) -> None:
            raise AssertionError("sessions do not expire here")

        client = Client(
            self.cluster.agenda,
            self.rng,
            self.cluster.doors,
            self.history,
            self.habits,
            account,
            key,
            lambda _: Deposit(account=account_of(0), asset=USD, amount_atoms=1),
            steps(),
            heard,
            never,
        )
        client.stopped = True
        return client

    def until(self, done: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        cluster = self.cluster
        assert cluster.run_until(cluster.agenda.now_s + PATIENCE_S, done), cluster.checkers.violations

    def level(self) -> bool:
        """Tell whether all members have applied the same."""
        replicas = [node.replica for node in self.cluster.nodes.values()]
        return (
            None not in replicas and len({(r.applied_index, r.exchange.digest) for r in replicas if r}) == 1
        )

    def idle(self) -> bool:
        """Tell whether all members agree that nothing can go on by itself."""
        exchanges = [node.replica.exchange for node in self.cluster.nodes.values() if node.replica]
        return self.level() and all((e.next_due_ns() or e.time_ns + 1) > e.time_ns for e in exchanges)

    def feed(self, feeder: int, price_ticks: int) -> None:
        """Let a feeder say where the index is, and wait until all has come of it that can."""
        trader = MAKERS + TRADERS + feeder
        quote = IndexQuote(source=1, price_ticks=price_ticks, weight=1, time_ns=WALL_START_NS)
        self.do(account_of(trader), self.keys[trader], [SetIndexSources(index=INDEX, quotes=[quote])])
        self.until(lambda: self.busy == 0)
        self.until(self.idle)


def fall(seed: int, deaths: int) -> Fall:
    """Let the index of a levered market fall, and so many leaders die before the engine is done."""
    group = Group(seed)
    cluster = group.cluster
    died: list[int] = []
    with cluster.processor.in_charge(), quiet("pysyncobj"):
        for node in cluster.nodes.values():
            node.start()
        operator = group.do(OPERATOR, OPERATOR_KEY, _founding())
        group.until(lambda: group.busy == 0)
        group.feed(0, PRICES_TICKS[0])
        for trader in range(MAKERS + TRADERS):
            group.do(account_of(trader), group.keys[trader], _trading(trader))
            group.until(lambda: group.busy == 0)
        group.until(group.idle)

        def over() -> bool:
            died.extend([cluster.checkers.frontier] * (cluster.crashes - len(died)))
            return len(died) >= deaths

        cascade(cluster, random.Random(seed), over)
        # Somebody goes on asking for something meanwhile, and must not lose anything.
        operator.stopped = False
        for feeder in (1, 2):
            group.feed(feeder, PRICES_TICKS[feeder])
        operator.stopped = True
        cluster.run_until(cluster.agenda.now_s + 5.0)
        group.until(group.level)
    replayed = judge(cluster.checkers, group.history)
    for node in cluster.nodes.values():
        assert node.replica is not None
        judge_member(cluster.checkers, replayed, node.member, node.replica.exchange)
        judge_snapshots(cluster.checkers, node.member, node.platter, damaged=False)
    return Fall(cluster, _said(cluster), died, replayed.exchange)


def _said(cluster: Cluster) -> list[tuple[int, AnyEvent]]:
    """Return what a member of its own, who is never interrupted, says of the log."""
    exchange = Exchange()
    said: list[tuple[int, AnyEvent]] = []
    for index, found in sorted(cluster.checkers.bodies.items()):
        if found.body is not None:
            applied = exchange.apply(index, wire.decode_entry(found.body))
            events = [*applied.due, *(event for outcome in applied.outcomes for event in outcome.events)]
            said += [(index, event) for event in events]
    return said


def _founding() -> Iterator[AnyCommand]:
    """Yield what the operator does first."""
    yield ListAsset(asset=BTC, symbol="BTC", decimals=8)
    yield ListAsset(asset=USD, symbol="USD", decimals=2)
    yield ListIndex(index=INDEX, symbol="BTC/USD", tick_mantissa=1, tick_decimals=0, stale_ns=PAUSE_NS_MAX)
    for instrument, kind in CONTRACTS.items():
        yield ListContract(
            instrument=instrument,
            symbol=f"BTC-{kind.name}",
            base=BTC,
            quote=USD,
            tick_mantissa=1,
            tick_decimals=0,
            lot_mantissa=1,
            lot_decimals=2,
            price_max_ticks=10_000,
            size_max_lots=10_000,
            notional_min_atoms=0,
            maker_ppm=0,
            taker_ppm=500,
            contract=kind,
            index=INDEX,
            rules=_RULES,
        )
        yield SetInstrumentState(instrument=instrument, state=InstrumentState.POST_ONLY)
        yield SetInstrumentState(instrument=instrument, state=InstrumentState.OPEN)
    for asset in (USD, BTC):
        yield FundInsurance(asset=asset, amount_atoms=600)
    for trader in range(EVERYBODY):
        account, wealth = account_of(trader), 10_000_000 if trader < MAKERS else 2_000
        yield OpenAccount(account=account)
        for asset in (USD, BTC):
            yield Deposit(account=account, asset=asset, amount_atoms=wealth)
            yield MoveMargin(account=account, asset=asset, amount_atoms=wealth)
        yield CreateApiKey(account=account, public_key=bytes([trader]) * 32, permissions=PERMISSIONS)


def _trading(trader: int) -> Iterator[AnyCommand]:
    """Yield what a trader does first: makers quote, the others buy of it all with a leverage of theirs."""
    account = account_of(trader)
    for instrument in CONTRACTS:
        if trader < MAKERS - 1:
            yield _order(trader, instrument, 1, Side.SELL, PRICES_TICKS[0], 6 * TRADERS)
        elif trader < MAKERS:
            # Not for all who must sell, and not at one price.
            for level in range(12):
                yield _order(trader, instrument, 1 + level, Side.BUY, PRICES_TICKS[1] - level, 60)
        else:
            yield SetContractModes(account=account, instrument=instrument, margin=MarginMode.ISOLATED)
            leverage = LEVERAGES[(trader + instrument) % len(LEVERAGES)]
            yield SetLeverage(account=account, instrument=instrument, leverage=leverage)
            yield _order(trader, instrument, 1, Side.BUY, PRICES_TICKS[0], 10 + trader % 5)


def _order(
    trader: int, instrument: InstrumentId, order: int, side: Side, ticks: int, lots: int
) -> PlaceOrder:
    return PlaceOrder(
        account=account_of(trader),
        instrument=instrument,
        order=OrderId(1_000 * instrument + order),
        side=side,
        size_lots=lots,
        limit_ticks=ticks,
    )

"""A crash on a group of three processes: real sessions, a real feed, and a leader that is really killed."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from steelyard.client import ApiKey, Client, Many, Refused, Reply, Session
from steelyard.client.admin import Admin
from steelyard.core import Applied, Entry, Exchange
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.crash.play import Plan, play
from steelyard.ops.crash.register import Register
from steelyard.ops.crash.report import Outcome
from steelyard.ops.crash.stage import FEEDER, Feed, Wish
from steelyard.ops.crash.watch import Watch
from steelyard.ops.kills import Kills
from steelyard.ops.lanes import Lane
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.verdict import AckBook, evidence_of, judge
from steelyard.replication.audit import Audit, audit

#: Sessions of operators that make keys, and of the crowd, at a time.
CLERKS: Final = 16
AT_ONCE: Final = 32
#: From one word of the feed to the next, while the crowd takes its positions.
FEED_S: Final = 0.25
#: Accounts that were given keys or have taken their positions, from one look for garbage to the next.
TIDY_ACCOUNTS: Final = 1_000
#: Commands of one message.
BATCH: Final = 100
#: A log takes so much for each account, and at least the usual size.
MAP_BYTES_PER_ACCOUNT: Final = 8 << 10
MAP_BYTES_MIN: Final = 1 << 30
SNAPSHOT_ENTRIES: Final = 20_000
#: An answer may take so long after a leader was killed.
RETRY_S: Final = 60.0


class GroupStage:
    """A group that is founded, fed and asked through its gateways."""

    def __init__(self, group: LocalGroup, operator: Client, open_until: AsyncExitStack) -> None:
        self.refused: dict[str, int] = {}
        self.acks = AckBook()
        self._group = group
        self._client = operator
        self._open_until = open_until
        #: All players' keys have one private half: they are players of one process.
        self._secret = ApiKey.generate()
        self._keys: dict[int, ApiKey] = {}
        self._clerks: list[Admin] = []
        self._lanes: dict[int, Lane[None]] = {}
        self._kills: Kills | None = None
        self._step_s = time.monotonic()
        self._last_seen: object = None
        self._first_funds: dict[int, int] = {}

    async def begin(self) -> None:
        """Open the operator's sessions."""
        self.operator = await self._client.admin("crash")
        self._record(self.operator)
        for number in range(CLERKS):
            clerk = await self._client.admin(f"keys-{number}")
            self._record(clerk)
            self._clerks.append(clerk)

    @property
    def feeder(self) -> Admin:
        """The feed's hand."""
        return self._feeder

    @property
    def recoveries_ms(self) -> list[int]:
        """From each kill to the next acknowledgement."""
        return [] if self._kills is None else self._kills.recoveries_ms

    async def give_keys(
        self, accounts: Sequence[int], permissions: int, advance: Callable[[int], None]
    ) -> None:
        """Give each account a key; several operators' sessions do that at a time."""
        left = iter(accounts)
        done = 0

        async def work(clerk: Admin) -> None:
            nonlocal done
            for account in left:
                made = await clerk.create_api_key(account, self._secret.public_key, permissions)
                self._keys[account] = self._secret.with_id(made, account)
                done += 1
                advance(done)
                if done % TIDY_ACCOUNTS == 0:
                    _tidy()

        async with asyncio.TaskGroup() as tasks:
            for clerk in self._clerks:
                tasks.create_task(work(clerk))
        if FEEDER in accounts:
            self._feeder = await self._of(FEEDER).admin("feed")
            self._record(self._feeder)

    async def play(
        self, wishes: Sequence[Wish], advance: Callable[[int], None], feed: Feed | None = None
    ) -> None:
        """Carry out wishes, each in a session of its account that is there for as long as it takes."""
        left = iter(wishes)
        done = 0

        async def work(some: Iterator[Wish]) -> None:
            nonlocal done
            for wish in some:
                async with await self._of(wish.account).session("crash", batch_max=BATCH) as session:
                    self._record(session)
                    for begin in range(0, len(wish.commands), BATCH):
                        for reply in await session.submit_many(wish.commands[begin : begin + BATCH]):
                            self._note(reply)
                done += 1
                advance(done)
                if done % TIDY_ACCOUNTS == 0:
                    _tidy()

        async def go_on_feeding() -> None:
            while feed is not None and done < len(wishes):
                await feed()
                await asyncio.sleep(FEED_S)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(go_on_feeding())
            for _ in range(min(AT_ONCE, len(wishes))):
                tasks.create_task(work(left))

    async def keep(self, accounts: Sequence[int]) -> None:
        """Keep sessions of these accounts until the end."""
        for account in accounts:
            session = await self._of(account).session("quotes", batch_max=BATCH)
            await self._open_until.enter_async_context(session)
            self._lanes[account] = Lane(
                session, self.acks, batch=BATCH, on_reply=lambda reply, _: self._note(reply)
            )
        self._kills = Kills(self._group, self._client, list(self._lanes.values()))

    async def ask(self, wishes: Sequence[Wish]) -> None:
        """Send wishes of accounts whose sessions are kept."""
        for wish in wishes:
            lane = self._lanes[wish.account]
            for command in wish.commands:
                await lane.put(command, None)
            lane.flush()

    async def settle(self) -> None:
        """Return when all that was asked is answered, and every killed node is back."""
        for lane in self._lanes.values():
            await lane.drain()
        if self._kills is not None:
            await self._kills.settle()

    def now_ns(self) -> int:
        """Return the time, by the clock that leaders have, too."""
        return time.time_ns()

    async def pause(self, step_ns: int) -> None:
        """Wait for the next step; whoever is late does not wait."""
        _tidy()
        self._step_s = max(self._step_s + step_ns / 1e9, time.monotonic())
        await asyncio.sleep(self._step_s - time.monotonic())

    def is_whole(self) -> bool:
        """Return whether every killed leader is back."""
        return self._kills is None or self._kills.all_back

    async def strike(self) -> bool:
        """Kill the leader with SIGKILL, if anybody is attached to one; it comes back after a while."""
        assert self._kills is not None, "nobody is there to see it"
        return self._kills.strike()

    async def has_begun(self) -> bool:
        """Return whether a fund has changed since this was first asked: that is the engine's work alone."""
        found = await self._client.contracts()
        funds = {row.asset: row.insurance_atoms for row in found.funds.values()}
        self._first_funds = self._first_funds or funds
        return funds != self._first_funds

    async def is_busy(self) -> bool:
        """Return whether positions or funds have changed since this was last asked."""
        found = await self._client.contracts()
        seen = (
            [(row.open_interest_lots, row.positions) for row in found.contracts.values()],
            [(row.insurance_atoms, row.debt_atoms) for row in found.funds.values()],
        )
        changed = seen != self._last_seen
        self._last_seen = seen
        return changed

    def _of(self, account: int) -> Client:
        """Return a client of this account; all of them share their connections."""
        return self._client.beside(self._keys[account])

    def _record(self, session: Admin | Session) -> None:
        session.on_ack = self.acks.recorder(session.id)

    def _note(self, reply: Reply) -> None:
        for each in reply.legs if isinstance(reply, Many) else [reply]:
            if isinstance(each, Refused):
                self.refused[each.reason] = self.refused.get(each.reason, 0) + 1


async def play_on_group(terminal: Terminal, plan: Plan, directory: Path | None) -> Outcome:
    """Play a crash on a group of its own, and replay the logs of all its members."""
    gc.disable()
    try:
        return await _played(terminal, plan, directory)
    finally:
        gc.unfreeze()
        gc.enable()


async def _played(terminal: Terminal, plan: Plan, directory: Path | None) -> Outcome:
    began_s = time.monotonic()
    map_bytes = max(MAP_BYTES_MIN, plan.accounts * MAP_BYTES_PER_ACCOUNT)
    with scratch_group(directory, map_size_bytes=map_bytes, snapshot_entries=SNAPSHOT_ENTRIES) as scratch:
        group = scratch.group
        async with AsyncExitStack() as open_until:
            operator = await open_until.enter_async_context(
                Client(group.endpoints, group.key(), retry_deadline_s=RETRY_S)
            )
            with terminal.busy("waiting for the group"):
                await group.wait_ready(operator)
            stage = GroupStage(group, operator, open_until)
            await stage.begin()
            played = await play(terminal, stage, plan)
            await group.wait_level(operator, stage.acks.last_index)
            await group.wait_logged(stage.acks.last_index)
            terms = max(status.term for status in await operator.statuses())
        # Three states in this process and three in the replicas are more than some machines have room for.
        group.stop()
        read_s = time.monotonic()
        with terminal.busy("reading the logs of all replicas"):
            log = Logs()
            found = await asyncio.to_thread(audit, group.node_directories, apply=log.apply)
        verdict = judge(stage.acks, evidence_of(found))
        now_s = time.monotonic()
        outcome = Outcome(
            plan,
            played,
            log.watch,
            log.exchanges,
            log.registers,
            _digests(found),
            verdict,
            replicas=len(group.node_directories),
            terms=terms,
            recoveries_ms=stage.recoveries_ms,
            refused=stage.refused,
            reading_s=now_s - read_s,
            seconds=now_s - began_s,
        )
        scratch.keep_unless(verdict.ok, terminal)
        return outcome


def _digests(found: Audit) -> dict[int, bytes]:
    """Return the members' digests at the last index that all have."""
    shared = (
        set[int].intersection(*(set(node.digests) for node in found.nodes)) if found.nodes else set[int]()
    )
    last_index = max(shared, default=0)
    return {node.member: node.digests[last_index] for node in found.nodes if last_index}


def _tidy() -> None:
    """Look for garbage among what is new, and never again at what has stayed.

    A look at the replies of a hundred thousand accounts takes seconds, in which the feed would be silent; a
    look at as many accounts longer than any entry.  Replicas do without as well.
    """
    gc.collect()
    gc.freeze()


class Logs:
    """The logs of all members, as they are read one after the other; the first one is looked at closely."""

    def __init__(self) -> None:
        self.watch = Watch()
        #: The last states, and the liquidations of each log, by its place.
        self.exchanges: dict[int, Exchange] = {}
        self.registers: dict[int, Register] = {}

    def apply(self, exchange: Exchange, index: int, entry: Entry) -> Applied:
        """Carry out an entry of whichever log is being read."""
        place = len(self.exchanges)
        if self.exchanges.get(place) is not exchange:
            place += 1
            self.exchanges[place] = exchange
            self.registers[place] = self.watch.register if place == 1 else Register()
        if place == 1:
            return self.watch.apply(exchange, index, entry)
        applied = exchange.apply(index, entry)
        self.registers[place].see(applied)
        return applied

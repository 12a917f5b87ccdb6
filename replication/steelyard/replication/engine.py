"""One member of a group over pysyncobj, which only this file imports."""

from collections.abc import Callable
from random import SystemRandom
from traceback import format_exc
from typing import Any, Final, NoReturn

from steelyard.replication import pinned
from steelyard.replication.clock import Clock, Rng, SystemClock
from steelyard.replication.elections import PreVotes
from steelyard.replication.errors import EX_INVARIANT, StartRefused, fail_stop
from steelyard.replication.fetching import Fetched, SnapshotFiles
from steelyard.replication.group import (
    ENTRY_BYTES_MAX,
    ApplyEntry,
    Done,
    Failure,
    FdRegistry,
    GroupSettings,
    MemberId,
    PeerStatus,
)
from steelyard.replication.guards import Guards
from steelyard.replication.journal import Journal
from steelyard.replication.links import Links, TcpLinks
from steelyard.replication.log_record import ENTRY, NO_OP, Record, chain_next
from steelyard.replication.log_store import LogStore
from steelyard.replication.poller import EpollWaiter, Poller, Waiter
from steelyard.replication.reads import ReadBarriers
from steelyard.replication.snapshot_pieces import NoSnapshots
from steelyard.replication.snapshot_store import Snapshot
from steelyard.replication.tls import PeerTls
from steelyard.replication.transport import DigestHandler, Transport
from steelyard.replication.window import Window
from steelyard.replication.wire import APPEND_BYTES_MAX, Digest, PreVoteRequest

_syncobj: Final[Any] = pinned.load()

_EXISTING_FILE: Final = __file__
_NO_FILE: Final = "/dev/null"
"""``os.path.isfile`` says no, ``open`` works and reads nothing."""


class _Seams:
    """What the engine's module-level names answer: the clock and the dice of whoever runs now."""

    clock: Clock = SystemClock()
    rng: Rng = SystemRandom()
    building: "PysyncobjGroup"
    tick_s: float | None = None
    """The moment of the running tick. Whether an election is due is asked twice in it, by us and by the
    library: were it due only for the library, a member would campaign that must not."""

    @staticmethod
    def monotonic() -> float:
        tick_s = _Seams.tick_s
        return _Seams.clock.monotonic_s() if tick_s is None else tick_s

    @staticmethod
    def random() -> float:
        return _Seams.rng.random()


_syncobj.monotonicTime = _Seams.monotonic
_syncobj.random = _Seams
_syncobj.createJournal = lambda _: _Seams.building.journal
_syncobj.createPoller = lambda _: _Seams.building.loop


class _Node(_syncobj.Node):  # type: ignore[misc]
    """A member by its number, which hashes the same in every process."""

    def __str__(self) -> str:
        return f"member {self.id}"


class _Core(_syncobj.SyncObj):  # type: ignore[misc]
    """The library's object; every override hands over to the group."""

    def __init__(self, owner: "PysyncobjGroup", conf: object, node: _Node, others: list[_Node]) -> None:
        self._owner = owner
        super().__init__(node, others, conf=conf, transport=owner.transport)

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:  # noqa: N802 - the library's name
        self._owner.apply_command(command)

    def _SyncObj__tryLogCompaction(self) -> None:  # noqa: N802 - the library's name
        """Compact nothing: snapshots and what may be trimmed are decided by our own retention rule."""

    def _onTick(self, timeToWait: float = 0.0) -> None:  # noqa: N802, N803 - the library's names
        _Seams.tick_s = self._owner.before_tick()
        try:
            super()._onTick(timeToWait)
        finally:
            _Seams.tick_s = None

    def _checkCommandsToApply(self) -> None:  # noqa: N802 - the library's name
        self._owner.drain()


class PysyncobjGroup:
    """``Group`` over pysyncobj; also the engine that ``Transport`` speaks to."""

    journal: Journal
    loop: Poller

    def __init__(
        self,
        settings: GroupSettings,
        store: LogStore,
        waiter: Waiter,
        links: Links,
        *,
        apply: ApplyEntry,
        apply_noop: Callable[[int], None],
        leadership_changed: Callable[[bool], None],
        on_digest: DigestHandler,
        install: Callable[[Snapshot], None],
        snapshots: SnapshotFiles,
        clock: Clock,
        rng: Rng,
        guards: Guards,
        restored_index: int,
    ) -> None:
        self._settings = settings
        self._store = store
        self._waiter = waiter
        self._apply = apply
        self._apply_noop = apply_noop
        self._leadership_changed = leadership_changed
        self._restore = install
        self._clock = clock
        self._rng = rng
        self._applied = max(1, restored_index)  # index 1 is the library's own and never applied
        self._aligned = restored_index > 1
        self.journal = Journal(store, restored_index - 1 if self._aligned else None)
        self.transport = Transport(settings, store, self.journal, links, clock, guards, on_digest, snapshots)
        self.transport.engine = self
        self.loop = Poller(waiter, self.transport.barrier, links.tick)
        self._peers_needed = len(settings.peers) // 2
        self._pre_votes = PreVotes(self._peers_needed)
        self._campaign_agreed = False
        self._reads = ReadBarriers()
        self._window = Window()
        self._worked = False
        self._leading = False
        self._told_leading = False
        self._lost_leadership = False
        self._second_s = clock.monotonic_s()

        self._nodes = {peer: _Node(peer) for peer in sorted(settings.peers)}
        self.transport.nodes = self._nodes
        self._core = self._build_core()
        self.transport.start()

    # --- Group ----------------------------------------------------------------------------------

    @property
    def poller(self) -> FdRegistry:
        """Where other sockets of this process are registered."""
        return self.loop

    @property
    def term(self) -> int:
        """The current term."""
        return self._store.current_term

    @property
    def last_index(self) -> int:
        """The last index of our log, durable or not."""
        return self._store.last_index

    @property
    def commit_index(self) -> int:
        """Everything up to here is on a majority, for good."""
        return self._store.commit_index

    @property
    def applied_index(self) -> int:
        """Everything up to here was handed to ``apply``."""
        return self._applied

    @property
    def joining(self) -> bool:
        """True while this member may not vote."""
        return self._store.identity.joining

    @property
    def fetching(self) -> bool:
        """True while this member fetches a snapshot."""
        return self.transport.fetching.active

    def propose(self, body: bytes, done: Done) -> None:
        """Put ``body`` into the log at the next turn; see ``Group``."""
        if len(body) > ENTRY_BYTES_MAX:
            raise ValueError(f"an entry of {len(body)} bytes is above {ENTRY_BYTES_MAX}")
        if not self.leads():
            done(Failure.NOT_LEADER)
        elif not self.ready():
            done(Failure.NOT_READY)
        elif not self._window.open:
            done(Failure.WINDOW_FULL)
        else:
            self._window.add(body, done)

    def window_free(self) -> bool:
        """Whether ``propose`` would be taken now."""
        return self.ready() and self._window.open

    def read_barrier(self, done: Done) -> None:
        """Call back once a read is linearizable; see ``Group``."""
        leader = self.leader_id()
        if not self.leads():
            if leader is None:
                done(Failure.NO_ANSWER)
            else:
                self.transport.remote_reads.ask(leader, done)
        elif not self.ready():
            done(Failure.NOT_READY)
        else:
            self._reads.add(self._store.commit_index, done)

    def is_leader(self) -> bool:
        """Whether we believe to lead."""
        return self.leads()

    def leader(self) -> MemberId | None:
        """Return the last leader heard of."""
        return self.leader_id()

    def ready(self) -> bool:
        """Whether we lead and have committed an entry of our own term."""
        store = self._store
        return (
            self.leads()
            and store.commit_index >= store.first_index
            and store.term(store.commit_index) == store.current_term
        )

    def turn(self, wait_s: float) -> None:
        """Run one loop turn."""
        self.work()
        self.wait(wait_s)

    def work(self) -> None:
        """Do what is due, flush, and send: the first half of a turn."""
        _Seams.clock, _Seams.rng = self._clock, self._rng
        self._worked = False
        self._core.doTick()
        if self._aligned:
            self.journal.show_all()
            self._aligned = False

    def wait(self, wait_s: float) -> None:
        """Wait unless there is work, take what has arrived, and tell who wants to know: the second half."""
        _Seams.clock, _Seams.rng = self._clock, self._rng
        self.loop.wait(0 if self.busy() else wait_s)
        if self._lost_leadership or (not self._told_leading and self.leads()):
            self._settle_leadership()
        self._answer_reads()
        now_s = self._clock.monotonic_s()
        if now_s - self._second_s >= 1:
            self._second_s = now_s
            self.transport.each_second()
        if self.transport.remote_reads.waiting:
            self._ask_for_reads()
        if self.transport.fetching.busy:
            fetched = self.transport.fetched()
            if fetched is not None:
                self._install(fetched)

    def busy(self) -> bool:
        """Whether the turn should not wait: the caller has something to see, or work is left."""
        return (
            self._worked
            or bool(self._window.queued)
            or self._applied < self._store.commit_index
            or self._store.trim_pending
        )

    def peers(self) -> list[PeerStatus]:
        """Return what we know of the other members."""
        return self.transport.status()

    def broadcast_digest(self, index: int, digest: bytes, chain: bytes) -> None:
        """Tell the others what our state and log look like at ``index``."""
        self.transport.broadcast(Digest(index, digest, chain))

    def pinned_snapshots(self) -> set[str]:
        """Return the names of our snapshots that another member is fetching, or about to."""
        return self.transport.fetching.pinned()

    def hand_over(self) -> bool:
        """Ask the most caught-up follower to take over; return whether one was asked."""
        asked: list[bool] = []
        self._core.transferLeadership(callback=lambda _, reason: asked.append(reason == 0))
        return asked == [True]

    def stop(self) -> None:
        """Flush, close the links and the store."""
        self._store.flush()
        self._core.destroy()
        self._waiter.close()
        self._store.close()

    # --- what the transport asks and tells ----------------------------------------------------------

    def leads(self) -> bool:
        """Whether the library is in the leader's state."""
        return self._leading

    def leader_id(self) -> MemberId | None:
        """Whom the library takes for the leader."""
        node = self._core._getLeader()
        return None if node is None else MemberId(node.id)

    def next_index(self, peer: MemberId) -> int:
        """Return the next entry the library will send to a peer."""
        return int(self._core._SyncObj__raftNextIndex[self._nodes[peer]])

    def set_next_index(self, peer: MemberId, index: int) -> None:
        """Correct the next entry to send."""
        self._core._SyncObj__raftNextIndex[self._nodes[peer]] = index

    def read_round(self) -> int:
        """Return the round that outgoing appends carry."""
        return self._reads.round

    def round_acked(self) -> None:
        """Answer the reads that a newly acked round confirms."""
        self._answer_reads()

    def may_campaign(self) -> None:
        """Let the next election pass without a pre-vote."""
        self._campaign_agreed = True

    def pre_vote_granted(self, peer: MemberId, term: int) -> None:
        """Count a pre-vote; on a majority campaign next turn."""
        if term == self.term + 1 and not self.leads() and self._pre_votes.grant(peer, term):
            self._campaign_agreed = True
            self._core._SyncObj__raftElectionDeadline = 0

    # --- what the library asks and tells ---------------------------------------------------------------

    def before_tick(self) -> float:
        """Instead of an election that is due, ask first whether it could be won; return the tick's time."""
        now_s = self._clock.monotonic_s()
        if self.leads() or self._core._SyncObj__raftElectionDeadline >= now_s:
            self._campaign_agreed = False
            return now_s
        if self._campaign_agreed and not self.joining:
            self._campaign_agreed = False
            return now_s  # the library campaigns in this tick
        timeouts, store = self._settings.timeouts, self._store
        span_s = timeouts.max_s - timeouts.min_s
        self._core._SyncObj__raftElectionDeadline = now_s + timeouts.min_s + span_s * self._rng.random()
        if not self.joining:
            self._pre_votes.ask(self.term + 1)
            self.transport.broadcast(PreVoteRequest(self.term + 1, store.last_index, store.last_term))
        return now_s

    def drain(self) -> None:
        """Put what was proposed into the log and send it at once, before our own disk has it."""
        if not self.leads():
            return
        bodies = self._window.take(self._store.last_index + 1, self.term)
        for body in bodies:
            self.journal.add(ENTRY + body, self._store.last_index + 1, self.term)
        new_round = self._reads.begin_round()
        if bodies or new_round:
            self._core._SyncObj__sendAppendEntries()

    def apply_command(self, command: bytes) -> None:
        """Apply the next committed entry, and no other; an exception in there ends the process."""
        index = self._applied + 1
        record = self._handed_out(index)
        if self._core.raftLastApplied != self._applied or record is None or record.body is not command:
            fail_stop(EX_INVARIANT, f"asked to apply another entry than {index}")
        try:
            if command == NO_OP:
                self._apply_noop(index)
            elif command[:1] == ENTRY:
                self._apply(index, record.term, command[1:])
            else:
                fail_stop(EX_INVARIANT, f"entry {index} is of unknown kind {command[:1].hex()}")
            self._applied = index
            self._worked = True
            self._window.settle(record)
        except BaseException:
            # The library would swallow it, and apply the entry again.
            fail_stop(EX_INVARIANT, f"applying entry {index} failed: {format_exc()}")

    def _state_changed(self, old: int, new: int) -> None:
        """Note it: in the middle of the library's own change nobody can be told."""
        self._worked = True
        self._leading = new == _syncobj._RAFT_STATE.LEADER
        if old == _syncobj._RAFT_STATE.LEADER:
            self._lost_leadership = True

    # --- helpers ----------------------------------------------------------------------------------------

    def _build_core(self) -> _Core:
        own = self._settings.member
        others = [node for peer, node in self._nodes.items() if peer != own]
        _Seams.building, _Seams.clock, _Seams.rng = self, self._clock, self._rng
        return _Core(self, self._conf(), self._nodes[own], others)

    def _install(self, fetched: Fetched) -> None:
        """Replace state and log by a snapshot, and go on as after a restart from it.

        The engine is built anew over the same store and links: what it forgets (who leads, whose
        vote it asked for) it would have forgotten in a crash, and what it must not forget is in the
        store. The leader learns where we are from the answer to its next heartbeat, which leaves
        after the install is on disk.
        """
        ref, header = fetched.ref, fetched.snapshot.header
        before = Record(header.before.body, header.before.index, header.before.term)
        at = Record(header.at.body, header.at.index, header.at.term)
        chain = header.chain_before
        for record in (before, at):
            chain = chain_next(chain, record.index, record.term, record.body)
        if chain != header.chain:
            fail_stop(EX_INVARIANT, f"{ref.name} verifies, but its entries do not make its chain")
        self._restore(fetched.snapshot)
        self._store.install(ref, header.chain_before, before, at)
        self._applied, self._aligned = ref.index, True
        self._campaign_agreed = False
        self._pre_votes.ask(0)
        self.journal = self.transport.journal = Journal(self._store, before.index)
        self._core = self._build_core()
        self.transport.reconnect()
        self._worked = True

    def _handed_out(self, index: int) -> Record | None:
        slice_ = self.journal.handed_out
        position = index - slice_[0].index if slice_ else -1
        return slice_[position] if 0 <= position < len(slice_) else None

    def _settle_leadership(self) -> None:
        """Fail what waited in a leadership that ended, then tell who wants to know."""
        if self._lost_leadership:
            self._lost_leadership = False
            self._window.fail()
            self._reads.fail(Failure.NOT_LEADER)
            if self._told_leading:
                self._told_leading = False
                self._leadership_changed(False)
        if self.leads() and not self._told_leading:
            self._told_leading = True
            self._leadership_changed(True)

    def _answer_reads(self) -> None:
        reads = self._reads
        if (
            reads.waiting
            and self.leads()
            and not self._lost_leadership
            and reads.answer(self._confirmed, self._applied)
        ):
            self._worked = True

    def _ask_for_reads(self) -> None:
        """See that questions to a leader that is gone are put to the next one, or to ourselves."""
        remote = self.transport.remote_reads
        if not self.leads():
            remote.tick(self.leader_id())
        elif self.ready():
            for done in remote.take():
                self.read_barrier(done)
        else:
            remote.tick(None)

    def answer_read(self, answer: Callable[[int], None]) -> None:
        """Tell another member's read the index to wait for; 0 if we cannot."""
        if self.ready():
            self._reads.add(
                self._store.commit_index, lambda told: answer(told if isinstance(told, int) else 0)
            )
        else:
            answer(0)

    def _confirmed(self, read_round: int) -> bool:
        return self.transport.acks.rounds_confirmed(read_round) >= self._peers_needed

    def _conf(self) -> object:
        timeouts = self._settings.timeouts
        return _syncobj.SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=True,
            commandsWaitLeader=False,
            dynamicMembershipChange=False,
            raftMinTimeout=timeouts.min_s,
            raftMaxTimeout=timeouts.max_s,
            leaderFallbackTimeout=timeouts.max_s,
            appendEntriesPeriod=timeouts.heartbeat_s,
            connectionTimeout=max(3.5, timeouts.max_s),
            appendEntriesBatchSizeBytes=APPEND_BYTES_MAX,
            logCompactionMinEntries=10**9,
            logCompactionMinTime=10**9,
            logCompactionBatchSize=1,
            useFork=False,
            journalFile="log store",
            # The library asks whether this file exists and then wants our two entries.
            fullDumpFile=_EXISTING_FILE if self._aligned else _NO_FILE,
            serializer=_refuse_compaction,
            deserializer=self._restored_entries,
            onStateChanged=self._state_changed,
        )

    def _restored_entries(self, _path: str) -> tuple[Record, Record, None]:
        """Return the snapshot's last entry and the one before it, from the log itself."""
        return self._store.entry(self._applied), self._store.entry(self._applied - 1), None


def build_group(
    settings: GroupSettings,
    store: LogStore,
    *,
    apply: ApplyEntry,
    apply_noop: Callable[[int], None],
    leadership_changed: Callable[[bool], None],
    on_digest: DigestHandler,
    install: Callable[[Snapshot], None] | None = None,
    snapshots: SnapshotFiles | None = None,
    restored_index: int = 0,
    clock: Clock | None = None,
    rng: Rng | None = None,
    waiter: Waiter | None = None,
    links: Links | None = None,
    guards: Guards | None = None,
    tls: PeerTls | None = None,
) -> PysyncobjGroup:
    """Build a member over an open store; its first ``turn`` begins at ``restored_index + 1``.

    ``apply`` gets our entries, ``apply_noop`` the indices of the engine's own, together every
    index from 2 (or behind the restored snapshot) on, in order. ``leadership_changed``
    is called between turns' work, never inside the library. ``snapshots`` are offered to members
    that are behind our log; one that was fetched is handed to ``install``, which must make its
    state the one that ``apply`` goes on from. Without ``tls`` (and ``links``) the members speak plainly.

    Raises:
        StartRefused: The store is another member's, or does not hold the snapshot's entries.

    """
    identity = store.identity
    if (identity.group_id, identity.member) != (settings.group_id, settings.member):
        raise StartRefused(f"the store is member {identity.member} of {identity.group_id!r}")
    if restored_index > 1 and not store.first_index < restored_index <= store.commit_index:
        raise StartRefused(
            f"restored up to {restored_index}, but the log holds {store.first_index} to {store.last_index}, "
            f"committed up to {store.commit_index}"
        )
    clock = clock or SystemClock()
    rng = rng or SystemRandom()
    waiter = waiter or EpollWaiter()
    return PysyncobjGroup(
        settings,
        store,
        waiter,
        links or TcpLinks(settings, waiter, clock, rng, tls=tls),
        apply=apply,
        apply_noop=apply_noop,
        leadership_changed=leadership_changed,
        on_digest=on_digest,
        install=install or _refuse_install,
        snapshots=snapshots or NoSnapshots(),
        clock=clock,
        rng=rng,
        guards=guards or Guards(),
        restored_index=restored_index,
    )


def _refuse_install(_: Snapshot) -> NoReturn:
    fail_stop(EX_INVARIANT, "a snapshot was fetched and nobody can install it")


def _refuse_compaction(*_: object) -> NoReturn:
    fail_stop(EX_INVARIANT, "the engine compacts the log on its own")

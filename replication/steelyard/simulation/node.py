"""One machine of the group under simulation: its disk, its clock, and the lives of the replica it runs."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from steelyard.core import Exchange, versions
from steelyard.replication.config import GroupConfig
from steelyard.replication.errors import EX_INVARIANT, ReplicationError, fail_stop
from steelyard.replication.gateway import FrontService
from steelyard.replication.group import FdRegistry, GroupSettings, MemberId, Timeouts
from steelyard.replication.guards import Guards
from steelyard.replication.log_store import LogStore
from steelyard.replication.poller import FdCallback
from steelyard.replication.replica import Machine, Replica
from steelyard.replication.snapshot_store import Snapshot
from steelyard.simulation.background import SimBackground
from steelyard.simulation.clock import MachineClock
from steelyard.simulation.disk import Platter, SimDisk, SimFiles
from steelyard.simulation.doors import Door, SimFront
from steelyard.simulation.network import SimLinks
from steelyard.simulation.process import Killed, Process

if TYPE_CHECKING:
    from steelyard.simulation.cluster import Cluster

GROUP: Final = "5e" * 16
MEMBERS: Final = (MemberId(1), MemberId(2), MemberId(3))
SECRET: Final = bytes(32)
NEWEST: Final = versions.KNOWN_MAX + 1
"""What the newest build in a run can carry out; the one before it knows one version less."""
_ADDRESSES: Final = {member: (f"n{member}", 1) for member in MEMBERS}


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a run sets differently from production, to reach dangerous places cheaply."""

    timeouts: Timeouts
    snapshot_entries: int
    log_keep_entries: int
    cache_bytes: int
    append_entries: int
    apply_entries: int
    children: bool
    """Whether every snapshot is written by a child."""
    loop_wait_s: float
    read_s: float
    old_builds: bool = False
    """Whether every member begins with the build before the newest."""
    unlimited: bool = False
    """Whether any number of disks may be damaged: then the group may halt, but not lie."""
    guards: Guards = field(default_factory=Guards)
    worsen: Callable[["Node"], None] | None = None
    """Called with each node before its process starts: where a test makes a part worse."""


class SimReplica(Replica):
    """The replica, watched."""

    def __init__(self, config: GroupConfig, settings: GroupSettings, machine: Machine, node: "Node") -> None:
        self._node = node
        super().__init__(config, settings, machine)
        if node.cluster.tuning.children:
            self._retention._bytes_per_s = 1.0  # whatever its size: it would take too long in the loop
        node.cluster.checkers.restored(node.member, self._exchange)

    @property
    def exchange(self) -> Exchange:
        """The state machine."""
        return self._exchange

    @property
    def store(self) -> LogStore:
        """The log."""
        return self._store

    @property
    def leads(self) -> bool:
        """Whether it believes to lead."""
        return self._group.is_leader()

    @property
    def ready(self) -> bool:
        """Whether it leads and may be asked."""
        return self._group.ready()

    @property
    def joining(self) -> bool:
        """Whether it may not vote."""
        return self._group.joining

    @property
    def applied_index(self) -> int:
        """How far it has applied."""
        return self._group.applied_index

    @property
    def busy(self) -> bool:
        """Whether its loop would not wait now."""
        return self._group.busy()

    @property
    def pending_bytes(self) -> int:
        """What waits to be proposed."""
        return self._sequencer.pending_bytes

    def hand_over(self) -> None:
        """Give leadership away, as before a planned stop."""
        if self._group.ready():
            self._group.hand_over()

    def _apply(self, index: int, _term: int, body: bytes) -> None:
        try:
            super()._apply(index, _term, body)
        except Killed as end:
            if isinstance(end.__context__, versions.UnknownVersion):
                self._node.cluster.version_activated(self._exchange.state.version + 1)
            raise
        self._watch_apply(index, _term, body)

    def _apply_noop(self, index: int) -> None:
        super()._apply_noop(index)
        self._watch_apply(index, self._store.term(index), None)

    def _watch_apply(self, index: int, term: int, body: bytes | None) -> None:
        node = self._node
        node.cluster.version_in_force(node, self._exchange.state.version)
        node.cluster.trace.add(node.member, f"apply {index}", self._exchange.digest)
        node.cluster.checkers.entry_applied(node.member, index, term, body, self._exchange, self._store)

    def _install(self, found: Snapshot) -> None:
        super()._install(found)
        node = self._node
        node.cluster.trace.note(node.member, f"installs the snapshot of {found.header.index}")
        node.cluster.count("installed snapshots")
        node.cluster.checkers.restored(node.member, self._exchange)

    def _leadership_changed(self, leading: bool) -> None:
        super()._leadership_changed(leading)
        node = self._node
        term = self._group.term
        node.cluster.trace.note(node.member, f"{'leads' if leading else 'follows'} in term {term}")
        if leading:
            node.cluster.checkers.leads(node.member, term)
            node.cluster.leader_changed(node)


class _Waiter:
    """A process's waiting place: takes what has arrived; that time has passed is the agenda's doing."""

    def __init__(self, node: "Node", process: Process) -> None:
        self._node = node
        self._process = process

    def register(self, fd: int, mask: int, callback: FdCallback) -> None:
        """There are no descriptors."""

    def modify(self, fd: int, mask: int) -> None:
        """There are no descriptors."""

    def unregister(self, fd: int) -> None:
        """There are no descriptors."""

    def wait(self, timeout_s: float) -> None:
        """Take what has arrived."""
        self._process.call()
        inbox = self._node.inbox
        for _ in range(len(inbox)):
            inbox.popleft()()

    def close(self) -> None:
        """There is nothing to release."""


class Node:
    """One machine: its disk and clock outlive the processes it runs."""

    def __init__(self, cluster: "Cluster", member: MemberId) -> None:
        rng = cluster.rng
        self.cluster = cluster
        self.member = member
        self.platter = Platter.founded(GROUP, member)
        self.clock = MachineClock(
            cluster.agenda,
            read_s=cluster.tuning.read_s,
            offset_s=rng.random() * 1000,
            rate=1.0 if rng.random() < 0.5 else rng.uniform(0.9, 1.1),
        )
        self.door = Door(cluster.agenda, member, GROUP)
        self.door.arrive = self.arrive
        self.inbox: deque[Callable[[], None]] = deque()
        self.process: Process | None = None
        self.replica: SimReplica | None = None
        self.links: SimLinks | None = None
        self.paused_until_s = 0.0
        self.damaged = False
        """Whether an accident was done to what is on its disk."""
        self.excused = False
        """Whether its disk was told to fail: then it may stop itself."""
        self.keep_down = False
        self.knows = NEWEST - cluster.tuning.old_builds
        """The newest version that the installed build can carry out; a running process may be of another."""
        self.knew = 0
        """The newest that any of its processes could."""
        self.lives = 0
        self._busy_until_s = 0.0
        self._due_s = -1.0
        self._commits = 0
        self._waits = False
        """Whether the process's loop is in its wait: then it goes on behind it."""

    @property
    def up(self) -> bool:
        """Whether a process runs here."""
        return self.process is not None

    @property
    def busy_until_s(self) -> float:
        """When the turn under way ends, with all that its disk takes; in the past if none is."""
        return self._busy_until_s

    # --- the process's life ------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process on what the disk holds, unless one runs."""
        if self.process is not None or self.keep_down:
            return
        cluster, tuning = self.cluster, self.cluster.tuning
        self.lives += 1
        process = self.process = Process(self.member, cluster.trace, self.knows)
        self.knew = max(self.knew, self.knows)
        cluster.trace.note(self.member, "starts")
        clock, trace, platter = self.clock, cluster.trace, self.platter
        clock.spent_s = 0.0
        self.inbox.clear()
        if tuning.worsen is not None:
            tuning.worsen(self)
        settings = GroupSettings(GROUP, self.member, _ADDRESSES, SECRET, tuning.timeouts, self.knows)

        def open_front(_: FdRegistry, service: FrontService) -> SimFront:
            return SimFront(self.door, GROUP, service, process, clock)

        with cluster.processor.run(process):
            try:
                disk = SimDisk(platter, process, clock, trace)
                store = LogStore(disk, GROUP, self.member, cache_bytes_max=tuning.cache_bytes)
                waiter = _Waiter(self, process)
                dice = random.Random(cluster.rng.getrandbits(64))
                links = SimLinks(cluster.net, settings, process, clock, dice)
                self.links = links
                files = SimFiles(platter, process, clock, trace)
                self.replica = SimReplica(
                    cluster.config,
                    settings,
                    Machine(
                        store,
                        files,
                        open_front,
                        clock=clock,
                        process=1000 * self.member + self.lives,
                        rng=dice,
                        waiter=waiter,
                        links=links,
                        guards=replace(tuning.guards, retry_at=self._retry_at),
                        background=SimBackground(cluster.agenda, dice, files, process, clock),
                    ),
                    self,
                )
            except ReplicationError as error:
                fail_stop(error.exit_code, str(error))
        self._after_turn(frames=0, taken=0)

    def kill(self, *, power: bool = False) -> None:
        """End the process; with ``power`` the whole machine, and what was not synced."""
        process = self.process
        if process is not None:
            self.cluster.trace.note(self.member, "loses power" if power else "is killed")
            process.kill()
            self._ended(silently=power)
        if power:
            self.platter.lose_power(self.cluster.rng)
            self.cluster.disk_changed(self)

    def turn(self) -> None:
        """End the wait that the process's loop is in, and let it go on to the next."""
        cluster = self.cluster
        self._due_s = -1.0
        process, replica = self.process, self.replica
        if process is None or replica is None:
            return
        now_s = cluster.agenda.now_s
        if self.paused_until_s > now_s:
            self.wake(self.paused_until_s)
            return
        self.clock.spent_s = 0.0
        frames, taken = cluster.net.frames, len(self.inbox)
        with cluster.processor.run(process):
            try:
                if self._waits:
                    replica.wait(cluster.tuning.loop_wait_s)
                self._waits = True
                replica.work()
            except Exception as error:  # the process's own last line of defence does the same
                fail_stop(EX_INVARIANT, f"the loop broke: {error!r}")
        self._after_turn(cluster.net.frames - frames, taken)

    def arrive(self, action: Callable[[], None]) -> None:
        """Let the process do something when it waits the next time."""
        if self.process is not None:
            self.inbox.append(action)
            self.wake(self.cluster.agenda.now_s)

    def wake(self, due_s: float) -> None:
        """Run a turn at ``due_s``, or as soon as the running one is over."""
        due_s = max(due_s, self._busy_until_s, self.paused_until_s)
        if self._due_s < 0 or due_s < self._due_s:
            self._due_s = due_s

            def run() -> None:
                if self._due_s == due_s:
                    self.turn()

            self.cluster.agenda.at(due_s, run)

    def pause(self, span_s: float) -> None:
        """Stop the process for a while; what arrives waits."""
        self.paused_until_s = self.cluster.agenda.now_s + span_s
        self.cluster.trace.note(self.member, f"pauses for {span_s:.3f} s")

    def replace_disk(self, platter: Platter) -> None:
        """End the process, if any, and put another disk in."""
        self.kill()
        old, self.platter = self.platter, platter
        self._commits = 0
        self.damaged = self.excused = False
        self.cluster.checkers.replaced(self.member, old, platter)

    # --- helpers -------------------------------------------------------------------------------------

    def _retry_at(self, match_index: int, next_index: int, hint: int) -> int:
        """Count how often a rejection sets a leader back."""
        retry = self.cluster.tuning.guards.retry_at(match_index, next_index, hint)
        if retry < next_index and self.replica is not None and self.links is not None:
            self.cluster.checkers.set_back(self.member, self.replica.store.current_term, self.links.made)
        return retry

    def _after_turn(self, frames: int, taken: int) -> None:
        cluster, process = self.cluster, self.process
        assert process is not None
        if self._commits != self.platter.commits:
            self._commits = self.platter.commits
            cluster.disk_changed(self)
        if cluster.checkers.unsettled:
            cluster.checkers.durable(cluster.nodes)
        if not process.alive:
            exit_ = process.exit
            self._ended(silently=False)
            if exit_ is None:
                cluster.count("crash at a seam")
                cluster.restart_later(self)
            else:
                cluster.stopped(self, process.knows, *exit_)
            return
        if self.replica is not None:
            cluster.checkers.bounded(
                self.member,
                frames,
                self.replica.pending_bytes,
                len(self.inbox),
                taken=taken,
                per_frame=cluster.tuning.append_entries,
            )
        now_s = cluster.agenda.now_s
        self._busy_until_s = now_s + self.clock.spent_s
        self.clock.spent_s = 0.0
        idle = self._waits and not self.inbox and self.replica is not None and not self.replica.busy
        self.wake(self._busy_until_s + (cluster.tuning.loop_wait_s if idle else 0.0))

    def _ended(self, *, silently: bool) -> None:
        self.process = self.replica = None
        self._waits = False
        self._due_s = -1.0
        links, self.links = self.links, None
        if links is not None:
            links.die(silently=silently)
        self.inbox.clear()
        self.door.lost()
        self.paused_until_s = self._busy_until_s = 0.0

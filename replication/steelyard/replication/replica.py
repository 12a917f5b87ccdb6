"""One member of a group: builds and wires everything, and runs the loop from committed entry to reply."""

import gc
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from steelyard.core import Applied, Outcome, queries, versions, wire
from steelyard.core.commands import FoundGroupAt
from steelyard.core.entry import Request
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, SessionId
from steelyard.replication.background import Background, Fork
from steelyard.replication.clock import Clock, Rng, SystemClock
from steelyard.replication.config import (
    GroupConfig,
    group_settings,
    node_paths,
    read_detours,
    read_group,
    read_secret,
    read_tls,
)
from steelyard.replication.digests import INTERVAL, Digests
from steelyard.replication.engine import build_group
from steelyard.replication.errors import EX_INVARIANT, EX_REFUSED, StartRefused, fail_stop
from steelyard.replication.feed import Feed, private_events
from steelyard.replication.files import Files, FolderFiles
from steelyard.replication.front import Answer, Attach, FailureReason, Follow, Read, State
from steelyard.replication.front_port import FrontPort
from steelyard.replication.gateway import Front, FrontService, Gateway
from steelyard.replication.group import FdRegistry, GroupSettings, MemberId
from steelyard.replication.guards import Guards
from steelyard.replication.links import Links
from steelyard.replication.log_store import LogStore, join, open_store
from steelyard.replication.poller import Waiter
from steelyard.replication.proposals import Part
from steelyard.replication.questions import Questions
from steelyard.replication.recovery import load, recover
from steelyard.replication.retention import Retention
from steelyard.replication.sequencer import PENDING_BYTES_MAX, Sequencer
from steelyard.replication.snapshot_pieces import SnapshotPieces
from steelyard.replication.snapshot_store import Snapshot, SnapshotStore, snapshot_name
from steelyard.replication.tls import PeerTls

#: The engine's timers need no more; sockets wake the loop at once.
LOOP_WAIT_S: Final = 0.010
HOUSEKEEPING_S: Final = 0.050
STATE_S: Final = 0.200
SLOW_HOUSEKEEPING_S: Final = 1.0
#: How long a leader that was told to stop waits for another to take over.
HAND_OVER_S: Final = 1.0
#: A leader's clock this far from both others' is worth a look: log time is taken from it.
CLOCK_ALARM_NS: Final = 1_000_000_000
SYNC_MODE: Final = "full"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a replica stands on: disk, files and front, and what of the rest is not the real thing."""

    store: LogStore
    files: Files
    """The folder of snapshots."""
    open_front: Callable[[FdRegistry, FrontService], Front]
    clock: Clock = field(default_factory=SystemClock)
    process: int = field(default_factory=os.getpid)
    rng: Rng | None = None
    waiter: Waiter | None = None
    links: Links | None = None
    guards: Guards | None = None
    tls: PeerTls | None = None
    background: Background | None = None
    """Where large snapshots are written; without it they are written in the loop."""


def open_replica(directory: Path, member: int) -> "Replica":
    """Return the replica that a data directory holds, on this machine.

    A member without a store joins its group anew: it must not vote before it has caught up.

    Raises:
        ReplicationError: This process must not run; ``exit_code`` says what to answer.

    """
    config = read_group(directory)
    paths = node_paths(directory, member)
    settings = group_settings(config, member, read_secret(directory), read_detours(paths.node))
    store = _open_or_join(paths.store, config.group, MemberId(member), config.map_size_bytes)
    return Replica(
        config,
        settings,
        Machine(
            store,
            FolderFiles(paths.snapshots),
            lambda registry, service: FrontPort(paths.front_socket, config.group, registry, service),
            tls=read_tls(directory, member),
            background=Fork(SystemClock()),
        ),
    )


class Replica:
    """A member and its loop.  Everything happens inside ``turn``, in one thread."""

    def __init__(self, config: GroupConfig, settings: GroupSettings, machine: Machine) -> None:
        """Recover what the machine's disk holds, and take part.

        Raises:
            ReplicationError: This process must not run; ``exit_code`` says what to answer.

        """
        self._clock = machine.clock
        self._process = machine.process
        self._config = config
        self._member = settings.member
        self._store = machine.store
        snapshots = SnapshotStore(machine.files, config.group, self._store.identity.boots)
        recovered = recover(self._store, snapshots)
        self._exchange = recovered.exchange
        self._checked_index, self._checked_digest = recovered.checked_index, recovered.checked_digest
        self._group = build_group(
            settings,
            self._store,
            apply=self._apply,
            apply_noop=self._apply_noop,
            leadership_changed=self._leadership_changed,
            on_digest=self._heard_digest,
            install=self._install,
            snapshots=SnapshotPieces(machine.files, snapshots, self._store),
            restored_index=recovered.index,
            clock=machine.clock,
            rng=machine.rng,
            waiter=machine.waiter,
            links=machine.links,
            guards=machine.guards,
            tls=machine.tls,
        )
        self._digests = Digests(
            self._member,
            self._clock,
            tell=self._group.broadcast_digest,
            connected=lambda: [peer.member for peer in self._group.peers() if peer.connected],
        )
        self._feed = Feed(complete_after=recovered.index)
        self._sequencer = Sequencer(self._group, self._exchange, self._clock)
        self._questions = Questions(self._group, self._clock, self._answer, self._sequencer.no_leader)
        self._retention = Retention(
            config,
            self._member,
            self._store,
            snapshots,
            self._clock,
            self._group.pinned_snapshots,
            machine.background,
        )
        self._front = machine.open_front(self._group.poller, self)
        self._commands = 0
        self._founding = False
        self._stopping = False
        self._role: tuple[bool, bool, bool, int, MemberId | None] | None = None
        """Who leads and whether we may be asked, as the gateways were told."""
        self._clock_off = False
        self._housekeeping_s = self._state_s = self._slow_s = 0.0

    # --- the loop ----------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until ``stop`` is called, then leave everything flushed and closed."""
        _log.info("member %d of group %s runs, process %d", self._member, self._config.group, self._process)
        while not self._stopping:
            self.turn(LOOP_WAIT_S)
        self._hand_over()
        self._retention.close()
        self._front.close()
        self._group.stop()
        _log.info("member %d stopped", self._member)

    def stop(self) -> None:
        """Let ``run`` return after this turn."""
        self._stopping = True

    def turn(self, wait_s: float) -> None:
        """Propose what is pending, let the group work and wait, and do what falls due."""
        self.work()
        self.wait(wait_s)

    def work(self) -> None:
        """Propose what is pending, send, and let the group do what is due: what comes before the wait."""
        if not self._exchange.state.group and self._group.ready():
            self._found()
        self._sequencer.pump()
        self._questions.pump()
        self._tell_role()
        self._front.flush()
        self._group.work()

    def wait(self, wait_s: float) -> None:
        """Wait unless there is work, take what has arrived, and do what falls due."""
        self._group.wait(wait_s)
        # Once too much waits, gateways are left alone until half of it is gone.
        bound_bytes = PENDING_BYTES_MAX // 2 if self._front.paused else PENDING_BYTES_MAX
        self._front.pause(self._sequencer.pending_bytes > bound_bytes)
        now_s = self._clock.monotonic_s()
        if now_s >= self._housekeeping_s:
            self._housekeeping_s = now_s + HOUSEKEEPING_S
            self._housekeep(now_s)
        self._retain()

    def _hand_over(self) -> None:
        """Spare the others an election, if one of them is there to lead."""
        until_s = self._clock.monotonic_s() + HAND_OVER_S
        if self._group.ready() and self._group.hand_over():
            while self._group.is_leader() and self._clock.monotonic_s() < until_s:
                self.turn(LOOP_WAIT_S)

    def _tell_role(self) -> None:
        group = self._group
        leads, joining, leader = group.is_leader(), group.joining, group.leader()
        role = (leads, joining, self._is_ready(leads, joining, leader), group.term, leader)
        if role != self._role:
            self._role = role
            _log.info("%s in term %d, leader %s", self._role_name(), role[3], leader)
            self._front.publish(self._state())

    def _housekeep(self, now_s: float) -> None:
        self._questions.expire()
        self._digests.expire()
        self._retention.poll()
        if self._group.ready():
            self._sequencer.tick()
        if now_s >= self._state_s:
            self._state_s = now_s + STATE_S
            self._front.publish(self._state())
        if now_s >= self._slow_s:
            self._slow_s = now_s + SLOW_HOUSEKEEPING_S
            self._check_room_and_clock()
            self._retention.trim()

    def _check_room_and_clock(self) -> None:
        peers = self._group.peers()
        used = [self._store.used_fraction(), *(peer.used_permille / 1000 for peer in peers)]
        # Our own, or that of a majority: entries need both.
        self._sequencer.storage_used = max(used[0], sorted(used)[1])
        off = self._group.is_leader() and all(abs(peer.wall_ahead_ns) > CLOCK_ALARM_NS for peer in peers)
        if off and not self._clock_off:
            seconds = [round(peer.wall_ahead_ns / 1e9, 3) for peer in peers]
            _log.error("this machine's clock is off: the others are ahead by %s seconds", seconds)
        self._clock_off = off

    def _retain(self) -> None:
        group = self._group
        if self._retention.due(self._exchange.applied_index, leads=group.is_leader()):
            self._retention.take(
                self._exchange, self._checked_index, self._checked_digest, leads=group.is_leader()
            )

    # --- what the group tells us ---------------------------------------------------------------

    def _apply(self, index: int, _term: int, body: bytes) -> None:
        """Apply a committed entry; whatever goes wrong here must not be survived."""
        try:
            started_s = self._clock.monotonic_s()
            applied, encoded = self._exchange.apply_bytes(index, body)
            self._sequencer.applied(applied, self._clock.monotonic_s() - started_s)
            self._commands += len(applied.outcomes)
            self._retention.applied(len(body))
            self._feed.append(index, encoded)
            for gateway in self._front.gateways:
                if gateway.follows:
                    gateway.applied(encoded)
                if gateway.accounts:
                    events = private_events(applied, gateway.accounts)
                    if events:
                        gateway.happened(index, applied.time_ns, events)
            if index % INTERVAL == 0:
                self._reached(index)
        except Exception as error:
            # Through the log, which bears a disk without room for it.
            _log.exception("applying index %d", index)
            fail_stop(EX_INVARIANT, f"applying index {index}: {error!r}")

    def _apply_noop(self, index: int) -> None:
        if index % INTERVAL == 0:
            self._reached(index)

    def _reached(self, index: int) -> None:
        self._checked_index, self._checked_digest = index, self._exchange.digest
        self._digests.reached(index, self._exchange.digest, self._store.chain(index))

    def _heard_digest(self, member: MemberId, index: int, digest: bytes, chain: bytes) -> None:
        self._digests.heard(member, index, digest, chain)

    def _install(self, found: Snapshot) -> None:
        """Go on from the state of a fetched snapshot; gateways that missed events must come again."""
        header = found.header
        try:
            self._exchange = load(found, snapshot_name(header.index, header.term))
        except StartRefused as error:
            fail_stop(EX_REFUSED, str(error))
        self._checked_index, self._checked_digest = header.checked_index, header.checked_digest
        self._feed = Feed(complete_after=header.index)
        self._sequencer.restored(self._exchange)
        self._retention.restored(header.index, len(found.state))
        for gateway in list(self._front.gateways):
            if gateway.accounts or gateway.follows:
                gateway.close("a snapshot took the place of the state, with events in between")
        _log.warning("installed the snapshot of index %d", header.index)
        if not gc.isenabled():
            # The old exchange is one large cycle, and nothing else here collects.
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def _leadership_changed(self, leading: bool) -> None:
        self._founding = False
        self._sequencer.leadership_changed(leading)

    # --- what gateways ask of us ---------------------------------------------------------------

    def opened(self, gateway: Gateway) -> None:
        """Tell a new gateway the state."""
        gateway.state(self._state())

    def submit(self, part: Part) -> None:
        """Put requests in line for the log."""
        self._sequencer.submit(part)

    def read(self, gateway: Gateway, read: Read) -> None:
        """Answer as fresh as was asked."""
        self._questions.ask(gateway, read)

    def attach(self, gateway: Gateway, attach: Attach) -> None:
        """Send the held private events above ``after_index``, and from now on all."""
        after = attach.after_index or self._group.applied_index
        accounts = frozenset(attach.accounts)
        gateway.attached(attach.ref, max(after, self._feed.complete_after))
        for index, time_ns, events in self._feed.since(after, accounts):
            gateway.happened(index, time_ns, events)
        gateway.accounts |= accounts

    def follow(self, gateway: Gateway, follow: Follow) -> None:
        """Send the held entries above ``after_index``, and from now on all."""
        after = follow.after_index or self._group.applied_index
        gateway.attached(follow.ref, max(after, self._feed.complete_after))
        gateway.follows = True
        for _, encoded in self._feed.entries(after):
            if gateway.follows:
                gateway.applied(encoded)

    def _answer(self, gateway: Gateway, read: Read) -> None:
        got = queries.answer(self._exchange.state, KeyId(read.key), read.query)
        index = self._group.applied_index
        if isinstance(got, Reject):
            gateway.answer(Answer(read.ref, index, None, got))
        else:
            gateway.answer(Answer(read.ref, index, got, None))

    # --- founding --------------------------------------------------------------------------------

    def done(self, applied: Applied, refs: list[int], outcomes: list[Outcome]) -> None:
        """Learn that the group was founded, by us or by an earlier leader whose entry came first."""
        _log.info("founding: %s", outcomes[0].reply)

    def failed(self, refs: list[int], reason: FailureReason) -> None:
        """Learn that it was not: whoever leads next tries again."""
        self._founding = False

    def _found(self) -> None:
        if self._founding:
            return
        self._founding = True
        key = bytes.fromhex(self._config.operator_public_key)
        # A member whose build is older would have to stop; of whom nothing was heard, the least is believed.
        known = min(
            [versions.KNOWN_MAX, *(peer.knows or versions.SPOT_COMPLETE for peer in self._group.peers())]
        )
        command = FoundGroupAt(group=self._config.group, operator_public_key=key, version=known)
        request = msgspec.Raw(wire.encode_request(Request(SessionId(0), 0, 0, KeyId(0), 0, 0, command)))
        self._sequencer.submit(Part(self, [0], [request], len(request)))

    # --- what we are ---------------------------------------------------------------------------

    def _role_name(self) -> str:
        if self._group.is_leader():
            return "leader"
        return "joining" if self._group.joining else "follower"

    def _is_ready(self, leads: bool, joining: bool, leader: MemberId | None) -> bool:
        if leads:
            return self._group.ready() and bool(self._exchange.state.group)
        return leader is not None and not joining

    def _state(self) -> State:
        group, store = self._group, self._store
        leader = group.leader() or 0
        references = store.snapshots()
        return State(
            group=self._config.group,
            member=self._member,
            pid=self._process,
            role=self._role_name(),
            ready=self._is_ready(group.is_leader(), group.joining, group.leader()),
            term=group.term,
            leader=leader,
            leader_endpoint=self._config.client_endpoint(leader),
            last_index=group.last_index,
            commit_index=group.commit_index,
            applied_index=group.applied_index,
            time_ns=self._exchange.time_ns,
            digest_index=self._checked_index,
            digest=self._checked_digest,
            snapshot_index=references[-1].index if references else 0,
            log_first_index=store.first_index,
            log_used_ppm=int(self._sequencer.storage_used * 1_000_000),
            commands_applied=self._commands,
            sync_mode=SYNC_MODE,
            needs_snapshot=group.fetching,
            version=self._exchange.state.version,
            knows=versions.KNOWN_MAX,
        )


def _open_or_join(directory: Path, group: str, member: MemberId, map_bytes: int) -> LogStore:
    if not (directory / "data.mdb").exists():
        _log.warning("no store in n%d: joining the group anew", member)
        join(directory, group, member, map_bytes=map_bytes)
    return open_store(directory, group, member, map_bytes=map_bytes)

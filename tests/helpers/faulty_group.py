"""Three members in one thread from one seed: virtual time, a faulty network, members that crash.

A small thing beside a full simulation: it drives the shipped engine, guards, journal and
store over memory, and checks after every step that what was acknowledged stays.
"""

import heapq
import random
from hashlib import blake2b

from tests.helpers.scripted import GROUP, ManualClock, MemoryDisk, NoWait, founded
from tests.helpers.snapshots import MemoryFiles, Shelf

from steelyard.replication.engine import PysyncobjGroup, build_group
from steelyard.replication.group import SHARED, Failure, GroupSettings, MemberId
from steelyard.replication.guards import Guards
from steelyard.replication.links import LinkHandler
from steelyard.replication.log_record import Head, Identity, parse_meta
from steelyard.replication.log_store import LogStore
from steelyard.replication.snapshot_store import Snapshot
from steelyard.replication.wire import Hello

MEMBERS = [MemberId(1), MemberId(2), MemberId(3)]
STEP_S = 0.01


class Net:
    """Delivers frames in order per connection, later or never; a cut loses what was under way."""

    def __init__(self, clock: ManualClock, rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.handlers: dict[MemberId, LinkHandler] = {}
        self.up: dict[tuple[MemberId, MemberId], int] = {}  # pair, lower first, to connection number
        self.blocked: set[tuple[MemberId, MemberId]] = set()
        self._queue: list[tuple[float, int, int, MemberId, MemberId, bytes]] = []
        self._count = 0
        self._latest: dict[tuple[MemberId, MemberId], float] = {}
        self.slow = False

    def send(self, sender: MemberId, receiver: MemberId, payload: bytes) -> None:
        """Put a frame on its way."""
        pair = (min(sender, receiver), max(sender, receiver))
        if pair not in self.up:
            return
        delay_s = self.rng.expovariate(1 / (0.2 if self.slow and self.rng.random() < 0.1 else 0.004))
        due_s = max(self.clock.now_s + delay_s, self._latest.get((sender, receiver), 0.0))
        self._latest[sender, receiver] = due_s
        self._count += 1
        heapq.heappush(self._queue, (due_s, self._count, self.up[pair], sender, receiver, payload))

    def deliver(self) -> None:
        """Deliver what is due."""
        while self._queue and self._queue[0][0] <= self.clock.now_s:
            _, _, connection, sender, receiver, payload = heapq.heappop(self._queue)
            pair = (min(sender, receiver), max(sender, receiver))
            if self.up.get(pair) == connection and (sender, receiver) not in self.blocked:
                self.handlers[receiver].link_payload(sender, payload)

    def cut(self, left: MemberId, right: MemberId) -> None:
        """End a connection."""
        pair = (min(left, right), max(left, right))
        if self.up.pop(pair, None) is not None:
            for member, other in (pair, pair[::-1]):
                if member in self.handlers:
                    self.handlers[member].link_down(other)

    def connect(self) -> None:
        """Bring up what can be up."""
        for left, right in ((a, b) for a in MEMBERS for b in MEMBERS if a < b):
            ends = left in self.handlers and right in self.handlers
            if ends and (left, right) not in self.up and not {(left, right), (right, left)} & self.blocked:
                self._count += 1
                self.up[left, right] = self._count
                hellos: dict[MemberId, Hello] = {m: self.handlers[m].hello(bytes(16)) for m in (left, right)}
                self.handlers[left].link_up(right, hellos[right])
                if (left, right) in self.up:
                    self.handlers[right].link_up(left, hellos[left])


class NetLinks:
    """One member's end of the net."""

    def __init__(self, net: Net, member: MemberId) -> None:
        self._net = net
        self._member = member

    def start(self, handler: LinkHandler) -> None:
        """Be reachable."""
        self._net.handlers[self._member] = handler

    def send(self, peer: MemberId, payload: bytes) -> None:
        """Send a frame."""
        self._net.send(self._member, peer, payload)

    def backlog_bytes(self, peer: MemberId) -> int:
        """Return zero: the net takes everything."""
        return 0

    def drop(self, peer: MemberId, reason: str) -> None:
        """Close the link."""
        self._net.cut(self._member, peer)

    def tick(self) -> None:
        """Do nothing: the net has its own timers."""

    def close(self) -> None:
        """Leave."""


class Life:
    """One member between two crashes."""

    def __init__(self, group: PysyncobjGroup, shelf: Shelf, state: bytes) -> None:
        self.group = group
        self.shelf = shelf
        self.store = shelf.store
        self.state = state
        """A hash over everything that was applied, in order."""
        self.paused_until_s = 0.0


class FaultyGroup:
    """The group, the faults, and the record of what was promised."""

    def __init__(self, seed: int, *, guards: Guards | None = None) -> None:
        self.rng = random.Random(seed)
        self.guards = guards or Guards()
        self.clock = ManualClock()
        self.net = Net(self.clock, self.rng)
        self.disks: dict[MemberId, MemoryDisk] = {m: founded(m) for m in MEMBERS}
        self.files: dict[MemberId, MemoryFiles] = {m: MemoryFiles() for m in MEMBERS}
        self.lives: dict[MemberId, Life] = {}
        self.acknowledged: dict[int, bytes] = {}
        self.applied: dict[int, bytes] = {}
        self.leaders: dict[int, MemberId] = {}
        self.crashes = self.wipes = self.snapshots = self.installs = 0
        self._asked = 0
        for member in MEMBERS:
            self.start(member)

    def start(self, member: MemberId) -> None:
        """Start a member on its disk."""
        store = LogStore(self.disks[member], GROUP, member, cache_bytes_max=2000)
        shelf = Shelf(store, GROUP, self.files[member])
        refs = store.snapshots()
        restored_index = refs[-1].index if refs else 0
        state = shelf.snapshots.read(refs[-1]).state if refs else b""
        life: list[Life] = []
        addresses = dict.fromkeys(MEMBERS, ("127.0.0.1", 1))
        group = build_group(
            GroupSettings(GROUP, member, addresses, bytes(32), SHARED),
            store,
            apply=lambda index, _, body: self._apply(life[0], index, body),
            apply_noop=lambda index: self._apply(life[0], index, b"no-op"),
            leadership_changed=lambda leads: self._leads(member, group, leads),
            on_digest=lambda *_: None,
            clock=self.clock,
            rng=self.rng,
            waiter=NoWait(),
            links=NetLinks(self.net, member),
            guards=self.guards,
            install=lambda snapshot: self._install(life[0], snapshot),
            snapshots=shelf.pieces,
            restored_index=restored_index,
        )
        life.append(Life(group, shelf, state))
        self.lives[member] = life[0]

    def crash(self, member: MemberId) -> None:
        """End a member between two turns, or in the middle of one as far as its disk knows."""
        self.crashes += 1
        for other in MEMBERS:
            if other != member:
                self.net.cut(member, other)
        del self.net.handlers[member]
        del self.lives[member]

    def propose(self) -> None:
        """Offer an entry to everybody who would take it."""
        for life in list(self.lives.values()):
            if life.group.window_free():
                self._asked += 1
                body = b"%d %s" % (self._asked, bytes(self.rng.randrange(40)))
                life.group.propose(body, lambda told, body=body: self._told(body, told))  # type: ignore[misc]

    def step(self) -> None:
        """Let a hundredth of a second pass."""
        self.clock.now_s += STEP_S
        self.net.connect()
        self.net.deliver()
        for member in self.rng.sample(list(self.lives), len(self.lives)):
            if self.lives[member].paused_until_s <= self.clock.now_s:
                self.lives[member].group.turn(0)

    def trouble(self) -> None:
        """Perhaps do something bad."""
        rng, member = self.rng, self.rng.choice(MEMBERS)
        other = rng.choice([m for m in MEMBERS if m != member])
        match rng.randrange(400):
            case 0 | 1:
                if member in self.lives:
                    self.crash(member)
            case 2:
                for living in list(self.lives):
                    self.crash(living)
            case 3 | 4:
                self.net.cut(member, other)
            case 5:
                self.net.blocked.add((member, other))
            case 6:
                self.net.blocked.update({(member, other), (other, member)})
            case 7 | 8 | 9:
                self.net.blocked.clear()
            case 10:
                self.net.slow = not self.net.slow
            case 11:
                if member in self.lives:
                    self.lives[member].paused_until_s = self.clock.now_s + rng.random() * 4
            case 12:
                leaders = [m for m, life in self.lives.items() if life.group.is_leader()]
                for leader in leaders:
                    self.crash(leader)
            case 13 | 14 if member in self.lives:
                self.snapshot(self.lives[member])
            case 15:
                self.wipe(member)
            case _:
                pass
        for down in MEMBERS:
            if down not in self.lives and rng.random() < 0.02:
                self.start(down)

    def snapshot(self, life: Life) -> None:
        """Take a snapshot of what is applied, and trim the log, whoever may still need it."""
        index = life.group.applied_index
        if index > 2 and all(snapshot.index < index for snapshot in life.store.snapshots()):
            self.snapshots += 1
            life.shelf.take(index, life.state)
            pinned = life.group.pinned_snapshots()
            for old in life.store.snapshots()[:-2]:
                if old.name not in pinned:
                    life.store.drop_snapshot(old.name)
            life.store.trim(index - self.rng.randrange(50))

    def wipe(self, member: MemberId) -> None:
        """Replace a disk by an empty one, if what was acknowledged is on both others."""
        others = [m for m in MEMBERS if m != member]
        identities = [parse_meta(disk.meta, b"identity", Identity) for disk in self.disks.values()]
        heads = {m: parse_meta(self.disks[m].meta, b"head", Head).first_index for m in others}
        safe = all(
            index < heads[m] or index in self.disks[m].log
            for m in others
            for index in list(self.acknowledged)[-200:]
        )
        if safe and not any(identity.joining for identity in identities):
            self.wipes += 1
            if member in self.lives:
                self.crash(member)
            self.files[member] = MemoryFiles()
            self.disks[member] = founded(member, joining=True, incarnation=self.clock.wall_ns())

    def heal(self) -> None:
        """End all faults."""
        self.net.blocked.clear()
        self.net.slow = False
        for member in MEMBERS:
            if member not in self.lives:
                self.start(member)
            self.lives[member].paused_until_s = 0.0

    def check(self) -> None:
        """Everything acknowledged is in the durable logs of a majority."""
        for index in list(self.acknowledged)[-20:]:
            body = self.acknowledged[index]
            holders = sum(
                body in disk.log.get(index, b"") or index < parse_meta(disk.meta, b"head", Head).first_index
                for disk in self.disks.values()
            )
            assert holders >= 2, f"entry {index} was acknowledged and is on {holders} disks"

    def _apply(self, life: Life, index: int, body: bytes) -> None:
        assert self.applied.setdefault(index, body) == body, f"two entries {index}"
        life.state = blake2b(life.state + b"%d " % index + body, digest_size=16).digest()

    def _install(self, life: Life, snapshot: Snapshot) -> None:
        self.installs += 1
        life.state = snapshot.state

    def _leads(self, member: MemberId, group: PysyncobjGroup, leads: bool) -> None:
        if leads:
            assert self.leaders.setdefault(group.term, member) == member, f"two leaders in {group.term}"

    def _told(self, body: bytes, told: int | Failure) -> None:
        if isinstance(told, int):
            assert self.applied[told] == body
            self.acknowledged[told] = body


def run(
    seed: int, *, faulty_s: float = 40.0, healthy_s: float = 12.0, guards: Guards | None = None
) -> FaultyGroup:
    """Run a seed: faults, then health in which the group must commit and agree."""
    group = FaultyGroup(seed, guards=guards)
    for _ in range(int(faulty_s / STEP_S)):
        group.trouble()
        if group.rng.random() < 0.3:
            group.propose()
        group.step()
        group.check()
    group.heal()
    before = len(group.acknowledged)
    for _ in range(int(healthy_s / STEP_S)):
        group.propose()
        group.step()
    for _ in range(100):
        group.step()
    group.check()
    assert len(group.acknowledged) > before, "a healthy group must commit"
    ends = {
        (life.group.applied_index, life.state, life.store.chain(life.group.applied_index))
        for life in group.lives.values()
    }
    assert len(ends) == 1, ends
    return group

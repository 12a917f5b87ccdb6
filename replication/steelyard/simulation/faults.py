"""What goes wrong: each seed draws which kinds of faults there are, how often, perhaps an adversary."""

import errno
import random
from collections.abc import Callable
from typing import Final

from steelyard.simulation.adversaries import ADVERSARIES
from steelyard.simulation.cluster import Cluster, Node
from steelyard.simulation.disk import SYNC_S

_HALF: Final = 0.5
KIND_SHARE: Final = 0.3
ADVERSARY_SHARE: Final = 1 / 3
RATES_PER_S: Final = (0.05, 0.15, 0.5)


class Faults:
    """The faults of one run, until it is healed."""

    def __init__(self, cluster: Cluster, rng: random.Random, kinds: frozenset[str] | None) -> None:
        self._cluster = cluster
        self._rng = rng
        kind_share, adversary_share = (KIND_SHARE, ADVERSARY_SHARE) if kinds is None else (0.6, 0.6)
        allowed = [kind for kind in KINDS if kinds is None or kind in kinds]
        self._kinds = {kind: rng.choice(RATES_PER_S) for kind in allowed if rng.random() < kind_share}
        names = [name for name in ADVERSARIES if kinds is None or name in kinds]
        self._adversary = rng.choice(names) if names and rng.random() < adversary_share else ""

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong at all."""
        return not self._kinds and not self._adversary

    def begin(self) -> None:
        """Let them begin."""
        self._cluster.trace.note(0, f"faults: {sorted(self._kinds)} {self._adversary}")
        for kind, rate in self._kinds.items():
            self._plan(kind, rate)
        if self._adversary:
            ADVERSARIES[self._adversary](self._cluster, self._rng, lambda: self._cluster.healed)

    def heal(self) -> list[Node]:
        """End all faults for a random majority, leave the rest broken for good, and return the majority."""
        cluster, rng = self._cluster, self._rng
        cluster.healed = True
        cluster.on_leader.clear()
        cluster.net.watch = None
        for node in cluster.nodes.values():
            self._heal_machine(node)
        left_out = self._left_out()
        weather = cluster.net.weather
        weather.blocked.clear()
        weather.stalled.clear()
        weather.spike_rate = 0.0
        weather.drop_rate = weather.repeat_rate = weather.reorder_rate = weather.damage_rate = 0.0
        healed = [node for node in cluster.nodes.values() if node is not left_out]
        if left_out is not None:
            self._break_for_good(left_out, [node.member for node in healed])
        cluster.net.release()
        for node in healed:
            cluster.agenda.after(rng.random() * 0.2, node.start)
        return healed

    # --- helpers -----------------------------------------------------------------------------------

    def _plan(self, kind: str, rate: float) -> None:
        def happen() -> None:
            if not self._cluster.healed:
                KINDS[kind](self._cluster, self._rng)
                self._plan(kind, rate)

        self._cluster.agenda.after(self._rng.expovariate(rate), happen)

    @staticmethod
    def _heal_machine(node: Node) -> None:
        platter = node.platter
        if node.process is not None:
            node.process.calls_left = 0
        node.paused_until_s = 0.0
        platter.fail_commit, platter.fail_files = "", 0
        platter.sync_s, platter.used_fraction = SYNC_S, 0.0
        node.excused = False
        node.clock.set_rate(1.0)
        node.wake(node.cluster.agenda.now_s)

    def _left_out(self) -> Node | None:
        """Return who stays broken: one that the two others can do without, or nobody."""
        cluster, rng = self._cluster, self._rng
        candidates: list[Node | None] = [None]
        if self.calm:
            return None
        for node in cluster.nodes.values():
            others = [other for other in cluster.nodes.values() if other is not node]
            promises = cluster.checkers.promises
            if all(
                not o.platter.identity.joining and not o.damaged and not promises[o.member].vouched_index
                for o in others
            ):
                candidates.append(node)
        return rng.choice(candidates)

    def _break_for_good(self, node: Node, others: list[int]) -> None:
        rng, weather = self._rng, self._cluster.net.weather
        match rng.randrange(4):
            case 0:
                node.keep_down = True
                node.kill(power=rng.random() < _HALF)
            case 1:
                weather.blocked.update((other, node.member) for other in others)
            case 2:
                weather.blocked.update((node.member, other) for other in others)
            case _:
                weather.blocked.update((other, node.member) for other in others)
                weather.blocked.update((node.member, other) for other in others)


def _any(cluster: Cluster, rng: random.Random) -> Node:
    return rng.choice(list(cluster.nodes.values()))


def _two(cluster: Cluster, rng: random.Random) -> tuple[int, int]:
    one, other = rng.sample(sorted(cluster.nodes), 2)
    return one, other


def _kill(cluster: Cluster, rng: random.Random) -> None:
    node = _any(cluster, rng)
    cluster.count("kill")
    node.kill()
    cluster.restart_later(node)


def _crash_at_seam(cluster: Cluster, rng: random.Random) -> None:
    node = _any(cluster, rng)
    if node.process is not None:
        node.process.calls_left = rng.randrange(1, 60)


def _power(cluster: Cluster, rng: random.Random) -> None:
    node = _any(cluster, rng)
    cluster.count("power loss")
    node.kill(power=True)
    cluster.restart_later(node)


def _kill_leader(cluster: Cluster, rng: random.Random) -> None:
    leader = cluster.leader()
    if leader is not None:
        cluster.count("kill leader")
        leader.kill(power=rng.random() < _HALF)
        cluster.restart_later(leader)


def _kill_all(cluster: Cluster, rng: random.Random) -> None:
    power = rng.random() < _HALF
    cluster.count("power loss of all" if power else "kill all")
    for node in cluster.nodes.values():
        node.kill(power=power)
        cluster.restart_later(node)


def _pause(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("pause")
    _any(cluster, rng).pause(rng.choice((0.2, 1.5, 4.0)) * rng.random())


def _hand_over(cluster: Cluster, rng: random.Random) -> None:
    leader = cluster.leader()
    if leader is not None and leader.replica is not None and leader.process is not None:
        cluster.count("hand over")
        replica = leader.replica
        leader.arrive(replica.hand_over)


def _block(cluster: Cluster, rng: random.Random, ways: set[tuple[int, int]]) -> None:
    weather = cluster.net.weather
    weather.blocked |= ways

    def unblock() -> None:
        if not cluster.healed:
            weather.blocked -= ways
            cluster.net.release()

    cluster.agenda.after(rng.choice((0.3, 2.0, 8.0)) * rng.random(), unblock)


def _block_one_way(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("one-way block")
    _block(cluster, rng, {_two(cluster, rng)})


def _block_both_ways(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("two-way block")
    one, other = _two(cluster, rng)
    _block(cluster, rng, {(one, other), (other, one)})


def _isolate(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("isolation")
    member = _any(cluster, rng).member
    others = [other for other in cluster.nodes if other != member]
    _block(cluster, rng, {(member, o) for o in others} | {(o, member) for o in others})


def _reset(cluster: Cluster, rng: random.Random) -> None:
    connections = list(cluster.net.connections.values())
    if connections:
        cluster.count("reset")
        cluster.net.reset(rng.choice(connections), drain=rng.random() < _HALF)


def _stall(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("stall")
    weather, way = cluster.net.weather, _two(cluster, rng)
    weather.stalled.add(way)

    def burst() -> None:
        weather.stalled.discard(way)
        cluster.net.release()

    cluster.agenda.after(rng.choice((0.2, 1.0, 3.0)) * rng.random(), burst)


def _bad_frames(cluster: Cluster, rng: random.Random) -> None:
    weather = cluster.net.weather
    weather.drop_rate, weather.repeat_rate = rng.choice((0.0, 0.01)), rng.choice((0.0, 0.01))
    weather.reorder_rate, weather.damage_rate = rng.choice((0.0, 0.01)), rng.choice((0.0, 0.01))


def _slow_network(cluster: Cluster, rng: random.Random) -> None:
    weather = cluster.net.weather
    weather.spike_rate = rng.choice((0.0, 0.01, 0.1))
    weather.spike_s = rng.choice((0.05, 0.3, 1.0))


def _failing_sync(cluster: Cluster, rng: random.Random) -> None:
    node = _any(cluster, rng)
    if node.process is not None:
        cluster.count("failing sync")
        node.platter.fail_commit = rng.choice(("EIO", "MDB_MAP_FULL", "MDB_PANIC"))
        node.excused = True


def _failing_files(cluster: Cluster, rng: random.Random) -> None:
    node = _any(cluster, rng)
    full = rng.random() < _HALF
    cluster.count("no room for files" if full else "failing file sync")
    node.platter.fail_files = errno.ENOSPC if full else errno.EIO
    node.excused = node.excused or not full
    platter = node.platter

    def room() -> None:
        if full:
            platter.fail_files = 0

    cluster.agenda.after(rng.random() * 3, room)


def _slow_sync(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("slow sync")
    platter = _any(cluster, rng).platter
    platter.sync_s = rng.choice((0.01, 0.1, 1.0, 3.0))

    def quick() -> None:
        platter.sync_s = SYNC_S

    cluster.agenda.after(rng.random() * 2, quick)


def _low_storage(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("log nearly full")
    platter = _any(cluster, rng).platter
    platter.used_fraction = rng.choice((0.91, 0.98))

    def room() -> None:
        platter.used_fraction = 0.0

    cluster.agenda.after(rng.random() * 4, room)


def _clock_jump(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("clock jump")
    _any(cluster, rng).clock.wall_offset_ns = int(rng.choice((-3600, -2, 0.5, 2, 3600)) * 1e9 * rng.random())


def _clock_rate(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("clock rate")
    _any(cluster, rng).clock.set_rate(rng.uniform(0.9, 1.1))


def _wipe(cluster: Cluster, rng: random.Random) -> None:
    node = _any(cluster, rng)
    if not node.keep_down and cluster.may_lose(node):
        node.kill(power=True)
        cluster.renew(node)


def _restore_copy(cluster: Cluster, rng: random.Random) -> None:
    """Take a copy of a disk, and put it back a while later."""
    node = _any(cluster, rng)
    copy, life = node.platter.copy(), node.platter.identity.incarnation

    def restore() -> None:
        if (
            not cluster.healed
            and cluster.may_lose(node)
            and not node.damaged
            and node.platter.identity.incarnation == life
            and not copy.identity.joining
        ):
            cluster.count("older copy of a disk")
            node.replace_disk(copy)
            cluster.restart_later(node)

    cluster.agenda.after(rng.random() * 8, restore)


def _flip(cluster: Cluster, rng: random.Random, *, snapshot: bool) -> None:
    node = _any(cluster, rng)
    if cluster.may_lose(node) and not node.damaged:
        where = node.platter.flip(rng, snapshot=snapshot)
        if where:
            cluster.count("bit flip in a snapshot" if snapshot else "bit flip in the log")
            cluster.trace.note(node.member, f"bit flip: {where}")
            node.damaged = True
            cluster.checkers.lost(node.member, node.platter)
            if rng.random() < _HALF:
                node.kill()
                cluster.restart_later(node)


def _flip_log(cluster: Cluster, rng: random.Random) -> None:
    _flip(cluster, rng, snapshot=False)


def _flip_snapshot(cluster: Cluster, rng: random.Random) -> None:
    _flip(cluster, rng, snapshot=True)


KINDS: Final[dict[str, Callable[[Cluster, random.Random], None]]] = {
    "kill": _kill,
    "seam": _crash_at_seam,
    "power": _power,
    "leader": _kill_leader,
    "all": _kill_all,
    "pause": _pause,
    "handover": _hand_over,
    "one-way": _block_one_way,
    "two-way": _block_both_ways,
    "isolate": _isolate,
    "reset": _reset,
    "stall": _stall,
    "frames": _bad_frames,
    "slow-network": _slow_network,
    "sync": _failing_sync,
    "files": _failing_files,
    "slow-disk": _slow_sync,
    "storage": _low_storage,
    "clock": _clock_jump,
    "rate": _clock_rate,
    "wipe": _wipe,
    "copy": _restore_copy,
    "flip-log": _flip_log,
    "flip-snapshot": _flip_snapshot,
}
"""Every kind of fault by the name that chooses it."""


def every_kind() -> frozenset[str]:
    """Return the names that a run's faults are chosen by, adversaries included."""
    return frozenset(KINDS) | frozenset(ADVERSARIES)

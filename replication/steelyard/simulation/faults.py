"""What goes wrong: each seed draws which kinds of faults there are, how often, perhaps an adversary."""

import random
from collections.abc import Callable
from typing import Final

import msgspec

from steelyard.core.limits import SESSION_IDLE_NS
from steelyard.simulation import damage
from steelyard.simulation.adversaries import ADVERSARIES
from steelyard.simulation.cluster import Cluster
from steelyard.simulation.disk import SYNC_S
from steelyard.simulation.node import NEWEST, Node

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
        weather.spike_rate = weather.bytes_per_s = 0.0
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
        platter.fail_commit, platter.fail_files, platter.fail_reads = "", 0, ""
        platter.sync_s, platter.used_fraction = SYNC_S, 0.0
        node.excused = False
        node.knows = NEWEST  # from its next start on
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


def _narrow_network(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("narrow network")
    weather = cluster.net.weather
    weather.bytes_per_s = rng.choice((10e3, 50e3, 500e3))

    def wide() -> None:
        weather.bytes_per_s = 0.0

    cluster.agenda.after(rng.random() * 4, wide)


def _clock_jump(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("clock jump")
    _any(cluster, rng).clock.wall_offset_ns = int(rng.choice((-3600, -2, 0.5, 2, 3600)) * 1e9 * rng.random())


def _week_passes(cluster: Cluster, _: random.Random) -> None:
    """Let the leader's calendar jump so far that every session of log time has expired."""
    leader = cluster.leader()
    if leader is not None and leader.replica is not None:
        cluster.count("sessions expire")
        ahead_ns = leader.replica.exchange.time_ns - leader.clock.wall_ns()
        leader.clock.wall_offset_ns += max(0, ahead_ns) + SESSION_IDLE_NS


def _upgrade(cluster: Cluster, rng: random.Random) -> None:
    """Restart a member with the newest build."""
    node = _any(cluster, rng)
    if node.knows < NEWEST:
        cluster.count("upgrade")
        _rebuild(cluster, node, NEWEST)


def _old_build(cluster: Cluster, rng: random.Random) -> None:
    """Restart a member with the build before the newest."""
    node = _any(cluster, rng)
    if node.knows == NEWEST:
        cluster.count("old build")
        _rebuild(cluster, node, NEWEST - 1)


def _rebuild(cluster: Cluster, node: Node, knows: int) -> None:
    node.kill()
    node.knows = knows
    cluster.restart_later(node)


def _garbage(cluster: Cluster, rng: random.Random) -> None:
    """Send what no client would: bytes that are no frame, or requests that nobody can read."""
    cluster.count("garbage at the front")
    door = _any(cluster, rng).door
    match rng.randrange(4):
        case 0:
            door.send_bytes(rng.randbytes(rng.randrange(1, 200)))
        case 1:
            door.submit_garbage(msgspec.msgpack.encode(_nested(rng, rng.randrange(1, 120))))
        case 2:
            numbers = [rng.choice((0, -1, 1, 2**31, 2**63 - 1, -(2**63))) for _ in range(6)]
            door.submit_garbage(
                msgspec.msgpack.encode([10**6, *numbers[1:], [rng.randrange(-3, 99), *numbers]])
            )
        case _:
            door.submit_garbage(msgspec.msgpack.encode(rng.randbytes(rng.randrange(900))))


def _nested(rng: random.Random, depth: int) -> object:
    value: object = rng.choice((None, 0, "", b"", 1.5, True, {}, []))
    for _ in range(depth):
        value = [value] if rng.random() < 0.9 else {"a": value}
    return value


def _clock_rate(cluster: Cluster, rng: random.Random) -> None:
    cluster.count("clock rate")
    _any(cluster, rng).clock.set_rate(rng.uniform(0.9, 1.1))


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
    "narrow": _narrow_network,
    "sync": damage.failing_sync,
    "files": damage.failing_files,
    "slow-disk": damage.slow_sync,
    "storage": damage.low_storage,
    "clock": _clock_jump,
    "rate": _clock_rate,
    "expiry": _week_passes,
    "upgrade": _upgrade,
    "old-build": _old_build,
    "garbage": _garbage,
    "reads": damage.failing_reads,
    "wipe": damage.wipe,
    "copy": damage.restore_copy,
    "flip-log": damage.flip_log,
    "flip-snapshot": damage.flip_snapshot,
    "misdirect": damage.misdirect,
}
"""Every kind of fault by the name that chooses it."""


def every_kind() -> frozenset[str]:
    """Return the names that a run's faults are chosen by, adversaries included."""
    return frozenset(KINDS) | frozenset(ADVERSARIES)

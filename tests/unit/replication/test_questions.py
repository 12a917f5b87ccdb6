"""How long each kind of read waits."""

from tests.helpers.lone import LoneGroup, ManualClock

from steelyard.core.queries import GetMarkets
from steelyard.replication.front import FailureReason, Read, ReadMode
from steelyard.replication.gateway import Gateway
from steelyard.replication.group import MemberId
from steelyard.replication.questions import WAIT_S, Questions


class Listener(Gateway):
    """A gateway without a socket: it only hears of failures."""

    def __init__(self) -> None:
        self.heard: dict[int, FailureReason] = {}

    def failed(self, refs: list[int], reason: FailureReason) -> None:
        """Note the reason."""
        self.heard.update(dict.fromkeys(refs, reason))

    def send(self, frame: bytes) -> None:
        """Forget the frame."""

    def flush(self) -> None:
        """Write nothing."""

    def close(self, reason: str) -> None:
        """Stay."""


class Scene:
    """Questions over a group of one."""

    def __init__(self) -> None:
        self.group = LoneGroup(lambda *_: None)
        self.clock = ManualClock()
        self.answered: list[int] = []
        self.gateway = Listener()
        self.questions = Questions(
            self.group,
            self.clock,
            lambda _, read: self.answered.append(read.ref),
            lambda: FailureReason.NO_LEADER if self.group.known_leader is None else FailureReason.NOT_LEADER,
        )

    def ask(self, ref: int, mode: ReadMode, min_index: int = 0) -> None:
        """Ask something."""
        self.questions.ask(self.gateway, Read(ref, 1, mode, min_index, GetMarkets()))


def test_a_stale_read_waits_for_nothing() -> None:
    scene = Scene()
    scene.group.leading = False
    scene.ask(1, ReadMode.STALE, min_index=99)
    assert scene.answered == [1]


def test_a_read_of_at_least_an_index_waits_for_it() -> None:
    scene = Scene()
    scene.group.leading = False
    scene.ask(1, ReadMode.AT_LEAST, min_index=1)
    scene.ask(2, ReadMode.AT_LEAST, min_index=3)
    scene.ask(3, ReadMode.AT_LEAST, min_index=4)
    assert scene.answered == [1]
    scene.group.applied_index = 3
    scene.questions.pump()
    assert scene.answered == [1, 2]
    scene.clock.now_s += WAIT_S + 1
    scene.questions.expire()
    assert scene.gateway.heard == {3: FailureReason.INDEX_NOT_REACHED}
    scene.group.applied_index = 4
    scene.questions.pump()
    assert scene.answered == [1, 2]


def test_linearizable_reads_wait_for_a_barrier_and_share_it() -> None:
    scene = Scene()
    for ref in (1, 2, 3):
        scene.ask(ref, ReadMode.LINEARIZABLE)
    scene.questions.pump()
    assert scene.answered == []
    assert len(scene.group._barriers) == 1
    scene.group.turn(0)
    assert scene.answered == [1, 2, 3]


def test_a_barrier_ahead_of_what_is_applied_waits_for_it() -> None:
    scene = Scene()
    scene.ask(1, ReadMode.LINEARIZABLE)
    scene.group.commit_index = 5
    scene.questions.pump()
    scene.group.turn(0)
    assert scene.answered == []
    scene.group.applied_index = 5
    scene.questions.pump()
    assert scene.answered == [1]


def test_a_follower_asks_its_leader_and_waits_for_what_it_says() -> None:
    scene = Scene()
    scene.group.leading = False
    scene.ask(1, ReadMode.LINEARIZABLE)
    scene.group.commit_index = 5
    scene.questions.pump()
    scene.group.turn(0)
    assert scene.answered == []
    scene.group.applied_index = 5
    scene.questions.pump()
    assert scene.answered == [1]


def test_without_a_leader_a_linearizable_read_waits_for_one_and_fails_in_time() -> None:
    scene = Scene()
    scene.group.leading, scene.group.known_leader = False, None
    scene.ask(1, ReadMode.LINEARIZABLE)
    scene.questions.pump()
    assert scene.gateway.heard == {}
    scene.group.known_leader = MemberId(2)
    scene.questions.pump()
    scene.group.turn(0)
    assert scene.answered == [1]
    scene.group.known_leader = None
    scene.ask(2, ReadMode.LINEARIZABLE)
    scene.questions.pump()
    scene.clock.now_s += WAIT_S + 1
    scene.questions.expire()
    assert scene.gateway.heard == {2: FailureReason.NO_LEADER}


def test_a_new_leader_answers_once_it_has_committed_something() -> None:
    scene = Scene()
    scene.group.is_ready = False
    scene.ask(1, ReadMode.LINEARIZABLE)
    scene.questions.pump()
    assert not scene.group._barriers
    scene.group.is_ready = True
    scene.questions.pump()
    scene.group.turn(0)
    assert scene.answered == [1]


def test_lost_leadership_fails_what_waits_for_it_and_keeps_what_was_not_asked() -> None:
    scene = Scene()
    scene.ask(1, ReadMode.LINEARIZABLE)
    scene.questions.pump()
    scene.ask(2, ReadMode.LINEARIZABLE)
    scene.group.lose(MemberId(3), lambda _: None)
    assert scene.gateway.heard == {1: FailureReason.NOT_LEADER}
    scene.questions.pump()
    scene.group.turn(0)
    assert scene.answered == [2]

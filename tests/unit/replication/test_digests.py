"""Who stops when members differ."""

from typing import NoReturn

import pytest
from tests.helpers.lone import ManualClock

from steelyard.replication.digests import HELD_MAX, THIRD_S, Digests
from steelyard.replication.group import MemberId

ONE, TWO, THREE = MemberId(1), MemberId(2), MemberId(3)
GOOD, BAD = b"g" * 16, b"b" * 16
CHAIN, OTHER_CHAIN = b"c" * 16, b"o" * 16


class Stopped(Exception):
    """Stands for the end of the process."""


class Scene:
    """Member 1's digests, with a clock and connections that the test sets."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told: list[tuple[int, bytes, bytes]] = []
        self.connected: list[MemberId] = [TWO, THREE]
        self.digests = Digests(
            ONE, self.clock, lambda *mark: self.told.append(mark), lambda: self.connected, self.stop
        )

    @staticmethod
    def stop(code: int, reason: str) -> NoReturn:
        """Stop the test instead of the process."""
        raise Stopped(f"{code} {reason}")


def test_equal_members_go_on_and_everybody_is_told() -> None:
    scene = Scene()
    scene.digests.heard(TWO, 100, GOOD, CHAIN)
    scene.digests.reached(100, GOOD, CHAIN)
    scene.digests.heard(THREE, 100, GOOD, CHAIN)
    assert scene.told == [(100, GOOD, CHAIN)]


def test_whoever_differs_from_both_others_stops() -> None:
    scene = Scene()
    scene.digests.heard(TWO, 100, GOOD, CHAIN)
    scene.digests.heard(THREE, 100, GOOD, CHAIN)
    with pytest.raises(Stopped, match=r"70 .*another state at index 100 than member\(s\) \[2, 3\]"):
        scene.digests.reached(100, BAD, CHAIN)


def test_another_log_is_told_apart_from_another_state() -> None:
    scene = Scene()
    scene.digests.reached(100, BAD, OTHER_CHAIN)
    scene.digests.heard(TWO, 100, GOOD, CHAIN)
    with pytest.raises(Stopped, match="another log"):
        scene.digests.heard(THREE, 100, GOOD, CHAIN)


def test_the_majority_goes_on() -> None:
    scene = Scene()
    scene.digests.reached(100, GOOD, CHAIN)
    scene.digests.heard(TWO, 100, BAD, CHAIN)
    scene.digests.heard(THREE, 100, GOOD, CHAIN)
    scene.clock.now_s += 2 * THIRD_S
    scene.digests.expire()


def test_with_only_one_other_to_compare_both_stop() -> None:
    scene = Scene()
    scene.connected = [TWO]
    scene.digests.reached(100, GOOD, CHAIN)
    with pytest.raises(Stopped):
        scene.digests.heard(TWO, 100, BAD, CHAIN)


def test_a_connected_third_member_is_waited_for_but_not_for_ever() -> None:
    scene = Scene()
    scene.digests.reached(100, GOOD, CHAIN)
    scene.digests.heard(TWO, 100, BAD, CHAIN)
    scene.digests.expire()
    scene.clock.now_s += THIRD_S
    with pytest.raises(Stopped):
        scene.digests.expire()


def test_a_third_member_that_hangs_up_is_not_waited_for() -> None:
    scene = Scene()
    scene.digests.reached(100, GOOD, CHAIN)
    scene.digests.heard(TWO, 100, BAD, CHAIN)
    scene.connected = [TWO]
    with pytest.raises(Stopped):
        scene.digests.expire()


def test_only_the_newest_marks_are_held() -> None:
    scene = Scene()
    for index in range(HELD_MAX + 1):
        scene.digests.reached(index, GOOD, CHAIN)
    scene.digests.heard(TWO, 0, BAD, CHAIN)
    scene.digests.heard(THREE, 0, BAD, CHAIN)
    scene.digests.heard(TWO, HELD_MAX, BAD, CHAIN)
    with pytest.raises(Stopped):
        scene.digests.heard(THREE, HELD_MAX, BAD, CHAIN)

"""Who is sent away when there are too many at the door."""

import pytest

from steelyard.rpc.crowd import KEY_STREAMS_MAX, STRANGERS_MAX, WATCHES_MAX, Crowd
from steelyard.rpc.errors import DoorError, Reason


class Stream:
    """Remembers why it was ended."""

    def __init__(self) -> None:
        self.endings: list[DoorError | None] = []

    def end(self, ending: DoorError | None) -> None:
        """Come to an end."""
        self.endings.append(ending)


def test_the_oldest_stranger_makes_room_for_the_newest() -> None:
    crowd = Crowd()
    streams = [Stream() for _ in range(STRANGERS_MAX + 3)]
    for stream in streams:
        crowd.enter(stream)
    assert [len(stream.endings) for stream in streams] == [1, 1, 1] + [0] * STRANGERS_MAX
    (ending,) = streams[0].endings
    assert ending is not None
    assert ending.reason is Reason.OVERLOADED
    assert str(STRANGERS_MAX) in ending.text
    assert ending.delay_s


def test_whoever_left_or_said_who_it_is_takes_no_stranger_s_place() -> None:
    crowd = Crowd()
    left, known = Stream(), Stream()
    crowd.enter(left)
    crowd.enter(known)
    crowd.leave(left)
    crowd.introduce(known, 7)
    streams = [Stream() for _ in range(STRANGERS_MAX)]
    for stream in streams:
        crowd.enter(stream)
    assert not any(stream.endings for stream in (left, known, *streams))
    crowd.enter(Stream())
    assert (len(streams[0].endings), known.endings) == (1, [])


def test_a_key_has_so_many_streams_and_each_that_leaves_makes_room_for_one() -> None:
    crowd = Crowd()
    streams = [Stream() for _ in range(KEY_STREAMS_MAX)]
    for stream in streams:
        crowd.enter(stream)
        crowd.introduce(stream, 7)
    more = Stream()
    crowd.enter(more)
    with pytest.raises(DoorError, match=f"this key has {KEY_STREAMS_MAX} streams") as caught:
        crowd.introduce(more, 7)
    assert caught.value.reason is Reason.OVERLOADED
    crowd.leave(more)  # a refused one counts for nothing, however often it leaves
    crowd.leave(more)
    other = Stream()
    crowd.enter(other)
    crowd.introduce(other, 8)
    crowd.leave(streams.pop())
    crowd.enter(more)
    crowd.introduce(more, 7)
    with pytest.raises(DoorError):
        crowd.introduce(Stream(), 7)


def test_so_many_watch_and_whoever_stops_makes_room() -> None:
    crowd = Crowd()
    watching = [crowd.watching() for _ in range(WATCHES_MAX)]
    for each in watching:
        each.__enter__()
    with pytest.raises(DoorError, match=f"{WATCHES_MAX} watches") as caught, crowd.watching():
        pass
    assert caught.value.reason is Reason.OVERLOADED
    watching[0].__exit__(None, None, None)
    with crowd.watching():
        pass

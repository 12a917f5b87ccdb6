"""Frames, handshake and the one link per pair: what a member accepts from whom."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.raft import MEMBERS, tcp_group

from steelyard.replication.frames import FrameError, FrameReader, FrameWriter
from steelyard.replication.group import GroupSettings, MemberId
from steelyard.replication.handshake import Handshake
from steelyard.replication.wire import WIRE_VERSION, Hello, Proof

A, B, C = MemberId(1), MemberId(2), MemberId(3)
ADDRESSES = dict.fromkeys((A, B, C), ("127.0.0.1", 1))


def settings(member: MemberId, *, group_id: str = "group", secret: bytes = bytes(32)) -> GroupSettings:
    return GroupSettings(group_id, member, ADDRESSES, secret)


def hello(member: int, nonce: int, *, group_id: str = "group", version: int = WIRE_VERSION) -> Hello:
    return Hello(version, group_id, member, 1, 1, 0, 0, 0, bytes([nonce]) * 16)


def dialler(member: MemberId = A, target: MemberId = B, **changes: object) -> Handshake:
    own = settings(member, **changes)  # type: ignore[arg-type]
    return Handshake(own, hello(member, 1, group_id=own.group_id), target)


def answerer(member: MemberId = B, **changes: object) -> Handshake:
    own = settings(member, **changes)  # type: ignore[arg-type]
    return Handshake(own, hello(member, 2, group_id=own.group_id), None)


def shake(left: Handshake, right: Handshake) -> None:
    """Carry messages between two sides until both are silent."""
    to_right, to_left = left.open(), right.open()
    while to_right or to_left:
        to_left += [m for message in to_right for m in right.hear(message)]
        to_right = [m for message in to_left for m in left.hear(message)]
        to_left = []


def test_two_members_recognise_each_other() -> None:
    left, right = dialler(), answerer()
    shake(left, right)
    assert left.done
    assert right.done
    assert left.epoch == right.epoch
    assert (left.peer, right.peer) == (hello(B, 2), hello(A, 1))


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (dialler(secret=b"x" * 32), answerer(), "wrong proof"),
        (dialler(group_id="other"), answerer(), "another group"),
        (dialler(C), answerer(C), "unknown member"),
        (dialler(A, C), answerer(B), "another member than the one dialled"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_stranger_is_refused(left: Handshake, right: Handshake, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        shake(left, right)
    assert not left.done
    assert not right.done


def test_a_member_that_is_not_in_the_group_is_told_nothing() -> None:
    right = answerer()
    with pytest.raises(FrameError, match="unknown member"):
        right.hear(hello(9, 1))
    with pytest.raises(FrameError, match="another wire version"):
        answerer().hear(hello(A, 1, version=99))


def test_a_proof_can_neither_be_reflected_nor_replayed() -> None:
    right = answerer()
    _, proof = right.hear(hello(A, 1))
    with pytest.raises(FrameError, match="wrong proof"):
        right.hear(proof)

    left, again = dialler(), answerer()
    (greeting,) = left.open()
    proofs = [m for message in again.hear(greeting) for m in left.hear(message)]
    fresh = Handshake(settings(B), hello(B, 3), None)
    fresh.hear(greeting)
    with pytest.raises(FrameError, match="wrong proof"):
        fresh.hear(proofs[0])


def test_greetings_out_of_turn_end_the_handshake() -> None:
    with pytest.raises(FrameError, match="out of turn"):
        answerer().hear(Proof(bytes(32)))
    right = answerer()
    right.hear(hello(A, 1))
    with pytest.raises(FrameError, match="out of turn"):
        right.hear(hello(A, 1))


def framed(*payloads: bytes, epoch: int = 0) -> list[bytes]:
    writer = FrameWriter()
    writer.epoch = epoch
    return [writer.header(p) + p for p in payloads]


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 30))
def test_frames_survive_any_cut_of_the_stream(payloads: list[bytes], step: int) -> None:
    stream = b"".join(framed(*payloads, epoch=7))
    reader = FrameReader(100)
    reader.epoch = 7
    pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
    assert [p for piece in pieces for p in reader.feed(piece)] == payloads


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (framed(b"a", b"b")[1], "out of sequence"),
        (framed(b"a")[0] * 2, "out of sequence"),
        (framed(b"a", epoch=1)[0], "out of sequence"),
        (framed(b"a" * 101)[0], "oversized"),
        (framed(b"abc")[0][:-1] + b"X", "wrong checksum"),
    ],
)
def test_a_gap_a_repeat_another_epoch_damage_and_excess_are_refused(stream: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        list(FrameReader(100).feed(stream))


@pytest.mark.parametrize("bit", range(len(framed(b"some payload")[0]) * 8))
def test_every_flipped_bit_is_noticed_even_in_a_length_that_would_be_waited_for(bit: int) -> None:
    frame = bytearray(framed(b"some payload")[0])
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        list(FrameReader(1 << 20).feed(bytes(frame)))


def test_each_pair_of_members_keeps_one_link(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.elect()
        group.run_for(0.5)
        for left, right in itertools.permutations(MEMBERS, 2):
            ours, theirs = group.members[left].links._links[right], group.members[right].links._links[left]
            assert ours.sock.getsockname() == theirs.sock.getpeername()
            assert not group.members[left].links._greeting


def test_a_member_with_another_secret_never_links(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        honest = group.settings
        group.settings = lambda member: (  # type: ignore[method-assign]
            replace(honest(member), secret=b"?" * 32) if member == C else honest(member)
        )
        group.start_all()
        group.commit(b"without it")
        group.run_for(0.3)
        assert [p.connected for p in group.members[C].group.peers()] == [False, False]
        assert group.members[C].applied == []
        assert not group.members[C].group.is_leader()
        assert group.members[A].links.refused.keys() | group.members[C].links.refused.keys() >= {
            "wrong proof"
        }

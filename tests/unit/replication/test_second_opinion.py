"""Digests of our own are held against what the replica says of itself, whenever it is there."""

import socket
from pathlib import Path

import msgspec
import pytest

from steelyard.replication.digests import INTERVAL
from steelyard.replication.front import Frame, FromGateway, Open, State
from steelyard.replication.second_opinion import SecondOpinion

STATE = State(
    group="g",
    member=1,
    pid=1,
    role="follower",
    ready=True,
    term=1,
    leader=2,
    leader_endpoint="",
    last_index=0,
    commit_index=0,
    applied_index=0,
    time_ns=0,
    digest_index=0,
    digest=b"",
    snapshot_index=0,
    log_first_index=1,
    log_used_ppm=0,
    commands_applied=0,
    sync_mode="full",
)


def says(digest_index: int, digest: bytes) -> bytes:
    frame: Frame = msgspec.structs.replace(STATE, digest_index=digest_index, digest=digest)
    body = msgspec.msgpack.encode(frame)
    return len(body).to_bytes(4, "little") + body


def listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(5)
    return listener


def test_equal_digests_are_counted_and_a_different_one_is_not_survived(tmp_path: Path) -> None:
    path = tmp_path / "front.sock"
    opinion = SecondOpinion(path, "g", "archive")
    opinion.reached(INTERVAL, b"one")
    opinion.compare()  # nobody is there yet
    with listening(path) as listener:
        opinion.compare()
        connection, _ = listener.accept()
        with connection:
            size = int.from_bytes(connection.recv(4), "little")
            opening = msgspec.msgpack.decode(connection.recv(size), type=FromGateway)
            assert isinstance(opening, Open)
            assert opening.group == "g"
            first = says(INTERVAL, b"one")
            connection.sendall(first[:7])
            opinion.compare()
            assert opinion.compared == 0
            connection.sendall(first[7:] + says(2 * INTERVAL, b"two"))
            opinion.compare()
            assert opinion.compared == 1
            opinion.reached(2 * INTERVAL + 1, b"not compared")
            opinion.reached(2 * INTERVAL, b"another")
            with pytest.raises(AssertionError, match=f"another digest after entry {2 * INTERVAL}"):
                opinion.compare()
    opinion.close()


def test_a_replica_that_goes_away_is_listened_to_again(tmp_path: Path) -> None:
    path = tmp_path / "front.sock"
    opinion = SecondOpinion(path, "g", "archive")
    for life in (1, 2):
        with listening(path) as listener:
            opinion.compare()
            connection, _ = listener.accept()
            with connection:
                connection.sendall(says(life * INTERVAL, b"same"))
                opinion.reached(life * INTERVAL, b"same")
                opinion.compare()
                assert opinion.compared == life
        path.unlink()
        opinion.compare()
    opinion.close()

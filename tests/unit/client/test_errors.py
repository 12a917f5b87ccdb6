"""Every error of a call falls in exactly one class, and says whether trying again can help."""

import grpc
import grpc.aio
import pytest

from steelyard.client import (
    BadCredentials,
    ClockSkewed,
    DeadlineExpired,
    Malformed,
    NoArchive,
    NotFound,
    NotLeader,
    NotPermitted,
    OutcomeUnknown,
    Rejected,
    SessionExpired,
    SessionTakenOver,
    SteelyardError,
    Unavailable,
    WrongNode,
)
from steelyard.client.errors import from_rpc
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import TABLE, ending_of

EXPECTED: dict[Reason, type[SteelyardError]] = {
    Reason.MALFORMED: Malformed,
    Reason.BAD_CREDENTIALS: BadCredentials,
    Reason.NONCE_REUSED: Unavailable,
    Reason.TIMESTAMP_OUT_OF_WINDOW: ClockSkewed,
    Reason.WRONG_NODE: WrongNode,
    Reason.NOT_PERMITTED: NotPermitted,
    Reason.NOT_FOUND: NotFound,
    Reason.REFUSED: Rejected,
    Reason.OVERLOADED: Unavailable,
    Reason.STORAGE_LOW: Unavailable,
    Reason.SLOW_CONSUMER: Unavailable,
    Reason.NOT_LEADER: NotLeader,
    Reason.LEADERSHIP_LOST: NotLeader,
    Reason.DRAINING: Unavailable,
    Reason.NO_ARCHIVE: NoArchive,
    Reason.NO_LEADER: Unavailable,
    Reason.STARTING: Unavailable,
    Reason.INDEX_NOT_REACHED: Unavailable,
    Reason.DEADLINE: DeadlineExpired,
    Reason.SESSION_TAKEN_OVER: SessionTakenOver,
    Reason.SESSION_EXPIRED: SessionExpired,
    Reason.INTERNAL: Unavailable,
}


def as_seen(error: DoorError) -> SteelyardError:
    """Return what the client makes of an error of the door."""
    code, text, trailers = ending_of(error)
    metadata = grpc.aio.Metadata(*trailers)
    return from_rpc(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, text))


def test_every_reason_is_expected_somewhere() -> None:
    assert set(EXPECTED) == set(Reason) == set(TABLE)


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_of_the_door_is_one_class_of_the_client(reason: Reason) -> None:
    assert type(as_seen(DoorError(reason, metadata={"server_time_ns": "5"}))) is EXPECTED[reason]


@pytest.mark.parametrize("reason", list(Reason))
def test_what_the_table_calls_final_is_never_retried(reason: Reason) -> None:
    retried = isinstance(as_seen(DoorError(reason, metadata={"server_time_ns": "5"})), OutcomeUnknown)
    assert retried == (TABLE[reason].retry != "never")


def test_the_leader_and_the_delay_arrive() -> None:
    error = as_seen(DoorError(Reason.NOT_LEADER, leader="10.0.0.1:7443"))
    assert isinstance(error, NotLeader)
    assert error.leader == "10.0.0.1:7443"
    delayed = as_seen(DoorError(Reason.NO_LEADER, delay_s=0.125))
    assert isinstance(delayed, Unavailable)
    assert delayed.delay_s == 0.125


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Malformed),
        (grpc.StatusCode.UNIMPLEMENTED, Malformed),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.UNKNOWN, Unavailable),
        (grpc.StatusCode.INTERNAL, Unavailable),
        (grpc.StatusCode.CANCELLED, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExpired),
    ],
)
def test_errors_of_the_library_are_read_by_their_code(
    code: grpc.StatusCode, expected: type[SteelyardError]
) -> None:
    error = from_rpc(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata()))
    assert type(error) is expected


def test_details_that_make_no_sense_are_ignored() -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata)
    assert type(from_rpc(error)) is Unavailable

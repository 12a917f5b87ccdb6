"""Reasons to gRPC status and details: one table."""

from typing import Final, NamedTuple

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from steelyard.core.rejects import Reject
from steelyard.replication.front import FailureReason
from steelyard.rpc.errors import DoorError, Reason

DOMAIN: Final = "steelyard"
DETAILS_KEY: Final = "grpc-status-details-bin"
#: A group without a leader has one again after an election; asking sooner helps nobody.
NO_LEADER_DELAY_S: Final = 0.1
OVERLOAD_DELAY_S: Final = 0.25
STORAGE_DELAY_S: Final = 5.0


class Row(NamedTuple):
    """How callers see a reason: code, what a retry needs, and whether the request was applied."""

    code: grpc.StatusCode
    retry: str
    applied: str


_CODE = grpc.StatusCode
TABLE: Final[dict[Reason, Row]] = {
    Reason.MALFORMED: Row(_CODE.INVALID_ARGUMENT, "never", "no"),
    Reason.BAD_CREDENTIALS: Row(_CODE.UNAUTHENTICATED, "never", "no"),
    Reason.NONCE_REUSED: Row(_CODE.UNAUTHENTICATED, "sign again", "no"),
    Reason.TIMESTAMP_OUT_OF_WINDOW: Row(_CODE.UNAUTHENTICATED, "sign again", "no"),
    Reason.WRONG_NODE: Row(_CODE.UNAUTHENTICATED, "sign again", "no"),
    Reason.NOT_PERMITTED: Row(_CODE.PERMISSION_DENIED, "never", "no"),
    Reason.NOT_FOUND: Row(_CODE.NOT_FOUND, "never", "no"),
    Reason.REFUSED: Row(_CODE.FAILED_PRECONDITION, "never", "no"),
    Reason.OVERLOADED: Row(_CODE.RESOURCE_EXHAUSTED, "after delay", "no"),
    Reason.STORAGE_LOW: Row(_CODE.RESOURCE_EXHAUSTED, "after delay", "no"),
    Reason.SLOW_CONSUMER: Row(_CODE.RESOURCE_EXHAUSTED, "same request", "unknown"),
    Reason.NOT_LEADER: Row(_CODE.UNAVAILABLE, "ask leader", "no"),
    Reason.LEADERSHIP_LOST: Row(_CODE.UNAVAILABLE, "ask leader", "unknown"),
    Reason.DRAINING: Row(_CODE.UNAVAILABLE, "ask leader", "unknown"),
    Reason.NO_LEADER: Row(_CODE.UNAVAILABLE, "after delay", "no"),
    Reason.STARTING: Row(_CODE.UNAVAILABLE, "after delay", "no"),
    Reason.NO_ARCHIVE: Row(_CODE.UNAVAILABLE, "ask another node", "no"),
    Reason.INDEX_NOT_REACHED: Row(_CODE.UNAVAILABLE, "after delay", "no"),
    Reason.DEADLINE: Row(_CODE.DEADLINE_EXCEEDED, "same request", "unknown"),
    Reason.SESSION_TAKEN_OVER: Row(_CODE.ABORTED, "never", "unknown"),
    Reason.SESSION_EXPIRED: Row(_CODE.FAILED_PRECONDITION, "never", "unknown"),
    Reason.INTERNAL: Row(_CODE.INTERNAL, "same request", "unknown"),
}


class Ending(NamedTuple):
    """What ``context.abort`` takes."""

    code: grpc.StatusCode
    text: str
    trailers: tuple[tuple[str, str | bytes], ...]


def ending_of(error: DoorError) -> Ending:
    """Return how the caller sees ``error``: code, text, and ``ErrorInfo`` and ``RetryInfo`` as trailers."""
    row = TABLE[error.reason]
    metadata = {"retry": row.retry, "applied": row.applied, **error.metadata}
    if error.leader:
        metadata["leader"] = error.leader
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata))
    details = [info]
    if error.delay_s is not None:
        wait = duration_pb2.Duration()
        wait.FromNanoseconds(int(error.delay_s * 1e9))
        delay = any_pb2.Any()
        delay.Pack(error_details_pb2.RetryInfo(retry_delay=wait))
        details.append(delay)
    status = status_pb2.Status(code=row.code.value[0], message=error.text, details=details)
    return Ending(row.code, error.text, ((DETAILS_KEY, status.SerializeToString()),))


def failure(reason: FailureReason, leader: str) -> DoorError:
    """Return the error of a request or read that the group did not answer."""
    match reason:
        case FailureReason.NOT_LEADER:
            return DoorError(Reason.NOT_LEADER, "this node does not lead", leader=leader)
        case FailureReason.NO_LEADER:
            return DoorError(Reason.NO_LEADER, "the group has no leader now", delay_s=NO_LEADER_DELAY_S)
        case FailureReason.LEADERSHIP_LOST:
            return DoorError(Reason.LEADERSHIP_LOST, "leadership was lost: outcome unknown", leader=leader)
        case FailureReason.OVERLOADED:
            return DoorError(Reason.OVERLOADED, "too much is pending", delay_s=OVERLOAD_DELAY_S)
        case FailureReason.STORAGE_LOW:
            return DoorError(Reason.STORAGE_LOW, "the log is nearly full", delay_s=STORAGE_DELAY_S)
        case FailureReason.INDEX_NOT_REACHED:
            return DoorError(
                Reason.INDEX_NOT_REACHED, "that index is not applied here yet", delay_s=NO_LEADER_DELAY_S
            )
        case FailureReason.MALFORMED:
            return DoorError(Reason.MALFORMED)


def refusal(reject: Reject, index: int) -> DoorError:
    """Return the error for a refusal where the response has no place for one: reads, and opening sessions."""
    seen = {"log_index": str(index), "reject": reject.name}
    match reject:
        case Reject.MALFORMED:
            return DoorError(Reason.MALFORMED, metadata=seen)
        case Reject.UNKNOWN_KEY | Reject.KEY_EXPIRED:
            return DoorError(Reason.BAD_CREDENTIALS)
        case Reject.NOT_PERMITTED | Reject.NOT_SESSION_OWNER:
            return DoorError(Reason.NOT_PERMITTED, metadata=seen)
        case Reject.UNKNOWN_SESSION | Reject.SESSION_EXPIRED:
            return DoorError(Reason.SESSION_EXPIRED, metadata=seen)
        case Reject.UNKNOWN_ACCOUNT | Reject.UNKNOWN_ASSET | Reject.UNKNOWN_INSTRUMENT | Reject.UNKNOWN_ORDER:
            return DoorError(Reason.NOT_FOUND, reject.name, metadata=seen)
        case _:
            return DoorError(Reason.REFUSED, reject.name, metadata=seen)

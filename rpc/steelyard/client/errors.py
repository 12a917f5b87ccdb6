"""What can go wrong between a client and the group.

* SteelyardError
  - PriceOffStep         the price is no multiple of the instrument's tick; nothing was sent
  - SizeOffStep          the size is no multiple of the instrument's lot; nothing was sent
  - Rejected             the exchange said no; retrying the same request cannot help
    - OrderRejected      the same, to an order or a cancel
  - AlreadyApplied       the request was applied, and its reply is no longer kept
  - Malformed            the door could not read the call
  - BadCredentials       the key is unknown, revoked, expired or the signature is wrong
  - NotPermitted         the key may not do this
  - NotFound             what was asked for does not exist
  - SessionExpired       the group forgot this session; reconcile before trading again
  - SessionTakenOver     somebody else uses this session's name
  - Closed               the client or session was closed
  - Broken               a fault of this client, or of a hook it was given; the session is over
  - TooManyOpen          too many commands have no reply yet; nothing was sent
  - OutcomeUnknown       the request may or may not have been applied; retry with the same number
    - NotLeader          this replica cannot decide; ask ``leader``
    - Unavailable        no leader, draining, overloaded, or nobody there; ask again after ``delay_s``
      - NoArchive        this node keeps no archive, or it is too far behind; ask another one
    - DeadlineExpired    no reply in time
    - ClockSkewed        the signature's time is outside the node's window; sign again
    - WrongNode          signed for another node than the one that got it; sign again
"""

from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from steelyard.client.reasons import sentence

_DETAILS: Final = "grpc-status-details-bin"


class SteelyardError(Exception):
    """Base of every error this client raises on purpose."""


class PriceOffStep(SteelyardError, ValueError):
    """The price is no multiple of the instrument's tick."""


class SizeOffStep(SteelyardError, ValueError):
    """The size is no multiple of the instrument's lot."""


class Rejected(SteelyardError):
    """The exchange refused the request and changed nothing.

    ``reason`` is a name of ``steelyard.v1.Reject`` without its prefix, ``log_index`` is where it was decided.
    ``expected`` is the leg at fault of a list, a batch or a replacement (from 1), or the bound that was
    passed, or zero.
    """

    def __init__(self, reason: str, expected: int = 0, log_index: int = 0) -> None:
        super().__init__(f"{sentence(reason)} ({expected})" if expected else sentence(reason))
        self.reason = reason
        self.expected = expected
        self.log_index = log_index


class OrderRejected(Rejected):
    """The exchange refused an order or a cancel."""


class AlreadyApplied(SteelyardError):
    """The request was applied, and the client had said that it no longer wants the reply."""


class Malformed(SteelyardError):
    """The door could not read the call, or the message is too large."""


class BadCredentials(SteelyardError):
    """Missing, unknown, revoked, expired or wrong: the door does not say which."""


class NotPermitted(SteelyardError):
    """The key may not do this."""


class NotFound(SteelyardError):
    """What was asked for does not exist."""


class SessionExpired(SteelyardError):
    """The group no longer remembers this session's replies."""


class SessionTakenOver(SteelyardError):
    """Another client has attached to, or sent commands on, the session of this name."""


class Closed(SteelyardError):
    """The client or session was closed before the reply came."""


class Broken(SteelyardError):
    """A fault of this client, or of a hook it was given; ``__cause__`` is what happened."""


class TooManyOpen(SteelyardError):
    """The session holds as many commands without a reply as it can; wait for some."""


class OutcomeUnknown(SteelyardError):
    """The request may have been applied.  Retrying with the same number is always safe.

    ``request`` is that number where known, ``delay_s`` how long the group asks to wait.
    """

    def __init__(self, message: str, *, delay_s: float | None = None, request: int = 0) -> None:
        super().__init__(message)
        self.delay_s = delay_s
        self.request = request


class NotLeader(OutcomeUnknown):
    """The replica asked is not, or no longer, the leader; ``leader`` is its best guess at who is."""

    def __init__(self, leader: str | None, *, delay_s: float | None = None) -> None:
        super().__init__(f"not the leader; try {leader or 'another replica'}", delay_s=delay_s)
        self.leader = leader


class Unavailable(OutcomeUnknown):
    """The node cannot serve the call at the moment."""


class NoArchive(Unavailable):
    """The node keeps no archive, or it has not come far enough; another node's may have."""


class DeadlineExpired(OutcomeUnknown):
    """No reply within the deadline."""


class ClockSkewed(OutcomeUnknown):
    """The node's clock differs from ours, or it refuses times from before its start: sign again."""

    def __init__(self, server_time_ns: int, *, delay_s: float | None = None) -> None:
        super().__init__("the node's clock differs from ours", delay_s=delay_s)
        self.server_time_ns = server_time_ns


class WrongNode(OutcomeUnknown):
    """The call was signed for another node than the one that got it: ask who it is, and sign again."""


def from_rpc(error: grpc.RpcError) -> SteelyardError:
    """Return the one class of this tree that ``error`` falls in.

    An error without our details was made by the gRPC library: too large and unimplemented cannot be
    helped, everything else leaves the outcome unknown.
    """
    code = error.code()
    text = error.details() or code.name
    reason, metadata, delay_s = _details(error)
    match reason:
        case "NOT_LEADER" | "LEADERSHIP_LOST":
            return NotLeader(metadata.get("leader") or None, delay_s=delay_s)
        case "TIMESTAMP_OUT_OF_WINDOW":
            return ClockSkewed(int(metadata.get("server_time_ns", "0")), delay_s=delay_s)
        case "WRONG_NODE":
            return WrongNode(text)
        case "NO_ARCHIVE":
            return NoArchive(text)
        case "NONCE_REUSED":
            return Unavailable(text)
        case "SESSION_TAKEN_OVER":
            return SessionTakenOver(text)
        case "SESSION_EXPIRED" | "UNKNOWN_SESSION":
            return SessionExpired(text)
        case "BAD_CREDENTIALS":
            return BadCredentials(text)
        case "NOT_PERMITTED":
            return NotPermitted(text)
        case _:
            pass
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExpired(text)
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.UNIMPLEMENTED:
            return Malformed(text)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if not reason:
            return Malformed(text)
        case grpc.StatusCode.NOT_FOUND:
            return NotFound(reason or text)
        case grpc.StatusCode.FAILED_PRECONDITION:
            return Rejected(reason or text)
        case _:
            return Unavailable(text, delay_s=delay_s)


def _details(error: grpc.RpcError) -> tuple[str, dict[str, str], float | None]:
    """Return reason, metadata and retry delay of a status with details; empty ones without."""
    reason, metadata, delay_s = "", {}, None
    for key, value in _pairs(error.trailing_metadata()):
        if key != _DETAILS:
            continue
        try:
            details = status_pb2.Status.FromString(value).details
            for detail in details:
                if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                    info = error_details_pb2.ErrorInfo()
                    detail.Unpack(info)
                    reason, metadata = info.reason, dict(info.metadata)
                elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                    wait = error_details_pb2.RetryInfo()
                    detail.Unpack(wait)
                    delay_s = wait.retry_delay.seconds + wait.retry_delay.nanos / 1e9
        except DecodeError:
            return "", {}, None
    return reason, metadata, delay_s


def _pairs(metadata: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401 - the library has two kinds
    return metadata or ()

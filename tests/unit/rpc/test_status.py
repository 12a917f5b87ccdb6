"""The table of endings is complete, and every error carries its details."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from steelyard.core.rejects import Reject
from steelyard.replication.front import FailureReason
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import TABLE, ending_of, failure, refusal


def details(error: DoorError) -> tuple[error_details_pb2.ErrorInfo, float | None]:
    """Return the ErrorInfo and the delay of the RetryInfo, if there is one."""
    (trailer,) = ending_of(error).trailers
    assert isinstance(trailer[1], bytes)
    info, delay_s = error_details_pb2.ErrorInfo(), None
    for detail in status_pb2.Status.FromString(trailer[1]).details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        else:
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            delay_s = retry.retry_delay.ToNanoseconds() / 1e9
    return info, delay_s


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_says_whether_it_was_applied_and_what_a_retry_needs(reason: Reason) -> None:
    info, _ = details(DoorError(reason))
    assert (info.domain, info.reason) == ("steelyard", reason.value)
    assert info.metadata["retry"] == TABLE[reason].retry
    assert info.metadata["applied"] in {"no", "unknown"}


def test_leader_delay_and_other_details_travel() -> None:
    error = DoorError(Reason.NOT_LEADER, leader="a:1", delay_s=0.25, metadata={"term": "7"})
    info, delay_s = details(error)
    assert (info.metadata["leader"], info.metadata["term"], delay_s) == ("a:1", "7", 0.25)


@pytest.mark.parametrize("reason", list(FailureReason))
def test_every_failure_of_the_replica_has_an_ending(reason: FailureReason) -> None:
    assert failure(reason, "a:1").reason.value == reason.name


@pytest.mark.parametrize("reject", list(Reject))
def test_every_refusal_of_a_read_has_an_ending(reject: Reject) -> None:
    error = refusal(reject, 9)
    assert error.reason in TABLE
    if error.reason is not Reason.BAD_CREDENTIALS:
        assert error.metadata == {"log_index": "9", "reject": reject.name}


def test_an_unknown_key_is_told_nothing_about_the_state() -> None:
    assert refusal(Reject.UNKNOWN_KEY, 9).metadata == refusal(Reject.KEY_EXPIRED, 9).metadata == {}

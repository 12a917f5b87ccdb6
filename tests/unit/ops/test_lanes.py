"""An outage ends with a reply of the next leader, not with one that was on its way."""

import time

from steelyard.ops.lanes import Outage


def test_a_reply_over_the_old_stream_does_not_end_an_outage() -> None:
    outage = Outage(time.monotonic())
    outage.begin(7, 3)
    assert not outage.over(7, 3)
    assert (outage.recovered_s, outage.ended.is_set()) == (None, False)
    assert outage.over(7, 4)
    assert outage.ended.is_set()
    assert outage.recovered_s is not None


def test_the_first_session_that_trades_again_ends_the_outage_and_each_is_told_for_itself() -> None:
    outage = Outage(time.monotonic())
    outage.begin(7, 0)
    outage.begin(8, 2)
    assert outage.over(8, 3)
    recovered_s = outage.recovered_s
    assert not outage.over(7, 0)
    assert outage.over(7, 1)
    assert outage.recovered_s == recovered_s

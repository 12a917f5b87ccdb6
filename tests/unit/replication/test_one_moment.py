"""A tick has one time: the library finds no election due that was not due when we looked."""

import pytest
from tests.helpers.scripted import THREE, TWO, Scripted, founded

from steelyard.replication.wire import PreVoteRequest, VoteRequest


@pytest.mark.parametrize("joining", [True, False])
def test_however_slowly_a_tick_goes_nobody_campaigns_without_leave(joining: bool) -> None:
    member = Scripted(founded(joining=joining))
    for turn in range(5_000):
        member.clock.creep_s = 0.000_1 * (5 + turn % 13)  # deadlines pass between any two looks at the clock
        member.turn()
    said = [message for peer in (TWO, THREE) for message in member.said(peer)]
    assert not [message for message in said if isinstance(message, VoteRequest)]
    assert member.group.term == 0
    asked = [message for message in said if isinstance(message, PreVoteRequest)]
    assert bool(asked) is not joining, "elections were due, many times"

"""A request takes effect once and has one reply, however often and in whatever order it arrives."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.helpers.duel import Desk
from tests.helpers.sight import everything_but_sessions
from tests.helpers.strategies import trading
from tests.helpers.world import CUSTOMERS, DAY_NS, QUOTE

from steelyard.core import limits
from steelyard.core.commands import AnyCommand, Deposit, OpenSession
from steelyard.core.entry import Accepted, AnyReply, Outcome, Refused, Request, SessionReady
from steelyard.core.rejects import Reject
from steelyard.core.units import OPERATOR, OPERATOR_KEY, SessionId

TRADER = CUSTOMERS[1]


def numbered(desk: Desk, commands: list[AnyCommand]) -> list[Request]:
    """Return commands as numbered requests of one session, every reply wanted."""
    return [replace(desk.request(TRADER, command), wants_from=1) for command in commands]


@given(st.lists(trading, min_size=1, max_size=12), st.lists(st.integers(0, 11), max_size=40))
def test_retries_in_any_order_have_one_effect_and_one_reply(
    commands: list[AnyCommand], order: list[int]
) -> None:
    calm, desk = Desk(), Desk()
    expected = [calm.deliver(request) for request in numbered(calm, commands)]
    requests = numbered(desk, commands)
    first: dict[int, Outcome] = {}
    executed = 0
    for position in [*(n for n in order if n < len(requests)), *range(len(requests))]:
        outcome = desk.deliver(requests[position])
        if position > executed:
            assert isinstance(outcome.reply, Refused)
            assert outcome.reply.reason == Reject.REQUEST_GAP
            assert outcome.reply.expected == requests[executed].request
            assert outcome.events == []
        elif position == executed:
            first[position] = outcome
            executed += 1
        else:
            assert outcome == replace(first[position], events=[])
    assert [(o.reply, o.events) for o in first.values()] == [(o.reply, o.events) for o in expected]
    assert everything_but_sessions(desk.both.fast) == everything_but_sessions(calm.both.fast)


@given(st.lists(trading, min_size=2, max_size=12))
def test_a_number_belongs_to_its_first_command(commands: list[AnyCommand]) -> None:
    desk = Desk()
    requests = numbered(desk, commands)
    outcomes = [desk.deliver(request) for request in requests]
    seen = everything_but_sessions(desk.both.fast)
    for position, outcome in enumerate(outcomes):
        other = replace(requests[position], command=commands[position - 1], fingerprint=7)
        assert desk.deliver(other) == replace(outcome, events=[])
    assert everything_but_sessions(desk.both.fast) == seen


def deposit(desk: Desk) -> Request:
    """Return the operator's next request: to deposit one atom."""
    return desk.request(OPERATOR, Deposit(account=TRADER, asset=QUOTE, amount_atoms=1))


def reason(reply: AnyReply) -> Reject:
    """Return why a request was refused."""
    assert isinstance(reply, Refused), reply
    return reply.reason


def test_a_released_reply_is_gone_and_the_command_is_not_repeated() -> None:
    desk = Desk()
    first, second = deposit(desk), deposit(desk)
    assert isinstance(desk.deliver(first).reply, Accepted)
    assert isinstance(desk.deliver(replace(second, wants_from=second.request)).reply, Accepted)
    seen = everything_but_sessions(desk.both.fast)

    assert reason(desk.deliver(first).reply) == Reject.REPLY_RELEASED
    assert isinstance(desk.deliver(second).reply, Accepted)
    assert everything_but_sessions(desk.both.fast) == seen


def test_a_full_window_refuses_until_the_client_releases_something() -> None:
    desk = Desk()
    from_here = desk.traffic.lines[OPERATOR].last + 1
    for _ in range(limits.REPLY_WINDOW_MAX):
        assert isinstance(desk.deliver(replace(deposit(desk), wants_from=from_here)).reply, Accepted)
    refused = replace(deposit(desk), wants_from=from_here)
    seen = everything_but_sessions(desk.both.fast)
    assert reason(desk.deliver(refused).reply) == Reject.WINDOW_FULL
    assert reason(desk.deliver(refused).reply) == Reject.WINDOW_FULL
    assert everything_but_sessions(desk.both.fast) == seen
    assert isinstance(desk.deliver(replace(refused, wants_from=from_here + 1)).reply, Accepted)


def test_a_refused_request_does_not_move_the_window() -> None:
    desk = Desk()
    first = deposit(desk)
    reply = desk.deliver(first).reply
    gap = replace(deposit(desk), request=first.request + 2, wants_from=first.request + 2)
    assert reason(desk.deliver(gap).reply) == Reject.REQUEST_GAP
    assert desk.deliver(first).reply == reply


def test_an_idle_session_is_over_and_its_name_opens_a_new_one() -> None:
    desk = Desk()
    old = deposit(desk)
    desk.traffic.time_ns += 8 * DAY_NS
    assert reason(desk.deliver(old).reply) == Reject.SESSION_EXPIRED

    opened = desk.deliver(desk.traffic.bare(OpenSession(account=OPERATOR, name="main"), OPERATOR_KEY)).reply
    assert isinstance(opened, SessionReady)
    assert opened.last_request == 0
    assert opened.session > old.session
    assert reason(desk.deliver(old).reply) == Reject.SESSION_EXPIRED
    assert isinstance(
        desk.deliver(replace(old, session=opened.session, request=1, wants_from=1)).reply, Accepted
    )


def test_a_session_that_was_never_opened_is_unknown() -> None:
    desk = Desk()
    for session in (10**6, 2**62, 2**63 - 1, -1):
        assert (
            reason(desk.deliver(replace(deposit(desk), session=SessionId(session))).reply)
            == Reject.UNKNOWN_SESSION
        )

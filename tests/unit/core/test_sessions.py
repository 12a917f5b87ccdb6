"""Exactly once: numbers, windows, replays, expiry."""

import pytest
from tests.helpers.builders import ALICE, BOB, STEP_NS, USD, Venue, buy, market, refusal

from steelyard.core import Outcome, Refused, Reject, SessionReady, limits
from steelyard.core.commands import CancelOrder, OpenSession, Skip
from steelyard.core.events import RequestSkipped, SessionOpened
from steelyard.core.units import OrderId, SessionId


def refused(outcome: Outcome) -> Refused:
    assert isinstance(outcome.reply, Refused), outcome
    return outcome.reply


def test_a_session_is_opened_by_name_and_found_again() -> None:
    venue = market()
    first = venue.sessions[ALICE]
    venue.place(ALICE, buy(1, 1, 1))

    again = venue.sessionless(OpenSession(account=ALICE, name="main"), venue.keys[ALICE])

    assert again.reply == SessionReady(request=0, fingerprint=0, session=first, last_request=1)
    assert again.events == [SessionOpened(account=ALICE, session=first, last_request=1)]


def test_two_names_are_two_sessions() -> None:
    venue = market()
    first = venue.sessions[ALICE]

    assert venue.open_session(ALICE, "second") != first
    assert venue.last_request(ALICE) == 0


def test_accounts_may_use_the_same_name() -> None:
    venue = market()

    assert venue.sessions[ALICE] != venue.sessions[BOB]


@pytest.mark.parametrize("name", ["", "x" * 65, "naïve", "tab\t", "\x7f"])
def test_a_bad_name_is_malformed(name: str) -> None:
    venue = market()

    outcome = venue.sessionless(OpenSession(account=ALICE, name=name), venue.keys[ALICE])

    assert refusal(outcome) == Reject.MALFORMED


def test_a_session_cannot_be_opened_within_a_session() -> None:
    venue = market()

    assert refusal(venue.ask(ALICE, OpenSession(account=ALICE, name="x"))) == Reject.MALFORMED


def test_a_repeated_request_gets_its_first_reply_and_does_nothing() -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 1, 1), fingerprint=77)
    first = venue.send(request)[0]
    index = venue.exchange.applied_index
    before = venue.everything()

    for _ in range(3):
        again = venue.send(request)[0]
        assert again == Outcome(first.reply, [], index)

    assert venue.everything() == before


def test_a_repeated_number_with_another_command_gets_the_first_ones_fingerprint() -> None:
    venue = market()
    venue.send(venue.request(ALICE, buy(1, 1, 1), fingerprint=1))

    other = venue.send(venue.request(ALICE, buy(2, 5, 5), number=1, fingerprint=2))[0]

    assert other.reply.fingerprint == 1
    assert len(venue.exchange.state.orders) == 1


def test_copies_within_one_entry_count_once() -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 1, 1))

    first, second = venue.send(request, request)

    assert first.events != []
    assert second == Outcome(first.reply, [], first.replied_index)


@pytest.mark.parametrize("number", [3, 4, 2**62, 2**64 - 1, 0, -1])
def test_a_number_that_is_not_the_next_is_a_gap_and_changes_nothing(number: int) -> None:
    venue = market()
    venue.place(ALICE, buy(1, 1, 1))
    before = venue.everything()

    outcome = venue.send(venue.request(ALICE, buy(2, 1, 1), number=number))[0]

    assert outcome.reply == Refused(request=number, fingerprint=0, reason=Reject.REQUEST_GAP, expected=2)
    assert venue.everything() == before


def test_a_refused_command_uses_up_its_number_and_is_remembered() -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 0, 1))

    first = venue.send(request)[0]
    venue.place(ALICE, buy(1, 1, 1))
    again = venue.send(request)[0]

    assert refused(first).reason == Reject.SIZE_OUT_OF_RANGE
    assert again.reply == first.reply
    assert venue.last_request(ALICE) == 2


def test_a_reply_that_is_no_longer_wanted_is_released() -> None:
    venue = market()
    requests = [venue.request(ALICE, buy(n, 1, 1), number=n, wants_from=max(1, n - 1)) for n in range(1, 5)]
    venue.send(*requests)
    before = venue.everything()

    outcomes = venue.send(*requests)

    assert [refused(o).reason for o in outcomes[:2]] == [Reject.REPLY_RELEASED] * 2
    assert refused(outcomes[0]).expected == 3
    assert [o.replied_index for o in outcomes[2:]] == [venue.exchange.applied_index - 1] * 2
    assert venue.everything() == before


def test_what_is_wanted_never_goes_back() -> None:
    venue = market()
    venue.send(
        venue.request(ALICE, buy(1, 1, 1), number=1, wants_from=1),
        venue.request(ALICE, buy(2, 1, 1), number=2, wants_from=2),
        venue.request(ALICE, buy(3, 1, 1), number=3, wants_from=1),
    )

    outcomes = venue.send(
        venue.request(ALICE, buy(1, 1, 1), number=1), venue.request(ALICE, buy(2, 1, 1), number=2)
    )

    assert refused(outcomes[0]).reason == Reject.REPLY_RELEASED
    assert not isinstance(outcomes[1].reply, Refused)


@pytest.mark.parametrize("wants_from", [2**62, 2**64 - 1, 2])
def test_the_newest_reply_is_kept_whatever_the_client_claims(wants_from: int) -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 1, 1), wants_from=wants_from)
    first = venue.send(request)[0]

    assert venue.send(request)[0].reply == first.reply
    venue.send(venue.request(ALICE, buy(2, 1, 1)))
    assert venue.last_request(ALICE) == 2


@pytest.mark.parametrize("wants_from", [0, -5, -(2**63)])
def test_a_client_that_wants_everything_keeps_everything(wants_from: int) -> None:
    venue = market()
    venue.send(*[venue.request(ALICE, buy(n, 1, 1), number=n, wants_from=wants_from) for n in (1, 2, 3)])

    assert len(venue.exchange.state.sessions[venue.sessions[ALICE]].replies) == 3


def test_a_full_window_refuses_until_the_client_lets_go() -> None:
    venue = market()
    cancel = CancelOrder(account=ALICE, order=OrderId(5))
    full = limits.REPLY_WINDOW_MAX
    venue.send(*[venue.request(ALICE, cancel, number=n, wants_from=1) for n in range(1, full + 1)])
    before = venue.everything()

    outcome = venue.send(venue.request(ALICE, cancel, wants_from=1))[0]
    assert refused(outcome).reason == Reject.WINDOW_FULL
    assert refused(outcome).expected == full
    assert venue.everything() == before

    outcome = venue.send(venue.request(ALICE, cancel, wants_from=2))[0]
    assert refused(outcome).reason == Reject.UNKNOWN_ORDER
    assert venue.last_request(ALICE) == full + 1


@pytest.mark.parametrize("session", [-1, 99, 2**62, 2**64 - 1])
def test_a_session_that_never_was_is_unknown(session: int) -> None:
    venue = market()

    outcome = venue.send(venue.request(ALICE, buy(1, 1, 1), session=SessionId(session)))[0]

    assert refusal(outcome) == Reject.UNKNOWN_SESSION


def idle(venue: Venue, idle_ns: int) -> None:
    """Let log time pass with a tick."""
    venue.send(after_ns=idle_ns)


def test_a_session_lives_until_it_was_idle_for_seven_days() -> None:
    venue = market()
    venue.place(ALICE, buy(1, 1, 1))
    idle(venue, limits.SESSION_IDLE_NS - STEP_NS - 1)

    assert venue.place(ALICE, buy(2, 1, 1)).events

    idle(venue, limits.SESSION_IDLE_NS - STEP_NS)
    before = venue.everything()
    assert refusal(venue.place(ALICE, buy(3, 1, 1))) == Reject.SESSION_EXPIRED
    assert venue.everything() == before


def test_a_repeat_does_not_keep_a_session_alive() -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 1, 1))
    venue.send(request)
    idle(venue, limits.SESSION_IDLE_NS - 2 * STEP_NS)

    assert venue.send(request)[0].reply.request == 1
    assert refusal(venue.send(request)[0]) == Reject.SESSION_EXPIRED


def test_an_expired_name_starts_a_new_session_and_the_old_one_is_swept_out() -> None:
    venue = market()
    old = venue.sessions[ALICE]
    venue.open_session(ALICE, "second")
    idle(venue, limits.SESSION_IDLE_NS)

    new = venue.open_session(ALICE)

    assert new > old
    assert sorted(venue.exchange.state.accounts[ALICE].sessions) == ["main"]
    stale = venue.send(venue.request(ALICE, buy(1, 1, 1), session=old, number=1))[0]
    assert refusal(stale) == Reject.SESSION_EXPIRED
    assert venue.last_request(ALICE) == 0


def test_sessions_of_an_account_are_bounded_and_expired_ones_do_not_count() -> None:
    venue = market()
    for number in range(limits.SESSIONS_PER_ACCOUNT_MAX - 1):
        venue.open_session(ALICE, f"s{number}")
    before = venue.everything()
    one_more = OpenSession(account=ALICE, name="one more")

    assert refusal(venue.sessionless(one_more, venue.keys[ALICE])) == Reject.TOO_MANY_SESSIONS
    assert venue.everything() == before
    idle(venue, limits.SESSION_IDLE_NS)
    assert isinstance(venue.sessionless(one_more, venue.keys[ALICE]).reply, SessionReady)


def test_a_skip_uses_up_its_number_and_is_read_as_the_refusal() -> None:
    venue = market()
    request = venue.request(ALICE, Skip(reason=Reject.STORAGE_LOW), fingerprint=3)

    outcome = venue.send(request)[0]

    assert outcome.reply == Refused(request=1, fingerprint=3, reason=Reject.STORAGE_LOW)
    assert outcome.events == [
        RequestSkipped(session=venue.sessions[ALICE], request=1, reason=Reject.STORAGE_LOW)
    ]
    late_copy = venue.send(venue.request(ALICE, buy(1, 1, 1), number=1))[0]
    assert late_copy.reply == outcome.reply
    assert venue.free_atoms(ALICE, USD) == 1_000_000


def test_a_skip_without_a_session_only_answers() -> None:
    venue = market()
    before = venue.everything()

    assert refusal(venue.sessionless(Skip(reason=Reject.MALFORMED))) == Reject.MALFORMED
    assert venue.everything() == before


def test_a_command_is_refused_after_its_last_moment_and_not_at_it() -> None:
    venue = market()
    due_ns = venue.exchange.time_ns + STEP_NS

    assert venue.ask(ALICE, buy(1, 1, 1), not_after_ns=due_ns).events
    assert refusal(venue.ask(ALICE, buy(2, 1, 1), not_after_ns=due_ns)) == Reject.TOO_LATE
    assert refusal(venue.ask(ALICE, buy(2, 0, 0), not_after_ns=-1)) == Reject.TOO_LATE
    assert venue.last_request(ALICE) == 3


def test_a_reply_outlives_its_commands_last_moment() -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 1, 1), not_after_ns=venue.exchange.time_ns + STEP_NS)
    first = venue.send(request)[0]

    assert venue.send(request)[0].reply == first.reply

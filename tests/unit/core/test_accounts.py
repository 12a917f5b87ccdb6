"""Founding, keys, and accounts."""

import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    NO_SESSION,
    PUBLIC_KEY,
    STEP_NS,
    Venue,
    buy,
    founded,
    market,
    refusal,
)

from steelyard.core import Accepted, Reject, Request
from steelyard.core.commands import (
    AnyCommand,
    CreateApiKey,
    FoundGroup,
    ListAsset,
    OpenAccount,
    OpenSession,
    RevokeApiKey,
)
from steelyard.core.events import AccountOpened, ApiKeyCreated, ApiKeyRevoked, GroupFounded
from steelyard.core.units import OMNIBUS, OPERATOR, OPERATOR_KEY, AccountId, AssetId, KeyId, Permission


def test_founding_names_the_group_and_makes_the_operators_key() -> None:
    venue = Venue()

    outcome = venue.sessionless(FoundGroup(group="test", operator_public_key=PUBLIC_KEY))

    assert outcome.events == [GroupFounded(group="test", operator_key=OPERATOR_KEY)]
    assert outcome.reply == Accepted(request=0, fingerprint=0, made=OPERATOR_KEY)
    key = venue.exchange.state.keys[OPERATOR_KEY]
    assert key.account == OPERATOR
    assert key.permissions == Permission.READ | Permission.OPERATE


def test_a_group_is_founded_once() -> None:
    venue = founded()
    again = FoundGroup(group="other", operator_public_key=PUBLIC_KEY)

    assert refusal(venue.sessionless(again)) == Reject.ALREADY_FOUNDED
    assert refusal(venue.operate(again)) == Reject.ALREADY_FOUNDED
    assert venue.exchange.state.group == "test"


@pytest.mark.parametrize(
    ("group", "public_key"),
    [
        ("", PUBLIC_KEY),
        ("x" * 65, PUBLIC_KEY),
        ("tést", PUBLIC_KEY),
        ("a\n", PUBLIC_KEY),
        ("test", b""),
        ("test", PUBLIC_KEY[:-1]),
        ("test", PUBLIC_KEY + b"x"),
    ],
)
def test_a_malformed_founding_is_refused(group: str, public_key: bytes) -> None:
    venue = Venue()

    outcome = venue.sessionless(FoundGroup(group=group, operator_public_key=public_key))

    assert refusal(outcome) == Reject.MALFORMED
    assert venue.exchange.state.group == ""


def test_before_the_founding_nobody_can_do_anything() -> None:
    venue = Venue()

    assert refusal(venue.sessionless(OpenSession(account=OPERATOR, name="x"))) == Reject.UNKNOWN_KEY
    assert refusal(venue.sessionless(OpenAccount(account=ALICE))) == Reject.SESSION_REQUIRED


def test_an_account_is_opened_empty() -> None:
    venue = founded()

    outcome = venue.operate(OpenAccount(account=ALICE))

    assert outcome.events == [AccountOpened(account=ALICE)]
    assert venue.exchange.state.accounts[ALICE].balances == {}


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (AccountId(1000), Reject.ACCOUNT_EXISTS),
        (AccountId(999), Reject.MALFORMED),
        (OPERATOR, Reject.MALFORMED),
        (OMNIBUS, Reject.MALFORMED),
        (AccountId(0), Reject.MALFORMED),
        (AccountId(-1000), Reject.MALFORMED),
        (AccountId(2**62), Reject.MALFORMED),
        (AccountId(2**64 - 1), Reject.MALFORMED),
    ],
)
def test_a_bad_account_is_refused(account: AccountId, reason: Reject) -> None:
    venue = market()
    before = venue.business()

    assert refusal(venue.operate(OpenAccount(account=account))) == reason
    assert venue.business() == before


def test_a_key_is_numbered_by_the_exchange() -> None:
    venue = founded()
    venue.accepted(OpenAccount(account=ALICE))

    outcome = venue.operate(CreateApiKey(account=ALICE, public_key=PUBLIC_KEY, permissions=3))

    assert outcome.events == [ApiKeyCreated(key=KeyId(2), account=ALICE, permissions=3)]
    assert isinstance(outcome.reply, Accepted)
    assert outcome.reply.made == 2


@pytest.mark.parametrize(
    ("account", "public_key", "permissions", "expires_ns", "reason"),
    [
        (ALICE, b"short", 3, 0, Reject.MALFORMED),
        (ALICE, PUBLIC_KEY, 0, 0, Reject.MALFORMED),
        (ALICE, PUBLIC_KEY, 32, 0, Reject.MALFORMED),
        (ALICE, PUBLIC_KEY, -1, 0, Reject.MALFORMED),
        (ALICE, PUBLIC_KEY, 3, -1, Reject.MALFORMED),
        (ALICE, PUBLIC_KEY, 3, 2**62, Reject.MALFORMED),
        (AccountId(4242), PUBLIC_KEY, 3, 0, Reject.UNKNOWN_ACCOUNT),
        (OMNIBUS, PUBLIC_KEY, 3, 0, Reject.UNKNOWN_ACCOUNT),
    ],
)
def test_a_bad_key_is_refused(
    account: AccountId, public_key: bytes, permissions: int, expires_ns: int, reason: Reject
) -> None:
    venue = market()
    before = venue.business()
    command = CreateApiKey(
        account=account, public_key=public_key, permissions=permissions, expires_ns=expires_ns
    )

    assert refusal(venue.operate(command)) == reason
    assert venue.business() == before


def test_what_operators_do_needs_an_operators_key() -> None:
    venue = market()
    commands: list[AnyCommand] = [
        OpenAccount(account=AccountId(2000)),
        CreateApiKey(account=ALICE, public_key=PUBLIC_KEY, permissions=31),
        RevokeApiKey(key=venue.keys[BOB]),
        ListAsset(asset=AssetId(7), symbol="ETH", decimals=8),
    ]
    for command in commands:
        assert refusal(venue.ask(ALICE, command)) == Reject.NOT_PERMITTED


def test_a_revoked_key_does_nothing_and_uses_up_no_number() -> None:
    venue = market()
    assert venue.operate(RevokeApiKey(key=venue.keys[ALICE])).events == [ApiKeyRevoked(key=venue.keys[ALICE])]
    before = venue.everything()

    assert refusal(venue.place(ALICE, buy(1, 1, 1))) == Reject.KEY_EXPIRED

    assert venue.everything() == before
    venue.keys[ALICE] = venue.create_key(ALICE)
    assert venue.place(ALICE, buy(1, 1, 1)).reply.request == 1


def test_a_key_is_good_until_its_time_and_not_at_it() -> None:
    venue = market()
    expires_ns = venue.exchange.time_ns + 10 * STEP_NS
    venue.keys[ALICE] = venue.create_key(ALICE, expires_ns=expires_ns)
    left_ns = expires_ns - venue.exchange.time_ns

    last = venue.send(venue.request(ALICE, buy(1, 1, 1)), after_ns=left_ns - 1)
    over = venue.send(venue.request(ALICE, buy(2, 1, 1)), after_ns=1)

    assert last[0].events
    assert refusal(over[0]) == Reject.KEY_EXPIRED


def test_a_key_cannot_use_anothers_session() -> None:
    venue = market()
    before = venue.everything()

    outcome = venue.send(venue.request(ALICE, buy(1, 1, 1), key=venue.keys[BOB]))[0]

    assert refusal(outcome) == Reject.NOT_SESSION_OWNER
    assert venue.everything() == before


def test_a_key_that_was_never_made_cannot_be_revoked() -> None:
    venue = market()
    for key in (0, -1, 99, 2**62):
        assert refusal(venue.operate(RevokeApiKey(key=KeyId(key)))) == Reject.MALFORMED


def test_ending_a_key_twice_comes_to_the_same() -> None:
    venue = market()
    venue.accepted(RevokeApiKey(key=venue.keys[BOB]))
    before = venue.business()

    venue.accepted(RevokeApiKey(key=venue.keys[BOB]))

    assert venue.business() == before


def test_the_last_operators_key_stays() -> None:
    venue = market()
    assert refusal(venue.operate(RevokeApiKey(key=OPERATOR_KEY))) == Reject.NOT_PERMITTED

    second = venue.create_key(OPERATOR, int(Permission.OPERATE))
    venue.accepted(RevokeApiKey(key=OPERATOR_KEY))
    venue.keys[OPERATOR] = second

    assert refusal(venue.operate(RevokeApiKey(key=second))) == Reject.NOT_PERMITTED


def test_the_operator_cannot_trade() -> None:
    venue = market()
    venue.keys[OPERATOR] = venue.create_key(OPERATOR, int(Permission.TRADE))

    assert refusal(venue.place(OPERATOR, buy(1, 1, 1))) == Reject.UNKNOWN_ACCOUNT
    assert refusal(venue.cancel(OPERATOR, 1)) == Reject.UNKNOWN_ACCOUNT


def test_keys_are_checked_before_a_session_is_opened() -> None:
    venue = market()
    command = OpenSession(account=ALICE, name="second")
    venue.accepted(RevokeApiKey(key=venue.keys[BOB]))

    assert refusal(venue.sessionless(command, KeyId(77))) == Reject.UNKNOWN_KEY
    assert refusal(venue.sessionless(command, venue.keys[BOB])) == Reject.KEY_EXPIRED
    assert refusal(venue.sessionless(command, OPERATOR_KEY)) == Reject.NOT_PERMITTED


def test_without_a_session_only_three_commands_pass() -> None:
    venue = market()
    before = venue.everything()

    outcome = venue.send(Request(NO_SESSION, 0, 0, venue.keys[ALICE], 5, 0, buy(1, 1, 1)))[0]

    assert refusal(outcome) == Reject.SESSION_REQUIRED
    assert outcome.reply.fingerprint == 5
    assert venue.everything() == before

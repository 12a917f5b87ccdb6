"""Master accounts and their sub-accounts."""

import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    PUBLIC_KEY,
    READ_TRADE,
    USD,
    Venue,
    complete,
    market,
    refusal,
)

from steelyard.core import limits, rejects
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import CreateApiKey, OpenSubAccount, SetAccountRules, Transfer
from steelyard.core.entry import Accepted, Refused
from steelyard.core.events import SubAccountOpened, Transferred
from steelyard.core.rejects import Reject
from steelyard.core.units import FIRST_CUSTOMER, OPERATOR, AccountId, AssetId, Permission

SUB = AccountId(1100)
OTHER_SUB = AccountId(1101)
_TRANSFERS = READ_TRADE | int(Permission.TRANSFER)


def sub_account(master: AccountId, account: AccountId, permissions: int = ALL_PERMISSIONS) -> OpenSubAccount:
    """Return a command to open a sub-account."""
    return OpenSubAccount(master=master, account=account, permissions=permissions)


def transfer(giver: AccountId, taker: AccountId, amount_atoms: int, asset: AssetId = USD) -> Transfer:
    """Return a command to move money."""
    return Transfer(giver=giver, taker=taker, asset=asset, amount_atoms=amount_atoms)


def act_with(venue: Venue, account: AccountId, permissions: int) -> None:
    """Give an account a new key, and use that one from here on."""
    venue.keys[account] = venue.create_key(account, permissions)


def family() -> Venue:
    """Return a market in which Alice has two sub-accounts, all three with keys that may transfer."""
    venue = complete()
    act_with(venue, ALICE, _TRANSFERS)
    for account in (SUB, OTHER_SUB):
        assert isinstance(venue.ask(ALICE, sub_account(ALICE, account)).reply, Accepted)
        act_with(venue, account, _TRANSFERS)
        venue.open_session(account)
    return venue


def test_a_master_opens_a_sub_account_with_its_own_key() -> None:
    venue = complete()
    act_with(venue, ALICE, int(Permission.TRANSFER))

    outcome = venue.ask(ALICE, sub_account(ALICE, SUB, READ_TRADE))

    assert outcome.events == [SubAccountOpened(master=ALICE, account=SUB, permissions=READ_TRADE)]
    rules = venue.exchange.state.accounts[SUB].rules
    assert rules is not None
    assert (rules.master, rules.permissions) == (ALICE, READ_TRADE)


def test_an_operator_opens_a_sub_account_for_anybody() -> None:
    venue = complete()

    venue.accepted(sub_account(BOB, SUB))

    rules = venue.exchange.state.accounts[BOB].rules
    assert rules is not None
    assert rules.sub_accounts == [SUB]


def test_who_may_not_open_a_sub_account() -> None:
    venue = complete()
    assert refusal(venue.ask(ALICE, sub_account(ALICE, SUB))) == Reject.NOT_PERMITTED
    act_with(venue, ALICE, _TRANSFERS)
    assert refusal(venue.ask(ALICE, sub_account(BOB, SUB))) == Reject.NOT_PERMITTED
    venue.accepted(SetAccountRules(account=ALICE, trade_group=0, permissions=READ_TRADE))
    assert refusal(venue.ask(ALICE, sub_account(ALICE, SUB))) == Reject.NOT_PERMITTED


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (sub_account(ALICE, AccountId(FIRST_CUSTOMER - 1)), Reject.MALFORMED),
        (sub_account(ALICE, AccountId(limits.INTEGER_MAX + 1)), Reject.MALFORMED),
        (sub_account(ALICE, SUB, -1), Reject.MALFORMED),
        (sub_account(ALICE, SUB, ALL_PERMISSIONS + 1), Reject.MALFORMED),
        (sub_account(AccountId(1999), SUB), Reject.UNKNOWN_ACCOUNT),
        (sub_account(OPERATOR, SUB), Reject.UNKNOWN_ACCOUNT),
        (sub_account(ALICE, BOB), Reject.ACCOUNT_EXISTS),
        (sub_account(ALICE, ALICE), Reject.ACCOUNT_EXISTS),
    ],
)
def test_what_cannot_be_a_sub_account(command: OpenSubAccount, reason: Reject) -> None:
    venue = complete()
    before = venue.business()

    assert refusal(venue.operate(command)) == reason
    assert venue.business() == before


def test_there_is_one_level_of_sub_accounts() -> None:
    venue = family()

    assert refusal(venue.operate(sub_account(SUB, AccountId(1200)))) == Reject.NOT_PERMITTED
    assert refusal(venue.ask(SUB, sub_account(SUB, AccountId(1200)))) == Reject.NOT_PERMITTED


def test_sub_accounts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.families.SUB_ACCOUNTS_MAX", 2)
    venue = family()

    assert refusal(venue.operate(sub_account(ALICE, AccountId(1200)))) == Reject.TOO_MANY_SUB_ACCOUNTS
    monkeypatch.setattr("steelyard.core.handlers.families.ACCOUNTS_MAX", len(venue.exchange.state.accounts))
    assert refusal(venue.operate(sub_account(ALICE, AccountId(1200)))) == Reject.TOO_MANY_ACCOUNTS


def test_money_moves_within_a_family_and_says_so() -> None:
    venue = family()

    outcome = venue.ask(ALICE, transfer(ALICE, SUB, 300))
    assert outcome.events == [
        Transferred(
            giver=ALICE,
            taker=SUB,
            asset=USD,
            amount_atoms=300,
            giver_free_atoms=999_700,
            taker_free_atoms=300,
        )
    ]

    assert isinstance(venue.ask(SUB, transfer(SUB, OTHER_SUB, 200)).reply, Accepted)
    assert isinstance(venue.ask(ALICE, transfer(OTHER_SUB, ALICE, 50)).reply, Accepted)
    assert isinstance(venue.ask(ALICE, transfer(SUB, OTHER_SUB, 100)).reply, Accepted)
    assert [venue.free_atoms(account, USD) for account in (ALICE, SUB, OTHER_SUB)] == [999_750, 0, 250]


def test_a_repeated_transfer_moves_money_once() -> None:
    venue = family()
    request = venue.request(ALICE, transfer(ALICE, SUB, 300))

    first, second = venue.send(request)[0], venue.send(request)[0]

    assert first.reply == second.reply
    assert second.events == []
    assert venue.free_atoms(SUB, USD) == 300


def test_who_may_not_move_money() -> None:
    venue = family()
    for asker, command in (
        (BOB, transfer(ALICE, SUB, 1)),
        (SUB, transfer(ALICE, SUB, 1)),
        (OTHER_SUB, transfer(SUB, OTHER_SUB, 1)),
        (OPERATOR, transfer(ALICE, SUB, 1)),
        (ALICE, transfer(BOB, ALICE, 1)),
        (ALICE, transfer(AccountId(1999), ALICE, 1)),
    ):
        assert refusal(venue.ask(asker, command)) == Reject.NOT_PERMITTED
    act_with(venue, ALICE, READ_TRADE)
    assert refusal(venue.ask(ALICE, transfer(ALICE, SUB, 1))) == Reject.NOT_PERMITTED


def test_the_rules_of_an_account_bound_what_its_keys_may_do() -> None:
    venue = family()
    venue.ask(ALICE, transfer(ALICE, SUB, 300))
    venue.accepted(SetAccountRules(account=SUB, trade_group=0, permissions=READ_TRADE))

    assert refusal(venue.ask(SUB, transfer(SUB, ALICE, 1))) == Reject.NOT_PERMITTED
    assert isinstance(venue.ask(ALICE, transfer(SUB, ALICE, 1)).reply, Accepted)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (transfer(ALICE, ALICE, 1), Reject.MALFORMED),
        (transfer(ALICE, AccountId(1999), 1), Reject.UNKNOWN_ACCOUNT),
        (transfer(ALICE, OPERATOR, 1), Reject.UNKNOWN_ACCOUNT),
        (transfer(ALICE, BOB, 1), Reject.NOT_FAMILY),
        (transfer(ALICE, SUB, 1, AssetId(99)), Reject.UNKNOWN_ASSET),
        (transfer(ALICE, SUB, 0), Reject.AMOUNT_OUT_OF_RANGE),
        (transfer(ALICE, SUB, -1), Reject.AMOUNT_OUT_OF_RANGE),
        (transfer(ALICE, SUB, limits.INTEGER_MAX + 1), Reject.AMOUNT_OUT_OF_RANGE),
        (transfer(ALICE, SUB, 1_000_001), Reject.INSUFFICIENT_FUNDS),
    ],
)
def test_what_cannot_be_transferred(command: Transfer, reason: Reject) -> None:
    venue = family()
    before = venue.business()

    assert refusal(venue.ask(ALICE, command)) == reason
    assert venue.business() == before


def test_all_free_funds_can_be_transferred_and_what_is_late_is_not() -> None:
    venue = family()
    late = venue.ask(ALICE, transfer(ALICE, SUB, 1), not_after_ns=1)
    assert refusal(late) == rejects.Reject.TOO_LATE

    assert isinstance(venue.ask(ALICE, transfer(ALICE, SUB, 1_000_000)).reply, Accepted)
    assert venue.free_atoms(ALICE, USD) == 0
    assert venue.free_atoms(ALICE, BTC) == 1_000_000


def test_version_1_knows_no_families() -> None:
    venue = market()

    reply = venue.operate(sub_account(CAROL, SUB)).reply

    assert isinstance(reply, Refused)
    assert SUB not in venue.exchange.state.accounts
    assert isinstance(
        venue.operate(CreateApiKey(account=CAROL, public_key=PUBLIC_KEY, permissions=1)).reply, Accepted
    )

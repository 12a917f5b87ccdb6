"""Funds that operators set aside."""

import pytest
from tests.helpers.builders import ALICE, BTC, USD, Venue, buy, complete, refusal

from steelyard.core import limits
from steelyard.core.commands import AnyCommand, HoldFunds, ReleaseHold, Withdraw
from steelyard.core.events import FundsHeld, HoldReleased
from steelyard.core.rejects import Reject
from steelyard.core.units import OPERATOR, AccountId, AssetId, HoldId


def hold(
    number: int, amount_atoms: int, *, legal: bool = False, asset: AssetId = USD, account: AccountId = ALICE
) -> HoldFunds:
    """Return a command to set funds aside."""
    return HoldFunds(
        account=account, hold=HoldId(number), asset=asset, amount_atoms=amount_atoms, legal=legal
    )


def release(number: int, *, legal: bool = False, account: AccountId = ALICE) -> ReleaseHold:
    """Return a command to give funds back."""
    return ReleaseHold(account=account, hold=HoldId(number), legal=legal)


def held(venue: Venue) -> tuple[int, int]:
    """Return Alice's free and held dollars."""
    return venue.free_atoms(ALICE, USD), venue.held_atoms(ALICE, USD)


def test_held_funds_are_there_but_not_free() -> None:
    venue = complete()
    before = venue.business()

    assert venue.operate(hold(1, 300)).events == [
        FundsHeld(account=ALICE, hold=HoldId(1), asset=USD, amount_atoms=300, legal=False)
    ]
    assert held(venue) == (999_700, 300)
    assert refusal(venue.operate(Withdraw(account=ALICE, asset=USD, amount_atoms=999_701))) == (
        Reject.INSUFFICIENT_FUNDS
    )
    assert refusal(venue.place(ALICE, buy(1, 10, 99_971))) == Reject.INSUFFICIENT_FUNDS

    assert venue.operate(release(1)).events == [
        HoldReleased(account=ALICE, hold=HoldId(1), asset=USD, amount_atoms=300)
    ]
    assert venue.business() == before


def test_holds_and_pledges_add_up() -> None:
    venue = complete()
    venue.accepted(hold(1, 300))
    venue.accepted(hold(2, 30))
    venue.place(ALICE, buy(1, 1, 3))

    assert held(venue) == (999_667, 333)
    venue.accepted(release(1))
    venue.cancel(ALICE, 1)
    assert held(venue) == (999_970, 30)


def test_a_legal_hold_is_lifted_only_by_who_says_so() -> None:
    venue = complete()
    venue.accepted(hold(1, 300, legal=True))

    assert refusal(venue.operate(release(1))) == Reject.LEGAL_HOLD
    venue.accepted(release(1, legal=True))
    venue.accepted(hold(1, 300))
    venue.accepted(release(1, legal=True))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (hold(0, 1), Reject.MALFORMED),
        (hold(limits.INTEGER_MAX + 1, 1), Reject.MALFORMED),
        (hold(2, 1, account=AccountId(1999)), Reject.UNKNOWN_ACCOUNT),
        (hold(2, 1, account=OPERATOR), Reject.UNKNOWN_ACCOUNT),
        (hold(2, 1, asset=AssetId(99)), Reject.UNKNOWN_ASSET),
        (hold(1, 1), Reject.HOLD_EXISTS),
        (hold(2, 0), Reject.AMOUNT_OUT_OF_RANGE),
        (hold(2, limits.INTEGER_MAX + 1), Reject.AMOUNT_OUT_OF_RANGE),
        (hold(2, 999_991), Reject.INSUFFICIENT_FUNDS),
        (release(2), Reject.UNKNOWN_HOLD),
        (release(1, account=AccountId(1001)), Reject.UNKNOWN_HOLD),
        (release(1, account=AccountId(1999)), Reject.UNKNOWN_ACCOUNT),
    ],
)
def test_what_cannot_be_held_or_released(command: AnyCommand, reason: Reject) -> None:
    venue = complete()
    venue.accepted(hold(1, 10))
    before = venue.business()

    assert refusal(venue.operate(command)) == reason
    assert venue.business() == before


def test_customers_neither_hold_nor_release() -> None:
    venue = complete()
    venue.accepted(hold(1, 10))

    assert refusal(venue.ask(ALICE, hold(2, 1))) == Reject.NOT_PERMITTED
    assert refusal(venue.ask(ALICE, release(1))) == Reject.NOT_PERMITTED


def test_holds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.funds.HOLDS_PER_ACCOUNT_MAX", 2)
    venue = complete()
    venue.accepted(hold(1, 10))
    venue.accepted(hold(2, 10, asset=BTC))

    assert refusal(venue.operate(hold(3, 1))) == Reject.TOO_MANY_HOLDS
    venue.accepted(release(2))
    venue.accepted(hold(3, 1))

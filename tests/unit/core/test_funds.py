"""Deposits and withdrawals."""

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, USD, buy, market, refusal

from steelyard.core import Accepted, Reject, limits
from steelyard.core.commands import AnyCommand, Deposit, Withdraw
from steelyard.core.events import Deposited, Withdrawn
from steelyard.core.units import FEES, OMNIBUS, OPERATOR, AccountId, AssetId


def test_a_deposit_is_credited_against_the_outside_world() -> None:
    venue = market(funds_atoms=0)

    outcome = venue.operate(Deposit(account=ALICE, asset=BTC, amount_atoms=7))

    assert outcome.events == [Deposited(account=ALICE, asset=BTC, amount_atoms=7, free_atoms=7)]
    assert outcome.reply == Accepted(request=venue.last_request(OPERATOR), fingerprint=0)
    assert venue.free_atoms(ALICE, BTC) == 7
    assert venue.exchange.state.ledger.houses[BTC].omnibus_atoms == -7


def test_a_withdrawal_undoes_a_deposit() -> None:
    venue = market(funds_atoms=0)
    before = venue.business()
    venue.deposit(ALICE, BTC, 7)

    outcome = venue.operate(Withdraw(account=ALICE, asset=BTC, amount_atoms=7))

    assert outcome.events == [Withdrawn(account=ALICE, asset=BTC, amount_atoms=7, free_atoms=0)]
    assert venue.business() == before


def test_held_funds_cannot_be_withdrawn() -> None:
    venue = market(funds_atoms=100)
    venue.place(ALICE, buy(1, 6, 10))

    assert refusal(venue.operate(Withdraw(account=ALICE, asset=USD, amount_atoms=41))) == (
        Reject.INSUFFICIENT_FUNDS
    )
    venue.accepted(Withdraw(account=ALICE, asset=USD, amount_atoms=40))
    assert venue.free_atoms(ALICE, USD) == 0


@pytest.mark.parametrize("kind", [Deposit, Withdraw])
@pytest.mark.parametrize(
    ("account", "asset", "amount_atoms", "reason"),
    [
        (AccountId(4242), BTC, 1, Reject.UNKNOWN_ACCOUNT),
        (AccountId(0), BTC, 1, Reject.UNKNOWN_ACCOUNT),
        (AccountId(-1), BTC, 1, Reject.UNKNOWN_ACCOUNT),
        (OMNIBUS, BTC, 1, Reject.UNKNOWN_ACCOUNT),
        (FEES, BTC, 1, Reject.UNKNOWN_ACCOUNT),
        (OPERATOR, BTC, 1, Reject.UNKNOWN_ACCOUNT),
        (ALICE, AssetId(9), 1, Reject.UNKNOWN_ASSET),
        (ALICE, AssetId(0), 1, Reject.UNKNOWN_ASSET),
        (ALICE, BTC, 0, Reject.AMOUNT_OUT_OF_RANGE),
        (ALICE, BTC, -5, Reject.AMOUNT_OUT_OF_RANGE),
        (ALICE, BTC, 2**62, Reject.AMOUNT_OUT_OF_RANGE),
        (ALICE, BTC, 2**64 - 1, Reject.AMOUNT_OUT_OF_RANGE),
        (ALICE, BTC, -(2**63), Reject.AMOUNT_OUT_OF_RANGE),
        (AccountId(4242), AssetId(9), 0, Reject.UNKNOWN_ACCOUNT),
        (ALICE, AssetId(9), 0, Reject.UNKNOWN_ASSET),
    ],
)
def test_a_bad_movement_is_refused_and_changes_nothing(
    kind: type[Deposit | Withdraw], account: AccountId, asset: AssetId, amount_atoms: int, reason: Reject
) -> None:
    venue = market()
    before = venue.business()

    assert refusal(venue.operate(kind(account=account, asset=asset, amount_atoms=amount_atoms))) == reason

    assert venue.business() == before


def test_a_customer_may_neither_deposit_nor_withdraw() -> None:
    venue = market()
    commands: list[AnyCommand] = [
        Deposit(account=ALICE, asset=BTC, amount_atoms=1),
        Withdraw(account=ALICE, asset=BTC, amount_atoms=1),
    ]
    for command in commands:
        assert refusal(venue.ask(ALICE, command)) == Reject.NOT_PERMITTED


def test_nobody_withdraws_more_than_there_is() -> None:
    venue = market(funds_atoms=10)

    assert refusal(venue.operate(Withdraw(account=ALICE, asset=BTC, amount_atoms=11))) == (
        Reject.INSUFFICIENT_FUNDS
    )


def test_the_outside_world_owes_at_most_two_to_the_61st() -> None:
    venue = market(funds_atoms=0)
    venue.deposit(ALICE, BTC, limits.OMNIBUS_ATOMS_MAX - 1)

    assert refusal(venue.operate(Deposit(account=BOB, asset=BTC, amount_atoms=2))) == Reject.BALANCE_LIMIT
    venue.deposit(BOB, BTC, 1)
    assert refusal(venue.operate(Deposit(account=BOB, asset=BTC, amount_atoms=1))) == Reject.BALANCE_LIMIT

"""What bounds an account: freezes, legal holds, permissions, groups, limits, self-trade defaults."""

import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    READ_TRADE,
    USD,
    Venue,
    buy,
    complete,
    refusal,
    sell,
)

from steelyard.core import limits
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    ArmCountdown,
    CancelOrders,
    Deposit,
    HoldFunds,
    OpenSubAccount,
    SetAccountRules,
    SetFrozen,
    SetLegalHold,
    SetOrderLimit,
    SetSelfTrade,
    Transfer,
    Withdraw,
)
from steelyard.core.entry import Accepted, Cancelled, Placed, Refused
from steelyard.core.events import (
    AccountFrozen,
    AccountRulesSet,
    LegalHoldSet,
    OrderLimitSet,
    SelfTradeSet,
    Traded,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    HoldId,
    InstrumentId,
    OrderId,
    Permission,
    SelfTrade,
)

SUB = AccountId(1100)
STOPS = [
    (SetFrozen(account=ALICE, frozen=True), SetFrozen(account=ALICE, frozen=False), Reject.ACCOUNT_FROZEN),
    (SetLegalHold(account=ALICE, on=True), SetLegalHold(account=ALICE, on=False), Reject.LEGAL_HOLD),
]


def rules(account: AccountId = ALICE, permissions: int = ALL_PERMISSIONS, group: int = 0) -> SetAccountRules:
    """Return a command to set an account's rules."""
    return SetAccountRules(account=account, trade_group=group, permissions=permissions)


def limit(size_max_lots: int, notional_max_atoms: int, instrument: InstrumentId = BTC_USD) -> SetOrderLimit:
    """Return a command to bound Alice's orders."""
    return SetOrderLimit(
        account=ALICE,
        instrument=instrument,
        size_max_lots=size_max_lots,
        notional_max_atoms=notional_max_atoms,
    )


def family() -> Venue:
    """Return a market in which Alice has a resting order and a sub-account."""
    venue = complete()
    venue.keys[ALICE] = venue.create_key(ALICE, READ_TRADE | int(Permission.TRANSFER))
    venue.accepted(OpenSubAccount(master=ALICE, account=SUB, permissions=ALL_PERMISSIONS))
    venue.place(ALICE, buy(1, 10, 100))
    return venue


@pytest.mark.parametrize(("stop", "lift", "reason"), STOPS)
def test_a_stopped_account_may_not_order_amend_transfer_or_withdraw(
    stop: AnyCommand, lift: AnyCommand, reason: Reject
) -> None:
    venue = family()
    venue.accepted(stop)
    before = venue.business()

    assert refusal(venue.place(ALICE, buy(2, 1, 90))) == reason
    assert refusal(venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(1), size_lots=9))) == reason
    for giver, taker in ((ALICE, SUB), (SUB, ALICE)):
        command = Transfer(giver=giver, taker=taker, asset=USD, amount_atoms=1)
        assert refusal(venue.ask(ALICE, command)) == reason
    assert refusal(venue.operate(Withdraw(account=ALICE, asset=USD, amount_atoms=1))) == reason
    assert venue.business() == before

    venue.accepted(lift)
    assert isinstance(venue.place(ALICE, buy(2, 1, 90)).reply, Placed)
    assert isinstance(
        venue.ask(ALICE, Transfer(giver=ALICE, taker=SUB, asset=USD, amount_atoms=1)).reply, Accepted
    )
    venue.accepted(Withdraw(account=ALICE, asset=USD, amount_atoms=1))


@pytest.mark.parametrize(("stop", "lift", "reason"), STOPS)
def test_a_stopped_account_may_cancel_sweep_and_arm_and_take_deposits(
    stop: AnyCommand, lift: AnyCommand, reason: Reject
) -> None:
    venue = family()
    venue.place(ALICE, buy(2, 1, 90))
    venue.accepted(stop)

    assert isinstance(venue.cancel(ALICE, 1).reply, Cancelled)
    assert not isinstance(venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=5000)).reply, Refused)
    assert not isinstance(venue.ask(ALICE, CancelOrders(account=ALICE)).reply, Refused)
    venue.accepted(Deposit(account=ALICE, asset=USD, amount_atoms=5))
    venue.accepted(HoldFunds(account=ALICE, hold=HoldId(1), asset=USD, amount_atoms=5))

    assert venue.exchange.state.orders == {}


@pytest.mark.parametrize(("stop", "lift", "reason"), STOPS)
def test_the_orders_of_a_stopped_account_stay_and_trade(
    stop: AnyCommand, lift: AnyCommand, reason: Reject
) -> None:
    venue = family()
    venue.accepted(stop)

    events = venue.place(BOB, sell(1, 4, 100)).events

    assert [event.maker for event in events if isinstance(event, Traded)] == [ALICE]
    assert venue.free_atoms(ALICE, BTC) == 1_000_004


def test_a_freeze_and_a_legal_hold_do_not_lift_each_other() -> None:
    venue = family()
    for command in (SetFrozen(account=ALICE, frozen=True), SetLegalHold(account=ALICE, on=True)):
        venue.accepted(command)

    venue.accepted(SetFrozen(account=ALICE, frozen=False))
    assert refusal(venue.place(ALICE, buy(2, 1, 90))) == Reject.LEGAL_HOLD
    venue.accepted(SetFrozen(account=ALICE, frozen=True))
    venue.accepted(SetLegalHold(account=ALICE, on=False))
    assert refusal(venue.place(ALICE, buy(2, 1, 90))) == Reject.ACCOUNT_FROZEN


def test_every_rule_says_what_it_is_now() -> None:
    venue = complete()

    assert venue.operate(SetFrozen(account=ALICE, frozen=True)).events == [
        AccountFrozen(account=ALICE, frozen=True)
    ]
    assert venue.operate(SetFrozen(account=ALICE, frozen=True)).events == [
        AccountFrozen(account=ALICE, frozen=True)
    ]
    assert venue.operate(SetLegalHold(account=ALICE, on=True)).events == [
        LegalHoldSet(account=ALICE, on=True)
    ]
    assert venue.operate(
        SetAccountRules(account=ALICE, trade_group=7, permissions=3, orders_max=2)
    ).events == [AccountRulesSet(account=ALICE, trade_group=7, permissions=3, orders_max=2)]
    assert venue.operate(limit(5, 6)).events == [
        OrderLimitSet(account=ALICE, instrument=BTC_USD, size_max_lots=5, notional_max_atoms=6)
    ]
    assert venue.ask(ALICE, SetSelfTrade(account=ALICE, mode=SelfTrade.DECREMENT)).events == [
        SelfTradeSet(account=ALICE, mode=SelfTrade.DECREMENT)
    ]


def test_an_account_to_which_nothing_applies_any_more_is_a_common_one() -> None:
    venue = complete()
    before = venue.business()
    both_ways: list[tuple[AnyCommand, AnyCommand]] = [
        (SetFrozen(account=ALICE, frozen=True), SetFrozen(account=ALICE, frozen=False)),
        (SetLegalHold(account=ALICE, on=True), SetLegalHold(account=ALICE, on=False)),
        (rules(group=3), rules()),
        (rules(permissions=1), rules()),
        (limit(5, 0), limit(0, 0)),
        (limit(0, 5), limit(0, 0)),
        (SetSelfTrade(account=ALICE, mode=SelfTrade.NONE), SetSelfTrade(account=ALICE, mode=None)),
    ]
    for there, back in both_ways:
        venue.accepted(there)
        assert venue.exchange.state.accounts[ALICE].rules is not None
        venue.accepted(back)
        assert venue.exchange.state.accounts[ALICE].rules is None
    assert venue.business() == before


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (rules(permissions=-1), Reject.MALFORMED),
        (rules(permissions=ALL_PERMISSIONS + 1), Reject.MALFORMED),
        (rules(group=-1), Reject.MALFORMED),
        (rules(group=limits.INTEGER_MAX + 1), Reject.MALFORMED),
        (SetAccountRules(account=ALICE, trade_group=0, permissions=1, orders_max=-1), Reject.MALFORMED),
        (rules(AccountId(1999)), Reject.UNKNOWN_ACCOUNT),
        (rules(OPERATOR), Reject.UNKNOWN_ACCOUNT),
        (limit(-1, 0), Reject.MALFORMED),
        (limit(0, limits.INTEGER_MAX + 1), Reject.MALFORMED),
        (limit(1, 1, InstrumentId(99)), Reject.UNKNOWN_INSTRUMENT),
        (SetFrozen(account=AccountId(1999), frozen=True), Reject.UNKNOWN_ACCOUNT),
        (SetLegalHold(account=AccountId(1999), on=True), Reject.UNKNOWN_ACCOUNT),
        (SetSelfTrade(account=AccountId(1999), mode=None), Reject.UNKNOWN_ACCOUNT),
    ],
)
def test_what_cannot_be_a_rule(command: AnyCommand, reason: Reject) -> None:
    venue = complete()
    before = venue.business()

    assert refusal(venue.operate(command)) == reason
    assert venue.business() == before


@pytest.mark.parametrize(
    "command",
    [
        rules(),
        limit(1, 1),
        SetFrozen(account=ALICE, frozen=False),
        SetLegalHold(account=ALICE, on=False),
        SetSelfTrade(account=BOB, mode=None),
    ],
)
def test_customers_do_not_set_rules(command: AnyCommand) -> None:
    venue = complete()

    assert refusal(venue.ask(ALICE, command)) == Reject.NOT_PERMITTED


def test_a_key_does_nothing_that_its_accounts_rules_forbid() -> None:
    venue = complete()
    venue.place(ALICE, buy(1, 1, 100))
    venue.accepted(rules(permissions=int(Permission.READ)))

    assert refusal(venue.place(ALICE, buy(2, 1, 100))) == Reject.NOT_PERMITTED
    assert refusal(venue.cancel(ALICE, 1)) == Reject.NOT_PERMITTED
    assert refusal(venue.ask(ALICE, SetSelfTrade(account=ALICE, mode=None))) == Reject.NOT_PERMITTED


def test_the_rules_of_its_account_do_not_stop_an_operators_key() -> None:
    venue = complete()
    venue.keys[ALICE] = venue.create_key(ALICE, int(Permission.OPERATE))
    venue.accepted(rules(permissions=0))

    assert isinstance(venue.ask(ALICE, rules(BOB)).reply, Accepted)


def test_an_accounts_orders_are_bounded_in_number_size_and_notional() -> None:
    venue = complete()
    venue.accepted(limit(10, 500))

    assert refusal(venue.place(ALICE, buy(1, 11, 1))) == Reject.SIZE_OUT_OF_RANGE
    assert refusal(venue.place(ALICE, buy(1, 10, 51))) == Reject.NOTIONAL_OUT_OF_RANGE
    assert isinstance(venue.place(ALICE, buy(1, 10, 50)).reply, Placed)
    assert isinstance(venue.place(BOB, buy(1, 11, 51)).reply, Placed)

    venue.accepted(SetAccountRules(account=ALICE, trade_group=0, permissions=ALL_PERMISSIONS, orders_max=2))
    assert isinstance(venue.place(ALICE, buy(2, 1, 50)).reply, Placed)
    assert refusal(venue.place(ALICE, buy(3, 1, 50))) == Reject.TOO_MANY_ORDERS
    venue.cancel(ALICE, 2)
    assert isinstance(venue.place(ALICE, buy(3, 1, 50)).reply, Placed)

"""The events alone give every balance, from wherever one begins to listen."""

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, CAROL, USD, Venue, complete, listing

from steelyard.core import snapshot
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import (
    AnyCommand,
    CancelOrders,
    Deposit,
    HoldFunds,
    OpenSubAccount,
    OrderTerms,
    PayReferral,
    PlaceOrderOnTerms,
    ReleaseHold,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetReferrer,
    Transfer,
    Withdraw,
)
from steelyard.core.entry import Outcome
from steelyard.core.events import AnyEvent
from steelyard.core.invariants import all_balances
from steelyard.core.ledger.postings import Balances, Cause, post, postings
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    OrderId,
    OrderKind,
    Permission,
    SelfTrade,
    Side,
    TimeInForce,
)

SUB = AccountId(1100)
TRADERS = (ALICE, BOB, CAROL, SUB)
_KEYS = int(Permission.READ | Permission.TRADE | Permission.TRANSFER)

#: Look until enough is seen, at the same logs each time; the smallest is of no interest.
_SEARCH = settings(max_examples=3000, phases=[Phase.generate], derandomize=True, database=None)

accounts = st.sampled_from(TRADERS)
assets = st.sampled_from((BTC, USD))
amounts = st.integers(1, 400)
Asks = tuple[AccountId, AnyCommand]


def by_operator(command: AnyCommand) -> Asks:
    """Let an operator ask."""
    return OPERATOR, command


operations = st.one_of(
    st.builds(Deposit, account=accounts, asset=assets, amount_atoms=amounts),
    st.builds(Withdraw, account=accounts, asset=assets, amount_atoms=amounts),
    st.builds(
        HoldFunds, account=accounts, hold=st.integers(1, 3).map(HoldId), asset=assets, amount_atoms=amounts
    ),
    st.builds(ReleaseHold, account=accounts, hold=st.integers(1, 3).map(HoldId)),
    st.builds(PayReferral, account=accounts, asset=st.just(USD)),
    st.builds(SetAccountTier, account=accounts, tier=st.integers(0, 2)),
    st.builds(SetReferrer, account=accounts, referrer=accounts, share_ppm=st.integers(0, 1_000_000)),
).map(by_operator)


@st.composite
def orders(draw: st.DrawFn) -> Asks:
    """Draw an order: a limit, an iceberg or a budget, now and then meeting its own account's."""
    account = draw(accounts)
    limit = draw(st.booleans())
    budget_atoms = 0 if limit else draw(st.integers(1, 5000))
    size_lots = draw(st.integers(2, 40)) if limit else 0
    return account, PlaceOrderOnTerms(
        account=account,
        instrument=BTC_USD,
        order=OrderId(draw(st.integers(1, 50))),
        side=draw(st.sampled_from(Side)),
        size_lots=size_lots,
        limit_ticks=draw(st.integers(95, 105)) if limit else 0,
        kind=OrderKind.LIMIT if limit else OrderKind.MARKET,
        time_in_force=TimeInForce.GTC if limit else TimeInForce.IOC,
        terms=OrderTerms(
            budget_atoms=budget_atoms,
            display_lots=draw(st.sampled_from((0, 0, 1))) if limit else 0,
            self_trade=draw(st.sampled_from((*[SelfTrade.TRANSFER] * 8, None, *SelfTrade))),
        ),
    )


@st.composite
def transfers(draw: st.DrawFn) -> Asks:
    """Draw a transfer between Alice and her sub-account."""
    giver, taker = draw(st.sampled_from(((ALICE, SUB), (SUB, ALICE))))
    return ALICE, Transfer(giver=giver, taker=taker, asset=draw(assets), amount_atoms=draw(amounts))


asks = st.one_of(
    orders(),
    orders(),
    orders(),
    transfers(),
    operations,
    accounts.map(lambda account: (account, CancelOrders(account=account))),
)


def _founded() -> tuple[Venue, list[AnyEvent]]:
    """Return a market with fees, tiers, a family and funds, and everything that has happened in it."""
    events: list[AnyEvent] = []
    venue = complete(listing(maker_ppm=-1000, taker_ppm=7500), funds_atoms=0)
    commands: list[AnyCommand] = [
        OpenSubAccount(master=ALICE, account=SUB, permissions=ALL_PERMISSIONS),
        SetFeeTier(tier=1, instrument=BTC_USD, maker_ppm=-500, taker_ppm=9000),
        SetFeeTier(tier=2, instrument=InstrumentId(0), maker_ppm=-1000, taker_ppm=18_000),
    ]
    commands += [
        SetAccountRules(account=account, trade_group=1, permissions=ALL_PERMISSIONS)
        for account in (ALICE, SUB)
    ]
    commands += [
        Deposit(account=account, asset=asset, amount_atoms=20_000)
        for account in TRADERS
        for asset in (BTC, USD)
    ]
    for command in commands:
        events += venue.operate(command).events
    for account in TRADERS:
        venue.keys[account] = venue.create_key(account, _KEYS)
        venue.open_session(account)
    return venue, events


_FOUNDED, _FOUNDING = _founded()
_IMAGE = snapshot.dump(_FOUNDED.exchange)


class Diary:
    """A market from its founding on, and everything that happened in it."""

    def __init__(self) -> None:
        self.events = list(_FOUNDING)
        self.venue = Venue()
        self.venue.exchange = snapshot.load(_IMAGE)
        self.venue.keys, self.venue.sessions = _FOUNDED.keys, _FOUNDED.sessions
        self.pairs = self.venue.exchange.state.markets.instruments

    def ask(self, account: AccountId, command: AnyCommand) -> Outcome:
        """Ask for something and note what happened."""
        outcome = self.venue.ask(account, command)
        self.events += outcome.events
        return outcome

    def balances(self) -> dict[tuple[AccountId, AssetId], int]:
        """Return everybody's balances, free and held together, the system's own included."""
        balances = all_balances(self.venue.exchange.state)
        return {where: atoms for where, atoms in balances.items() if atoms}

    def held_aside(self) -> dict[tuple[AccountId, AssetId], int]:
        """Return what operators hold, from the postings of holds and releases."""
        held: dict[tuple[AccountId, AssetId], int] = {}
        for event in self.events:
            for giver, taker, asset, atoms, cause in postings(event, self.pairs):
                if cause in (Cause.HOLD, Cause.RELEASE):
                    assert giver == taker
                    sign = 1 if cause == Cause.HOLD else -1
                    held[taker, asset] = held.get((taker, asset), 0) + sign * atoms
        return {where: atoms for where, atoms in held.items() if atoms}


@given(st.lists(asks, min_size=5, max_size=40))
def test_replaying_the_postings_of_all_events_gives_every_balance(log: list[Asks]) -> None:
    diary = Diary()
    for account, command in log:
        diary.ask(account, command)
    balances: Balances = {}
    post(balances, diary.events, diary.pairs)
    assert {where: atoms for where, atoms in balances.items() if atoms} == diary.balances()
    assert diary.held_aside() == {
        (account.account, hold.asset): sum(
            other.amount_atoms for other in account.rules.holds.values() if other.asset == hold.asset
        )
        for account in diary.venue.exchange.state.accounts.values()
        if account.rules is not None
        for hold in account.rules.holds.values()
    }


@given(st.lists(asks, min_size=5, max_size=40), st.integers(0, 40))
def test_what_events_move_is_the_change_of_every_balance_from_anywhere_on(
    log: list[Asks], start: int
) -> None:
    diary = Diary()
    for account, command in log[:start]:
        diary.ask(account, command)
    balances, noted = diary.balances(), len(diary.events)
    for account, command in log[start:]:
        diary.ask(account, command)

    post(balances, diary.events[noted:], diary.pairs)

    assert {where: atoms for where, atoms in balances.items() if atoms} == diary.balances()


def test_the_traffic_of_these_tests_moves_money_for_every_cause_of_spot() -> None:
    seen: dict[Cause, None] = {}

    def is_enough(log: list[Asks]) -> bool:
        diary = Diary()
        for account, command in log:
            for event in diary.ask(account, command).events:
                seen.update((posting.cause, None) for posting in postings(event, diary.pairs))
        return len(seen) == Cause.RELEASE

    find(st.lists(asks, min_size=20, max_size=40), is_enough, settings=_SEARCH)

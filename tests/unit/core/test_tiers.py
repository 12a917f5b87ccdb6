"""Fee tiers, and shares for who referred a customer."""

import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    CAROL,
    READ_TRADE,
    USD,
    Venue,
    buy,
    complete,
    listing,
    order,
    refusal,
    sell,
)

from steelyard.core.commands import (
    AnyCommand,
    PayReferral,
    SetAccountTier,
    SetFeeTier,
    SetFrozen,
    SetReferrer,
)
from steelyard.core.entry import Accepted
from steelyard.core.events import (
    AccountTierSet,
    AnyEvent,
    FeeTierSet,
    ReferralEarned,
    ReferralPaid,
    ReferrerSet,
    Traded,
)
from steelyard.core.limits import FEE_PPM_MAX, TIERS_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    Permission,
    Side,
    TradeId,
)

EVERYWHERE = InstrumentId(0)


def tier(number: int, maker_ppm: int, taker_ppm: int, instrument: InstrumentId = BTC_USD) -> SetFeeTier:
    """Return a command to set a tier's rates."""
    return SetFeeTier(tier=number, instrument=instrument, maker_ppm=maker_ppm, taker_ppm=taker_ppm)


def referrer(account: AccountId, by: AccountId, share_ppm: int) -> SetReferrer:
    """Return a command to let ``by`` earn a share of an account's fees."""
    return SetReferrer(account=account, referrer=by, share_ppm=share_ppm)


def rich(maker_ppm: int = -100, taker_ppm: int = 750) -> Venue:
    """Return a market with fees in which everybody can trade the design's example."""
    return complete(listing(maker_ppm=maker_ppm, taker_ppm=taker_ppm), funds_atoms=100_000_000)


def fees_of(events: list[AnyEvent]) -> list[tuple[int, int]]:
    """Return (maker's fee, taker's fee) of each trade."""
    return [(event.maker_fee_atoms, event.taker_fee_atoms) for event in events if isinstance(event, Traded)]


def one_fill(venue: Venue, number: int = 1) -> list[AnyEvent]:
    """Let Alice take a hundred lots from Bob at 12345; return the events."""
    venue.place(BOB, sell(number, 100, 12_345))
    return venue.place(ALICE, buy(number, 100, 12_345)).events


def test_fills_pay_the_rates_of_each_ones_tier() -> None:
    venue = rich()
    assert fees_of(one_fill(venue)) == [(-123, 926)]

    venue.accepted(tier(1, -50, 500))
    venue.accepted(tier(2, 10, 600, EVERYWHERE))
    venue.accepted(SetAccountTier(account=ALICE, tier=1))
    venue.accepted(SetAccountTier(account=BOB, tier=2))
    assert fees_of(one_fill(venue, 2)) == [(13, 618)]

    venue.accepted(tier(2, -20, 600))
    assert fees_of(one_fill(venue, 3)) == [(-24, 618)]
    venue.accepted(SetAccountTier(account=ALICE, tier=0))
    assert fees_of(one_fill(venue, 4)) == [(-24, 926)]


def test_a_tier_is_what_it_says_when_the_fill_happens() -> None:
    venue = rich(maker_ppm=200)
    venue.accepted(tier(1, 100, 500))
    venue.place(BOB, sell(1, 100, 12_345))
    venue.accepted(SetAccountTier(account=BOB, tier=1))

    assert fees_of(venue.place(ALICE, buy(1, 50, 12_345)).events) == [(62, 463)]
    venue.accepted(tier(1, 150, 500))
    assert fees_of(venue.place(ALICE, buy(2, 50, 12_345)).events) == [(93, 463)]


def test_no_fill_charges_more_than_the_order_was_taken_at() -> None:
    venue = rich(maker_ppm=200, taker_ppm=300)
    venue.accepted(tier(1, 100, 150))
    venue.accepted(SetAccountTier(account=BOB, tier=1))
    venue.place(BOB, buy(1, 100, 12_345))
    pledged_atoms = venue.held_atoms(BOB, USD)
    assert pledged_atoms == 100 * (12_345 + 2)
    venue.accepted(tier(1, 1000, 1500))

    assert fees_of(venue.place(ALICE, sell(1, 100, 12_345)).events) == [(186, 371)]
    assert venue.held_atoms(BOB, USD) == 0


def test_a_rebate_is_never_more_than_the_takers_fee_of_the_same_fill() -> None:
    other = InstrumentId(2)
    venue = rich()
    venue.accepted(tier(1, -500, 750, EVERYWHERE))
    venue.accepted(SetAccountTier(account=BOB, tier=1))
    # A later listing is not compared with what tiers pay everywhere.
    venue.accepted(listing(instrument=other, symbol="OTHER", maker_ppm=0, taker_ppm=100))
    venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN, instrument=other)

    venue.place(BOB, order(Side.SELL, 1, 100, 12_345, instrument=other))
    events = venue.place(ALICE, order(Side.BUY, 1, 100, 12_345, instrument=other)).events

    assert fees_of(events) == [(-124, 124)]
    assert venue.exchange.state.ledger.houses[USD].fees_atoms == 0


def test_the_design_example_pays_maker_referrer_and_house() -> None:
    venue = complete(listing(maker_ppm=-100, taker_ppm=750, price_max_ticks=10_000_000), funds_atoms=10**9)
    venue.accepted(referrer(ALICE, CAROL, 200_000))
    venue.place(BOB, sell(1, 1, 1_234_567))

    events = venue.place(ALICE, buy(1, 1, 1_234_567)).events

    assert fees_of(events) == [(-123, 926)]
    assert events[2] == ReferralEarned(
        trade=TradeId(1), account=ALICE, referrer=CAROL, asset=USD, amount_atoms=160
    )
    house = venue.exchange.state.ledger.houses[USD]
    assert (house.fees_atoms, house.referral_atoms) == (643, 160)


def test_the_takers_referrer_comes_first_and_each_shares_its_own_accounts_fee() -> None:
    venue = rich(maker_ppm=200)
    venue.accepted(referrer(ALICE, CAROL, 500_000))
    venue.accepted(referrer(BOB, CAROL, 1_000_000))

    earned = [event for event in one_fill(venue) if isinstance(event, ReferralEarned)]

    assert [(event.account, event.amount_atoms) for event in earned] == [(ALICE, 463), (BOB, 247)]
    assert venue.exchange.state.ledger.houses[USD].fees_atoms == 926 + 247 - 463 - 247


def test_a_maker_with_a_rebate_earns_its_referrer_nothing() -> None:
    venue = rich()
    venue.accepted(referrer(BOB, CAROL, 1_000_000))

    assert not [event for event in one_fill(venue) if isinstance(event, ReferralEarned)]


def test_what_is_earned_is_paid_once_even_to_a_frozen_account() -> None:
    venue = rich()
    venue.accepted(referrer(ALICE, CAROL, 200_000))
    one_fill(venue)
    venue.accepted(referrer(ALICE, AccountId(0), 0))
    one_fill(venue, 2)
    venue.accepted(SetFrozen(account=CAROL, frozen=True))

    outcome = venue.operate(PayReferral(account=CAROL, asset=USD))

    assert outcome.events == [
        ReferralPaid(account=CAROL, asset=USD, amount_atoms=160, free_atoms=100_000_160)
    ]
    assert venue.exchange.state.ledger.houses[USD].referral_atoms == 0
    assert refusal(venue.operate(PayReferral(account=CAROL, asset=USD))) == Reject.INSUFFICIENT_FUNDS


def test_a_referrer_takes_its_own_with_a_key_that_may_transfer() -> None:
    venue = rich()
    venue.accepted(referrer(ALICE, CAROL, 200_000))
    one_fill(venue)
    command = PayReferral(account=CAROL, asset=USD)

    assert refusal(venue.ask(CAROL, command)) == Reject.NOT_PERMITTED
    for asker in (CAROL, BOB):
        venue.keys[asker] = venue.create_key(asker, READ_TRADE | int(Permission.TRANSFER))
    assert refusal(venue.ask(BOB, command)) == Reject.NOT_PERMITTED
    assert refusal(venue.ask(CAROL, PayReferral(account=CAROL, asset=AssetId(9)))) == Reject.UNKNOWN_ASSET
    assert isinstance(venue.ask(CAROL, command).reply, Accepted)


def test_setting_rates_tiers_and_referrers_says_so() -> None:
    venue = rich()

    assert venue.operate(tier(TIERS_MAX, 1, 200, EVERYWHERE)).events == [
        FeeTierSet(tier=TIERS_MAX, instrument=EVERYWHERE, maker_ppm=1, taker_ppm=200)
    ]
    assert venue.operate(SetAccountTier(account=BOB, tier=TIERS_MAX)).events == [
        AccountTierSet(account=BOB, tier=TIERS_MAX)
    ]
    assert venue.operate(referrer(BOB, CAROL, 1_000_000)).events == [
        ReferrerSet(account=BOB, referrer=CAROL, share_ppm=1_000_000)
    ]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (tier(0, 0, 100), Reject.MALFORMED),
        (tier(-1, 0, 100), Reject.MALFORMED),
        (tier(TIERS_MAX + 1, 0, 100), Reject.TOO_MANY_TIERS),
        (tier(1, 0, 100, InstrumentId(99)), Reject.UNKNOWN_INSTRUMENT),
        (tier(1, 0, -1), Reject.FEE_OUT_OF_RANGE),
        (tier(1, 0, FEE_PPM_MAX + 1), Reject.FEE_OUT_OF_RANGE),
        (tier(1, FEE_PPM_MAX + 1, 100), Reject.FEE_OUT_OF_RANGE),
        (tier(1, -751, 800), Reject.FEE_OUT_OF_RANGE),
        (tier(1, 0, 99), Reject.FEE_OUT_OF_RANGE),
        (tier(1, 0, 99, EVERYWHERE), Reject.FEE_OUT_OF_RANGE),
        (tier(1, -301, 800), Reject.FEE_OUT_OF_RANGE),
        (tier(3, -301, 800), Reject.FEE_OUT_OF_RANGE),
        (SetAccountTier(account=ALICE, tier=-1), Reject.MALFORMED),
        (SetAccountTier(account=ALICE, tier=1), Reject.UNKNOWN_TIER),
        (SetAccountTier(account=AccountId(1999), tier=2), Reject.UNKNOWN_ACCOUNT),
        (referrer(ALICE, ALICE, 1), Reject.MALFORMED),
        (referrer(ALICE, BOB, -1), Reject.MALFORMED),
        (referrer(ALICE, BOB, 1_000_001), Reject.MALFORMED),
        (referrer(ALICE, AccountId(0), 1), Reject.MALFORMED),
        (referrer(ALICE, AccountId(1999), 1), Reject.UNKNOWN_ACCOUNT),
        (referrer(ALICE, OPERATOR, 1), Reject.UNKNOWN_ACCOUNT),
        (referrer(AccountId(1999), ALICE, 1), Reject.UNKNOWN_ACCOUNT),
    ],
)
def test_what_cannot_be_a_tier_or_a_referrer(command: AnyCommand, reason: Reject) -> None:
    venue = rich()
    venue.accepted(tier(2, 0, 300))
    before = venue.business()

    assert refusal(venue.operate(command)) == reason
    assert venue.business() == before


def test_a_rebate_may_be_as_high_as_the_lowest_taker_rate_of_all() -> None:
    venue = rich()
    venue.accepted(tier(2, 0, 300))

    venue.accepted(tier(1, -300, 300))
    venue.accepted(tier(3, -300, 301, EVERYWHERE))
    assert refusal(venue.operate(tier(2, 0, 299))) == Reject.FEE_OUT_OF_RANGE


def test_general_rates_are_compared_among_themselves_before_anything_is_listed() -> None:
    venue = rich()
    venue.accepted(tier(1, 0, 200, EVERYWHERE))
    venue.accepted(tier(1, 0, 400))

    # In the one instrument nobody pays the general rate, but a later one may be listed.
    assert refusal(venue.operate(tier(2, -201, 400, EVERYWHERE))) == Reject.FEE_OUT_OF_RANGE
    venue.accepted(tier(2, -200, 400, EVERYWHERE))


@pytest.mark.parametrize(
    "command", [tier(1, 0, 100), SetAccountTier(account=ALICE, tier=0), referrer(ALICE, BOB, 1)]
)
def test_customers_do_not_set_what_they_pay(command: AnyCommand) -> None:
    assert refusal(rich().ask(ALICE, command)) == Reject.NOT_PERMITTED

"""Fees, rebates and pledges: the worked examples of the design, and both sides of a fill."""

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, USD, buy, listing, market, sell

from steelyard.core import Placed
from steelyard.core.events import Traded
from steelyard.core.ledger import (
    TierRates,
    fee_atoms,
    fee_cap_ppm,
    fill_fees,
    lot_pledge_atoms,
    rebates_are_covered,
    referral_atoms,
    tier_rates,
)
from steelyard.core.units import InstrumentId, TimeInForce


def test_a_fee_rounds_up_and_a_rebate_down() -> None:
    assert fee_atoms(1_234_567, 750) == 926
    assert fee_atoms(1_234_567, -100) == -123


def test_the_fill_of_the_design_example_pays_maker_referrer_and_house() -> None:
    maker_atoms, taker_atoms = fill_fees(1_234_567, -100, 750)
    of_maker, of_taker = referral_atoms(maker_atoms, taker_atoms, 0, 200_000)

    assert (maker_atoms, taker_atoms, of_maker, of_taker) == (-123, 926, 0, 160)
    assert taker_atoms + maker_atoms - of_taker == 643


def test_a_rebate_is_never_more_than_the_takers_fee_of_the_same_fill() -> None:
    assert fill_fees(1_000_000, -700, 500) == (-500, 500)
    assert fill_fees(1_000_000, -700, 0) == (0, 0)
    assert fill_fees(1_000_000, -500, 500) == (-500, 500)


def test_referrers_share_what_is_kept_of_their_own_accounts_fee() -> None:
    assert referral_atoms(
        maker_fee_atoms=101, taker_fee_atoms=999, maker_share_ppm=500_000, taker_share_ppm=10**6
    ) == (
        50,
        999,
    )
    assert referral_atoms(-500, 500, 10**6, 10**6) == (0, 0)


def test_a_tier_pays_its_rates_of_the_instrument_else_its_general_ones_else_the_listing() -> None:
    one, two = InstrumentId(1), InstrumentId(2)
    tiers: TierRates = {(1, InstrumentId(0)): (10, 20), (1, one): (-5, 15), (2, one): (7, 8)}

    assert tier_rates(tiers, 1, one, (50, 60)) == (-5, 15)
    assert tier_rates(tiers, 1, two, (50, 60)) == (10, 20)
    assert tier_rates(tiers, 2, two, (50, 60)) == (50, 60)


def test_rebates_are_covered_by_the_lowest_taker_rate_of_all() -> None:
    assert rebates_are_covered([(-10, 20), (5, 10)])
    assert not rebates_are_covered([(-11, 20), (5, 10)])
    assert rebates_are_covered([(0, 0)])


def test_the_cap_is_the_highest_rate_and_never_negative() -> None:
    assert fee_cap_ppm(-100, 750) == 750
    assert fee_cap_ppm(200, 100) == 200
    assert fee_cap_ppm(0, 0) == 0


def test_the_pledge_of_the_design_example() -> None:
    assert 10 * lot_pledge_atoms(12_345, 100, 750) == 12_354_260


def test_a_buyer_pays_cost_and_fee_from_its_pledge_and_gets_the_rest_back() -> None:
    # k = 100: tick 1 quote unit of 2 decimals, lot 1 base unit.
    venue = market(listing(taker_ppm=750, maker_ppm=0), decimals=2, funds_atoms=100_000_000)
    venue.place(BOB, sell(1, 10, 12_345))

    reply = venue.place(ALICE, buy(1, 10, 12_345)).reply

    assert isinstance(reply, Placed)
    assert reply.executed_atoms == 12_345_000
    assert reply.fee_atoms == 9259
    assert venue.free_atoms(ALICE, USD) == 100_000_000 - 12_345_000 - 9259
    assert venue.held_atoms(ALICE, USD) == 0
    assert venue.free_atoms(BOB, USD) == 100_000_000 + 12_345_000
    assert venue.exchange.state.ledger.houses[USD].fees_atoms == 9259


def test_a_resting_buyer_holds_the_fee_too_and_pays_the_makers_rate() -> None:
    venue = market(listing(taker_ppm=750, maker_ppm=200), decimals=2, funds_atoms=100_000_000)

    venue.place(ALICE, buy(1, 10, 12_345))
    assert venue.held_atoms(ALICE, USD) == 12_354_260

    venue.place(BOB, sell(1, 10, 12_345))
    assert venue.held_atoms(ALICE, USD) == 0
    assert venue.free_atoms(ALICE, USD) == 100_000_000 - 12_345_000 - 2469
    assert venue.free_atoms(BOB, USD) == 100_000_000 + 12_345_000 - 9259
    assert venue.exchange.state.ledger.houses[USD].fees_atoms == 2469 + 9259


def test_a_rebate_comes_out_of_the_fee_of_the_same_fill() -> None:
    venue = market(listing(taker_ppm=750, maker_ppm=-100), funds_atoms=10_000_000)
    venue.place(BOB, sell(1, 100, 12_345))

    traded = venue.place(ALICE, buy(1, 100, 12_345)).events[1]

    assert isinstance(traded, Traded)
    assert (traded.notional_atoms, traded.maker_fee_atoms, traded.taker_fee_atoms) == (1_234_500, -123, 926)
    assert venue.free_atoms(BOB, USD) == 10_000_000 + 1_234_500 + 123
    assert venue.exchange.state.ledger.houses[USD].fees_atoms == 803


def test_a_selling_taker_pays_from_the_proceeds() -> None:
    venue = market(listing(taker_ppm=100_000))
    venue.place(BOB, buy(1, 1, 5))

    venue.place(ALICE, sell(1, 1, 5))

    assert venue.free_atoms(ALICE, USD) == 1_000_000 + 5 - 1
    assert venue.free_atoms(ALICE, BTC) == 1_000_000 - 1


@pytest.mark.parametrize("fills", [1, 3, 7, 10])
def test_fees_are_rounded_up_once_per_fill(fills: int) -> None:
    venue = market(listing(taker_ppm=1))
    for number in range(fills):
        venue.place(BOB, sell(number + 1, 1, 100))

    reply = venue.place(ALICE, buy(1, fills, 100, TimeInForce.IOC)).reply

    assert isinstance(reply, Placed)
    assert reply.fee_atoms == fills
    assert venue.exchange.state.ledger.houses[USD].fees_atoms == fills


def test_an_order_that_pledges_everything_can_always_pay() -> None:
    venue = market(listing(taker_ppm=333, maker_ppm=777), funds_atoms=0)
    pledge_atoms = 7 * lot_pledge_atoms(1001, 1, 777)
    venue.deposit(ALICE, USD, pledge_atoms)
    venue.deposit(BOB, BTC, 7)
    venue.place(ALICE, buy(1, 7, 1001))
    assert venue.free_atoms(ALICE, USD) == 0

    for number in range(7):
        venue.place(BOB, sell(number + 1, 1, 1001))

    assert venue.free_atoms(ALICE, BTC) == 7
    assert venue.held_atoms(ALICE, USD) == 0
    # Each lot cost 1001 and a fee of ceil(0.777777).
    assert venue.free_atoms(ALICE, USD) == pledge_atoms - 7 * 1002

"""The liquidation price by worked examples: published ones, and those of every shape of a scope."""

from fractions import Fraction

import pytest
from tests.helpers.contract_parts import (
    ALICE,
    PERPETUAL,
    SETTLE,
    Market,
    contract_of,
    first_tier,
    position_of,
    terms,
    trade,
)

from steelyard.core.commands import MarginTerms
from steelyard.core.contracts.liquidation_price import LiquidationPrice, liquidation_price
from steelyard.core.matching import Margin
from steelyard.core.units import ContractKind, InstrumentId, Leg

UNIT = 10**8
OTHER = InstrumentId(6)
#: tick 0.01, lot 0.001, eight decimals
K = 1000
#: one-dollar lots, tick 0.5, eight decimals
S = 200_000_000


def linear_isolated(margin: MarginTerms, bucket: int, lots: int, entry_ticks: int) -> LiquidationPrice:
    contract = contract_of(ContractKind.LINEAR, K, margin)
    position = position_of(Margin(ALICE, SETTLE), isolated=True)
    position.bucket_atoms = bucket
    trade(contract, position, lots, entry_ticks)
    found = liquidation_price(position, {PERPETUAL: Market(contract, entry_ticks)})
    assert found is not None
    return found


def units(price: LiquidationPrice, tick: Fraction = Fraction(1, 100)) -> float:
    """Return the exact price in units, with four decimals."""
    return round(float(Fraction(price.numerator, price.denominator) * tick), 4)


def test_a_published_long_in_a_tier_of_ten_per_cent() -> None:
    tiers = first_tier(135_365 * UNIT, 100_000, 50_000)

    found = linear_isolated(terms(*tiers), 153_544_301_000_000, 3_683_979, 145_684)

    assert round(units(found), 3) == 1114.785
    assert found.ticks == 111_479


def test_a_published_long_in_a_tier_of_two_and_a_half_per_cent() -> None:
    tiers = first_tier(16_300 * UNIT, 25_000, 5_000)

    found = linear_isolated(terms(*tiers), 153_544_301_000_000, 109_488, 3_248_198)

    assert round(units(found), 2) == 18778.73
    assert found.is_below


@pytest.mark.parametrize(("at_entry", "price"), [(True, 19700.0), (False, 19698.4925)])
def test_maintenance_at_entry_and_at_the_mark(at_entry: bool, price: float) -> None:
    margin = terms((0, 5_000, 20_000), at_entry=at_entry)

    found = linear_isolated(margin, 400 * UNIT, 1000, 2_000_000)

    assert units(found) == price


def test_a_cross_long_beside_another_position() -> None:
    contract = contract_of(ContractKind.LINEAR, K, terms((0, 10_000, 20_000)))
    margin = Margin(ALICE, SETTLE)
    margin.wallet_atoms = 10_000 * UNIT
    position = position_of(margin)
    trade(contract, position, 2_000, 5_000_000)
    # 31 lots of a unit each that cost 2000 and are worth 1000: PnL -1000, MM 310.
    other = contract_of(ContractKind.LINEAR, UNIT, terms((0, 310_000, 320_000)))
    trade(other, position_of(margin, instrument=OTHER), 1, 2_000)

    found = liquidation_price(position, {PERPETUAL: Market(contract, 5_000_000), OTHER: Market(other, 1_000)})

    assert found is not None
    assert units(found) == 46116.1616
    assert found.ticks == 4_611_617


def test_a_short() -> None:
    found = linear_isolated(terms((0, 10_000, 20_000)), 5_000 * UNIT, -1_000, 5_000_000)

    assert units(found) == 54455.4455
    assert (found.ticks, found.is_below) == (5_445_544, False)


def test_both_legs_of_a_contract_move_together() -> None:
    contract = contract_of(ContractKind.LINEAR, K, terms((0, 10_000, 20_000)))
    margin = Margin(ALICE, SETTLE)
    margin.wallet_atoms = 10_000 * UNIT
    long, short = position_of(margin, Leg.LONG), position_of(margin, Leg.SHORT)
    trade(contract, long, 2_000, 5_000_000)
    trade(contract, short, -1_000, 5_200_000)
    marks = {PERPETUAL: Market(contract, 5_000_000)}

    found = liquidation_price(long, marks)

    assert found is not None
    assert units(found) == 39175.2577
    assert liquidation_price(short, marks) == found


@pytest.mark.parametrize(("side", "price", "ticks"), [(1, 9136.3636, 18_273), (-1, 11055.5556, 22_111)])
def test_an_inverse_position_with_a_bucket(side: int, price: float, ticks: int) -> None:
    contract = contract_of(ContractKind.INVERSE, S, terms((0, 5_000, 10_000)))
    position = position_of(Margin(ALICE, SETTLE), isolated=True)
    position.bucket_atoms = 20_000_000
    trade(contract, position, side * 20_000, 20_000)

    found = liquidation_price(position, {PERPETUAL: Market(contract, 20_000)})

    assert found is not None
    assert units(found, Fraction(1, 2)) == price
    assert found.ticks == ticks


def test_an_inverse_position_with_maintenance_at_entry() -> None:
    contract = contract_of(ContractKind.INVERSE, S, terms((0, 5_000, 10_000), at_entry=True))
    position = position_of(Margin(ALICE, SETTLE), isolated=True)
    position.bucket_atoms = 20_000_000
    trade(contract, position, 20_000, 20_000)

    found = liquidation_price(position, {PERPETUAL: Market(contract, 20_000)})

    # With a closing fee of 0.06 %, which is not part of this exchange's margin, it would be 9137.8995.
    assert found is not None
    exact = Fraction(found.numerator, found.denominator) / 2
    assert round(float(exact), 4) == 9132.4201
    assert round(float(exact * Fraction(1_000_600, 1_000_000)), 4) == 9137.8995


def test_funding_that_is_owed_brings_it_nearer() -> None:
    margin = terms((0, 10_000, 20_000))
    contract = contract_of(ContractKind.LINEAR, K, margin)
    position = position_of(Margin(ALICE, SETTLE), isolated=True)
    position.bucket_atoms = 10_000 * UNIT
    trade(contract, position, 2_000, 5_000_000)
    marks = {PERPETUAL: Market(contract, 5_000_000)}
    before = liquidation_price(position, marks)

    contract.cumulative_nanoatoms = 99 * UNIT * 10**9 // 2_000 * 10

    after = liquidation_price(position, marks)
    assert before is not None
    assert after is not None
    assert units(after) - units(before) == pytest.approx(500.0, abs=0.001)


def test_who_can_lose_nothing_has_none() -> None:
    contract = contract_of(ContractKind.LINEAR, K, terms((0, 10_000, 20_000)))
    position = position_of(Margin(ALICE, SETTLE), isolated=True)
    marks = {PERPETUAL: Market(contract, 5_000_000)}
    assert liquidation_price(position, marks) is None

    position.bucket_atoms = 200_000 * UNIT
    trade(contract, position, 1_000, 5_000_000)

    assert liquidation_price(position, marks) is None


def test_of_two_the_nearer_one_is_shown() -> None:
    """A steep second tier turns a hedged pair that wins by a rise into one that loses by it.

    ::

    -300_000 + 500 P - 10 P - 5 P = 0                 P = 618.6
    -300_000 + 500 P - (900 P - 1_780_000) - 5 P = 0  P = 3654.3
    """
    contract = contract_of(ContractKind.LINEAR, 1, terms((0, 10_000, 20_000), (2_000_000, 900_000, 950_000)))
    margin = Margin(ALICE, SETTLE)
    long, short = position_of(margin, Leg.LONG), position_of(margin, Leg.SHORT)
    trade(contract, long, 1_000, 1_000)
    trade(contract, short, -500, 1_000)
    margin.wallet_atoms = 200_000
    market = Market(contract, 1_000)

    below = liquidation_price(long, {PERPETUAL: market})
    market.mark_ticks = 3_000
    above = liquidation_price(long, {PERPETUAL: market})

    assert below is not None
    assert above is not None
    assert (below.ticks, below.is_below) == (619, True)
    assert (above.ticks, above.is_below) == (3654, False)

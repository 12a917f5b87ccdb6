"""One step of a liquidation: its lots, what they must bring, at which price, and what the fund does."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.contract_parts import contract_of, terms

from steelyard.core.commands import LiquidationTerms, MarginTerms
from steelyard.core.contracts import steps
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.units import ContractKind

LINEAR, INVERSE = ContractKind.LINEAR, ContractKind.INVERSE
ONE_PERCENT = terms((0, 10_000, 20_000))


def contract_with(
    kind: ContractKind = LINEAR,
    scale: int = 1,
    margin: MarginTerms = ONE_PERCENT,
    **liquidation: int,
) -> Contract:
    contract = contract_of(kind, scale, margin)
    contract.rules = msgspec.structs.replace(contract.rules, liquidation=LiquidationTerms(**liquidation))
    return contract


def holds(closing: steps.Closing, lots: int) -> bool:
    """Return whether closing this many lots restores the scope, as the rules say it."""
    return closing.equity_atoms - closing.penalty_atoms(lots) >= closing.target_atoms(lots)


def test_a_step_closes_the_fewest_lots_that_restore_margin_and_buffer() -> None:
    contract = contract_with(penalty_ppm=2_000, buffer_ppm=100_000)
    closing = steps.Closing(contract, 1000, -1_000_000, 1000, 8000, 0)

    assert steps.step_lots(closing) == 334
    assert closing.equity_atoms - closing.penalty_atoms(334) == 7332
    assert closing.target_atoms(334) == 7326
    assert not holds(closing, 333)


def test_a_step_closes_at_least_its_share_of_the_position() -> None:
    contract = contract_with(penalty_ppm=2_000, step_ppm=400_001)

    assert steps.step_lots(steps.Closing(contract, -1000, 1_000_000, 1000, 8000, 0)) == 401


@pytest.mark.parametrize("equity_atoms", [-5, 0, 1])
def test_without_equity_a_step_closes_everything(equity_atoms: int) -> None:
    assert steps.step_lots(steps.Closing(contract_with(), 1000, 0, 1000, equity_atoms, 0)) == 1000


def test_a_penalty_above_what_a_lot_frees_closes_everything() -> None:
    contract = contract_with(penalty_ppm=20_000)

    assert steps.step_lots(steps.Closing(contract, 1000, 0, 1000, 9_999, 0)) == 1000


def test_one_lot_is_the_least() -> None:
    contract = contract_with(penalty_ppm=0, buffer_ppm=0)

    assert steps.step_lots(steps.Closing(contract, 1000, 0, 1000, 10_000, 0)) == 1


margins = st.builds(
    lambda rates, floor, slope, at_entry: terms(
        (0, min(rates), 900_000),
        *(() if slope else ((floor, max(rates), 900_000),)),
        slope_ppb=slope,
        at_entry=at_entry,
    ),
    st.tuples(st.integers(1, 60_000), st.integers(1, 60_000)),
    st.integers(1, 300_000),
    st.sampled_from([0, 0, 1_000, 200_000]),
    st.booleans(),
)


@given(
    kind=st.sampled_from([LINEAR, INVERSE]),
    scale=st.integers(1, 5_000),
    margin=margins,
    penalty_ppm=st.integers(0, 60_000),
    buffer_ppm=st.sampled_from([0, 100_000, 1_000_000]),
    step_ppm=st.sampled_from([0, 100_000]),
    qty_lots=st.integers(-300, 300).filter(bool),
    entry_ticks=st.integers(1, 500),
    mark_ticks=st.integers(1, 500),
    share_ppm=st.integers(-100_000, 1_000_000),
    others_atoms=st.sampled_from([0, 77, 40_000]),
)
def test_a_step_is_the_first_number_of_lots_that_suffices(
    kind: ContractKind,
    scale: int,
    margin: MarginTerms,
    penalty_ppm: int,
    buffer_ppm: int,
    step_ppm: int,
    qty_lots: int,
    entry_ticks: int,
    mark_ticks: int,
    share_ppm: int,
    others_atoms: int,
) -> None:
    contract = contract_with(
        kind,
        scale * 1000 if kind == INVERSE else scale,
        margin,
        penalty_ppm=penalty_ppm,
        buffer_ppm=buffer_ppm,
        step_ppm=step_ppm,
    )
    cash_flow = flow_atoms(contract, qty_lots, notional_atoms(contract, entry_ticks, abs(qty_lots)))
    closing = steps.Closing(contract, qty_lots, cash_flow, mark_ticks, 0, others_atoms)
    closing = closing._replace(equity_atoms=closing.maintenance_atoms(0) * share_ppm // 1_000_000)
    least = max(1, -(-abs(qty_lots) * step_ppm // 1_000_000))

    by_hand = next((lots for lots in range(least, abs(qty_lots)) if holds(closing, lots)), abs(qty_lots))

    assert steps.step_lots(closing) == by_hand


@given(
    mark_ticks=st.integers(10**4, 10**7),
    qty_lots=st.integers(1, 10**9),
    share_ppm=st.integers(1, 999_999),
)
def test_a_large_step_is_found_without_going_through_all_lots(
    mark_ticks: int, qty_lots: int, share_ppm: int
) -> None:
    contract = contract_with(
        LINEAR, 1, terms((0, 5_000, 10_000), (10**12, 12_000, 20_000), (10**14, 50_000, 90_000))
    )
    closing = steps.Closing(contract, -qty_lots, qty_lots * mark_ticks, mark_ticks, 0, 0)
    closing = closing._replace(equity_atoms=closing.maintenance_atoms(0) * share_ppm // 1_000_000)

    lots = steps.step_lots(closing)

    assert lots == qty_lots or holds(closing, lots)
    assert lots == 1 or not holds(closing, lots - 1)


@pytest.mark.parametrize(
    ("kind", "scale", "qty_lots", "entry_ticks", "bucket_atoms", "mark_ticks", "price_ticks"),
    [
        (LINEAR, 1, 1, 10_000, 200, 9_900, 9_800),
        (LINEAR, 1, -1, 10_000, 200, 10_150, 10_200),
        # 20,000 lots of one dollar, ticks of half a dollar: 9090.9091 and 11111.1111 dollars.
        (INVERSE, 200_000_000, 20_000, 20_000, 20_000_000, 19_000, 18_182),
        (INVERSE, 200_000_000, -20_000, 20_000, 20_000_000, 21_000, 22_222),
    ],
)
def test_an_isolated_position_is_bankrupt_where_its_margin_is_used_up(
    kind: ContractKind,
    scale: int,
    qty_lots: int,
    entry_ticks: int,
    bucket_atoms: int,
    mark_ticks: int,
    price_ticks: int,
) -> None:
    contract = contract_with(kind, scale, terms((0, 5_000, 10_000)))
    lots = abs(qty_lots)
    cash_flow = flow_atoms(contract, qty_lots, notional_atoms(contract, entry_ticks, lots))
    value = -flow_atoms(contract, qty_lots, notional_atoms(contract, mark_ticks, lots))
    closing = steps.Closing(contract, qty_lots, cash_flow, mark_ticks, bucket_atoms + cash_flow + value, 0)

    cash_atoms = steps.bankruptcy_atoms(closing, lots)

    assert abs(cash_atoms + cash_flow + bucket_atoms) <= 1
    assert steps.limit_ticks(contract, qty_lots > 0, lots, cash_atoms, 10**6) == price_ticks


def test_of_a_cross_scope_each_position_has_its_share_of_the_equity() -> None:
    two_percent = contract_with(margin=terms((0, 20_000, 40_000)))
    long = steps.Closing(contract_with(), 100, -20_000, 192, 200, 104)
    short = steps.Closing(two_percent, -50, 5_000, 104, 200, 192)

    assert long.maintenance_atoms(0) == short.maintenance_atoms(0) == 296
    assert steps.bankruptcy_atoms(long, 100) == 19_071
    assert steps.bankruptcy_atoms(short, 50) == -5_270


@given(
    kind=st.sampled_from([LINEAR, INVERSE]),
    scale=st.integers(1, 10_000),
    is_long=st.booleans(),
    lots=st.integers(1, 50),
    least_atoms=st.integers(-60_000, 60_000),
)
def test_the_limit_is_the_last_tick_that_brings_enough(
    kind: ContractKind, scale: int, is_long: bool, lots: int, least_atoms: int
) -> None:
    contract = contract_with(kind, scale)
    price_max = 300

    def brings(ticks: int) -> int:
        return flow_atoms(contract, -lots if is_long else lots, notional_atoms(contract, ticks, lots))

    enough = [ticks for ticks in range(1, price_max + 1) if brings(ticks) >= least_atoms]
    worst_first = min if is_long else max
    by_hand = worst_first(enough, default=0)

    assert steps.limit_ticks(contract, is_long, lots, least_atoms, price_max) == by_hand


def test_the_fund_spends_nothing_once_it_is_too_far_below_its_peak() -> None:
    closing = steps.Closing(contract_with(fund_drawdown_ppm=500_000), 1000, 0, 1000, 0, 0)

    assert steps.budget_atoms(closing, 1000, 501, 1000) == 501
    assert steps.budget_atoms(closing, 1000, 500, 1000) == 0
    assert steps.budget_atoms(closing, 1000, 0, 0) == 0


@pytest.mark.parametrize(
    ("kind", "scale", "budget_atoms"),
    [
        # 3 lots at 1001 are 3003, of which 5 % are 150.15.
        (LINEAR, 1, 151),
        # 3 * 10**6 / 1001 is 2997.003: 2998, of which 5 % are 149.9.
        (INVERSE, 10**6, 150),
    ],
)
def test_the_fund_spends_at_most_its_share_of_what_a_step_closes(
    kind: ContractKind, scale: int, budget_atoms: int
) -> None:
    closing = steps.Closing(contract_with(kind, scale, fund_step_ppm=50_000), -10, 0, 1001, 0, 0)

    assert steps.budget_atoms(closing, 3, 10**9, 10**9) == budget_atoms


def test_the_fund_takes_at_most_the_penalty_and_gives_at_most_what_it_has() -> None:
    assert steps.insured_atoms(1000, 990, 10_000, 5_000, 0) == 10
    assert steps.insured_atoms(1000, 900, 10_001, 5_000, 0) == 51
    assert steps.insured_atoms(900, 1000, 10_000, 5_000, 500) == -100
    assert steps.insured_atoms(900, 1000, 10_000, 5_000, 99) == -99

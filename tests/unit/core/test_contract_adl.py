"""Who gives up lots for a bankrupt position, in which order and for what; and how a loss is shared."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.contract_parts import contract_of, terms

from steelyard.core.commands import LiquidationTerms
from steelyard.core.contracts import adl, sharing
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.sharing import Winner, share_in_rounds, share_loss
from steelyard.core.limits import SHARES_MAX
from steelyard.core.units import AccountId, ContractKind, Leg

MARK = 80


def contract_with(adl_share_ppm: int = 1_000_000) -> Contract:
    contract = contract_of(ContractKind.LINEAR, 1, terms((0, 10_000, 20_000)))
    contract.rules = msgspec.structs.replace(
        contract.rules, liquidation=LiquidationTerms(adl_share_ppm=adl_share_ppm)
    )
    return contract


def short(account: int, lots: int, entry_ticks: int, bucket_atoms: int) -> adl.Candidate:
    cash_flow = lots * entry_ticks
    gain = cash_flow - lots * MARK
    equity = bucket_atoms + gain
    score = adl.score_ppm(gain, cash_flow, lots * MARK, equity)
    return adl.Candidate(AccountId(account), Leg.NET, -lots, gain, equity, score)


def asked(
    ranking: list[adl.Candidate], lots: int, cash_atoms: int, share_ppm: int = 1_000_000, *, poor: bool = True
) -> list[adl.Gift]:
    """Return what a ranking gives; ``poor``: whoever would have less than nothing is passed over."""
    gaining = sum(candidate.gain_atoms > 0 for candidate in ranking)
    contract = contract_with(share_ppm)
    return adl.gifts(contract, MARK, ranking, gaining, lots, cash_atoms, passes_over=poor)


A, B, C = short(1001, 6, 120, 150), short(1002, 8, 100, 100), short(1003, 4, 85, 40)


def test_scores_follow_gain_and_leverage() -> None:
    assert [A.score_ppm, B.score_ppm, C.score_ppm] == [410_255, 492_307, 313_722]
    assert sorted([A, C, B], key=adl.turn) == [B, A, C]


def test_the_best_ranked_give_first_at_the_bankruptcy_price() -> None:
    # The long had 10 at 100 with a bucket of 100: it must bring 900.
    assert asked([B, A, C], 10, 900) == [adl.Gift(1, B, 8, 720), adl.Gift(2, A, 2, 180)]


def test_of_equal_scores_the_lower_account_comes_first() -> None:
    first, second = short(1001, 5, 100, 10), short(1002, 5, 100, 10)

    assert sorted([second, first], key=adl.turn) == [first, second]


def test_a_losing_position_ranks_behind_and_the_less_levered_one_last() -> None:
    # Both have lost a quarter; the one with more equity behind it is asked later.
    assert adl.score_ppm(-250, 1000, 1250, 250) == -250_000 * 1_000_000 // 5_000_000
    assert adl.score_ppm(-250, 1000, 1250, 12_500) == -250_000 * 1_000_000 // 100_000
    assert adl.score_ppm(500, 1000, 10, 0) == -adl.SCORE_MAX_PPM
    assert adl.score_ppm(-1, 1000, 1, 10**12) == -1_000 * 1_000_000
    assert adl.score_ppm(10**17, 1, 10**17, 1) == adl.SCORE_MAX_PPM


def test_in_one_round_a_position_gives_at_most_its_share_until_every_winner_has_given() -> None:
    gifts = asked([B, A, C], 8, 720, 250_000)

    # First round 2, 2, 1; second round 2 and the last one.
    assert gifts == [adl.Gift(1, B, 4, 360), adl.Gift(2, A, 3, 270), adl.Gift(3, C, 1, 90)]


def test_losers_give_only_after_every_winner_was_asked() -> None:
    loser = short(1004, 10, 70, 500)

    assert asked([loser, B, loser], 10, 900) == [adl.Gift(1, loser, 2, 180), adl.Gift(2, B, 8, 720)]


def test_whoever_would_have_less_than_nothing_is_passed_over() -> None:
    # At 90 a lot costs 10 more than at the mark: 8 lots would cost 80 of an equity of 79.
    poor = B._replace(equity_atoms=79)

    assert asked([poor, A], 10, 900) == [adl.Gift(1, poor, 4, 360), adl.Gift(2, A, 6, 540)]
    assert asked([poor, A], 10, 900, poor=False) == [adl.Gift(1, poor, 8, 720), adl.Gift(2, A, 2, 180)]


def test_what_nobody_gives_stays_open_and_is_not_paid_for() -> None:
    assert asked([C], 7, 630) == [adl.Gift(1, C, 4, 360)]
    assert asked([], 7, 630) == []


def test_nobody_behind_the_last_who_gives_is_looked_at() -> None:
    def endless() -> Iterator[adl.Candidate]:
        yield from (B, A)
        raise AssertionError("nobody else need be ranked")

    class Lazy:
        def __iter__(self) -> Iterator[adl.Candidate]:
            return endless()

    gifts = adl.gifts(contract_with(250_000), MARK, Lazy(), 2, 4, 360, passes_over=True)
    assert [gift.lots for gift in gifts] == [2, 2]


@given(
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(60, 130), st.integers(0, 400)), max_size=6),
    lots=st.integers(1, 60),
    cash_atoms=st.integers(-2_000, 9_000),
    share_ppm=st.integers(1, 1_000_000),
    passes_over=st.booleans(),
)
def test_gifts_sum_exactly_and_nobody_gives_more_than_it_has(
    sizes: list[tuple[int, int, int]], lots: int, cash_atoms: int, share_ppm: int, passes_over: bool
) -> None:
    ranking = sorted([short(1001 + place, *size) for place, size in enumerate(sizes)], key=adl.turn)

    gifts = asked(ranking, lots, cash_atoms, share_ppm, poor=passes_over)

    closed = sum(gift.lots for gift in gifts)
    assert closed <= lots
    assert [gift.place for gift in gifts] == sorted({gift.place for gift in gifts})
    for gift in gifts:
        assert gift.candidate == ranking[gift.place - 1]
        assert 0 < gift.lots <= -gift.candidate.qty_lots
    if closed == lots:
        assert sum(gift.cash_atoms for gift in gifts) == cash_atoms
    if not passes_over:
        assert closed == min(lots, sum(-candidate.qty_lots for candidate in ranking))


@given(gains=st.lists(st.integers(1, 1_000), min_size=1, max_size=8), loss=st.integers(1, 9_000))
def test_a_loss_is_shared_exactly_and_nobody_bears_more_than_the_gain(gains: list[int], loss: int) -> None:
    shares = share_loss(loss, gains)

    assert sum(shares) == min(loss, sum(gains))
    for gain, share in zip(gains, shares, strict=True):
        assert 0 <= share <= gain
        assert abs(share * sum(gains) - min(loss, sum(gains)) * gain) < sum(gains)


@given(
    gains=st.lists(st.integers(1, 6), min_size=1, max_size=9),
    loss=st.integers(1, 50),
    at_a_time=st.integers(1, 10),
)
def test_those_who_won_most_bear_a_loss_and_the_next_ones_only_what_they_cannot(
    gains: list[int], loss: int, at_a_time: int
) -> None:
    winners = [Winner(AccountId(1000 + 7 * number % 10), Leg.NET, gain) for number, gain in enumerate(gains)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sharing, "SHARES_MAX", at_a_time)
        rounds = [*share_in_rounds(loss, winners)]

    asked = sorted(winners, key=lambda winner: (-winner.gain_atoms, winner.account))
    left = loss
    for number, shares in enumerate(rounds):
        some = sorted(asked[number * at_a_time : (number + 1) * at_a_time])
        borne = share_loss(left, [winner.gain_atoms for winner in some])
        assert shares == [(winner, atoms) for winner, atoms in zip(some, borne, strict=True) if atoms]
        assert shares
        left -= sum(borne)
    assert left == max(0, loss - sum(gains))


def test_one_round_of_few_bears_a_loss_however_many_have_won() -> None:
    winners = [Winner(AccountId(1000 + number), Leg.NET, 10 + number % 3) for number in range(5 * SHARES_MAX)]

    (shares,) = share_in_rounds(500, winners)

    assert len(shares) == 500
    assert {winner.gain_atoms for winner, _ in shares} == {12}
    assert shares == sorted(shares)
    assert max(winner.account for winner, _ in shares) == 1000 + 3 * 499 + 2


def test_of_equal_remainders_the_first_bears_the_atom() -> None:
    assert share_loss(4, [3, 3, 3]) == [2, 1, 1]
    # 10 * 2 / 7 = 2 6/7, 10 * 3 / 7 = 4 2/7 cannot be: at most the gains.
    assert share_loss(10, [2, 3, 2]) == [2, 3, 2]
    assert share_loss(5, [2, 4, 3]) == [1, 2, 2]

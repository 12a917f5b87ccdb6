"""Auto-deleveraging: in which order opposite positions give up lots to close a bankrupt one, and for what."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.scales import value_atoms
from steelyard.core.rounding import mul_div_down, ppm_down, ppm_up
from steelyard.core.units import PPM, AccountId, Leg

#: No score is beyond this on either side; who has no equity or no cash flow comes last, with minus this.
SCORE_MAX_PPM: Final = 10**18


class Candidate(NamedTuple):
    """An opposite position: its PnL at the mark, and the equity of its scope."""

    account: AccountId
    leg: Leg
    qty_lots: int
    gain_atoms: int
    equity_atoms: int
    score_ppm: int


class Gift(NamedTuple):
    """What a candidate gives: lots, and the cash that the bankrupt position gets for them (below zero: pays).

    The candidate, which stands at that place of the ranking (1 is first), gets the same with the other sign.
    """

    place: int
    candidate: Candidate
    lots: int
    cash_atoms: int


def score_ppm(gain_atoms: int, cash_flow_atoms: int, notional_atoms: int, equity_atoms: int) -> int:
    """Return how early an opposite position is closed: the higher, the earlier.

    ::

        gain  = floor(PnL * 10**6 / |cash_flow|)
        lev   = floor(N(|q|) * 10**6 / equity of the scope),   at least 1
        score = floor(gain * lev / 10**6) if PnL > 0, else floor(gain * 10**6 / lev)

    within ``SCORE_MAX_PPM`` on both sides.  Source: Binance's futures documentation.
    """
    if equity_atoms <= 0 or cash_flow_atoms == 0:
        return -SCORE_MAX_PPM
    gain_ppm = mul_div_down(gain_atoms, PPM, abs(cash_flow_atoms))
    leverage_ppm = max(1, mul_div_down(notional_atoms, PPM, equity_atoms))
    if gain_atoms > 0:
        return min(ppm_down(gain_ppm, leverage_ppm), SCORE_MAX_PPM)
    return max(mul_div_down(gain_ppm, PPM, leverage_ppm), -SCORE_MAX_PPM)


def turn(candidate: Candidate) -> tuple[int, AccountId, Leg]:
    """Return what candidates are ordered by: the score, the highest first, then the account, then the leg."""
    return -candidate.score_ppm, candidate.account, candidate.leg


def gifts(
    contract: Contract,
    mark_ticks: int,
    ranking: Iterable[Candidate],
    gaining: int,
    lots: int,
    cash_atoms: int,
    *,
    passes_over: bool,
) -> list[Gift]:
    """Return who of a ranking gives what, best first, so that ``lots`` lots are closed for ``cash_atoms``.

    In rounds: each in turn gives up to ``ceil(adl_share * |q| / 10**6)`` of its lots; in the first round only
    those with a gain, of whom there are ``gaining``, then all, until nothing is left to close or nobody has
    given in a round.  With ``passes_over``, nobody gives lots in a turn who would have less than nothing with
    them.  The cash of all ``d`` lots of one is ``floor(cash * d / lots)``, of the last one that gives what is
    left of it if all ``lots`` are closed.

    The ranking is gone through from its head each round, and only as far as somebody is asked.
    """
    share_ppm = contract.rules.liquidation.adl_share_ppm
    given: dict[int, tuple[Candidate, int]] = {}
    left_lots = lots
    takes_all = False
    while left_lots:
        before_lots = left_lots
        for place, candidate in enumerate(ranking, 1) if takes_all else _winners(ranking, gaining):
            all_lots = abs(candidate.qty_lots)
            before = given[place][1] if place in given else 0
            more = min(ppm_up(all_lots, share_ppm), all_lots - before, left_lots)
            if more == 0:
                continue
            if passes_over and _would_lack(
                contract, mark_ticks, candidate, before + more, mul_div_down(cash_atoms, before + more, lots)
            ):
                continue
            given[place] = candidate, before + more
            left_lots -= more
            if left_lots == 0:
                break
        if takes_all and left_lots == before_lots:
            break
        takes_all = True
    all_gifts = [
        Gift(place, candidate, each_lots, mul_div_down(cash_atoms, each_lots, lots))
        for place, (candidate, each_lots) in sorted(given.items())
    ]
    if left_lots == 0:
        rest_atoms = cash_atoms - sum(gift.cash_atoms for gift in all_gifts)
        all_gifts[-1] = all_gifts[-1]._replace(cash_atoms=all_gifts[-1].cash_atoms + rest_atoms)
    return all_gifts


def _winners(ranking: Iterable[Candidate], gaining: int) -> Iterator[tuple[int, Candidate]]:
    """Yield the ``gaining`` candidates with a gain, each with its place, and look at nobody behind."""
    places = enumerate(ranking, 1)
    while gaining:
        place, candidate = next(places)
        if candidate.gain_atoms > 0:
            gaining -= 1
            yield place, candidate


def _would_lack(
    contract: Contract, mark_ticks: int, candidate: Candidate, lots: int, cash_atoms: int
) -> bool:
    """Return whether a candidate's scope would have less than nothing with ``lots`` given for this cash."""
    qty_lots = candidate.qty_lots
    left_lots = qty_lots - lots if qty_lots > 0 else qty_lots + lots
    value_change_atoms = value_atoms(contract, left_lots, mark_ticks) - value_atoms(
        contract, qty_lots, mark_ticks
    )
    return candidate.equity_atoms + value_change_atoms - cash_atoms < 0

"""How a loss that nobody else bears is shared by those who have a gain."""

from collections.abc import Iterator
from heapq import nsmallest
from typing import NamedTuple

from steelyard.core.limits import SHARES_MAX
from steelyard.core.rounding import mul_div_down
from steelyard.core.units import AccountId, Leg


class Winner(NamedTuple):
    """Who has a gain above zero, and which."""

    account: AccountId
    leg: Leg
    gain_atoms: int


def share_in_rounds(loss_atoms: int, winners: list[Winner]) -> Iterator[list[tuple[Winner, int]]]:
    """Yield who bears what of a loss, round by round, each by account and leg.

    The ``SHARES_MAX`` with the largest gains (of equal ones the lower account, then leg) bear it as far as
    they can, then the next ones, until nothing or nobody is left.
    """
    asked = nsmallest(SHARES_MAX, winners, key=_turn) if len(winners) > SHARES_MAX else winners
    if asked is not winners and sum(winner.gain_atoms for winner in asked) < loss_atoms:
        asked = sorted(winners, key=_turn)
    for first in range(0, len(asked), SHARES_MAX):
        some = sorted(asked[first : first + SHARES_MAX])
        shares = share_loss(loss_atoms, [winner.gain_atoms for winner in some])
        yield [(winner, atoms) for winner, atoms in zip(some, shares, strict=True) if atoms]
        loss_atoms -= sum(shares)
        if loss_atoms == 0:
            return


def _turn(winner: Winner) -> tuple[int, AccountId, Leg]:
    return -winner.gain_atoms, winner.account, winner.leg


def share_loss(loss_atoms: int, gains_atoms: list[int]) -> list[int]:
    """Return what each of ``gains_atoms`` (above zero, in the order of ties) bears of a loss, in atoms.

    Pro rata, and nobody more than the gain: ``floor(loss * gain / sum)``, then one atom each by the largest
    remainder, then by the order given.  The shares sum to the loss, or to all gains if those are less.
    """
    all_atoms = sum(gains_atoms)
    if loss_atoms >= all_atoms:
        return list(gains_atoms)
    shares = [mul_div_down(loss_atoms, gain_atoms, all_atoms) for gain_atoms in gains_atoms]
    left_atoms = loss_atoms - sum(shares)
    # A remainder is below the sum, and the loss, too: one atom more is never more than the gain.
    by_remainder = sorted(
        range(len(shares)),
        key=lambda place: (shares[place] * all_atoms - loss_atoms * gains_atoms[place], place),
    )
    for place in by_remainder[:left_atoms]:
        shares[place] += 1
    return shares

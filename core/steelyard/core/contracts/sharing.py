"""How a loss that nobody else bears is shared by those who have a gain."""

from steelyard.core.rounding import mul_div_down


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

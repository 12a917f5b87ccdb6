"""The numbers that a check compared when it refused a command, and whether they say no."""

from collections.abc import Callable
from typing import Final

from steelyard.core import Reject
from steelyard.core.commands import Skip
from steelyard.ops.explain.compared_asking import ASKING
from steelyard.ops.explain.compared_listing import LISTING
from steelyard.ops.explain.compared_margin import MARGIN
from steelyard.ops.explain.compared_orders import ORDERS
from steelyard.ops.explain.refusals import Refusal
from steelyard.ops.explain.telling import Explanation

#: Who explains which reason; the others have no numbers.
COMPARERS: Final[dict[Reject, Callable[[Explanation, Refusal], None]]] = {
    **ASKING,
    **LISTING,
    **ORDERS,
    **MARGIN,
}


def compare(told: Explanation, refusal: Refusal) -> None:
    """Add the numbers that the check compared, and whether they say no.

    What was skipped was refused before it came into the log: nothing of that is known here.
    """
    found = COMPARERS.get(refusal.reason)
    if found is not None and not isinstance(refusal.command, Skip):
        found(told, refusal)

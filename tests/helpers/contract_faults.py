"""A group in which contracts can be listed, and what is refused there, in its order."""

from typing import Final

from tests.helpers.builders import BTC, USD, Venue, founded, listing, refusal
from tests.helpers.contracts import BTC_INDEX

from steelyard.core import Reject, versions
from steelyard.core.commands import AnyCommand, ListAsset, ListIndex
from steelyard.core.units import AccountId

INDEX: Final = ListIndex(index=BTC_INDEX, symbol="BTC", tick_mantissa=1, tick_decimals=0)


def venue_with_assets(*, decimals: int = 8, index: ListIndex = INDEX) -> Venue:
    """Return a group of version 3 with two assets, an index and a spot instrument."""
    venue = founded(versions.DERIVATIVES)
    venue.accepted(ListAsset(asset=BTC, symbol="BTC", decimals=decimals))
    venue.accepted(ListAsset(asset=USD, symbol="USD", decimals=decimals))
    venue.accepted(index)
    venue.accepted(listing())
    return venue


def refuses(venue: Venue, command: AnyCommand, reason: Reject) -> None:
    """Assert that an operator's command is refused and leaves everything as it was."""
    before = venue.business()
    assert refusal(venue.operate(command)) == reason
    assert venue.business() == before


def faults_in_order(venue: Venue, account: AccountId, faulty: list[tuple[AnyCommand, Reject]]) -> None:
    """Assert that each command, which has all faults from its own on, is refused for its own, and late first.

    The first one is malformed; the second is what a customer asks, the third what an operator asks too late.
    """
    for command, reason in faulty:
        refuses(venue, command, reason)
    wrong = faulty[1][0]
    late = venue.request(account, wrong, not_after_ns=1)
    assert refusal(venue.send(late)[0]) == Reject.TOO_LATE
    assert refusal(venue.ask(account, wrong)) == Reject.NOT_PERMITTED
    malformed = venue.request(account, faulty[0][0], not_after_ns=1)
    assert refusal(venue.send(malformed)[0]) == Reject.MALFORMED

"""What common orders about positions are not asked, because it is plain: only where it would say nothing."""

from typing import Final

import pytest
from tests.helpers.builders import ALICE, BOB, order, refusal
from tests.helpers.contracts import PERP, ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core import Reject
from steelyard.core.commands import MarginTerms, MarginTier, SetLeverage
from steelyard.core.entry import Accepted, Placed
from steelyard.core.events import AnyEvent, RiskLevelChanged
from steelyard.core.units import AccountId, InstrumentId, RiskLevel, Side

OTHER_PERP: Final = InstrumentId(4)
ONE_TIER: Final = [MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)]
TWO_TIERS: Final = [*ONE_TIER, MarginTier(floor_atoms=2_000, maintenance_ppm=20_000, initial_ppm=40_000)]


def placed(
    venue: ContractVenue,
    account: AccountId,
    side: Side,
    number: int,
    size_lots: int,
    limit_ticks: int = 100,
    instrument: InstrumentId = PERP,
) -> list[AnyEvent]:
    """Place an order that is taken, and return what happened."""
    asked = order(side, number, size_lots, limit_ticks, account=account, instrument=instrument)
    outcome = venue.ask(account, asked)
    assert isinstance(outcome.reply, Placed), outcome
    return outcome.events


def levels(events: list[AnyEvent]) -> list[tuple[AccountId, RiskLevel]]:
    """Return whose level has changed to which."""
    return [(event.account, event.after) for event in events if isinstance(event, RiskLevelChanged)]


@pytest.mark.parametrize(
    ("tiers", "leverage", "size_lots", "needed_atoms"),
    [
        (ONE_TIER, 0, 100, 200),
        (ONE_TIER, 20, 100, 500),
        (ONE_TIER, 30, 100, 334),
        (ONE_TIER, 50, 100, 200),
        (TWO_TIERS, 0, 19, 38),
        (TWO_TIERS, 0, 20, 40),
        (TWO_TIERS, 0, 100, 360),
        (TWO_TIERS, 20, 100, 500),
    ],
)
def test_a_common_order_needs_initial_margin_to_the_atom(
    tiers: list[MarginTier], leverage: int, size_lots: int, needed_atoms: int
) -> None:
    rules = contract_rules(margin=MarginTerms(tiers=tiers))
    venue = contract_market(perpetual(rules=rules), wallet_atoms=0)
    venue.pay_in(ALICE, needed_atoms - 1)
    if leverage:
        chosen = SetLeverage(account=ALICE, instrument=PERP, leverage=leverage)
        assert isinstance(venue.ask(ALICE, chosen).reply, Accepted)
    # The margin knows the position by an order on the other side, which needs less.
    placed(venue, ALICE, Side.BUY, 1, 1, 90)
    asked = order(Side.SELL, 2, size_lots, 100, account=ALICE, instrument=PERP)

    assert refusal(venue.ask(ALICE, asked)) is Reject.INSUFFICIENT_MARGIN
    venue.pay_in(ALICE, 1)
    assert isinstance(venue.ask(ALICE, asked).reply, Placed)


def test_a_mark_finds_who_has_traded_far_from_every_level() -> None:
    venue = contract_market(wallet_atoms=1_000)
    venue.pay_in(BOB, 100_000)
    placed(venue, BOB, Side.SELL, 1, 10)
    placed(venue, ALICE, Side.BUY, 1, 10)
    # From here on the index knows how far the mark may fall for ten lots.
    assert levels(venue.mark(101).events) == []
    placed(venue, BOB, Side.SELL, 2, 90)
    assert levels(placed(venue, ALICE, Side.BUY, 2, 90)) == []

    # Equity is 100, and 91 are needed.
    assert levels(venue.mark(91).events) == [(ALICE, RiskLevel.CRITICAL)]


def test_a_maker_is_judged_with_all_positions_of_the_wallet() -> None:
    other = perpetual(instrument=OTHER_PERP, symbol="BTC-OTHER")
    venue = contract_market(perpetual(), other, wallet_atoms=1_000)
    venue.pay_in(BOB, 100_000)
    placed(venue, BOB, Side.SELL, 1, 50, instrument=OTHER_PERP)
    placed(venue, ALICE, Side.BUY, 1, 50, instrument=OTHER_PERP)
    placed(venue, ALICE, Side.BUY, 2, 30)
    assert levels(venue.mark(82, OTHER_PERP).events) == []

    # Equity is 100; the other contract needs 41 of it, and what is filled now 30.
    assert levels(placed(venue, BOB, Side.SELL, 2, 30)) == [(ALICE, RiskLevel.WARNING)]

"""What nobody could pay is paid by the insurance fund as soon as it comes to something."""

from typing import Final

from tests.helpers.builders import ALICE, BOB, CAROL, USD, kinds, order, refusal
from tests.helpers.contracts import PERP, ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core import Reject
from steelyard.core.commands import FundInsurance, LiquidationTerms, MarginTerms, MarginTier, MoveMargin
from steelyard.core.entry import Placed
from steelyard.core.events import (
    DebtRepaid,
    DebtTaken,
    InsuranceFunded,
    LiquidationPaid,
    LiquidationStepped,
    WithdrawalGateSet,
)
from steelyard.core.limits import GATE_NS
from steelyard.core.units import AccountId, InstrumentId, InstrumentState, Side

OTHER_PERP: Final = InstrumentId(5)
DEBT_ATOMS: Final = 180
OUTWARD: Final = MoveMargin(account=BOB, asset=USD, amount_atoms=-1)


def deal(venue: ContractVenue, buyer: AccountId, lots: int, price: int, instrument: InstrumentId) -> None:
    """Let an account buy from BOB."""
    number = venue.exchange.state.last_number + 1
    for account, side in ((BOB, Side.SELL), (buyer, Side.BUY)):
        placed = venue.ask(account, order(side, number, lots, price, account=account, instrument=instrument))
        assert isinstance(placed.reply, Placed), placed


def indebted() -> ContractVenue:
    """Return a market of two contracts, of which one was closed while ALICE owed more than she had.

    Nothing was ever closed for her in a step, so nobody has to bear it.
    """
    margin = MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=15_000)])
    rules = contract_rules(margin=margin, liquidation=LiquidationTerms(penalty_ppm=5_000))
    venue = contract_market(
        perpetual(rules=rules),
        perpetual(rules=rules, instrument=OTHER_PERP, symbol="OTHER"),
        wallet_atoms=0,
    )
    for account, atoms in ((ALICE, 20), (BOB, 1_000_000), (CAROL, 1_950)):
        venue.pay_in(account, atoms)
    deal(venue, ALICE, 10, 100, PERP)
    deal(venue, CAROL, 1_000, 100, OTHER_PERP)
    venue.move(InstrumentState.HALTED, instrument=PERP)
    venue.mark(80)
    venue.move(InstrumentState.CLOSED, instrument=PERP)
    events = venue.tick() + venue.tick()
    assert [each.debt_atoms for each in events if isinstance(each, DebtTaken)] == [DEBT_ATOMS]
    house = venue.exchange.state.ledger.houses[USD]
    assert (house.insurance_atoms, house.debt_atoms, house.gate_on) == (0, -DEBT_ATOMS, True)
    return venue


def test_what_is_paid_into_the_fund_repays_the_debt_first_and_then_the_gate_opens_in_a_while() -> None:
    venue = indebted()
    house = venue.exchange.state.ledger.houses[USD]

    part = venue.operate(FundInsurance(asset=USD, amount_atoms=100))

    assert part.events == [
        InsuranceFunded(asset=USD, amount_atoms=100, insurance_atoms=100),
        DebtRepaid(asset=USD, atoms=100),
    ]
    assert (house.insurance_atoms, house.debt_atoms, house.gate_ns) == (0, -80, 0)
    venue.tick(after_ns=2 * GATE_NS)
    assert refusal(venue.ask(BOB, OUTWARD)) is Reject.WITHDRAWAL_GATE

    rest = venue.operate(FundInsurance(asset=USD, amount_atoms=100))

    assert rest.events[1:] == [DebtRepaid(asset=USD, atoms=80)]
    assert (house.insurance_atoms, house.debt_atoms) == (20, 0)
    assert house.peak_atoms == 20, "what repays a debt was never the fund's own"
    repaid_ns = venue.exchange.time_ns
    assert house.gate_ns == repaid_ns + GATE_NS
    assert refusal(venue.ask(BOB, OUTWARD)) is Reject.WITHDRAWAL_GATE
    left_ns = repaid_ns + GATE_NS - venue.exchange.time_ns
    assert WithdrawalGateSet(asset=USD, on=False) not in venue.tick(after_ns=left_ns - 1)
    assert WithdrawalGateSet(asset=USD, on=False) in venue.tick(after_ns=1)
    assert venue.ask(BOB, OUTWARD).events


def test_what_the_fund_earns_by_a_step_repays_the_debt_after_the_judging() -> None:
    venue = indebted()
    bid = order(Side.BUY, 90, 2_000, 99, account=BOB, instrument=OTHER_PERP)
    assert isinstance(venue.ask(BOB, bid).reply, Placed)
    # CAROL has 950 left at 99, where 1,000 lots need 990.
    venue.mark(99, OTHER_PERP)
    events = venue.tick()

    (paid,) = [each for each in events if isinstance(each, LiquidationPaid)]
    (repaid,) = [each for each in events if isinstance(each, DebtRepaid)]
    assert 0 < paid.insurance_atoms == repaid.atoms < DEBT_ATOMS
    assert kinds(events)[-3:] == ["LiquidationEnded", "RiskLevelChanged", "DebtRepaid"]
    house = venue.exchange.state.ledger.houses[USD]
    assert (house.insurance_atoms, house.debt_atoms) == (0, repaid.atoms - DEBT_ATOMS)
    assert house.gate_ns == 0


def test_a_debt_of_one_asset_is_not_paid_by_the_fund_of_another() -> None:
    venue = indebted()

    outcome = venue.operate(FundInsurance(asset=venue.instrument().base, amount_atoms=100))

    assert kinds(outcome.events) == ["InsuranceFunded"]
    assert venue.exchange.state.ledger.houses[USD].debt_atoms == -DEBT_ATOMS


def test_where_no_price_is_high_enough_nothing_is_sent_and_the_fund_gives_nothing() -> None:
    margin = MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=15_000)])
    rules = contract_rules(margin=margin, liquidation=LiquidationTerms(penalty_ppm=5_000))
    venue = contract_market(
        perpetual(rules=rules, price_max_ticks=110),
        perpetual(rules=rules, instrument=OTHER_PERP, symbol="OTHER"),
        wallet_atoms=0,
    )
    for account, atoms in ((ALICE, 2_000), (BOB, 1_000_000)):
        venue.pay_in(account, atoms)
    deal(venue, ALICE, 100, 100, PERP)
    deal(venue, ALICE, 1_000, 100, OTHER_PERP)
    venue.operate(FundInsurance(asset=USD, amount_atoms=10))
    bid = order(Side.BUY, 90, 50, 110, account=CAROL, instrument=PERP)
    venue.pay_in(CAROL, 10_000)
    assert isinstance(venue.ask(CAROL, bid).reply, Placed)
    venue.move(InstrumentState.HALTED, instrument=OTHER_PERP)

    # Her loss there is more than what any price here could bring.
    venue.mark(50, OTHER_PERP)
    events = [*venue.tick(), *venue.tick(), *venue.tick()]

    (step,) = (each for each in events if isinstance(each, LiquidationStepped))
    assert (step.instrument, step.lots, step.limit_ticks) == (PERP, 100, 0)
    assert step.bankruptcy_atoms > 100 * 110
    assert not {"Traded", "LiquidationPaid", "OrderAccepted"} & set(kinds(events))
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == 10

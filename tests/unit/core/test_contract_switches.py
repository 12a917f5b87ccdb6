"""New orders are switched off and on again, and the insurance fund is paid into and out of."""

from tests.helpers.builders import ALICE, BTC_USD, USD
from tests.helpers.contract_faults import faults_in_order, refuses, venue_with_assets

from steelyard.core import Reject
from steelyard.core.commands import AnyCommand, Deposit, FundInsurance, SetKillSwitch
from steelyard.core.entry import Accepted
from steelyard.core.events import InsuranceFunded, KillSwitchSet
from steelyard.core.limits import INTEGER_MAX, OMNIBUS_ATOMS_MAX, PEAK_NS
from steelyard.core.units import FIRST_CUSTOMER, AccountId, AssetId, InstrumentId

# --- kill switches ----------------------------------------------------------------------------------------


def test_switches_are_set_and_taken_back_and_say_so_again() -> None:
    venue = venue_with_assets()
    venue.open_account(ALICE)
    state = venue.exchange.state
    for account, instrument in ((0, 0), (int(ALICE), 0), (0, int(BTC_USD))):
        scope = (AccountId(account), InstrumentId(instrument))
        for on in (True, True, False, False):
            command = SetKillSwitch(on=on, account=scope[0], instrument=scope[1])
            assert venue.operate(command).events == [
                KillSwitchSet(on=on, account=scope[0], instrument=scope[1])
            ]
            assert (scope in state.kill_switches) == on


def test_faults_of_a_switch_come_in_their_order() -> None:
    venue = venue_with_assets()
    venue.open_account(ALICE)
    nobody, nowhere = AccountId(5000), InstrumentId(77)
    faulty: list[tuple[AnyCommand, Reject]] = [
        (SetKillSwitch(on=True, account=nobody, instrument=nowhere), Reject.MALFORMED),
        (SetKillSwitch(on=True, account=nobody), Reject.UNKNOWN_ACCOUNT),
        (SetKillSwitch(on=True, instrument=nowhere), Reject.UNKNOWN_INSTRUMENT),
    ]
    faults_in_order(venue, ALICE, faulty)
    refuses(venue, SetKillSwitch(on=True, account=AccountId(2)), Reject.UNKNOWN_ACCOUNT)


# --- the insurance fund -----------------------------------------------------------------------------------


def test_the_fund_is_paid_into_and_out_of_against_the_outside_world() -> None:
    venue = venue_with_assets()
    house = venue.exchange.state.ledger.houses[USD]
    for amount_atoms, has_atoms in ((500, 500), (-200, 300), (-300, 0)):
        outcome = venue.operate(FundInsurance(asset=USD, amount_atoms=amount_atoms))
        assert isinstance(outcome.reply, Accepted)
        assert outcome.events == [
            InsuranceFunded(asset=USD, amount_atoms=amount_atoms, insurance_atoms=has_atoms)
        ]
        assert house.insurance_atoms == -house.omnibus_atoms == has_atoms


def test_faults_of_funding_come_in_their_order() -> None:
    venue = venue_with_assets()
    venue.open_account(ALICE)
    nothing, too_much = AssetId(77), INTEGER_MAX + 1
    faulty: list[tuple[AnyCommand, Reject]] = [
        (FundInsurance(asset=nothing, amount_atoms=0), Reject.MALFORMED),
        (FundInsurance(asset=nothing, amount_atoms=too_much), Reject.UNKNOWN_ASSET),
        (FundInsurance(asset=USD, amount_atoms=too_much), Reject.AMOUNT_OUT_OF_RANGE),
        (FundInsurance(asset=USD, amount_atoms=-too_much), Reject.AMOUNT_OUT_OF_RANGE),
        (FundInsurance(asset=USD, amount_atoms=OMNIBUS_ATOMS_MAX + 1), Reject.BALANCE_LIMIT),
        (FundInsurance(asset=USD, amount_atoms=-1), Reject.INSUFFICIENT_FUNDS),
    ]
    faults_in_order(venue, ALICE, faulty)


def test_the_fund_and_customers_share_one_bound_of_the_outside_world() -> None:
    venue = venue_with_assets()
    venue.open_account(FIRST_CUSTOMER)
    venue.accepted(FundInsurance(asset=USD, amount_atoms=OMNIBUS_ATOMS_MAX - 5))
    refuses(venue, FundInsurance(asset=USD, amount_atoms=6), Reject.BALANCE_LIMIT)
    refuses(venue, Deposit(account=FIRST_CUSTOMER, asset=USD, amount_atoms=6), Reject.BALANCE_LIMIT)
    venue.accepted(Deposit(account=FIRST_CUSTOMER, asset=USD, amount_atoms=5))


def test_the_peak_of_the_fund_is_the_highest_of_eight_hours() -> None:
    venue = venue_with_assets()
    house = venue.exchange.state.ledger.houses[USD]

    def fund(amount_atoms: int) -> tuple[int, int]:
        venue.accepted(FundInsurance(asset=USD, amount_atoms=amount_atoms))
        return house.peak_atoms, venue.exchange.time_ns - house.peak_ns

    assert fund(500) == (500, 0)
    assert fund(-100)[0] == 500
    assert fund(50)[0] == 500
    assert fund(100) == (550, 0)
    venue.tick(after_ns=PEAK_NS - 2000)
    assert fund(-200)[0] == 550
    assert fund(-1) == (350, 0)

"""Leverage and modes of positions, margin wallets and buckets."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, USD, buy, listing, refusal, sell
from tests.helpers.contracts import PERP, ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    MarginTerms,
    MarginTier,
    MoveMargin,
    PlaceContractOrder,
    SetContractModes,
    SetFrozen,
    SetLegalHold,
    SetLeverage,
)
from steelyard.core.contracts import equity
from steelyard.core.events import (
    BucketAdjusted,
    ContractModesSet,
    LeverageSet,
    MarginMoved,
    PositionsTraded,
    RiskLevelChanged,
)
from steelyard.core.exchange import HANDLERS
from steelyard.core.limits import INTEGER_MAX, POSITIONS_PER_MARGIN_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FEES,
    OPERATOR,
    AccountId,
    AssetId,
    InstrumentId,
    Leg,
    LiquidationId,
    MarginMode,
    OrderId,
    OrderKind,
    Permission,
    RiskLevel,
    Side,
    TimeInForce,
)

NOWHERE = InstrumentId(99)
NOBODY = AccountId(5_000)
ISOLATED, CROSS = MarginMode.ISOLATED, MarginMode.CROSS
#: Until a notional of 10_000 at most 50 times, from there at most 10 times.
TIERS = MarginTerms(
    tiers=[
        MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000),
        MarginTier(floor_atoms=10_000, maintenance_ppm=50_000, initial_ppm=100_000),
    ]
)


def leverage(times: int, leg: Leg = Leg.NET) -> SetLeverage:
    return SetLeverage(account=ALICE, instrument=PERP, leverage=times, leg=leg)


def modes(margin: MarginMode = CROSS, *, hedge: bool = False) -> SetContractModes:
    return SetContractModes(account=ALICE, instrument=PERP, margin=margin, hedge=hedge)


def move(atoms: int) -> MoveMargin:
    return MoveMargin(account=ALICE, asset=USD, amount_atoms=atoms)


def adjust(atoms: int, leg: Leg = Leg.NET) -> AdjustBucket:
    return AdjustBucket(account=ALICE, instrument=PERP, amount_atoms=atoms, leg=leg)


def do(venue: ContractVenue, command: AnyCommand) -> None:
    """Have Alice do something that must be accepted."""
    outcome = venue.ask(ALICE, command)
    assert outcome.events, outcome


def trade(
    venue: ContractVenue,
    lots: int,
    price_ticks: int,
    leg: Leg = Leg.NET,
    other: AccountId = BOB,
    *,
    reduce_only: bool = False,
) -> PositionsTraded:
    """Let Alice buy (above zero) or sell lots from another account at a price."""
    number = venue.exchange.state.last_number + 1
    given = sell if lots > 0 else buy
    venue.place(other, msgspec.structs.replace(given(number, abs(lots), price_ticks), instrument=PERP))
    outcome = venue.ask(
        ALICE,
        PlaceContractOrder(
            account=ALICE,
            instrument=PERP,
            order=OrderId(number),
            side=Side.BUY if lots > 0 else Side.SELL,
            size_lots=abs(lots),
            limit_ticks=price_ticks,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.IOC,
            leg=leg,
            reduce_only=reduce_only,
        ),
    )
    found = [event for event in outcome.events if isinstance(event, PositionsTraded)]
    assert len(found) == 1, outcome
    return found[0]


def money(venue: ContractVenue) -> tuple[int, int, int]:
    """Return Alice's free dollars, her margin wallet and the bucket of her one position."""
    return venue.free_atoms(ALICE, USD), venue.margin(ALICE).wallet_atoms, venue.position(ALICE).bucket_atoms


def unchanged(venue: ContractVenue, account: AccountId, command: AnyCommand) -> Reject:
    """Return why a command is refused, after which nothing but the session is another."""
    before = venue.business()
    reason = refusal(venue.ask(account, command))
    assert venue.business() == before
    venue.exchange.check_invariants()
    return reason


def isolated(lots: int = 10, price_ticks: int = 100, wallet_atoms: int = 1_000) -> ContractVenue:
    """Return a market in which Alice has an isolated position of leverage 5."""
    venue = contract_market(perpetual(rules=contract_rules(margin=TIERS)), wallet_atoms=wallet_atoms)
    venue.pay_in(BOB, 1_000_000)
    do(venue, modes(ISOLATED))
    do(venue, leverage(5))
    if lots:
        trade(venue, lots, price_ticks)
    return venue


# --- who may ask, and about what --------------------------------------------------------------------------


def kind(given: object) -> str:
    return type(given).__name__


def fault(venue: ContractVenue, command: AnyCommand) -> Reject | None:
    """Return why the handler alone would refuse Alice's command, whatever the rest of the state is like."""
    state = venue.exchange.state
    key = state.keys[venue.keys[ALICE]]
    reply = HANDLERS[type(command)](state, command, venue.request(ALICE, command), key, [])
    return reply if isinstance(reply, Reject) else None


@pytest.mark.parametrize("command", [leverage(3), modes(), move(1), adjust(1)], ids=kind)
def test_the_first_checks_are_those_of_all_commands(command: AnyCommand) -> None:
    venue = contract_market()
    late = venue.ask(ALICE, msgspec.structs.replace(command, account=BOB), not_after_ns=1)
    assert refusal(late) == Reject.TOO_LATE
    assert unchanged(venue, BOB, command) == Reject.NOT_PERMITTED
    for nobody in (NOBODY, FEES):
        strange = msgspec.structs.replace(command, account=nobody)
        assert unchanged(venue, OPERATOR, strange) == Reject.UNKNOWN_ACCOUNT


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (leverage(3), Permission.TRADE),
        (modes(), Permission.TRADE),
        (move(1), Permission.TRANSFER),
        (adjust(1), Permission.TRADE),
    ],
    ids=kind,
)
def test_a_key_needs_the_permission_and_an_operator_does_not(command: AnyCommand, needed: Permission) -> None:
    venue = isolated()
    both = Permission.TRADE | Permission.TRANSFER
    key = venue.keys[ALICE]
    venue.keys[ALICE] = venue.create_key(ALICE, int(both & ~needed))
    assert unchanged(venue, ALICE, command) == Reject.NOT_PERMITTED
    venue.keys[ALICE] = key

    if not isinstance(command, SetContractModes):
        assert venue.operate(command).events
    else:
        assert unchanged(venue, OPERATOR, command) == Reject.POSITION_NOT_EMPTY


@pytest.mark.parametrize("command", [leverage(3), modes(), adjust(1)], ids=kind)
def test_there_must_be_such_a_contract(command: AnyCommand) -> None:
    venue = contract_market()
    venue.accepted(listing(instrument=BTC_USD))

    unknown = msgspec.structs.replace(command, instrument=NOWHERE)
    assert unchanged(venue, ALICE, unknown) == Reject.UNKNOWN_INSTRUMENT
    spot = msgspec.structs.replace(command, instrument=BTC_USD)
    assert unchanged(venue, ALICE, spot) == Reject.NOT_THIS_KIND


# --- leverage ---------------------------------------------------------------------------------------------


def test_a_leverage_is_said_and_zero_takes_it_back() -> None:
    venue = contract_market(wallet_atoms=0)
    before = venue.business()

    assert venue.ask(ALICE, leverage(7)).events == [
        LeverageSet(account=ALICE, instrument=PERP, leg=Leg.NET, leverage=7, bucket_atoms=0)
    ]
    assert venue.position(ALICE).leverage == 7

    do(venue, leverage(0))
    assert venue.business() == before


def test_a_leverage_below_zero_makes_no_sense_whoever_asks() -> None:
    assert unchanged(contract_market(), BOB, leverage(-1)) == Reject.MALFORMED


@pytest.mark.parametrize(("hedge", "leg"), [(False, Leg.LONG), (False, Leg.SHORT), (True, Leg.NET)])
def test_a_leverage_is_that_of_a_leg_there_is(hedge: bool, leg: Leg) -> None:
    venue = contract_market()
    do(venue, modes(hedge=hedge))

    assert unchanged(venue, ALICE, leverage(3, leg)) == Reject.UNKNOWN_POSITION


@pytest.mark.parametrize(("lots", "highest"), [(0, 50), (99, 50), (100, 10)])
def test_the_tier_of_the_worst_case_bounds_leverage(lots: int, highest: int) -> None:
    """Row P7: with 100 lots at 100 the position would be in the second tier."""
    venue = contract_market(perpetual(rules=contract_rules(margin=TIERS)))
    if lots:
        venue.place(ALICE, msgspec.structs.replace(buy(1, lots, 90), instrument=PERP))

    assert unchanged(venue, ALICE, leverage(highest + 1)) == Reject.LEVERAGE_OUT_OF_RANGE
    do(venue, leverage(highest))


def test_a_margin_knows_so_many_positions() -> None:
    venue = contract_market()
    margin = venue.exchange.state.accounts[ALICE].margin(USD)
    for other in range(100, 100 + POSITIONS_PER_MARGIN_MAX):
        margin.position(InstrumentId(other), Leg.NET).leverage = 5

    assert fault(venue, leverage(51)) == Reject.LEVERAGE_OUT_OF_RANGE
    assert fault(venue, leverage(5)) == Reject.TOO_MANY_POSITIONS
    assert fault(venue, modes(ISOLATED)) == Reject.TOO_MANY_POSITIONS
    assert fault(venue, modes(CROSS)) is None
    del margin.positions[InstrumentId(100), Leg.NET]
    assert fault(venue, modes(CROSS, hedge=True)) == Reject.TOO_MANY_POSITIONS
    assert fault(venue, leverage(5)) is None
    assert fault(venue, modes(ISOLATED)) is None
    assert fault(venue, modes(ISOLATED, hedge=True)) == Reject.TOO_MANY_POSITIONS


def test_cross_leverage_changes_only_while_what_is_used_is_covered() -> None:
    """Row P7: 10 lots at 100 with 200 in the wallet can have leverage 5, and not 4."""
    venue = contract_market(wallet_atoms=200)
    venue.pay_in(BOB, 1_000_000)
    trade(venue, 10, 100)

    assert unchanged(venue, ALICE, leverage(4)) == Reject.INSUFFICIENT_MARGIN
    do(venue, leverage(5))
    assert equity.available_atoms(venue.margin(ALICE), venue.exchange.state.markets.instruments) == 0


def test_a_leverage_that_asks_for_less_is_taken_below_zero_too() -> None:
    venue = contract_market(wallet_atoms=200)
    venue.pay_in(BOB, 1_000_000)
    trade(venue, 10, 100)
    do(venue, leverage(5))
    venue.mark(90)

    assert unchanged(venue, ALICE, leverage(4)) == Reject.INSUFFICIENT_MARGIN
    do(venue, leverage(5))
    do(venue, leverage(6))


def test_an_isolated_position_draws_what_a_lower_leverage_asks_for() -> None:
    venue = isolated()
    assert money(venue)[1:] == (800, 200)

    assert venue.ask(ALICE, leverage(2)).events == [
        LeverageSet(account=ALICE, instrument=PERP, leg=Leg.NET, leverage=2, bucket_atoms=300)
    ]
    assert money(venue)[1:] == (500, 500)
    do(venue, leverage(10))
    assert money(venue)[1:] == (500, 500)
    do(venue, leverage(1))
    assert money(venue)[1:] == (0, 1_000)


def test_what_it_draws_must_be_there() -> None:
    venue = isolated(wallet_atoms=999)

    assert unchanged(venue, ALICE, leverage(1)) == Reject.INSUFFICIENT_MARGIN


def test_nobody_changes_the_leverage_of_what_the_engine_has() -> None:
    venue = isolated()
    position = venue.position(ALICE)
    position.level, position.liquidation = RiskLevel.LIQUIDATING, LiquidationId(1)

    assert fault(venue, leverage(5)) == Reject.RISK_LEVEL
    assert fault(venue, leverage(51)) == Reject.LEVERAGE_OUT_OF_RANGE
    assert fault(venue, adjust(INTEGER_MAX + 1)) == Reject.RISK_LEVEL


# --- modes ------------------------------------------------------------------------------------------------


def test_modes_come_and_go_without_a_trace() -> None:
    venue = contract_market(wallet_atoms=0)
    before = venue.business()

    assert venue.ask(ALICE, modes(ISOLATED, hedge=True)).events == [
        ContractModesSet(account=ALICE, instrument=PERP, margin=ISOLATED, hedge=True)
    ]
    assert [leg for _, leg in venue.margin(ALICE).positions] == [Leg.LONG, Leg.SHORT]
    assert all(position.is_isolated for position in venue.margin(ALICE).positions.values())
    venue.exchange.check_invariants()
    do(venue, modes(CROSS, hedge=True))
    assert len(venue.margin(ALICE).positions) == 2
    venue.exchange.check_invariants()
    do(venue, modes(ISOLATED))
    assert [leg for _, leg in venue.margin(ALICE).positions] == [Leg.NET]
    venue.exchange.check_invariants()

    do(venue, modes())
    assert venue.business() == before


def test_a_leg_that_stays_keeps_its_leverage_and_new_ones_have_none() -> None:
    venue = contract_market()
    do(venue, leverage(7))
    do(venue, modes(ISOLATED))
    assert venue.position(ALICE).leverage == 7

    do(venue, modes(ISOLATED, hedge=True))

    assert [venue.position(ALICE, leg=leg).leverage for leg in Leg] == [0, 0, 0]


def test_modes_stay_while_there_are_lots() -> None:
    venue = contract_market()
    trade(venue, 1, 100)
    assert unchanged(venue, ALICE, modes(ISOLATED)) == Reject.POSITION_NOT_EMPTY
    assert unchanged(venue, ALICE, modes(CROSS)) == Reject.POSITION_NOT_EMPTY
    trade(venue, -1, 100)
    do(venue, modes(ISOLATED, hedge=True))


def test_an_open_order_keeps_the_modes() -> None:
    venue = contract_market()
    venue.place(ALICE, msgspec.structs.replace(buy(1, 1, 90), instrument=PERP))

    assert unchanged(venue, ALICE, modes(ISOLATED)) == Reject.POSITION_NOT_EMPTY
    venue.cancel(ALICE, 1)
    do(venue, modes(ISOLATED))


def test_a_debt_that_is_not_taken_yet_keeps_the_modes() -> None:
    venue = isolated(lots=0)
    venue.position(ALICE).bucket_atoms = -1

    assert fault(venue, modes()) == Reject.POSITION_NOT_EMPTY


# --- wallets ----------------------------------------------------------------------------------------------


def test_margin_moves_in_and_out_and_says_what_is_where() -> None:
    venue = contract_market(wallet_atoms=0, funds_atoms=1_000)
    before = venue.business()

    assert venue.ask(ALICE, move(700)).events == [
        MarginMoved(account=ALICE, asset=USD, amount_atoms=700, free_atoms=300, wallet_atoms=700)
    ]
    assert venue.ask(ALICE, move(-700)).events == [
        MarginMoved(account=ALICE, asset=USD, amount_atoms=-700, free_atoms=1_000, wallet_atoms=0)
    ]
    assert venue.business() == before


def test_moving_nothing_makes_no_sense_whoever_asks() -> None:
    assert unchanged(contract_market(), BOB, move(0)) == Reject.MALFORMED


def test_no_margin_moves_of_who_is_stopped() -> None:
    venue = contract_market()
    unlisted = MoveMargin(account=ALICE, asset=AssetId(99), amount_atoms=1)
    assert unchanged(venue, ALICE, unlisted) == Reject.UNKNOWN_ASSET
    venue.accepted(SetFrozen(account=ALICE, frozen=True))
    assert unchanged(venue, ALICE, unlisted) == Reject.ACCOUNT_FROZEN
    venue.accepted(SetLegalHold(account=ALICE, on=True))
    assert unchanged(venue, ALICE, unlisted) == Reject.LEGAL_HOLD


def test_amounts_are_bounded_and_covered() -> None:
    venue = contract_market(wallet_atoms=100, funds_atoms=1_000)

    assert unchanged(venue, ALICE, move(INTEGER_MAX + 1)) == Reject.AMOUNT_OUT_OF_RANGE
    assert unchanged(venue, ALICE, move(-INTEGER_MAX - 1)) == Reject.AMOUNT_OUT_OF_RANGE
    assert unchanged(venue, ALICE, move(901)) == Reject.INSUFFICIENT_FUNDS
    assert unchanged(venue, ALICE, move(-101)) == Reject.INSUFFICIENT_MARGIN
    nothing = MoveMargin(account=ALICE, asset=BTC, amount_atoms=-1)
    assert unchanged(venue, ALICE, nothing) == Reject.INSUFFICIENT_MARGIN


def test_unrealised_profit_does_not_leave_and_a_tenth_of_the_notional_stays() -> None:
    """Row P8: 10 lots at 100 that are worth 120."""
    venue = contract_market(wallet_atoms=500)
    venue.pay_in(BOB, 1_000_000)
    trade(venue, 10, 100)
    venue.mark(120)

    assert unchanged(venue, ALICE, move(-381)) == Reject.INSUFFICIENT_MARGIN
    do(venue, move(-380))


def test_nothing_leaves_from_danger_on_or_through_a_closed_gate() -> None:
    venue = contract_market(wallet_atoms=500)
    margin = venue.margin(ALICE)
    margin.level = RiskLevel.DANGER
    assert fault(venue, move(-501)) == Reject.RISK_LEVEL
    venue.exchange.state.ledger.houses[USD].gate_on = True
    assert fault(venue, move(-501)) == Reject.WITHDRAWAL_GATE
    margin.level = RiskLevel.SAFE
    assert fault(venue, move(-1)) == Reject.WITHDRAWAL_GATE
    assert fault(venue, move(1)) is None


def test_money_that_comes_in_is_judged() -> None:
    venue = contract_market(wallet_atoms=100)
    venue.pay_in(BOB, 1_000_000)
    trade(venue, 10, 100)
    venue.mark(92)
    assert venue.margin(ALICE).level == RiskLevel.SAFE
    venue.mark(91)
    assert venue.margin(ALICE).level == RiskLevel.CRITICAL

    events = venue.ask(ALICE, move(1_000)).events

    assert [type(event) for event in events] == [MarginMoved, RiskLevelChanged]
    assert venue.margin(ALICE).level == RiskLevel.SAFE


# --- buckets ----------------------------------------------------------------------------------------------


def test_a_bucket_is_filled_from_the_wallet_and_gives_back_what_it_may_spare() -> None:
    """Row P8: a removal one atom below initial margin is refused."""
    venue = isolated()

    assert venue.ask(ALICE, adjust(100)).events == [
        BucketAdjusted(account=ALICE, instrument=PERP, leg=Leg.NET, amount_atoms=100, bucket_atoms=300)
    ]
    assert money(venue)[1:] == (700, 300)
    assert unchanged(venue, ALICE, adjust(-101)) == Reject.INSUFFICIENT_MARGIN
    do(venue, adjust(-100))
    assert money(venue)[1:] == (800, 200)


@pytest.mark.parametrize(("mark", "most"), [(110, 80), (90, 20)])
def test_a_bucket_gives_no_unrealised_profit_and_covers_the_loss(mark: int, most: int) -> None:
    venue = isolated()
    do(venue, adjust(100))
    venue.mark(mark)

    assert unchanged(venue, ALICE, adjust(-most - 1)) == Reject.INSUFFICIENT_MARGIN
    do(venue, adjust(-most))


def test_a_bucket_takes_what_the_wallet_may_give() -> None:
    venue = isolated()

    assert unchanged(venue, ALICE, adjust(801)) == Reject.INSUFFICIENT_MARGIN
    do(venue, adjust(800))
    assert money(venue)[1:] == (0, 1_000)


def test_only_isolated_positions_with_lots_have_a_bucket() -> None:
    venue = isolated(lots=0)
    assert unchanged(venue, ALICE, adjust(INTEGER_MAX + 1)) == Reject.UNKNOWN_POSITION
    assert unchanged(venue, BOB, msgspec.structs.replace(adjust(1), account=BOB)) == Reject.UNKNOWN_POSITION
    trade(venue, 1, 100)
    assert unchanged(venue, ALICE, adjust(1, Leg.LONG)) == Reject.UNKNOWN_POSITION
    assert unchanged(venue, ALICE, adjust(INTEGER_MAX + 1)) == Reject.AMOUNT_OUT_OF_RANGE
    assert unchanged(venue, ALICE, adjust(-INTEGER_MAX - 1)) == Reject.AMOUNT_OUT_OF_RANGE
    assert unchanged(venue, BOB, msgspec.structs.replace(adjust(0), account=ALICE)) == Reject.MALFORMED


def test_an_isolated_loss_stays_in_its_bucket() -> None:
    """Row R3: neither the wallet nor another position pays for it."""
    venue = isolated()
    before = venue.margin(ALICE).wallet_atoms
    trade(venue, -5, 85)

    # 100 of the bucket stand behind the five lots that lost 75.
    assert (venue.margin(ALICE).wallet_atoms, venue.position(ALICE).bucket_atoms) == (before + 25, 100)
    venue.exchange.check_invariants()

"""Every reason that has numbers is explained by them: cases of each family, and whatever traffic meets."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    USD,
    Venue,
    buy,
    complete,
    listing,
    on_terms,
    order,
    sell,
)
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.contracts import PERP, contract_market, contract_rules, perpetual
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.traffic import Traffic

from steelyard.core import Entry, Exchange, Reject, Request, snapshot
from steelyard.core.commands import (
    ActivateVersion,
    AmendOrder,
    AnyCommand,
    Batch,
    Deposit,
    FundInsurance,
    LiquidationTerms,
    ListAsset,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OpenSubAccount,
    OrderTerms,
    PlaceOrder,
    SetContractModes,
    SetContractRules,
    SetFeeTier,
    SetInstrumentRules,
    SetKillSwitch,
    SetMark,
    SetOrderLimit,
    Skip,
    Transfer,
    Withdraw,
)
from steelyard.core.entry import Many, Refused
from steelyard.core.limits import INTEGER_MAX, OMNIBUS_ATOMS_MAX, SESSION_IDLE_NS, SUB_ACCOUNTS_MAX
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    BatchMode,
    InstrumentId,
    MarginMode,
    OrderId,
    SessionId,
    TriggerKind,
)
from steelyard.ops.explain.compared import COMPARERS
from steelyard.ops.explain.rejects import explain_refused
from steelyard.ops.explain.telling import Explanation

#: About shapes, ids and names, or about what an operator has decided: the sentence says it all.
WITHOUT_NUMBERS = {
    "MALFORMED",
    "SESSION_REQUIRED",
    "UNKNOWN_KEY",
    "UNKNOWN_ACCOUNT",
    "ACCOUNT_EXISTS",
    "ALREADY_FOUNDED",
    "UNKNOWN_ASSET",
    "ASSET_EXISTS",
    "UNKNOWN_INSTRUMENT",
    "INSTRUMENT_EXISTS",
    "DUPLICATE_ORDER",
    "DUPLICATE_LABEL",
    "UNKNOWN_ORDER",
    "ACCOUNT_FROZEN",
    "LEGAL_HOLD",
    "NOT_FAMILY",
    "UNKNOWN_HOLD",
    "HOLD_EXISTS",
    "UNKNOWN_TIER",
    "NOTHING_TO_CHANGE",
    "NOT_THIS_KIND",
    "UNKNOWN_INDEX",
    "INDEX_EXISTS",
    "UNKNOWN_POSITION",
}
#: Said of orders that have ended, and by the door.
NO_REFUSALS = {
    "NO_LIQUIDITY",
    "STORAGE_LOW",
    "SELF_TRADE",
    "EXPIRED",
    "OTHER_LEG",
    "COUNTDOWN",
    "AMENDED_BELOW_FILLED",
    "INSTRUMENT_CLOSED",
    "VOLATILITY_HALT",
    "LIQUIDATED",
    "REDUCED_AWAY",
    "AUTO_DELEVERAGED",
}


def explained(venue: Venue, request: Request) -> Explanation:
    before = snapshot.load(snapshot.dump(venue.exchange))
    entry = Entry(before.state.version, before.time_ns + 1000, [request])
    return explain_refused(before, before.applied_index + 1, entry, 1, "it")


def numbers(told: Explanation) -> dict[str, Any]:
    return {str(row["what"]): row["value"] for row in told.tables.get("what was compared", [])}


def ruled(**rules: Any) -> Venue:  # noqa: ANN401 - those of ``SetInstrumentRules``
    """Return a spot market with a last price of 100 and these rules, in which ALICE has a bid of 10 at 90."""
    venue = complete()
    venue.place(BOB, sell(1, 1, 100))
    venue.place(ALICE, buy(1, 1, 100))
    venue.place(ALICE, buy(2, 10, 90))
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, **rules))
    return venue


def mine(command: PlaceOrder) -> PlaceOrder:
    return msgspec.structs.replace(command, account=ALICE)


def stop(ticks: int) -> PlaceOrder:
    return on_terms(buy(9, 1, 120), OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=ticks))


def amend(**changes: Any) -> AmendOrder:  # noqa: ANN401 - those of ``AmendOrder``
    return AmendOrder(account=ALICE, order=OrderId(2), **changes)


def penalised(penalty_ppm: int) -> SetContractRules:
    tier = MarginTier(floor_atoms=0, maintenance_ppm=5_000, initial_ppm=10_000)
    liquidation = LiquidationTerms(penalty_ppm=penalty_ppm)
    return SetContractRules(
        instrument=PERP, rules=contract_rules(margin=MarginTerms(tiers=[tier]), liquidation=liquidation)
    )


def with_a_position() -> Venue:
    venue = contract_market()
    for account, command in ((BOB, sell(1, 5, 100)), (ALICE, buy(1, 5, 100))):
        venue.place(account, msgspec.structs.replace(command, instrument=PERP))
    return venue


def gated() -> Venue:
    venue = contract_market()
    house = venue.exchange.state.ledger.houses[USD]
    house.gate_on, house.gate_ns = True, venue.exchange.time_ns + 10**12
    return venue


def with_sub_accounts() -> Venue:
    venue = complete()
    for number in range(SUB_ACCOUNTS_MAX):
        venue.accepted(OpenSubAccount(master=ALICE, account=AccountId(5000 + number), permissions=1))
    return venue


def switched() -> Venue:
    venue = contract_market()
    venue.accepted(SetKillSwitch(on=True, account=ALICE))
    return venue


def limited() -> Venue:
    venue = complete()
    venue.accepted(
        SetOrderLimit(account=ALICE, instrument=BTC_USD, size_max_lots=3, notional_max_atoms=1_000)
    )
    return venue


Case = tuple[Callable[[], Venue], AccountId, AnyCommand, Reject, str]
CASES: dict[str, Case] = {
    "a price off its step": (
        lambda: ruled(price_step_ticks=5),
        ALICE,
        mine(buy(9, 1, 92)),
        Reject.PRICE_OFF_STEP,
        "price step ticks",
    ),
    "a size off its step": (
        lambda: ruled(size_step_lots=5),
        ALICE,
        mine(buy(9, 6, 90)),
        Reject.SIZE_OFF_STEP,
        "size step lots",
    ),
    "the account's largest size": (
        limited,
        ALICE,
        mine(buy(9, 4, 90)),
        Reject.SIZE_OUT_OF_RANGE,
        "size max of the account lots",
    ),
    "the account's largest notional": (
        limited,
        ALICE,
        mine(buy(9, 3, 500)),
        Reject.NOTIONAL_OUT_OF_RANGE,
        "notional max of the account atoms",
    ),
    "a price outside the collar": (
        lambda: ruled(buy_up_ppm=1_100_000),
        ALICE,
        mine(buy(9, 1, 111)),
        Reject.PRICE_BAND,
        "highest ticks",
    ),
    "too many orders": (
        lambda: ruled(orders_max=1),
        ALICE,
        mine(buy(9, 1, 90)),
        Reject.TOO_MANY_ORDERS,
        "orders of the account in the instrument",
    ),
    "a trigger that is met": (ruled, ALICE, stop(99), Reject.TRIGGER_ALREADY_MET, "trigger ticks"),
    "a trigger out of range": (
        ruled,
        ALICE,
        stop(10**6),
        Reject.TRIGGER_OUT_OF_RANGE,
        "price max ticks",
    ),
    "an expiry in the past": (
        ruled,
        ALICE,
        on_terms(buy(9, 1, 90), OrderTerms(expires_ns=5)),
        Reject.EXPIRY_IN_PAST,
        "log time ns",
    ),
    "an amend to a price off its step": (
        lambda: ruled(price_step_ticks=5),
        ALICE,
        amend(limit_ticks=92),
        Reject.PRICE_OFF_STEP,
        "limit ticks",
    ),
    "an amend that cannot be paid": (
        ruled,
        ALICE,
        amend(size_lots=10_000, limit_ticks=200),
        Reject.INSUFFICIENT_FUNDS,
        "pledged before atoms",
    ),
    "an amend of all or none that grows": (
        ruled,
        ALICE,
        Batch(account=ALICE, mode=BatchMode.ALL_OR_NONE, legs=[amend(size_lots=11)]),
        Reject.SIZE_OUT_OF_RANGE,
        "size before lots",
    ),
    "a mark above every price": (
        contract_market,
        AccountId(1900),
        SetMark(instrument=PERP, mark_ticks=10**6),
        Reject.PRICE_OUT_OF_RANGE,
        "price max ticks",
    ),
    "a kill switch": (
        switched,
        ALICE,
        order(sell(1, 1, 1).side, 5, 1, 100, instrument=PERP),
        Reject.KILL_SWITCH,
        "of the account",
    ),
    "modes beside a position": (
        with_a_position,
        ALICE,
        SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED),
        Reject.POSITION_NOT_EMPTY,
        "lots",
    ),
    "a closed gate": (
        gated,
        ALICE,
        MoveMargin(account=ALICE, asset=USD, amount_atoms=-1),
        Reject.WITHDRAWAL_GATE,
        "opens at ns",
    ),
    "a penalty that is too high": (
        contract_market,
        OPERATOR,
        penalised(5_000),
        Reject.MARGIN_OUT_OF_RANGE,
        "penalty ppm",
    ),
    "longs that do not fit": (
        contract_market,
        OPERATOR,
        SetContractRules(instrument=PERP, rules=contract_rules(open_interest_max_lots=10**14)),
        Reject.BOUNDS_TOO_WIDE,
        "largest longs atoms",
    ),
    "a contract without a whole scale": (
        contract_market,
        OPERATOR,
        perpetual(instrument=InstrumentId(9), symbol="OTHER", lot_decimals=3),
        Reject.SCALE_NOT_INTEGER,
        "decimals",
    ),
    "a spot instrument that does not fit": (
        complete,
        OPERATOR,
        listing(instrument=InstrumentId(9), symbol="OTHER", price_max_ticks=10**18),
        Reject.BOUNDS_TOO_WIDE,
        "largest notional atoms",
    ),
    "a rebate above the lowest fee": (
        complete,
        OPERATOR,
        SetFeeTier(tier=1, instrument=BTC_USD, maker_ppm=-100, taker_ppm=500),
        Reject.FEE_OUT_OF_RANGE,
        "highest rebate ppm",
    ),
    "a tier above the last": (
        complete,
        OPERATOR,
        SetFeeTier(tier=65, instrument=BTC_USD, maker_ppm=0, taker_ppm=500),
        Reject.TOO_MANY_TIERS,
        "last tier",
    ),
    "a move to no state": (
        complete,
        OPERATOR,
        ActivateVersion(version=7),
        Reject.STATE_MOVE,
        "wanted version",
    ),
    "too many legs": (
        complete,
        ALICE,
        Batch(account=ALICE, mode=BatchMode.EACH, legs=[amend(size_lots=1)] * 101),
        Reject.TOO_MANY_LEGS,
        "legs max",
    ),
    "too many sub-accounts": (
        with_sub_accounts,
        OPERATOR,
        OpenSubAccount(master=ALICE, account=AccountId(9999), permissions=1),
        Reject.TOO_MANY_SUB_ACCOUNTS,
        "bound",
    ),
    "no amount": (
        complete,
        OPERATOR,
        Withdraw(account=ALICE, asset=USD, amount_atoms=0),
        Reject.AMOUNT_OUT_OF_RANGE,
        "least atoms",
    ),
    "more than the ledger holds": (
        complete,
        OPERATOR,
        Deposit(account=ALICE, asset=USD, amount_atoms=OMNIBUS_ATOMS_MAX),
        Reject.BALANCE_LIMIT,
        "owned by all atoms",
    ),
    "more than the fund has": (
        contract_market,
        OPERATOR,
        FundInsurance(asset=USD, amount_atoms=-1),
        Reject.INSUFFICIENT_FUNDS,
        "fund atoms",
    ),
    "an amount of the fund": (
        contract_market,
        OPERATOR,
        FundInsurance(asset=USD, amount_atoms=INTEGER_MAX + 1),
        Reject.AMOUNT_OUT_OF_RANGE,
        "most atoms",
    ),
    "what a key may not do": (
        complete,
        ALICE,
        ListAsset(asset=AssetId(9), symbol="X", decimals=0),
        Reject.NOT_PERMITTED,
        "permissions of the key",
    ),
    "a transfer by who may only trade": (
        complete,
        ALICE,
        Transfer(giver=ALICE, taker=BOB, asset=USD, amount_atoms=1),
        Reject.NOT_PERMITTED,
        "account of the key",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case)
def test_a_reason_is_explained_by_its_numbers(case: str) -> None:
    opened, account, command, reason, compared = CASES[case]
    venue = opened()
    told = explained(venue, venue.request(account, command))
    assert told.facts["reason"] == reason.name
    assert compared in numbers(told), numbers(told)
    assert told.matches, (told.checks, numbers(told))


def test_who_asks_too_late_or_with_a_key_that_is_over_sees_the_times() -> None:
    venue = complete()
    late = venue.request(ALICE, mine(buy(9, 1, 90)), not_after_ns=venue.exchange.time_ns - 1)
    key = venue.create_key(ALICE, expires_ns=venue.exchange.time_ns + 500)
    over = venue.request(ALICE, mine(buy(9, 1, 90)), key=key)

    told = explained(venue, late)
    assert (told.facts["reason"], told.matches) == ("TOO_LATE", True)
    assert numbers(told)["not after ns"] == late.not_after_ns
    told = explained(venue, over)
    assert (told.facts["reason"], told.matches) == ("KEY_EXPIRED", True)
    assert numbers(told)["revoked"] is False


def test_where_a_session_stands_is_said_to_who_is_out_of_turn() -> None:
    venue = complete()
    for number in (1, 2):
        venue.place(ALICE, buy(number, 1, 90))
    command = mine(buy(9, 1, 90))
    bobs = venue.keys[BOB]
    cases = {
        "REQUEST_GAP": (venue.request(ALICE, command, number=9), "next request"),
        "NOT_SESSION_OWNER": (venue.request(ALICE, command, number=3, key=bobs), "account of the session"),
        "UNKNOWN_SESSION": (venue.request(ALICE, command, session=SessionId(99)), "newest session"),
    }
    for reason, (request, compared) in cases.items():
        told = explained(venue, request)
        assert (told.facts["reason"], told.matches) == (reason, True)
        assert compared in numbers(told)
    venue.tick(after_ns=SESSION_IDLE_NS)
    told = explained(venue, venue.request(ALICE, command))
    assert (told.facts["reason"], told.matches) == ("SESSION_EXPIRED", True)
    assert numbers(told)["idle max ns"] == SESSION_IDLE_NS


def test_what_was_refused_before_the_log_has_no_numbers_there() -> None:
    venue = contract_market()
    told = explained(venue, venue.request(OPERATOR, Skip(reason=Reject.POSITION_LIMIT)))
    assert told.facts["reason"] == "POSITION_LIMIT"
    assert not numbers(told)
    assert told.matches


def test_every_reason_has_numbers_or_is_known_to_have_none() -> None:
    with_numbers = {reason.name for reason in COMPARERS}
    assert not with_numbers & (WITHOUT_NUMBERS | NO_REFUSALS)
    assert with_numbers | WITHOUT_NUMBERS | NO_REFUSALS == {reason.name for reason in Reject}


def first_of_each(kind: type[Traffic], seed: int, entries: int) -> tuple[list[Entry], dict[int, list[int]]]:
    """Return entries, and at which index which requests (from 1) are refused as none before of their kind."""
    exchange, script = Exchange(), kind(seed).script()
    log: list[Entry] = [next(script)]
    wanted: dict[int, list[int]] = {}
    met: dict[tuple[str, str], None] = {}
    for index in range(1, entries + 1):
        applied = exchange.apply(index, log[-1])
        for place, outcome in enumerate(applied.outcomes, 1):
            reply = outcome.reply
            legs = reply.legs if isinstance(reply, Many) else [reply]
            refused = next((each for each in legs if isinstance(each, Refused)), None)
            if refused is not None and outcome.replied_index == index:
                name = (refused.reason.name, type(log[-1].requests[place - 1].command).__name__)
                if name not in met:
                    met[name] = None
                    wanted.setdefault(index, []).append(place)
        log.append(script.send(applied))
    return log[:-1], wanted


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("kind", [ContractTraffic, SpotTraffic])
def test_no_refusal_of_traffic_has_numbers_that_do_not_refuse(kind: type[Traffic], seed: int) -> None:
    log, wanted = first_of_each(kind, seed, entries=500)
    exchange = Exchange()
    told_with_numbers: dict[str, None] = {}
    for index, entry in enumerate(log, 1):
        for place in wanted.get(index, ()):
            before = snapshot.load(snapshot.dump(exchange))
            told = explain_refused(before, index, entry, place, "it")
            assert told.matches, (index, place, told.facts, told.checks, numbers(told))
            if numbers(told):
                told_with_numbers[str(told.facts["reason"])] = None
        exchange.apply(index, entry)
    assert len(told_with_numbers) > 20, list(told_with_numbers)

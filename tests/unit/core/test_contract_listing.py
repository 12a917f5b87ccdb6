"""Indices and contracts are listed, and their rules set."""

from typing import Any

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    USD,
    founded,
    kinds,
    listing,
    order,
    refusal,
)
from tests.helpers.contract_faults import INDEX, faults_in_order, refuses, venue_with_assets
from tests.helpers.contracts import (
    BTC_INDEX,
    INVERSE_PERP,
    PERP,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Reject, versions
from steelyard.core.commands import (
    AnyCommand,
    ContractRules,
    FundingTerms,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    SetContractRules,
)
from steelyard.core.events import (
    ContractListed,
    ContractRulesSet,
    IndexListed,
)
from steelyard.core.limits import (
    INDICES_MAX,
    INSTRUMENTS_MAX,
    INTEGER_MAX,
    PAUSE_NS_MAX,
    TIERS_MAX,
)
from steelyard.core.units import (
    AssetId,
    ContractKind,
    IndexId,
    InstrumentId,
    InstrumentState,
    Side,
)


def tiers(*rows: tuple[int, int, int], **more: Any) -> MarginTerms:  # noqa: ANN401 - whatever else there is
    """Return margin terms with tiers of (floor, maintenance, initial)."""
    return MarginTerms(
        tiers=[
            MarginTier(floor_atoms=floor, maintenance_ppm=maintenance, initial_ppm=initial)
            for floor, maintenance, initial in rows
        ],
        **more,
    )


def some(**terms: Any) -> dict[str, Any]:  # noqa: ANN401 - those of a listing
    """Return terms by name."""
    return terms


# --- indices ----------------------------------------------------------------------------------------------


def test_an_index_is_listed_without_a_price() -> None:
    venue = founded(versions.DERIVATIVES)
    outcome = venue.operate(INDEX)
    assert outcome.events == [IndexListed(index=BTC_INDEX, symbol="BTC", tick_mantissa=1, tick_decimals=0)]
    index = venue.exchange.state.markets.indices[BTC_INDEX]
    assert (index.price_ticks, index.is_stale, index.quotes, index.contracts) == (0, True, [], [])


def test_faults_of_an_index_come_in_their_order() -> None:
    venue = venue_with_assets()
    venue.open_account(ALICE)
    faulty: list[tuple[AnyCommand, Reject]] = [
        (msgspec.structs.replace(INDEX, tick_mantissa=0), Reject.MALFORMED),
        (INDEX, Reject.INDEX_EXISTS),
    ]
    faults_in_order(venue, ALICE, faulty)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 0},
        {"index": INTEGER_MAX + 1},
        {"symbol": ""},
        {"symbol": "a b"},
        {"tick_mantissa": 0},
        {"tick_mantissa": INTEGER_MAX + 1},
        {"tick_decimals": -1},
        {"tick_decimals": 19},
        {"stale_ns": 0},
        {"stale_ns": PAUSE_NS_MAX + 1},
        {"outlier_ppm": 0},
        {"outlier_ppm": 10**6 + 1},
    ],
)
def test_a_malformed_index_is_refused(change: dict[str, Any]) -> None:
    venue = founded(versions.DERIVATIVES)
    refuses(venue, msgspec.structs.replace(INDEX, **change), Reject.MALFORMED)


@pytest.mark.parametrize("change", [{"symbol": "ETH"}, {"index": IndexId(2)}])
def test_an_index_is_known_by_its_id_and_by_its_symbol(change: dict[str, Any]) -> None:
    refuses(venue_with_assets(), msgspec.structs.replace(INDEX, **change), Reject.INDEX_EXISTS)


def test_there_are_only_so_many_indices() -> None:
    venue = founded(versions.DERIVATIVES)
    for number in range(1, INDICES_MAX + 1):
        venue.exchange.state.markets.list_index(
            msgspec.structs.replace(INDEX, index=IndexId(number), symbol=f"I{number}")
        )
    refuses(venue, msgspec.structs.replace(INDEX, index=IndexId(9999)), Reject.TOO_MANY_LISTINGS)


# --- contracts --------------------------------------------------------------------------------------------


def test_a_linear_contract_is_settled_in_the_quote() -> None:
    venue = venue_with_assets(decimals=8, index=msgspec.structs.replace(INDEX, tick_decimals=2))
    # Tick 0.01, lot 0.001: k = 1000.
    command = perpetual(tick_decimals=2, lot_decimals=3)
    outcome = venue.operate(command)
    assert outcome.events == [
        ContractListed(
            instrument=PERP,
            symbol="BTC-PERP",
            contract=ContractKind.LINEAR,
            index=BTC_INDEX,
            base=BTC,
            quote=USD,
            settle=USD,
            scale=1000,
            rules=command.rules,
        )
    ]
    instrument = venue.exchange.state.markets.instruments[PERP]
    assert (instrument.lot_atoms, instrument.tick_lot_atoms, instrument.settle) == (0, 1000, USD)
    assert instrument.state == InstrumentState.PRE_OPEN
    assert instrument.contract is not None
    assert instrument.contract.scale == 1000
    assert venue.exchange.state.markets.indices[BTC_INDEX].contracts == [PERP]


def test_an_inverse_contract_is_settled_in_the_base() -> None:
    venue = venue_with_assets(
        decimals=8, index=msgspec.structs.replace(INDEX, tick_mantissa=5, tick_decimals=1)
    )
    # A lot of one USD, tick 0.5 USD: S = 200,000,000.
    rules = contract_rules(open_interest_max_lots=10**9)
    command = perpetual(ContractKind.INVERSE, rules, tick_mantissa=5, tick_decimals=1)
    outcome = venue.operate(command)
    listed = outcome.events[0]
    assert isinstance(listed, ContractListed)
    assert (listed.settle, listed.scale, listed.lot_atoms) == (BTC, 200_000_000, 0)
    instrument = venue.exchange.state.markets.instruments[INVERSE_PERP]
    assert (instrument.lot_atoms, instrument.tick_lot_atoms, instrument.settle) == (0, 0, BTC)


def test_the_contracts_of_an_index_stand_by_id() -> None:
    venue = venue_with_assets(decimals=0)
    for number in (9, 3, 5):
        venue.accepted(perpetual(instrument=InstrumentId(number), symbol=f"P{number}"))
    assert venue.exchange.state.markets.indices[BTC_INDEX].contracts == [3, 5, 9]


@pytest.mark.parametrize("name", ["tick_mantissa", "lot_mantissa"])
def test_a_tick_or_a_lot_beyond_every_integer_that_is_stored_is_malformed(name: str) -> None:
    venue = venue_with_assets(decimals=0)
    refuses(venue, perpetual(**some(**{name: INTEGER_MAX + 1})), Reject.MALFORMED)
    refuses(venue, perpetual(**some(**{name: 0})), Reject.MALFORMED)
    outcome = venue.operate(perpetual(**some(**{name: INTEGER_MAX})))
    assert refusal(outcome) is not Reject.MALFORMED


def test_faults_of_a_contract_come_in_their_order() -> None:
    venue = venue_with_assets()
    venue.open_account(ALICE)
    no_schedule = contract_rules(margin=tiers((1, 1, 2)), open_interest_max_lots=10**6)
    dear = some(taker_ppm=10**6)
    wide = some(price_max_ticks=10**18)
    broken = some(lot_decimals=9)
    other = some(instrument=BTC_USD)
    faulty: list[tuple[AnyCommand, Reject]] = [
        (
            perpetual(
                rules=no_schedule,
                index=IndexId(9),
                base=AssetId(9),
                **{**dear, **wide, **broken, **other, "tick_mantissa": 0},
            ),
            Reject.MALFORMED,
        ),
        (
            perpetual(
                rules=no_schedule, index=IndexId(9), base=AssetId(9), **{**dear, **wide, **broken, **other}
            ),
            Reject.UNKNOWN_ASSET,
        ),
        (
            perpetual(rules=no_schedule, index=IndexId(9), **{**dear, **wide, **broken, **other}),
            Reject.INSTRUMENT_EXISTS,
        ),
        (
            perpetual(rules=no_schedule, index=IndexId(9), **{**dear, **wide, **broken}),
            Reject.UNKNOWN_INDEX,
        ),
        (perpetual(rules=no_schedule, **{**dear, **wide, **broken}), Reject.SCALE_NOT_INTEGER),
        (perpetual(rules=no_schedule, **{**dear, **wide}), Reject.BOUNDS_TOO_WIDE),
        (perpetual(rules=no_schedule, **dear, price_max_ticks=1000), Reject.FEE_OUT_OF_RANGE),
        (perpetual(rules=no_schedule, price_max_ticks=1000), Reject.MARGIN_OUT_OF_RANGE),
    ]
    faults_in_order(venue, ALICE, faulty)
    venue.accepted(perpetual(price_max_ticks=1000))


def test_a_contract_counts_its_prices_in_steps_of_its_index() -> None:
    venue = venue_with_assets(decimals=0)
    for change in (some(tick_mantissa=2), some(tick_mantissa=10), some(tick_decimals=1)):
        refuses(venue, perpetual(**change), Reject.SCALE_NOT_INTEGER)
    venue.accepted(perpetual(tick_mantissa=10, tick_decimals=1))


def test_all_longs_together_fit_the_ledger() -> None:
    venue = venue_with_assets(decimals=0)
    rules = contract_rules(position_max_lots=1, open_interest_max_lots=10**13)
    for change in (some(price_max_ticks=10**5 + 1), some(size_max_lots=10**13 + 1)):
        refuses(venue, perpetual(rules=rules, **change), Reject.BOUNDS_TOO_WIDE)
    venue.accepted(perpetual(rules=rules, price_max_ticks=10**5, size_max_lots=10**13))
    inverse = contract_rules(position_max_lots=1, open_interest_max_lots=10**18)
    wider = contract_rules(position_max_lots=1, open_interest_max_lots=10**18 + 1)
    refuses(venue, perpetual(ContractKind.INVERSE, wider), Reject.BOUNDS_TOO_WIDE)
    beyond = perpetual(ContractKind.INVERSE, inverse, price_max_ticks=INTEGER_MAX + 1)
    refuses(venue, beyond, Reject.BOUNDS_TOO_WIDE)
    venue.accepted(perpetual(ContractKind.INVERSE, inverse, price_max_ticks=INTEGER_MAX))


def test_what_a_lot_may_owe_of_funding_is_bounded() -> None:
    venue = venue_with_assets(decimals=0)
    most = 2**61 // 10**9
    rules = contract_rules(
        position_max_lots=10, open_interest_max_lots=10, funding=FundingTerms(cap_ppb=10**9)
    )

    refuses(
        venue,
        perpetual(rules=rules, price_max_ticks=most + 1, size_max_lots=10),
        Reject.BOUNDS_TOO_WIDE,
    )
    venue.accepted(perpetual(rules=rules, price_max_ticks=most, size_max_lots=10))


def test_a_contract_and_a_spot_instrument_share_ids_and_symbols() -> None:
    venue = venue_with_assets(decimals=0)
    for change in (some(instrument=BTC_USD), some(symbol="BTC-USD")):
        refuses(venue, perpetual(**change), Reject.INSTRUMENT_EXISTS)
    venue.accepted(perpetual())
    for change in (some(instrument=PERP), some(symbol="BTC-PERP")):
        again = listing(**{**some(instrument=InstrumentId(7), symbol="S"), **change})
        refuses(venue, again, Reject.INSTRUMENT_EXISTS)


def test_there_are_only_so_many_instruments_of_both_kinds() -> None:
    venue = venue_with_assets(decimals=0)
    markets = venue.exchange.state.markets
    for number in range(100, 100 + INSTRUMENTS_MAX - 1):
        markets.list_instrument(
            listing(instrument=InstrumentId(number), symbol=f"S{number}"), InstrumentState.PRE_OPEN
        )
    refuses(venue, perpetual(), Reject.TOO_MANY_LISTINGS)


# --- rules ------------------------------------------------------------------------------------------------

PPM_ABOVE = 10**6 + 1
PPB_ABOVE = 10**9 + 1
MINUTE_NS = 60 * 10**9
MALFORMED_RULES: list[dict[str, Any]] = [
    {"position_max_lots": 0},
    {"position_max_lots": 2, "open_interest_max_lots": 1},
    {"open_interest_max_lots": INTEGER_MAX + 1},
    {"mark_band_ppm": -1},
    {"mark_band_ppm": PPM_ABOVE},
    {"margin": tiers()},
    {"margin": tiers(*((floor, 1, 2) for floor in range(TIERS_MAX + 1)))},
    {"margin": tiers((0, 1, PPM_ABOVE))},
    {"margin": tiers((0, PPM_ABOVE, 1))},
    {"margin": tiers((0, -1, 1))},
    {"margin": tiers((0, 1, -1))},
    {"margin": tiers((0, 1, 2), (-1, 1, 2))},
    {"margin": tiers((0, 1, 2), (INTEGER_MAX + 1, 1, 2))},
    {"margin": tiers((0, 1, 2), slope_ppb=-1)},
    {"margin": tiers((0, 1, 2), slope_ppb=PPB_ABOVE)},
    {"margin": tiers((0, 1, 2), open_interest_low_atoms=-1)},
    {"margin": tiers((0, 1, 2), open_interest_high_atoms=INTEGER_MAX + 1)},
    {"funding": FundingTerms(interval_ns=0)},
    {"funding": FundingTerms(interval_ns=MINUTE_NS - 1)},
    {"funding": FundingTerms(interval_ns=-MINUTE_NS)},
    {"funding": FundingTerms(interval_ns=24 * 60 * MINUTE_NS + MINUTE_NS)},
    {"funding": FundingTerms(interest_ppb=-1)},
    {"funding": FundingTerms(interest_ppb=PPB_ABOVE)},
    {"funding": FundingTerms(clamp_ppb=-1)},
    {"funding": FundingTerms(clamp_ppb=PPB_ABOVE)},
    {"funding": FundingTerms(dead_band_ppb=-1)},
    {"funding": FundingTerms(dead_band_ppb=PPB_ABOVE)},
    {"funding": FundingTerms(cap_ppb=-1)},
    {"funding": FundingTerms(cap_ppb=PPB_ABOVE)},
    {"funding": FundingTerms(tails_ppm=-1)},
    {"funding": FundingTerms(tails_ppm=500_000)},
    {"funding": FundingTerms(impact_atoms=-1)},
    {"funding": FundingTerms(impact_atoms=INTEGER_MAX + 1)},
    {"liquidation": LiquidationTerms(penalty_ppm=-1)},
    {"liquidation": LiquidationTerms(penalty_ppm=PPM_ABOVE)},
    {"liquidation": LiquidationTerms(buffer_ppm=-1)},
    {"liquidation": LiquidationTerms(buffer_ppm=PPM_ABOVE)},
    {"liquidation": LiquidationTerms(step_ppm=-1)},
    {"liquidation": LiquidationTerms(step_ppm=PPM_ABOVE)},
    {"liquidation": LiquidationTerms(adl_share_ppm=0)},
    {"liquidation": LiquidationTerms(adl_share_ppm=PPM_ABOVE)},
    {"liquidation": LiquidationTerms(fund_drawdown_ppm=-1)},
    {"liquidation": LiquidationTerms(fund_drawdown_ppm=PPM_ABOVE)},
    {"liquidation": LiquidationTerms(fund_step_ppm=-1)},
    {"liquidation": LiquidationTerms(fund_step_ppm=PPM_ABOVE)},
    {"liquidation": LiquidationTerms(hysteresis_ppm=-1)},
    {"liquidation": LiquidationTerms(hysteresis_ppm=600_000)},
    {"liquidation": LiquidationTerms(warning_ppm=750_000)},
    {"liquidation": LiquidationTerms(danger_ppm=900_000)},
    {"liquidation": LiquidationTerms(critical_ppm=PPM_ABOVE)},
]
NO_SCHEDULE: list[MarginTerms] = [
    tiers((1, 1, 2)),
    tiers((0, 0, 2)),
    tiers((0, 2, 2)),
    tiers((0, 3, 2)),
    tiers((0, 1, 2), (0, 1, 2)),
    tiers((0, 1, 2), (10, 1, 2), (9, 1, 2)),
    tiers((0, 2, 4), (10, 1, 4)),
    tiers((0, 2, 4), (10, 2, 3)),
    tiers((0, 1, 2), (10, 1, 2), slope_ppb=1),
    tiers((0, 1, 2), open_interest_low_atoms=5),
    tiers((0, 1, 2), open_interest_low_atoms=5, open_interest_high_atoms=5),
]
ALLOWED_RULES: list[dict[str, Any]] = [
    {"mark_band_ppm": 0},
    {"margin": tiers((0, 1, 10**6), (INTEGER_MAX, 1, 10**6))},
    {"margin": tiers((0, 1, 2), slope_ppb=10**9)},
    {"margin": tiers((0, 1, 2), open_interest_high_atoms=1)},
    {"margin": tiers(*((floor, 1, 2) for floor in range(TIERS_MAX)))},
    {"funding": FundingTerms(interval_ns=MINUTE_NS, tails_ppm=499_999, cap_ppb=0)},
    {"funding": FundingTerms(interval_ns=24 * 60 * MINUTE_NS)},
    {"liquidation": LiquidationTerms(adl_share_ppm=1, step_ppm=10**6, penalty_ppm=0)},
    {"liquidation": LiquidationTerms(hysteresis_ppm=0, warning_ppm=1, danger_ppm=2, critical_ppm=10**6)},
]


def changed(change: dict[str, Any]) -> ContractRules:
    """Return rules that differ from accepted ones as told; rates of tiers may be small."""
    return contract_rules(**{"liquidation": LiquidationTerms(penalty_ppm=0), **change})


@pytest.mark.parametrize("change", MALFORMED_RULES, ids=range(len(MALFORMED_RULES)))
def test_rules_that_contradict_themselves_are_malformed(change: dict[str, Any]) -> None:
    venue = venue_with_assets(decimals=0)
    refuses(venue, perpetual(rules=changed(change)), Reject.MALFORMED)
    venue.accepted(perpetual())
    refuses(venue, SetContractRules(instrument=PERP, rules=changed(change)), Reject.MALFORMED)


@pytest.mark.parametrize("margin", NO_SCHEDULE, ids=range(len(NO_SCHEDULE)))
def test_tiers_that_make_no_schedule_are_refused(margin: MarginTerms) -> None:
    venue = venue_with_assets(decimals=0)
    rules = changed({"margin": margin})
    refuses(venue, perpetual(rules=rules), Reject.MARGIN_OUT_OF_RANGE)
    venue.accepted(perpetual())
    refuses(venue, SetContractRules(instrument=PERP, rules=rules), Reject.MARGIN_OUT_OF_RANGE)


def test_the_penalty_is_less_than_the_margin_that_a_lot_sets_free() -> None:
    venue = venue_with_assets(decimals=0)
    margin = tiers((0, 5_000, 10_000), (10**6, 9_000, 10_000))
    for penalty_ppm in (5_000, 8_000):
        rules = changed({"margin": margin, "liquidation": LiquidationTerms(penalty_ppm=penalty_ppm)})
        refuses(venue, perpetual(rules=rules), Reject.MARGIN_OUT_OF_RANGE)
    rules = changed({"margin": margin, "liquidation": LiquidationTerms(penalty_ppm=4_999)})
    venue.accepted(perpetual(rules=rules))
    rules = changed({"margin": margin, "liquidation": LiquidationTerms(penalty_ppm=5_000)})
    refuses(venue, SetContractRules(instrument=PERP, rules=rules), Reject.MARGIN_OUT_OF_RANGE)


@pytest.mark.parametrize("change", ALLOWED_RULES, ids=range(len(ALLOWED_RULES)))
def test_rules_at_their_bounds_are_taken(change: dict[str, Any]) -> None:
    venue = venue_with_assets(decimals=0)
    venue.accepted(perpetual())
    outcome = venue.operate(SetContractRules(instrument=PERP, rules=changed(change)))
    assert outcome.events == [ContractRulesSet(instrument=PERP, rules=changed(change))]
    contract = venue.exchange.state.markets.instruments[PERP].contract
    assert contract is not None
    assert contract.rules == changed(change)


def test_faults_of_rules_come_in_their_order() -> None:
    venue = venue_with_assets(decimals=0)
    venue.open_account(ALICE)
    venue.accepted(perpetual())
    wide = contract_rules(margin=tiers((1, 1, 2)), open_interest_max_lots=10**14)
    faulty: list[tuple[AnyCommand, Reject]] = [
        (
            SetContractRules(
                instrument=InstrumentId(9), rules=msgspec.structs.replace(wide, mark_band_ppm=-1)
            ),
            Reject.MALFORMED,
        ),
        (SetContractRules(instrument=InstrumentId(9), rules=wide), Reject.UNKNOWN_INSTRUMENT),
        (SetContractRules(instrument=BTC_USD, rules=wide), Reject.NOT_THIS_KIND),
        (SetContractRules(instrument=PERP, rules=wide), Reject.BOUNDS_TOO_WIDE),
        (
            SetContractRules(instrument=PERP, rules=contract_rules(margin=tiers((1, 1, 2)))),
            Reject.MARGIN_OUT_OF_RANGE,
        ),
    ]
    faults_in_order(venue, ALICE, faulty)


def test_rules_are_measured_by_the_listing() -> None:
    venue = venue_with_assets(decimals=0)
    venue.accepted(perpetual(size_max_lots=500))
    small = contract_rules(position_max_lots=1, open_interest_max_lots=499)
    refuses(venue, SetContractRules(instrument=PERP, rules=small), Reject.BOUNDS_TOO_WIDE)


def test_who_falls_short_under_new_rules_is_judged_with_them() -> None:
    venue = contract_market(wallet_atoms=1_000)
    venue.place(BOB, order(Side.SELL, 1, 20, 100, instrument=PERP))
    venue.place(ALICE, order(Side.BUY, 1, 20, 100, instrument=PERP))
    assert venue.position(ALICE).qty_lots == 20
    needs = contract_rules(margin=tiers((0, 400_000, 500_000)))
    outcome = venue.operate(SetContractRules(instrument=PERP, rules=needs))
    assert kinds(outcome.events) == ["ContractRulesSet", "RiskLevelChanged", "RiskLevelChanged"]
    lacks = contract_rules(margin=tiers((0, 600_000, 700_000)))
    outcome = venue.operate(SetContractRules(instrument=PERP, rules=lacks))
    assert kinds(outcome.events) == [
        "ContractRulesSet",
        "RiskLevelChanged",
        "LiquidationStarted",
        "RiskLevelChanged",
        "LiquidationStarted",
    ]

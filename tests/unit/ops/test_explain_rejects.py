"""Why requests were refused: the numbers that the check compared, and that they do say no."""

from collections.abc import Callable

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, USD, Venue, buy, market, sell
from tests.helpers.contracts import (
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Entry, Reject, Request, snapshot
from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    Batch,
    MoveMargin,
    PlaceContractOrder,
    PlaceOrder,
    SetContractModes,
    SetLeverage,
    Withdraw,
)
from steelyard.core.handlers import contracting
from steelyard.core.units import (
    AccountId,
    BatchMode,
    InstrumentState,
    MarginMode,
    OrderId,
    OrderKind,
    Side,
    TimeInForce,
)
from steelyard.ops.explain.log import Unexplained
from steelyard.ops.explain.rejects import explain_refused
from steelyard.ops.explain.telling import Explanation

#: Moves the market so that all sources are too old.
LONG_NS = 20 * 10**9


def order(
    side: Side, lots: int, ticks: int, *, number: int = 77, reduce_only: bool = False, post_only: bool = False
) -> PlaceContractOrder:
    return PlaceContractOrder(
        account=ALICE,
        instrument=PERP,
        order=OrderId(number),
        side=side,
        size_lots=lots,
        limit_ticks=ticks,
        reduce_only=reduce_only,
        post_only=post_only,
    )


def buys(lots: int, ticks: int = 100) -> PlaceContractOrder:
    return order(Side.BUY, lots, ticks)


def with_position(lots: int = 1_000) -> ContractVenue:
    """Return a market in which Alice is long and Bob is short."""
    venue = contract_market()
    venue.place(BOB, msgspec.structs.replace(sell(1, lots, 100), instrument=PERP))
    venue.place(ALICE, msgspec.structs.replace(buy(1, lots, 100), instrument=PERP))
    assert venue.position(ALICE).qty_lots == lots
    return venue


def isolated(lots: int = 0, wallet_atoms: int = 1_000_000) -> ContractVenue:
    venue = contract_market(wallet_atoms=wallet_atoms)
    modes = SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED)
    venue.ask(ALICE, modes)
    if lots:
        venue.place(BOB, msgspec.structs.replace(sell(1, lots, 100), instrument=PERP))
        venue.place(ALICE, msgspec.structs.replace(buy(1, lots, 100), instrument=PERP))
    return venue


def critical() -> ContractVenue:
    """Return a market in which Alice's wallet is near its maintenance margin."""
    venue = contract_market(wallet_atoms=10_000)
    venue.place(BOB, msgspec.structs.replace(sell(1, 4_500, 100), instrument=PERP))
    venue.place(ALICE, msgspec.structs.replace(buy(1, 4_500, 100), instrument=PERP))
    venue.mark(99)
    return venue


def small_limits() -> ContractVenue:
    rules = contract_rules(position_max_lots=50, open_interest_max_lots=60)
    return contract_market(perpetual(rules=rules, size_max_lots=60))


def crowded() -> ContractVenue:
    venue = small_limits()
    venue.place(BOB, msgspec.structs.replace(sell(1, 40, 100), instrument=PERP))
    carol = AccountId(1002)
    venue.place(carol, msgspec.structs.replace(buy(1, 40, 100), instrument=PERP))
    return venue


def stale() -> ContractVenue:
    venue = contract_market()
    venue.tick(LONG_NS)
    return venue


def offered() -> ContractVenue:
    venue = contract_market()
    venue.place(BOB, msgspec.structs.replace(sell(1, 5, 100), instrument=PERP))
    return venue


def halted() -> Venue:
    venue = market()
    venue.move(InstrumentState.CANCEL_ONLY)
    return venue


def spot(command: PlaceOrder) -> PlaceOrder:
    return msgspec.structs.replace(command, account=ALICE)


CASES: dict[str, tuple[Callable[[], Venue], AnyCommand, Reject, str]] = {
    "cross margin": (
        lambda: contract_market(wallet_atoms=10_000),
        buys(5_001),
        Reject.INSUFFICIENT_MARGIN,
        "available with it atoms",
    ),
    "isolated pledge": (
        lambda: isolated(wallet_atoms=10_000),
        buys(5_001),
        Reject.INSUFFICIENT_MARGIN,
        "pledge per lot atoms",
    ),
    "margin out": (
        with_position,
        MoveMargin(account=ALICE, asset=USD, amount_atoms=-999_999),
        Reject.INSUFFICIENT_MARGIN,
        "withdrawable atoms",
    ),
    "leverage": (
        with_position,
        SetLeverage(account=ALICE, instrument=PERP, leverage=51),
        Reject.LEVERAGE_OUT_OF_RANGE,
        "highest leverage",
    ),
    "bucket in": (
        lambda: isolated(1_000),
        AdjustBucket(account=ALICE, instrument=PERP, amount_atoms=10_000_000),
        Reject.INSUFFICIENT_MARGIN,
        "withdrawable atoms",
    ),
    "bucket out": (
        lambda: isolated(1_000),
        AdjustBucket(account=ALICE, instrument=PERP, amount_atoms=-1_000_000),
        Reject.INSUFFICIENT_MARGIN,
        "initial margin atoms",
    ),
    "a risk level": (
        critical,
        MoveMargin(account=ALICE, asset=USD, amount_atoms=-1),
        Reject.RISK_LEVEL,
        "level",
    ),
    "too large a position": (small_limits, buys(51), Reject.POSITION_LIMIT, "worst lots"),
    "too much open interest": (crowded, buys(21), Reject.OPEN_INTEREST_LIMIT, "open interest lots"),
    "nothing to reduce": (
        contract_market,
        order(Side.SELL, 1, 100, reduce_only=True),
        Reject.REDUCE_ONLY_NOTHING,
        "room lots",
    ),
    "a stale index": (stale, buys(1), Reject.NO_REFERENCE_PRICE, "index is stale"),
    "post-only": (
        offered,
        order(Side.BUY, 1, 100, post_only=True),
        Reject.POST_ONLY_WOULD_TRADE,
        "best opposite ticks",
    ),
    "a price out of range": (contract_market, buys(1, 10**6), Reject.PRICE_OUT_OF_RANGE, "price max ticks"),
    "a size out of range": (contract_market, buys(10**7), Reject.SIZE_OUT_OF_RANGE, "size max lots"),
    "no funds for spot": (
        market,
        spot(buy(1, 10_000, 1_000)),
        Reject.INSUFFICIENT_FUNDS,
        "pledge atoms",
    ),
    "no free funds": (
        contract_market,
        MoveMargin(account=ALICE, asset=BTC, amount_atoms=10**12),
        Reject.INSUFFICIENT_FUNDS,
        "free atoms",
    ),
    "a halted market": (halted, spot(buy(1, 1, 100)), Reject.INSTRUMENT_STATE, "state of the instrument"),
}


def explained(venue: Venue, command: AnyCommand, account: AccountId = ALICE) -> Explanation:
    """Explain what would become of a request, alone in the next entry."""
    return _explained(venue, [venue.request(account, command)], 1)


def _explained(venue: Venue, requests: list[Request], place: int) -> Explanation:
    before = snapshot.load(snapshot.dump(venue.exchange))
    entry = Entry(before.state.version, before.time_ns + 1000, requests)
    return explain_refused(before, before.applied_index + 1, entry, place, "it")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case)
def test_a_refusal_is_explained_by_the_numbers_that_were_compared(case: str) -> None:
    opened, command, reason, compared = CASES[case]
    told = explained(opened(), command)
    assert told.facts["reason"] == reason.name
    rows = {str(row["what"]): row["value"] for row in told.tables["what was compared"]}
    assert compared in rows, rows
    assert told.matches, told.checks


def test_a_request_without_numbers_is_explained_in_words() -> None:
    told = explained(market(), Withdraw(account=ALICE, asset=USD, amount_atoms=1))
    assert told.facts["reason"] == "NOT_PERMITTED"
    assert told.facts["why"] == "the key, or its account, may not do this"
    assert told.matches


def test_the_leg_of_a_batch_is_explained_behind_the_legs_before_it() -> None:
    first = msgspec.structs.replace(buys(450_000), order=OrderId(1))
    second = msgspec.structs.replace(buys(60_000), order=OrderId(2))
    venue = contract_market(perpetual(rules=contract_rules(), size_max_lots=1_000_000))
    told = explained(venue, Batch(account=ALICE, mode=BatchMode.EACH, legs=[first, second]))
    assert (told.facts["leg"], told.facts["reason"]) == (2, "INSUFFICIENT_MARGIN")
    rows = {str(row["what"]): row["value"] for row in told.tables["what was compared"]}
    assert rows["used atoms"] == 450_000 * 100 * 2 // 100
    assert told.matches


def test_a_request_is_explained_behind_those_before_it_in_its_entry() -> None:
    venue = contract_market(perpetual(rules=contract_rules(), size_max_lots=1_000_000))
    large = venue.request(ALICE, msgspec.structs.replace(buys(499_000), order=OrderId(1)))
    number = large.request
    small = venue.request(ALICE, msgspec.structs.replace(buys(2_000), order=OrderId(2)), number=number + 1)
    told = _explained(venue, [large, small], 2)
    assert told.facts["reason"] == "INSUFFICIENT_MARGIN"
    assert told.matches


def test_what_was_not_refused_is_not_explained_as_a_refusal() -> None:
    with pytest.raises(Unexplained, match="it was not refused; it was answered: Placed"):
        explained(contract_market(), buys(1))


def test_a_refusal_that_the_numbers_do_not_give_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracting, "funds_fault", lambda *_: Reject.INSUFFICIENT_MARGIN)
    venue = contract_market()
    # An order on terms takes the general way, on which the fault is planted.
    market_order = PlaceContractOrder(
        account=ALICE,
        instrument=PERP,
        order=OrderId(5),
        side=Side.BUY,
        size_lots=1,
        kind=OrderKind.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_ticks=100,
    )
    told = explained(venue, market_order)
    assert told.facts["reason"] == "INSUFFICIENT_MARGIN"
    assert not told.matches

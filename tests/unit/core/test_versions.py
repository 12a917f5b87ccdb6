"""Behaviour changes are switched on in the log, and a build that does not know one stops before it."""

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    PUBLIC_KEY,
    USD,
    Venue,
    buy,
    complete,
    founded,
    listing,
    market,
    refusal,
)

from steelyard.core import Exchange, snapshot, versions, wire
from steelyard.core.commands import (
    ActivateVersion,
    AdjustBucket,
    AmendOrder,
    AnyCommand,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    ContractRules,
    CreateApiKey,
    FoundGroupAt,
    FundInsurance,
    HoldFunds,
    ListContract,
    ListIndex,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OpenSubAccount,
    OrderTerms,
    PayReferral,
    PlaceContractOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReleaseHold,
    ReplaceOrder,
    ScheduleState,
    SetAccountRules,
    SetAccountTier,
    SetContractModes,
    SetContractRules,
    SetFeeTier,
    SetFrozen,
    SetIndexSources,
    SetInstrumentRules,
    SetInstrumentState,
    SetKillSwitch,
    SetLegalHold,
    SetLeverage,
    SetMark,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    Skip,
    StartAuction,
    Transfer,
)
from steelyard.core.entry import ENTRY_VERSION, Accepted, Entry
from steelyard.core.events import GroupFounded, VersionActivated
from steelyard.core.readable import SINCE
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    BatchMode,
    ContractKind,
    HoldId,
    IndexId,
    InstrumentId,
    InstrumentState,
    ListKind,
    MarginMode,
    OrderId,
    Permission,
    PriceSource,
    Side,
    TriggerKind,
)


@pytest.fixture
def first_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a build that knows the first version only."""
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)


def test_an_operator_activates_the_next_version() -> None:
    venue = founded()
    assert venue.exchange.state.version == versions.FIRST
    outcome = venue.operate(ActivateVersion(version=2))
    assert isinstance(outcome.reply, Accepted)
    assert outcome.events == [VersionActivated(version=2)]
    assert venue.exchange.state.version == 2


@pytest.mark.parametrize(
    ("version", "reason"),
    [(0, Reject.MALFORMED), (-1, Reject.MALFORMED), (2**62, Reject.MALFORMED)]
    + [(version, Reject.STATE_MOVE) for version in (1, 3, 99)],
)
def test_only_the_next_version_can_be_activated(version: int, reason: Reject) -> None:
    venue = founded()
    assert refusal(venue.operate(ActivateVersion(version=version))) == reason
    assert venue.exchange.state.version == 1


def test_customers_activate_nothing() -> None:
    venue = founded()
    account = AccountId(1000)
    venue.open_account(account)
    venue.open_session(account)
    assert refusal(venue.ask(account, ActivateVersion(version=2))) == Reject.NOT_PERMITTED


@pytest.mark.usefixtures("first_build")
def test_a_build_that_does_not_know_the_version_stops_where_it_is_activated() -> None:
    venue = founded()
    with pytest.raises(versions.UnknownVersion, match="version 2 is activated here, and this build knows 1"):
        venue.operate(ActivateVersion(version=2))
    assert venue.exchange.state.version == 1


@pytest.mark.usefixtures("first_build")
def test_an_entry_of_an_unknown_version_is_not_applied() -> None:
    exchange = Exchange()
    before = snapshot.dump(exchange)
    body = msgspec.msgpack.encode([ENTRY_VERSION + 1, 5, []])
    with pytest.raises(wire.UnknownEntry, match="entry of version 2, and this build knows 1"):
        exchange.apply_bytes(1, body)
    assert snapshot.dump(exchange) == before


def test_an_entry_may_be_older_than_the_version_in_force_but_not_newer() -> None:
    venue = founded()
    exchange = venue.exchange
    with pytest.raises(AssertionError):
        exchange.apply(exchange.applied_index + 1, Entry(2, exchange.time_ns + 1, []))
    venue.operate(ActivateVersion(version=2))
    for version in (1, 2):
        exchange.apply(exchange.applied_index + 1, Entry(version, exchange.time_ns + 1, []))


def test_the_version_in_force_is_in_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    venue = founded()
    venue.operate(ActivateVersion(version=2))
    kept = snapshot.dump(venue.exchange)
    restored = snapshot.load(kept)
    assert restored.state.version == 2
    assert snapshot.dump(restored) == kept
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)
    with pytest.raises(snapshot.SnapshotError, match="version 2 is in force, and this build knows 1"):
        snapshot.load(kept)


def test_a_new_build_does_with_an_old_log_what_the_old_one_did(monkeypatch: pytest.MonkeyPatch) -> None:
    new = snapshot.dump(founded().exchange)
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)
    assert snapshot.dump(founded().exchange) == new


@pytest.mark.parametrize("version", [2, 3])
def test_a_group_can_be_founded_at_a_newer_version(version: int) -> None:
    venue = Venue()
    outcome = venue.sessionless(FoundGroupAt(group="test", operator_public_key=PUBLIC_KEY, version=version))
    assert isinstance(outcome.reply, Accepted)
    assert outcome.events == [GroupFounded(group="test", operator_key=OPERATOR_KEY)]
    assert venue.exchange.state.version == version


@pytest.mark.parametrize("version", [0, -1, 2**62])
def test_a_version_that_cannot_be_founds_nothing(version: int) -> None:
    venue = Venue()
    command = FoundGroupAt(group="test", operator_public_key=PUBLIC_KEY, version=version)
    assert refusal(venue.sessionless(command)) == Reject.MALFORMED
    assert venue.exchange.state.group == ""


def test_a_build_that_does_not_know_the_version_does_not_found_the_group() -> None:
    venue = Venue()
    with pytest.raises(versions.UnknownVersion, match="founded at version 4, and this build knows 3"):
        venue.sessionless(FoundGroupAt(group="test", operator_public_key=PUBLIC_KEY, version=4))


NOT_KNOWN_TO_THE_FIRST: list[AnyCommand] = [
    OpenSubAccount(master=ALICE, account=AccountId(1100), permissions=1),
    SetAccountRules(account=ALICE, trade_group=1, permissions=1),
    SetOrderLimit(account=ALICE, instrument=BTC_USD, size_max_lots=1),
    SetSelfTrade(account=ALICE, mode=None),
    SetFrozen(account=ALICE, frozen=True),
    SetLegalHold(account=ALICE, on=True),
    SetFeeTier(tier=1, instrument=BTC_USD, maker_ppm=0, taker_ppm=0),
    SetAccountTier(account=ALICE, tier=0),
    SetReferrer(account=ALICE, referrer=BOB, share_ppm=1),
    Transfer(giver=ALICE, taker=BOB, asset=USD, amount_atoms=1),
    HoldFunds(account=ALICE, hold=HoldId(1), asset=USD, amount_atoms=1),
    ReleaseHold(account=ALICE, hold=HoldId(1)),
    PayReferral(account=ALICE, asset=USD),
    SetInstrumentRules(instrument=BTC_USD),
    SetInstrumentState(instrument=BTC_USD, state=InstrumentState.AUCTION),
    SetMark(instrument=BTC_USD, mark_ticks=1),
    StartAuction(instrument=BTC_USD, auction_ns=1),
    ScheduleState(instrument=BTC_USD, state=InstrumentState.HALTED, at_ns=2**60),
    PlaceOrderOnTerms(
        account=ALICE, instrument=BTC_USD, order=OrderId(1), side=Side.BUY, size_lots=1, limit_ticks=1
    ),
    PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=ListKind.OCO, legs=[]),
    AmendOrder(account=ALICE, order=OrderId(1), size_lots=1),
    ReplaceOrder(
        cancel=CancelOrder(account=ALICE, order=OrderId(1)),
        place=PlaceOrderOnTerms(
            account=ALICE, instrument=BTC_USD, order=OrderId(2), side=Side.BUY, size_lots=1, limit_ticks=1
        ),
    ),
    Batch(account=ALICE, mode=BatchMode.EACH, legs=[]),
    CancelOrders(account=ALICE),
    ArmCountdown(account=ALICE, countdown_ns=1),
    Skip(reason=Reject.ACCOUNT_FROZEN),
]


_ON_INDEX = PlaceOrderOnTerms(
    account=ALICE,
    instrument=BTC_USD,
    order=OrderId(9),
    side=Side.BUY,
    size_lots=1,
    limit_ticks=1,
    terms=OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.INDEX, trigger_ticks=200),
)
_REDUCING = PlaceContractOrder(
    account=ALICE,
    instrument=BTC_USD,
    order=OrderId(9),
    side=Side.BUY,
    size_lots=1,
    limit_ticks=1,
    reduce_only=True,
)
_CANCEL = CancelOrder(account=ALICE, order=OrderId(1))
_CONTRACT_RULES = ContractRules(
    margin=MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=5_000, initial_ppm=10_000)]),
    position_max_lots=10,
    open_interest_max_lots=100,
)

NOT_KNOWN_TO_SPOT: list[AnyCommand] = [
    ListIndex(index=IndexId(1), symbol="BTC", tick_mantissa=1, tick_decimals=0),
    ListContract(
        **msgspec.structs.asdict(listing(instrument=InstrumentId(2), symbol="BTC-PERP")),
        contract=ContractKind.LINEAR,
        index=IndexId(1),
        rules=_CONTRACT_RULES,
    ),
    SetContractRules(instrument=BTC_USD, rules=_CONTRACT_RULES),
    SetIndexSources(index=IndexId(1), quotes=[]),
    _REDUCING,
    SetLeverage(account=ALICE, instrument=BTC_USD, leverage=2),
    SetContractModes(account=ALICE, instrument=BTC_USD, margin=MarginMode.ISOLATED),
    MoveMargin(account=ALICE, asset=USD, amount_atoms=1),
    AdjustBucket(account=ALICE, instrument=BTC_USD, amount_atoms=1),
    SetKillSwitch(on=True),
    FundInsurance(asset=USD, amount_atoms=1),
    _ON_INDEX,
    PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=ListKind.OCO, legs=[_ON_INDEX, _ON_INDEX]),
    PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=ListKind.OCO, legs=[_REDUCING, _REDUCING]),
    ReplaceOrder(cancel=_CANCEL, place=_ON_INDEX),
    ReplaceOrder(cancel=_CANCEL, place=_REDUCING),
    Batch(account=ALICE, mode=BatchMode.EACH, legs=[_CANCEL, _ON_INDEX]),
    Batch(account=ALICE, mode=BatchMode.EACH, legs=[_CANCEL, _REDUCING]),
    Skip(reason=Reject.KILL_SWITCH),
]


def test_every_command_that_came_later_is_among_those_tried_here() -> None:
    later = NOT_KNOWN_TO_THE_FIRST + NOT_KNOWN_TO_SPOT
    tried = dict.fromkeys(type(command) for command in later)
    assert SINCE.keys() <= tried.keys()


@pytest.mark.parametrize(
    ("version", "command"),
    [(1, command) for command in NOT_KNOWN_TO_THE_FIRST + NOT_KNOWN_TO_SPOT]
    + [(2, command) for command in NOT_KNOWN_TO_SPOT],
    ids=lambda value: f"below {value + 1}" if isinstance(value, int) else type(value).__name__,
)
def test_below_its_version_a_command_is_bytes_that_cannot_be_read(version: int, command: AnyCommand) -> None:
    venue = market(version=version)
    venue.place(ALICE, buy(1, 10, 100))
    before, number = venue.everything(), venue.last_request(OPERATOR)

    outcome = venue.operate(command)

    assert refusal(outcome) == Reject.MALFORMED
    assert outcome.reply.request == 0
    assert venue.last_request(OPERATOR) == number
    assert venue.everything() == before


@pytest.mark.parametrize("command", NOT_KNOWN_TO_THE_FIRST, ids=lambda command: type(command).__name__)
def test_version_2_goes_on_reading_what_it_read(command: AnyCommand) -> None:
    venue = market(version=2)
    number = venue.last_request(OPERATOR)
    venue.operate(command)
    assert venue.last_request(OPERATOR) == number + 1


def test_a_group_goes_from_version_to_version() -> None:
    venue = market()
    for version in (2, 3):
        assert isinstance(venue.operate(ActivateVersion(version=version)).reply, Accepted)
    kept = snapshot.dump(venue.exchange)
    restored = snapshot.load(kept)
    restored.check_invariants()
    assert snapshot.dump(restored) == kept
    index = ListIndex(index=IndexId(1), symbol="BTC", tick_mantissa=1, tick_decimals=0)
    assert isinstance(venue.operate(index).reply, Accepted)


def test_what_a_request_activates_holds_for_the_next_one_of_the_entry() -> None:
    venue = market(version=2)
    number = venue.last_request(OPERATOR) + 1
    index = ListIndex(index=IndexId(1), symbol="BTC", tick_mantissa=1, tick_decimals=0)
    outcomes = venue.send(
        venue.request(OPERATOR, ActivateVersion(version=3)),
        venue.request(OPERATOR, index, number=number + 1),
    )
    assert [type(outcome.reply) for outcome in outcomes] == [Accepted, Accepted]


def test_a_permission_that_came_later_is_not_known_to_the_first_version() -> None:
    command = CreateApiKey(account=ALICE, public_key=PUBLIC_KEY, permissions=int(Permission.FEED))
    assert refusal(market().operate(command)) == Reject.MALFORMED
    assert isinstance(complete().operate(command).reply, Accepted)

"""The protocol says all that the core can be asked for and can say, with the same numbers; nothing else."""

import itertools
from enum import IntEnum
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard import client
from steelyard.client import messages, wire, words
from steelyard.client.reasons import SENTENCES
from steelyard.client.translate_events import event_of
from steelyard.core import commands, events, units
from steelyard.core.limits import BATCH_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId
from steelyard.replication.sequencer import REQUEST_BYTES_MAX
from steelyard.rpc import translate
from steelyard.rpc.encode_events import accounts_of, event_fields
from steelyard.v1 import admin_pb2, common_pb2, trading_pb2

ALICE = AccountId(1000)

ENUMS = [
    "Side",
    "OrderKind",
    "TimeInForce",
    "InstrumentState",
    "SelfTrade",
    "TriggerKind",
    "PriceSource",
    "OrderState",
    "ListKind",
    "BatchMode",
    "ContractKind",
    "MarginMode",
    "PositionLeg",
    "FundingRule",
    "MarkRule",
    "RiskLevel",
    "LiquidationEnd",
]
#: A batch of the protocol has legs, too.
IN_THE_CORE = {"PositionLeg": "Leg"}
#: Proposed by the group itself, asked for by another call, or said in the stream itself.
ELSEWHERE = {"FoundGroup", "FoundGroupAt", "OpenSession"}
#: What a trader's PlaceOrder and an operator's OpenSubAccountOf become.
BESIDES = {"PlaceOrderOnTerms", "PlaceContractOrder"}
#: Events of nobody in particular: of markets, funds, keys, sessions and tiers, or told by others that follow.
NOBODYS = {
    "GroupFounded",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "AccountOpened",
    "SessionOpened",
    "RequestSkipped",
    "VersionActivated",
    "AssetListed",
    "InstrumentListed",
    "InstrumentStateChanged",
    "InstrumentRulesSet",
    "MarkSet",
    "StateScheduled",
    "TradingHalted",
    "AuctionEnded",
    "FeeTierSet",
    "OrderListAccepted",
    "OrdersSwept",
    "IndexListed",
    "ContractListed",
    "ContractRulesSet",
    "IndexSet",
    "IndexStale",
    "PremiumSampled",
    "FundingSet",
    "FundingSwept",
    "LiquidationStepped",
    "WithdrawalGateSet",
    "InsuranceFunded",
    "DebtRepaid",
    "ContractSettled",
}
#: What an account is told in rows of its own has other numbers than the event.
IN_ROWS = {"AdlSettled"}
#: What came from the wallet, in the event; what there is afterwards, in the SDK, where this is an amount.
OTHER_MEANING = {"LeverageSet": {"bucket_atoms"}}


def camel(name: str) -> str:
    """Return snake_case as CamelCase."""
    return "".join(word.title() for word in name.split("_"))


@pytest.mark.parametrize("name", ENUMS)
def test_enumerations_have_the_same_names_and_numbers_everywhere(name: str) -> None:
    prefix = "".join(f"_{char}" if char.isupper() else char for char in name).upper().lstrip("_")
    spoken = {
        key.removeprefix(f"{prefix}_"): value
        for key, value in getattr(common_pb2, name).items()
        if value != 0
    }
    core: type[IntEnum] = getattr(units, IN_THE_CORE.get(name, name))
    sdk: type[IntEnum] = getattr(words, name)
    assert spoken == {each.name: each.value for each in core} == {each.name: each.value for each in sdk}


def test_every_reason_has_its_sentence() -> None:
    assert list(SENTENCES) == [reject.name for reject in Reject]


def test_permissions_of_the_sdk_are_the_cores() -> None:
    assert {each.name: each.value for each in words.Permission} == {
        each.name: each.value for each in units.Permission
    }


@pytest.mark.parametrize(
    ("wire_enum", "sdk"),
    [
        (trading_pb2.OrderStep, words.OrderStep),
        (trading_pb2.AccountStep, words.AccountStep),
        (trading_pb2.FundsCause, words.FundsCause),
        (trading_pb2.PositionStep, words.PositionStep),
        (common_pb2.LiquidationStep, words.LiquidationStep),
    ],
)
def test_steps_of_the_sdk_are_the_protocols(wire_enum: Any, sdk: type[IntEnum]) -> None:  # noqa: ANN401 - a generated enum
    numbers = [value for value in wire_enum.values() if value != 0]
    assert numbers == [each.value for each in sdk if each.value != 0]


def test_every_command_can_be_asked_for() -> None:
    traders = [field.name for field in trading_pb2.Command.DESCRIPTOR.oneofs_by_name["kind"].fields]
    operators = [field.name for field in admin_pb2.AdministerRequest.DESCRIPTOR.oneofs_by_name["kind"].fields]
    asked = {camel(name) for name in (*traders, *operators)}
    assert asked | ELSEWHERE | BESIDES == {kind.__name__ for kind in get_args(commands.AnyCommand)}


#: Each number of an event is another one, so that none can be told in place of another.
NUMBERS = itertools.count(1000)


def some(hint: Any) -> Any:  # noqa: ANN401 - any type of a field
    """Return a value of a field's type, with every field of its own filled."""
    options = [each for each in get_args(hint) if each is not type(None)]
    if getattr(hint, "__origin__", None) is tuple:
        return tuple(some(each) for each in options)
    if options and getattr(hint, "__origin__", None) is not list:
        return some(options[0])
    if options:
        return [some(options[0])]
    if hasattr(hint, "__supertype__") or hint is int:
        return next(NUMBERS)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return next(iter(hint))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint(**{name: some(each) for name, each in get_type_hints(hint).items()})
    return {str: "x", bool: True, bytes: b"x"}[hint]


@pytest.mark.parametrize("kind", get_args(events.AnyEvent), ids=lambda kind: kind.__name__)
def test_every_event_is_told_to_whom_it_concerns_and_understood(kind: type[msgspec.Struct]) -> None:
    event: Any = some(kind)
    accounts = accounts_of(event)
    assert bool(accounts) == (kind.__name__ not in NOBODYS)
    for account in accounts:
        told = trading_pb2.TradeResponse.FromString(event_fields(5, 6, 7, event, account)).events
        assert told
        for each in told:
            seen = event_of(each)
            assert seen is not None
            assert seen[:3] == (5, 6, 7)
            if kind.__name__ in IN_ROWS and account != event.account:
                continue
            same = {"terms", "reason", "maker"} | OTHER_MEANING.get(kind.__name__, set())
            for name in set(seen._fields) & set(event.__struct_fields__) - same:
                told_value, meant_value = getattr(seen, name), getattr(event, name)
                assert (
                    told_value in (meant_value, -meant_value)
                    if name == "amount_atoms"
                    else (told_value == meant_value)
                ), name


# What a trader says in the SDK is what the log gets.

number = st.integers(0, 2**62 - 1)
above_zero = st.integers(1, 2**62 - 1)
identity = st.integers(1, 2**32 - 1)
amount = st.integers(-(2**62) + 1, 2**62 - 1).filter(bool)
label = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=36)
terms = st.builds(
    client.OrderTerms,
    expires_ns=number,
    slide=st.booleans(),
    budget_atoms=number,
    trigger=st.sampled_from([0, *words.TriggerKind]),
    trigger_source=st.sampled_from(words.PriceSource),
    trigger_ticks=number,
    callback_ppm=number,
    display_lots=number,
    self_trade=st.sampled_from([0, *words.SelfTrade]),
    leg=st.sampled_from([0, *words.PositionLeg]),
    reduce_only=st.booleans(),
    close_position=st.booleans(),
).filter(lambda found: found != client.OrderTerms())


@st.composite
def orders(draw: st.DrawFn, *, on_terms: bool) -> client.PlaceOrder:
    """Return an order whose shape makes sense."""
    kind = draw(st.sampled_from(words.OrderKind))
    ways = [
        way for way in words.TimeInForce if kind is words.OrderKind.LIMIT or way is not words.TimeInForce.GTC
    ]
    way = draw(st.sampled_from(ways))
    return client.PlaceOrder(
        instrument=draw(identity),
        side=draw(st.sampled_from(words.Side)),
        size_lots=draw(number if on_terms else above_zero),
        limit_ticks=draw(above_zero) if kind is words.OrderKind.LIMIT else 0,
        order=draw(above_zero),
        kind=kind,
        time_in_force=way,
        post_only=draw(st.booleans()) if way is words.TimeInForce.GTC else False,
        label=draw(label),
        terms=draw(terms) if on_terms else None,
    )


names = st.one_of(
    st.builds(lambda value: {"order": value}, above_zero),
    st.builds(lambda value: {"number": value}, above_zero),
    st.builds(lambda value: {"label": value}, label.filter(bool)),
)
cancels = names.map(lambda name: client.CancelOrder(**name))
amends = st.builds(
    lambda name, rest: client.AmendOrder(**name, **rest),
    names,
    st.fixed_dictionaries(
        {
            "size_lots": number,
            "limit_ticks": number,
            "trigger_ticks": number,
            "callback_ppm": number,
            "display_lots": number,
            "expires_ns": st.one_of(st.just(-1), number),
            "new_label": st.one_of(st.none(), label),
        }
    ),
)
any_order = st.one_of(orders(on_terms=False), orders(on_terms=True))
legs = st.one_of(any_order, cancels, amends)
SDK_COMMANDS: dict[str, st.SearchStrategy[Any]] = {
    "common orders": orders(on_terms=False),
    "orders on terms": orders(on_terms=True),
    "cancels": cancels,
    "amends": amends,
    "lists": st.builds(
        client.PlaceOrderList,
        st.sampled_from(words.ListKind),
        st.lists(any_order, min_size=1, max_size=3).map(tuple),
    ),
    "replacements": st.builds(client.ReplaceOrder, cancels, any_order, st.booleans(), st.booleans()),
    "batches": st.builds(
        client.Batch, st.lists(legs, min_size=1, max_size=5).map(tuple), st.sampled_from(words.BatchMode)
    ),
    "sweeps": st.builds(
        client.CancelOrders, st.integers(0, 9), st.sampled_from([0, *words.Side]), st.booleans()
    ),
    "countdowns": st.builds(client.ArmCountdown, st.integers(0, 2**32 - 1), st.integers(0, 9)),
    "transfers": st.builds(client.Transfer, identity, number, number, number),
    "modes": st.builds(client.SetSelfTrade, st.sampled_from([0, *words.SelfTrade])),
    "sub-accounts": st.builds(client.OpenSubAccount, above_zero, st.integers(0, 63)),
    "referrals": st.builds(client.PayReferral, identity),
    "leverages": st.builds(
        client.SetLeverage, identity, number, st.sampled_from([0, *words.PositionLeg]), number
    ),
    "contract modes": st.builds(
        client.SetContractModes, identity, st.sampled_from(words.MarginMode), st.booleans(), number
    ),
    "margin moves": st.builds(client.MoveMargin, identity, amount, number),
    "buckets": st.builds(
        client.AdjustBucket, identity, amount, st.sampled_from([0, *words.PositionLeg]), number
    ),
}


def meant(command: Any) -> Any:  # noqa: ANN401 - a command of the SDK
    """Return the core's command, written down independently of the door."""
    match command:
        case client.PlaceOrder():
            return order_meant(command)
        case client.CancelOrder():
            return commands.CancelOrder(account=ALICE, **fields(command))
        case client.AmendOrder():
            return commands.AmendOrder(account=ALICE, **fields(command))
        case client.PlaceOrderList():
            placed = [on_terms(leg) for leg in command.legs]
            return commands.PlaceOrderList(
                account=ALICE, instrument=placed[0].instrument, kind=units.ListKind(command.kind), legs=placed
            )
        case client.ReplaceOrder():
            return commands.ReplaceOrder(
                cancel=meant(command.cancel),
                place=on_terms(command.place),
                place_anyway=command.place_anyway,
                cancel_anyway=command.cancel_anyway,
            )
        case client.Batch():
            return commands.Batch(
                account=ALICE, mode=units.BatchMode(command.mode), legs=[meant(leg) for leg in command.legs]
            )
        case client.CancelOrders():
            given = fields(command) | {"side": units.Side(command.side) if command.side else None}
            return commands.CancelOrders(account=ALICE, **given)
        case client.ArmCountdown():
            return commands.ArmCountdown(
                account=ALICE,
                countdown_ns=command.countdown_ms * 1_000_000,
                instrument=units.InstrumentId(command.instrument),
            )
        case client.Transfer():
            given = fields(command) | {"giver": command.giver or ALICE, "taker": command.taker or ALICE}
            return commands.Transfer(**given)
        case client.SetSelfTrade():
            mode = units.SelfTrade(command.mode) if command.mode else None
            return commands.SetSelfTrade(account=ALICE, mode=mode)
        case client.OpenSubAccount():
            return commands.OpenSubAccount(master=ALICE, **fields(command))
        case client.PayReferral():
            return commands.PayReferral(account=ALICE, **fields(command))
        case _:
            return of_position(command)


def of_position(command: Any) -> Any:  # noqa: ANN401 - a command of the SDK
    """Return the core's command about a position or a margin wallet."""
    given = fields(command) | {"account": command.account or ALICE}
    if "leg" in given:
        given["leg"] = units.Leg(given["leg"] or units.Leg.NET)
    match command:
        case client.SetLeverage():
            return commands.SetLeverage(**given)
        case client.SetContractModes():
            return commands.SetContractModes(**given | {"margin": units.MarginMode(command.margin)})
        case client.MoveMargin():
            return commands.MoveMargin(**given)
        case client.AdjustBucket():
            return commands.AdjustBucket(**given)


def fields(command: Any) -> dict[str, Any]:  # noqa: ANN401 - a command of the SDK
    """Return a command's own fields."""
    found: dict[str, Any] = command._asdict()
    del found["not_after_ns"]
    return found


def order_meant(command: client.PlaceOrder) -> commands.PlaceOrder:
    """Return the core's order: a common one unless it has terms."""
    if command.terms is not None:
        return on_terms(command)
    given = fields(command)
    del given["terms"]
    return commands.PlaceOrder(account=ALICE, **given)


def on_terms(command: client.PlaceOrder) -> commands.PlaceOrderOnTerms:
    """Return the core's order on terms, which may say nothing; one that says more is about a contract."""
    given = fields(command)
    said = (command.terms or client.OrderTerms())._asdict()
    of_contract = {name: said.pop(name) for name in ("leg", "reduce_only", "close_position")}
    said["trigger"] = units.TriggerKind(said["trigger"]) if said["trigger"] else None
    said["self_trade"] = units.SelfTrade(said["self_trade"]) if said["self_trade"] else None
    given["terms"] = commands.OrderTerms(**said)
    if any(of_contract.values()):
        of_contract["leg"] = units.Leg(of_contract["leg"] or units.Leg.NET)
        return commands.PlaceContractOrder(account=ALICE, **given, **of_contract)
    return commands.PlaceOrderOnTerms(account=ALICE, **given)


@pytest.mark.parametrize("kind_of_command", SDK_COMMANDS)
@given(data=st.data())
def test_what_the_sdk_sends_is_what_the_log_gets(kind_of_command: str, data: st.DataObject) -> None:
    command = data.draw(SDK_COMMANDS[kind_of_command])
    body = messages.body_of(command, 77)
    kind = messages.KINDS[type(command)]
    frame = wire.command(5, wire.fingerprint_of(kind, body), 9, kind, body)
    (received,) = trading_pb2.TradeRequest.FromString(frame).commands
    assert (received.request, received.not_after_ns) == (5, 9)
    assert translate.trade_command(received, ALICE) == meant(command)


def test_legs_without_ids_get_different_ones() -> None:
    order = client.PlaceOrder(1, 1, 1, 1)
    batch = client.Batch((order,) * BATCH_MAX)
    chosen = messages.chosen_order(3, 9)
    legs = trading_pb2.Batch.FromString(messages.body_of(batch, chosen)).legs
    numbers = [leg.place_order.order for leg in legs]
    assert numbers[0] == chosen
    assert len(dict.fromkeys(numbers)) == BATCH_MAX
    assert max(numbers) < messages.chosen_order(4, 0)


def test_one_leg_too_many_is_said_as_such() -> None:
    batch = trading_pb2.Batch(mode=common_pb2.BATCH_MODE_EACH, legs=[trading_pb2.Leg()] * (BATCH_MAX + 1))
    command = translate.trade_command(trading_pb2.Command(request=1, batch=batch), ALICE)
    assert command == commands.Skip(reason=Reject.TOO_MANY_LEGS)


def test_the_longest_batch_fits_a_request() -> None:
    most = 2**62 - 1
    long_terms = client.OrderTerms(most, True, most, 1, 1, most, most, most, 6, 2, True, True)
    order = client.PlaceOrder(2**32 - 1, 1, most, most, most, label="x" * 36, terms=long_terms)
    batch = trading_pb2.Batch.FromString(messages.body_of(client.Batch((order,) * BATCH_MAX), 1))
    command = translate.trade_command(trading_pb2.Command(request=1, batch=batch), ALICE)
    assert isinstance(command, commands.Batch)
    assert len(msgspec.msgpack.encode((most, most, most, most, 2**32, most, command))) < REQUEST_BYTES_MAX

"""What contracts keep comes back from a snapshot field by field; bytes that contradict themselves do not."""

from collections import deque
from collections.abc import Iterator
from enum import Enum

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC_USD, Venue, buy, founded, market, sell
from tests.helpers.contract_storm import Storm
from tests.helpers.contracts import PERP, contract_market

from steelyard.core import Exchange, snapshot, versions
from steelyard.core.commands import SetKillSwitch
from steelyard.core.matching import Margin, Position, Special
from steelyard.core.state import State
from steelyard.core.units import Leg, RiskLevel

#: Links to what is compared by itself.
LINKS = {
    "margin",
    "orders",
    "positions",
    "contract",
    "index",
    "trail",
    "terms",
    "listing",
    "rules",
    "premiums",
}
#: Only bounds, which the first order after a restart makes tight again; and what is recomputed when needed.
LOOSE = {"buy_high_ticks", "sell_low_ticks", "turns"}


def slots(kept: object) -> Iterator[tuple[str, object]]:
    """Yield every attribute of a slotted object that is a value and not a link."""
    for kind in type(kept).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if name not in LINKS and name not in LOOSE:
                yield name, plain(getattr(kept, name))


def plain(value: object) -> object:
    """Return a value in a form that can be compared between two exchanges."""
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list | deque):
        return list(value)
    assert value is None or isinstance(value, int | str | Enum | msgspec.Struct), value
    return value


def seen(state: State) -> dict[object, object]:
    """Return all values that a state keeps because of contracts, by what they are of."""
    found: dict[object, object] = {
        "switches": sorted(state.kill_switches),
        "last": state.last_liquidation,
        "sweeping": list(state.markets.sweeping),
        "settling": list(state.markets.settling),
    }
    parts: list[tuple[object, object]] = [
        *((("house", asset), house) for asset, house in state.ledger.houses.items()),
        *((("index", name), index) for name, index in state.markets.indices.items()),
        *((("liquidation", place), each) for place, each in enumerate(state.liquidations.rows)),
        *((("special", order.number), order.special) for order in state.orders.values()),
    ]
    for instrument_id, instrument in state.markets.instruments.items():
        contract = instrument.contract
        assert contract is not None
        parts += [(("contract", instrument_id), contract), (("premiums", instrument_id), contract.premiums)]
        found["positions", instrument_id] = sorted(contract.positions)
        found["rules", instrument_id] = contract.rules
    for account in state.accounts.values():
        for margin in account.margins.values():
            parts.append((("margin", account.account, margin.asset), margin))
            for where, position in margin.positions.items():
                parts.append((("position", account.account, where), position))
    for name, part in parts:
        for attribute, value in [] if part is None else slots(part):
            found[name, attribute] = value
    for account in state.accounts.values():
        for margin in account.margins.values():
            for where, position in margin.positions.items():
                found["orders", account.account, where] = sorted(position.orders)
                if position.qty_lots == 0:
                    # Funding is settled anew when there are lots.
                    del found[("position", account.account, where), "settled_nanoatoms"]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_every_field_comes_back(seed: int) -> None:
    storm = Storm(seed)
    for _ in range(6):
        storm.blow(100)
        restored = snapshot.load(snapshot.dump(storm.venue.exchange))
        assert seen(restored.state) == seen(storm.venue.exchange.state)


def test_the_fields_of_these_storms_are_worth_comparing() -> None:
    """Every field of what contracts keep has, at some time, another value than that of a new one."""
    unseen = {
        (kind.__name__, name)
        for kind in (Margin, Position, Special)
        for base in kind.__mro__
        for name in getattr(base, "__slots__", ())
        if name not in LINKS and name not in LOOSE
    }
    # A liquidation order never stands anywhere; prevention, budgets and further lists are spot's own tests.
    unseen -= {("Special", name) for name in ("liquidation", "budget_atoms", "prevented_lots")}
    for seed in range(4):
        storm = Storm(seed)
        for _ in range(400):
            storm.blow(1)
            for part in kept_by(storm.venue.exchange.state):
                for name, value in slots(part):
                    if value is True or value not in (0, None, [], RiskLevel.SAFE, Leg.NET):
                        unseen.discard((type(part).__name__, name))
    assert unseen == set()


def kept_by(state: State) -> list[object]:
    """Return what uncommon orders, margins and positions keep."""
    parts: list[object] = [order.special for order in state.orders.values() if order.special is not None]
    for account in state.accounts.values():
        for margin in account.margins.values():
            parts += [margin, *margin.positions.values()]
    return parts


def body_of(venue: Venue) -> list[object]:
    """Return a snapshot's fields."""
    fields: list[object] = msgspec.msgpack.decode(snapshot.dump(venue.exchange))
    return fields


def test_what_says_nothing_takes_no_room() -> None:
    venue = contract_market(wallet_atoms=0)
    *_, indices, contracts, houses, margins, legs, switches, liquidations, last = body_of(venue)
    assert (houses, margins, legs, switches, liquidations, last) == ([], [], [], [], [], 0)
    assert isinstance(indices, list)
    assert isinstance(contracts, list)
    assert (len(indices), len(contracts)) == (1, 1)


def test_below_version_3_a_snapshot_has_no_room_for_contracts() -> None:
    lengths = {version: len(body_of(market(version=version))) for version in (1, 2, 3)}
    assert lengths == {1: 13, 2: 23, 3: 31}
    assert [body_of(market(version=version))[0] for version in (1, 2, 3)] == [2, 3, 4]


def test_a_snapshot_of_spot_that_lists_a_contract_contradicts_itself() -> None:
    fields = body_of(contract_market(wallet_atoms=0))
    spot = body_of(founded(versions.SPOT_COMPLETE))
    spot[7], spot[8] = fields[7], fields[8]
    with pytest.raises(AssertionError):
        snapshot.load(msgspec.msgpack.encode(spot))


@pytest.mark.parametrize("field", range(23, 31))
def test_a_snapshot_that_lacks_a_table_is_none(field: int) -> None:
    fields = body_of(contract_market())
    del fields[field]
    with pytest.raises(snapshot.SnapshotError):
        snapshot.load(msgspec.msgpack.encode(fields))


def test_money_that_nobody_gave_is_found_on_loading() -> None:
    fields = body_of(contract_market())
    margins = fields[26]
    assert isinstance(margins, list)
    margins[0][2] += 1
    with pytest.raises(AssertionError):
        snapshot.load(msgspec.msgpack.encode(fields))


def test_a_margin_of_nobody_and_a_position_in_nothing_are_found_on_loading() -> None:
    for change in ("account", "instrument"):
        venue = contract_market()
        venue.place(BOB, msgspec.structs.replace(sell(1, 5, 100), instrument=PERP))
        venue.place(ALICE, msgspec.structs.replace(buy(1, 5, 100), instrument=PERP))
        fields = body_of(venue)
        margins = fields[26]
        assert isinstance(margins, list)
        if change == "account":
            margins[0][0] = 999_999
        else:
            margins[0][6][0][0] = BTC_USD
        with pytest.raises((AssertionError, KeyError)):
            snapshot.load(msgspec.msgpack.encode(fields))


def test_switches_come_back_and_hold() -> None:
    venue = contract_market()
    venue.accepted(SetKillSwitch(on=True, account=ALICE))
    venue.accepted(SetKillSwitch(on=True, instrument=PERP))
    restored: Exchange = snapshot.load(snapshot.dump(venue.exchange))
    assert restored.state.kill_switches == venue.exchange.state.kill_switches

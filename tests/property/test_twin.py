"""The fast exchange and its slow twin agree on every reply and every event."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.contract_strategies import contract_asks, dated, fresh
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.coverage import Coverage
from tests.helpers.duel import Desk, duel
from tests.helpers.spot_strategies import spot_asks
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.strategies import Asks, asks
from tests.helpers.traffic import Traffic
from tests.helpers.world import SECOND_NS

from steelyard.core.units import OPERATOR, AccountId

#: Bounds so small that traffic meets them all the time.
SHRUNK = {
    "ACCOUNTS_MAX": 9,
    "ASSETS_MAX": 6,
    "BATCH_MAX": 4,
    "HOLDS_PER_ACCOUNT_MAX": 1,
    "ICEBERG_SLICES_MAX": 3,
    "INSTRUMENTS_MAX": 7,
    "INDICES_MAX": 3,
    "KEYS_MAX": 14,
    "ORDERS_MAX": 14,
    "ORDERS_PER_ACCOUNT_MAX": 6,
    "ORDERS_PER_POSITION_MAX": 3,
    "POSITIONS_PER_MARGIN_MAX": 2,
    "SOURCES_MAX": 3,
    "BASES_MAX": 2,
    "LIQUIDATION_STEPS_PER_ENTRY_MAX": 1,
    "RECENT_ORDERS_MAX": 3,
    "REPLY_WINDOW_MAX": 50,
    "SESSIONS_PER_ACCOUNT_MAX": 2,
    "SHARES_MAX": 1,
    "SUB_ACCOUNTS_MAX": 2,
    "TIERS_MAX": 2,
    "WAITING_PER_INSTRUMENT_MAX": 3,
    "WORK_PER_ENTRY_MAX": 2,
}

#: Seeds that between them meet everything, nearly all of it twice; ``python -m tests.fuzz`` tries all others.
WIDE = (
    (Traffic, 5_000, (1, 2)),
    (SpotTraffic, 4_000, (5, 6, 7, 10)),
    (ContractTraffic, 3_000, (5, 9, 11, 13, 19, 26, 37)),
)

#: From one command to the next; samples are five apart.
seconds = st.sampled_from([n * SECOND_NS for n in (1, 1, 3, 3, 6, 6, 20, 61)])


@pytest.fixture
def _shrunk_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in sorted(sys.modules.items()):
        if name.startswith("steelyard.core"):
            for bound, value in SHRUNK.items():
                if hasattr(module, bound):
                    monkeypatch.setattr(module, bound, value)


def test_the_fast_exchange_equals_its_twin_on_traffic_that_meets_everything_there_is() -> None:
    met = Coverage()
    for kind, commands, seeds in WIDE:
        for seed in seeds:
            met.add(duel(seed, commands, kind).coverage)
    assert met.missing() == []


@pytest.mark.usefixtures("_shrunk_bounds")
@pytest.mark.parametrize("kind", [Traffic, SpotTraffic, ContractTraffic])
@pytest.mark.parametrize("seed", range(11, 15))
def test_the_fast_exchange_equals_its_twin_at_every_bound_on_a_count(seed: int, kind: type[Traffic]) -> None:
    duel(seed, 3_000, kind)


@given(st.lists(asks, max_size=60))
def test_the_fast_exchange_equals_its_twin_on_any_sequence_of_version_1(log: list[Asks]) -> None:
    desk = Desk(Traffic)
    for account, command in log:
        desk.hand_in(account, command)
        desk.both.compare_states()


@given(st.lists(st.one_of(spot_asks, spot_asks, st.integers(0, 3 * SECOND_NS)), max_size=60))
def test_the_fast_exchange_equals_its_twin_on_any_sequence(log: list[Asks | int]) -> None:
    desk = Desk()
    for wish in log:
        if isinstance(wish, int):
            desk.pass_time(wish)
        else:
            account, command = wish
            desk.hand_in(AccountId(account), command)
        desk.both.compare_states()


@given(st.lists(st.one_of(contract_asks, contract_asks, seconds), min_size=10, max_size=80))
def test_the_fast_exchange_equals_its_twin_on_any_sequence_about_contracts(log: list[Asks | int]) -> None:
    desk = Desk(ContractTraffic)
    # Whoever operates feeds prices here, too.
    desk.traffic.lines[OPERATOR].key = desk.feed_key
    for wish in log:
        if isinstance(wish, int):
            desk.pass_time(wish)
            # After a long time nobody has said anything.
            for index in (1, 2) if wish < 20 * SECOND_NS else ():
                desk.hand_in(OPERATOR, fresh(index, desk.traffic.time_ns))
        else:
            account, command = wish
            desk.hand_in(AccountId(account), dated(command, desk.traffic.time_ns))
        desk.both.compare_states()

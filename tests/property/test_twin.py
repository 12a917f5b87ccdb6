"""The fast exchange and its slow twin agree on every reply and every event."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.duel import Desk, duel
from tests.helpers.strategies import Asks, asks


@pytest.mark.parametrize("seed", range(1, 11))
def test_the_fast_exchange_equals_its_twin_on_seeded_traffic(seed: int) -> None:
    assert duel(seed, commands=5_000).commands >= 5_000


@pytest.mark.parametrize("seed", range(11, 17))
def test_the_fast_exchange_equals_its_twin_at_every_bound_on_a_count(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrunk = {
        "ACCOUNTS_MAX": 8,
        "ASSETS_MAX": 6,
        "INSTRUMENTS_MAX": 7,
        "KEYS_MAX": 14,
        "ORDERS_MAX": 14,
        "ORDERS_PER_ACCOUNT_MAX": 6,
        "REPLY_WINDOW_MAX": 50,
        "SESSIONS_PER_ACCOUNT_MAX": 2,
    }
    for name, module in sorted(sys.modules.items()):
        if name.startswith("steelyard.core"):
            for bound, value in shrunk.items():
                if hasattr(module, bound):
                    monkeypatch.setattr(module, bound, value)
    duel(seed, commands=3_000)


@given(st.lists(asks, max_size=60))
def test_the_fast_exchange_equals_its_twin_on_any_sequence(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
        desk.both.compare_states()

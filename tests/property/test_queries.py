"""Questions change nothing, never raise, and tell nobody what is not theirs."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.duel import Desk
from tests.helpers.strategies import near
from tests.helpers.world import CUSTOMERS, ODD_TEXTS

from steelyard.core import queries, snapshot
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.core.rejects import Reject
from steelyard.core.units import OPERATOR, OPERATOR_KEY, AccountId, InstrumentId, KeyId

accounts = near(*CUSTOMERS, OPERATOR).map(AccountId)
numbers = near(0, 1, 2, 3)
names = st.sampled_from(("main", *ODD_TEXTS))

asked: st.SearchStrategy[AnyQuery] = st.one_of(
    st.builds(queries.GetKey, key=numbers.map(KeyId)),
    st.builds(queries.GetSession, account=accounts, name=names, replies_from=numbers),
    st.builds(queries.GetBalances, account=accounts),
    st.builds(queries.GetOpenOrders, account=accounts, instrument=numbers.map(InstrumentId)),
    st.builds(queries.GetBook, instrument=numbers.map(InstrumentId), depth=numbers),
    st.builds(queries.GetMarkets),
    st.builds(queries.GetTotals),
)


@given(st.lists(st.tuples(numbers.map(KeyId), asked), max_size=20))
def test_any_question_has_an_answer_or_a_refusal_and_changes_nothing(
    questions: list[tuple[KeyId, AnyQuery]],
) -> None:
    exchange = Desk().both.fast
    before = snapshot.dump(exchange)
    for key, query in questions:
        assert isinstance(queries.answer(exchange.state, key, query), (Reject, *get_args(AnyAnswer)))
    assert snapshot.dump(exchange) == before


@pytest.mark.parametrize(
    "query",
    [
        queries.GetBalances(account=CUSTOMERS[0]),
        queries.GetOpenOrders(account=CUSTOMERS[0]),
        queries.GetSession(account=CUSTOMERS[0], name="main"),
    ],
    ids=lambda query: type(query).__name__,
)
def test_what_an_account_has_is_told_to_itself_and_to_operators_alone(query: AnyQuery) -> None:
    desk = Desk()
    state = desk.both.fast.state
    own, other = (desk.traffic.lines[account].key for account in CUSTOMERS[:2])
    assert not isinstance(queries.answer(state, own, query), Reject)
    assert not isinstance(queries.answer(state, OPERATOR_KEY, query), Reject)
    assert queries.answer(state, other, query) == Reject.NOT_PERMITTED
    assert queries.answer(state, KeyId(99), query) == Reject.UNKNOWN_KEY


def test_totals_are_for_operators() -> None:
    desk = Desk()
    state = desk.both.fast.state
    assert isinstance(queries.answer(state, OPERATOR_KEY, queries.GetTotals()), queries.Totals)
    customer = desk.traffic.lines[CUSTOMERS[0]].key
    assert queries.answer(state, customer, queries.GetTotals()) == Reject.NOT_PERMITTED

"""Decisions are worked out again from the log; whatever an event says otherwise is noticed."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from tests.helpers.crash_log import ACCOUNTS, FIRST, crash, write_member

from steelyard.core import Exchange, events
from steelyard.core.events import AnyEvent
from steelyard.ops.crash.crowd import FIRST_TRADER
from steelyard.ops.crash.market import CONTRACTS
from steelyard.ops.explain.adls import AdlExplainer, explain_adl
from steelyard.ops.explain.funding import FundingExplainer, explain_funding
from steelyard.ops.explain.liquidations import LiquidationExplainer, explain_liquidation
from steelyard.ops.explain.log import Explainer, MemberLog, Unexplained
from steelyard.ops.explain.orders import OrderExplainer, explain_order
from steelyard.ops.explain.telling import Explanation, shown

Lie = Callable[[AnyEvent], AnyEvent]


def retell(*told: tuple[Sequence[Explainer], Lie]) -> None:
    """Tell the crash's log again, to all at once, every event as the lie has it that goes with them."""
    exchange = Exchange()

    def hear(event: AnyEvent) -> None:
        for explainers, lie in told:
            said = lie(event)
            for explainer in explainers:
                explainer.hear(exchange, said)

    for index, entry in enumerate(crash().entries, start=FIRST):
        for explainers, _ in told:
            for explainer in explainers:
                explainer.begin_entry(exchange)
        exchange.retell(index, entry, hear)


def truth(event: AnyEvent) -> AnyEvent:
    return event


def differences(explanation: Explanation) -> list[str]:
    return [
        f"{check.what}: {check.told} / {check.found}" for check in explanation.checks if not check.matches
    ]


@cache
def accepted_numbers() -> list[int]:
    numbers: list[int] = []
    exchange = Exchange()
    for index, entry in enumerate(crash().entries, start=FIRST):
        applied = exchange.apply(index, entry)
        numbers += [event.number for event in applied.events() if isinstance(event, events.OrderAccepted)]
    return numbers


def test_every_liquidation_and_deleveraging_of_a_crash_is_what_the_log_says() -> None:
    watch = crash().watch
    liquidations = [LiquidationExplainer(number) for number in watch.register.started_ns]
    adls = [AdlExplainer(number) for number in watch.register.started_ns]
    retell(([*liquidations, *adls], truth))

    assert len(liquidations) > 20
    assert all(each.is_done for each in liquidations)
    assert sum(each.count for each in adls) == watch.adls > 0
    assert [line for each in liquidations for line in differences(each.explanation)] == []
    assert [line for each in adls for line in differences(each.explanation)] == []
    steps = sum(len(each.explanation.tables.get("steps", [])) for each in liquidations)
    assert steps == watch.steps

    # Some step was bounded by the condition itself: its lots suffice, and one less would not.
    seen = 0
    for explainer in liquidations:
        rows = explainer.explanation.tables.get(
            "what bounds the lots of a step: equity - penalty >= target", []
        )
        for enough, fewer in pairwise(rows):
            if enough["step"] == fewer["step"] and enough["holds"] and not fewer["holds"]:
                seen += 1
                assert int(enough["equity_atoms"] or 0) - int(enough["penalty_atoms"] or 0) >= int(
                    enough["target_atoms"] or 0
                )
    assert seen > 0


def test_orders_of_a_crash_are_what_the_log_says() -> None:
    numbers = accepted_numbers()
    explainers = [OrderExplainer(number) for number in (*numbers[:30], *numbers[100::397])]
    retell((explainers, truth))
    assert [differences(each.explanation) for each in explainers] == [[]] * len(explainers)
    traded = [each for each in explainers if "trades" in each.explanation.tables]
    assert {row["as"] for each in traded for row in each.explanation.tables["trades"]} == {"maker", "taker"}
    assert any("position after each trade" in each.explanation.tables for each in traded)
    assert any(each.explanation.facts.get("lots_ahead") for each in explainers)


def test_funding_rounds_by_all_three_rules_are_what_the_log_says() -> None:
    explainers = [
        FundingExplainer(contract.symbol, index=index, account=FIRST_TRADER + account)
        for contract in CONTRACTS
        for index in (1, 400)
        for account in range(0, ACCOUNTS, 5)
    ]
    retell((explainers, truth))
    assert {each.explanation.facts["rule"] for each in explainers} == {"AVERAGED", "SAMPLED", "DEAD_BAND"}
    assert [differences(each.explanation) for each in explainers] == [[]] * len(explainers)
    payments = [
        row
        for each in explainers
        for title, rows in each.explanation.tables.items()
        if "paid" in title
        for row in rows
    ]
    assert payments


def test_a_lie_in_an_event_is_noticed_whatever_it_is_about() -> None:
    def liquidations() -> list[Explainer]:
        return [LiquidationExplainer(number) for number in [*crash().watch.register.started_ns][::4]]

    def adls() -> list[Explainer]:
        return [AdlExplainer(number) for number in [*crash().watch.register.started_ns][::2]]

    def orders() -> list[Explainer]:
        return [OrderExplainer(number) for number in accepted_numbers()[::2][:16]]

    def rounds() -> list[Explainer]:
        return [
            FundingExplainer(contract.symbol, index=1, account=FIRST_TRADER + account)
            for contract in CONTRACTS
            for account in range(0, ACCOUNTS, 5)
        ]

    lies: list[tuple[Callable[[], list[Explainer]], type[AnyEvent], str]] = [
        *(
            (liquidations, events.LiquidationStarted, field)
            for field in ("equity_atoms", "maintenance_atoms")
        ),
        *(
            (liquidations, events.LiquidationStepped, field)
            for field in ("lots", "equity_atoms", "mark_ticks", "bankruptcy_atoms", "limit_ticks")
        ),
        *(
            (liquidations, events.LiquidationPaid, field)
            for field in ("lots", "received_atoms", "bankruptcy_atoms", "insurance_atoms")
        ),
        (liquidations, events.LiquidationEnded, "equity_atoms"),
        *(
            (adls, events.AdlSettled, field)
            for field in ("lots", "cash_atoms", "realised_atoms", "funding_atoms", "mark_ticks", "ranked")
        ),
        *(
            (orders, events.Traded, field)
            for field in ("notional_atoms", "maker_fee_atoms", "taker_fee_atoms")
        ),
        *(
            (orders, events.PositionsTraded, field)
            for field in ("maker_qty_lots", "maker_cash_flow_atoms", "taker_realised_atoms")
        ),
        *(
            (rounds, events.FundingSet, field)
            for field in ("rate_ppb", "delta_nanoatoms", "cumulative_nanoatoms", "mark_ticks")
        ),
        (rounds, events.FundingPaid, "paid_atoms"),
        (rounds, events.FundingSwept, "rounding_atoms"),
        (rounds, events.PremiumSampled, "premium_ppb"),
    ]
    told = [(explainers(), _one_more(kind, field)) for explainers, kind, field in lies]
    swapped = adls()
    retell(*told, (swapped, _swap))

    believed = [
        f"{kind.__name__}.{field}"
        for (_, kind, field), (explainers, _) in zip(lies, told, strict=True)
        if all(each.explanation.matches for each in explainers)
    ]
    assert believed == []
    assert not all(each.explanation.matches for each in swapped), "a ranking in another order"


def _one_more(kind: type[AnyEvent], field: str) -> Lie:
    """Return a lie that makes one number of one kind of event larger by one."""

    def lie(event: AnyEvent) -> AnyEvent:
        if not isinstance(event, kind):
            return event
        return msgspec.structs.replace(event, **{field: getattr(event, field) + 1})

    return lie


def _swap(event: AnyEvent) -> AnyEvent:
    """Turn a ranking round."""
    if not isinstance(event, events.AdlSettled):
        return event
    return msgspec.structs.replace(event, givers=event.givers[::-1])


# --- from a member's disk ----------------------------------------------------------------------------------


def test_a_member_s_log_is_explained_from_its_newest_snapshot_before_the_decision(tmp_path: Path) -> None:
    entries = crash().entries
    whole = MemberLog(write_member(tmp_path / "whole", entries))
    number = max(crash().watch.register.started_ns)
    middle = len(entries) // 2
    cut = MemberLog(write_member(tmp_path / "cut", entries, snapshot_at=middle, trims=True))

    assert explain_liquidation(cut, number).result() == explain_liquidation(whole, number).result()
    assert explain_funding(whole, "BTC-USDT-PERP", index=1).matches
    assert explain_order(whole, 1).facts["ended"]
    deleveraged = next(n for n, how in crash().watch.register.ends.items() if how.name == "ADL")
    assert explain_adl(whole, deleveraged).matches

    with pytest.raises(
        Unexplained, match=r"before index \d+, where the log of cut begins; ask a member that"
    ):
        explain_liquidation(cut, 1)


def test_what_the_log_does_not_hold_is_said_with_what_it_holds(tmp_path: Path) -> None:
    log = MemberLog(write_member(tmp_path / "n1", crash().entries))
    last = max(crash().watch.register.started_ns)
    with pytest.raises(
        Unexplained, match=f"no liquidation {last + 1}: the last one in the log of n1 is {last}"
    ):
        explain_liquidation(log, last + 1)
    with pytest.raises(Unexplained, match="no order was accepted as number"):
        explain_order(log, 10**9)
    with pytest.raises(Unexplained, match="there is no contract DOGE; there are: BTC-USDT-PERP"):
        explain_funding(log, "DOGE", index=1)
    with pytest.raises(Unexplained, match="no funding round of BTC-USDT-PERP has ended there or later"):
        explain_funding(log, "BTC-USDT-PERP", index=10**9)
    closed = next(n for n, how in crash().watch.register.ends.items() if how.name == "CLOSED")
    with pytest.raises(Unexplained, match=f"nobody was deleveraged for liquidation {closed}"):
        explain_adl(log, closed)


def test_an_explanation_is_shown_with_everything_in_it() -> None:
    explainer = LiquidationExplainer(min(crash().watch.register.started_ns))
    retell(([explainer], truth))
    result = explainer.explanation.result()
    assert result["ok"] is result["matches"] is True
    assert msgspec.json.decode(msgspec.json.encode(result))["kind"] == "liquidation"
    titles = [getattr(table, "title", "") for table in shown(result).renderables]
    assert any("as the log says" in str(title) for title in titles)
    assert "positions at the beginning" in titles
    assert "Worked out again" in titles

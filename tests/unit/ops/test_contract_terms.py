"""Rules of contracts in TOML are those that hold, and what is wrong with them is said to the person."""

from dataclasses import replace

import pytest
from tests.unit.client.test_orders import BTC_USDT

from steelyard.client import (
    Contract,
    ContractKind,
    ContractRules,
    FundingRule,
    FundingTerms,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    MarkRule,
    SizeOffStep,
)
from steelyard.client.contracts import rules_message
from steelyard.client.contracts import rules_of as rules_of_wire
from steelyard.ops.contract_terms import rules_of, text_of
from steelyard.ops.errors import OpsError

#: Lots of 0.01, settled in USDT with 6 decimals.
PERP = replace(BTC_USDT, contract=Contract(ContractKind.LINEAR, 1, BTC_USDT.quote, 5000))
LEAST = """
position_max = "10"
open_interest_max = 100

[[margin.tier]]
maintenance = "0.5%"
initial = "1%"
"""
ALL = ContractRules(
    margin=MarginTerms(
        (MarginTier(0, 4_000, 5_000), MarginTier(1_500_000, 10_000, 20_001)),
        open_interest_low_atoms=7,
        open_interest_high_atoms=9,
        at_entry=True,
    ),
    position_max_lots=123,
    open_interest_max_lots=456,
    mark_rule=MarkRule.FED,
    mark_band_ppm=1,
    funding=FundingTerms(FundingRule.SAMPLED, 60 * 10**9, 1, 2, 3, 4, 5, 6, False),
    liquidation=LiquidationTerms(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
)


def test_what_is_left_out_is_the_exchanges_default() -> None:
    margin = MarginTerms((MarginTier(0, 5_000, 10_000),))
    assert rules_of(LEAST, PERP) == ContractRules(margin, 1_000, 10_000)


def test_rules_that_are_written_are_read_again() -> None:
    assert rules_of(text_of(ALL, PERP), PERP) == ALL


def test_rules_that_travel_stay_as_they_are() -> None:
    assert rules_of_wire(rules_message(ALL)) == ALL


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "the rules are no TOML"),
        (LEAST.replace('position_max = "10"', ""), "the rules do not say position_max"),
        (LEAST.replace('"10"', "true"), "position_max of the rules must be a number"),
        (LEAST.replace('"10"', '"ten"'), "position_max of the rules must be a number"),
        (LEAST.replace('"10"', '"0.001"'), "off step"),
        (LEAST.replace('"1%"', '"1"'), 'margin.tier.initial of the rules must be a text such as "0.5%"'),
        (LEAST.replace('"1%"', '"0.00001%"'), "at most as fine as 1/1,000,000"),
        (LEAST.replace('initial = "1%"', ""), "the rules do not say margin.tier.initial"),
        (LEAST + "cap = 1", "the rules say margin.tier.cap, which nobody knows"),
        ('position_max = "1"\nopen_interest_max = "1"', "need at least one"),
        ("mark_bnad = 1" + LEAST, "the rules say mark_bnad, which nobody knows"),
        (LEAST + '[funding]\ninterval = "8"', 'funding.interval of the rules must be a time such as "8h"'),
        (LEAST + '[funding]\nrule = "mean"', "must be one of averaged, dead_band, sampled"),
        (LEAST + "[funding]\nweighted = 1", "funding.weighted of the rules must be true or false"),
        (LEAST + "[liquidation]\npenalty = 5", "liquidation.penalty of the rules must be a text"),
        ("funding = 3" + LEAST, "funding of the rules must be a table"),
        ("[margin]\ntier = 3", "margin.tier of the rules must be a list of tables"),
    ],
)
def test_what_is_wrong_with_rules_is_said(text: str, said: str) -> None:
    with pytest.raises((OpsError, SizeOffStep)) as caught:
        rules_of(text, PERP)
    assert said in str(caught.value)

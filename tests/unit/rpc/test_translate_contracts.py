"""Commands about contracts at the door: what each message becomes, and each fault by itself is malformed."""

import pytest

from steelyard.core import commands
from steelyard.core.limits import SOURCES_MAX, TIERS_MAX
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    FundingRule,
    IndexId,
    InstrumentId,
    Leg,
    MarginMode,
    MarkRule,
)
from steelyard.rpc import translate
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.translate_admin import operator_command
from steelyard.v1 import admin_pb2, common_pb2, trading_pb2

ALICE = AccountId(1000)
TOO_LARGE = 1 << 62


def rules() -> common_pb2.ContractRules:
    """Return good rules that say what must be said."""
    return common_pb2.ContractRules(
        margin=common_pb2.MarginTerms(
            tiers=[common_pb2.MarginTier(floor_atoms=0, maintenance_ppm=5_000, initial_ppm=10_000)]
        ),
        position_max_lots=5,
        open_interest_max_lots=6,
        mark_rule=common_pb2.MARK_RULE_MEDIAN,
        mark_band_ppm=7,
    )


def listed(given: common_pb2.ContractRules) -> admin_pb2.AdministerRequest:
    listing = admin_pb2.ListInstrument(
        instrument=3, symbol="P", base_asset=1, quote_asset=2, tick_mantissa=1, lot_mantissa=2, maker_ppm=-5
    )
    row = admin_pb2.ListContract(
        listing=listing, contract=common_pb2.CONTRACT_KIND_INVERSE, index=4, rules=given
    )
    return admin_pb2.AdministerRequest(list_contract=row)


def test_terms_that_are_left_out_are_the_cores_defaults() -> None:
    command = operator_command(listed(rules()))
    assert isinstance(command, commands.ListContract)
    assert (command.contract, command.index, command.instrument, command.maker_ppm) == (
        ContractKind.INVERSE,
        IndexId(4),
        InstrumentId(3),
        -5,
    )
    assert command.market_protection_ppm == 50_000
    assert command.rules == commands.ContractRules(
        margin=commands.MarginTerms(
            tiers=[commands.MarginTier(floor_atoms=0, maintenance_ppm=5_000, initial_ppm=10_000)]
        ),
        position_max_lots=5,
        open_interest_max_lots=6,
        mark_rule=MarkRule.MEDIAN,
        mark_band_ppm=7,
        funding=commands.FundingTerms(),
        liquidation=commands.LiquidationTerms(),
    )


def test_of_terms_that_are_said_every_number_counts() -> None:
    given = rules()
    given.funding.rule = common_pb2.FUNDING_RULE_DEAD_BAND
    given.liquidation.SetInParent()
    row = admin_pb2.SetContractRules(instrument=3, rules=given)
    command = operator_command(admin_pb2.AdministerRequest(set_contract_rules=row))
    assert isinstance(command, commands.SetContractRules)
    assert command.rules.funding == commands.FundingTerms(
        rule=FundingRule.DEAD_BAND,
        interval_ns=0,
        interest_ppb=0,
        clamp_ppb=0,
        dead_band_ppb=0,
        tails_ppm=0,
        cap_ppb=0,
        impact_atoms=0,
        weighted=False,
    )
    assert command.rules.liquidation.hysteresis_ppm == 0


def test_the_other_commands_of_an_operator() -> None:
    assert operator_command(
        admin_pb2.AdministerRequest(list_index=admin_pb2.ListIndex(index=1, symbol="B", tick_mantissa=5))
    ) == commands.ListIndex(index=IndexId(1), symbol="B", tick_mantissa=5, tick_decimals=0)
    assert operator_command(
        admin_pb2.AdministerRequest(fund_insurance=admin_pb2.FundInsurance(asset=2, amount_atoms=-5))
    ) == commands.FundInsurance(asset=AssetId(2), amount_atoms=-5)
    assert operator_command(
        admin_pb2.AdministerRequest(set_kill_switch=admin_pb2.SetKillSwitch(on=True, account=1000))
    ) == commands.SetKillSwitch(on=True, account=ALICE)
    quote = common_pb2.IndexQuote(source=1, price_ticks=2, weight=3, time_ns=4)
    sources = admin_pb2.SetIndexSources(index=1, quotes=[quote])
    assert operator_command(
        admin_pb2.AdministerRequest(set_index_sources=sources)
    ) == commands.SetIndexSources(
        index=IndexId(1), quotes=[commands.IndexQuote(source=1, price_ticks=2, weight=3, time_ns=4)]
    )


def fault(name: str) -> admin_pb2.AdministerRequest:
    """Return a request with one fault."""
    given = rules()
    wire = listed(given)
    match name:
        case "no kind":
            wire.list_contract.contract = common_pb2.CONTRACT_KIND_UNSPECIFIED
        case "no mark rule":
            wire.list_contract.rules.mark_rule = common_pb2.MARK_RULE_UNSPECIFIED
        case "no rules":
            wire.list_contract.ClearField("rules")
        case "no funding rule":
            wire.list_contract.rules.funding.interval_ns = 60
        case "a number too large":
            wire.list_contract.rules.position_max_lots = TOO_LARGE
        case "a number too large deep inside":
            wire.list_contract.rules.margin.tiers[0].floor_atoms = -TOO_LARGE
        case "no tiers":
            wire.list_contract.rules.margin.ClearField("tiers")
        case "too many tiers":
            wire.list_contract.rules.margin.tiers.extend([common_pb2.MarginTier()] * TIERS_MAX)
        case "too many sources":
            quotes = [common_pb2.IndexQuote()] * (SOURCES_MAX + 1)
            wire = admin_pb2.AdministerRequest(
                set_index_sources=admin_pb2.SetIndexSources(index=1, quotes=quotes)
            )
    return wire


@pytest.mark.parametrize(
    "name",
    [
        "no kind",
        "no mark rule",
        "no rules",
        "no funding rule",
        "a number too large",
        "a number too large deep inside",
        "no tiers",
        "too many tiers",
        "too many sources",
    ],
)
def test_an_operators_command_with_a_fault_is_malformed(name: str) -> None:
    with pytest.raises(DoorError) as caught:
        operator_command(fault(name))
    assert caught.value.reason is Reason.MALFORMED


def test_who_is_left_out_is_the_caller_and_a_leg_left_out_is_the_one_position() -> None:
    leverage = trading_pb2.SetLeverage(instrument=3, leverage=5)
    assert translate.trade_command(
        trading_pb2.Command(request=1, set_leverage=leverage), ALICE
    ) == commands.SetLeverage(account=ALICE, instrument=InstrumentId(3), leverage=5, leg=Leg.NET)
    modes = trading_pb2.SetContractModes(
        account=1001, instrument=3, margin=common_pb2.MARGIN_MODE_ISOLATED, hedge=True
    )
    assert translate.trade_command(
        trading_pb2.Command(request=1, set_contract_modes=modes), ALICE
    ) == commands.SetContractModes(
        account=AccountId(1001), instrument=InstrumentId(3), margin=MarginMode.ISOLATED, hedge=True
    )


@pytest.mark.parametrize(
    "wire",
    [
        trading_pb2.Command(request=1, set_leverage=trading_pb2.SetLeverage(instrument=3, leverage=-1)),
        trading_pb2.Command(request=1, set_leverage=trading_pb2.SetLeverage(leverage=TOO_LARGE)),
        trading_pb2.Command(request=1, set_leverage=trading_pb2.SetLeverage(account=TOO_LARGE)),
        trading_pb2.Command(request=1, set_contract_modes=trading_pb2.SetContractModes(instrument=3)),
        trading_pb2.Command(request=1, move_margin=trading_pb2.MoveMargin(asset=2)),
        trading_pb2.Command(request=1, move_margin=trading_pb2.MoveMargin(amount_atoms=-TOO_LARGE)),
        trading_pb2.Command(request=1, adjust_bucket=trading_pb2.AdjustBucket(instrument=3)),
        trading_pb2.Command(
            request=1,
            adjust_bucket=trading_pb2.AdjustBucket(amount_atoms=1, leg=9),  # type: ignore[arg-type]
        ),
    ],
)
def test_a_traders_command_with_a_fault_takes_its_number_as_a_refusal(wire: trading_pb2.Command) -> None:
    assert translate.trade_command(wire, ALICE) is translate.MALFORMED

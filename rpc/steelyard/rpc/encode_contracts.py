"""Where contracts stand, and their rules, to protobuf."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from steelyard.core import commands, queries
from steelyard.v1 import common_pb2, market_data_pb2


def contracts(index: int, answer: queries.Contracts) -> bytes:
    """Return a ``ListContractsResponse``."""
    return market_data_pb2.ListContractsResponse(
        log_index=index,
        log_time_ns=answer.time_ns,
        contracts=map(contract_standing, answer.contracts),
        indices=[
            market_data_pb2.Index(
                index=row.index,
                symbol=row.symbol,
                tick_mantissa=row.tick_mantissa,
                tick_decimals=row.tick_decimals,
                stale_ns=row.stale_ns,
                outlier_ppm=row.outlier_ppm,
                price_ticks=row.price_ticks,
                stale=row.stale,
                quotes=index_quotes(row.quotes),
            )
            for row in answer.indices
        ],
        funds=[
            market_data_pb2.InsuranceFund(
                asset=row.asset,
                insurance_atoms=row.insurance_atoms,
                debt_atoms=row.debt_atoms,
                peak_atoms=row.peak_atoms,
                gate=row.gate,
            )
            for row in answer.funds
        ],
        kill_switch=answer.kill_switch,
    ).SerializeToString()


def contract_standing(row: queries.ContractStanding) -> market_data_pb2.ContractStanding:
    """Return where a contract stands."""
    return market_data_pb2.ContractStanding(
        instrument=row.instrument,
        rules=contract_rules(row.rules),
        mark_ticks=row.mark_ticks,
        index_ticks=row.index_ticks,
        index_stale=row.index_stale,
        rate_ppb=row.rate_ppb,
        predicted_ppb=row.predicted_ppb,
        funding_ns=row.funding_ns,
        cumulative_nanoatoms=row.cumulative_nanoatoms,
        open_interest_lots=row.open_interest_lots,
        positions=row.positions,
        settle_ticks=row.settle_ticks,
        kill_switch=row.kill_switch,
    )


def contract_rules(rules: commands.ContractRules) -> common_pb2.ContractRules:
    """Return a contract's rules; their fields have the same names on both sides."""
    message = common_pb2.ContractRules()
    _copy(rules, message)
    # Where every number of a part is zero it is still there.
    message.funding.SetInParent()
    message.liquidation.SetInParent()
    return message


def index_quotes(quotes: Iterable[commands.IndexQuote]) -> list[common_pb2.IndexQuote]:
    """Return what the sources of an index say."""
    return [
        common_pb2.IndexQuote(
            source=quote.source, price_ticks=quote.price_ticks, weight=quote.weight, time_ns=quote.time_ns
        )
        for quote in quotes
    ]


def _copy(part: Any, message: Message) -> None:  # noqa: ANN401 - a part of the rules
    """Set every field of a message from the field of that name."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(part, field.name)
        if field.message_type is None:
            setattr(message, field.name, value)
        elif field.is_repeated:
            for each in value:
                _copy(each, getattr(message, field.name).add())
        else:
            _copy(value, getattr(message, field.name))

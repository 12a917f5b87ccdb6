"""A contract's rules as a person writes them, in TOML: per cent, hours, units; and back."""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any, Final, TypeVar

from steelyard.client import (
    ContractRules,
    FundingRule,
    FundingTerms,
    Instrument,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    MarkRule,
)
from steelyard.ops.errors import OpsError

PPM: Final = 10**6
PPB: Final = 10**9
_SECOND_NS: Final = 10**9
_SPANS: Final = {"m": 60, "h": 3600}
_SPAN: Final = re.compile(r"(\d+)([mh])").fullmatch

E = TypeVar("E", bound=IntEnum)

#: What is said of funding and of liquidations, by its name in the file, and how finely.
_FUNDING_RATES: Final = {
    "interest": ("interest_ppb", PPB),
    "clamp": ("clamp_ppb", PPB),
    "dead_band": ("dead_band_ppb", PPB),
    "tails": ("tails_ppm", PPM),
    "cap": ("cap_ppb", PPB),
}
_LIQUIDATION_RATES: Final = {
    name: (f"{name}_ppm", PPM)
    for name in (
        "penalty",
        "buffer",
        "step",
        "adl_share",
        "fund_drawdown",
        "fund_step",
        "warning",
        "danger",
        "critical",
        "hysteresis",
    )
}


def rules_of(text: str, contract: Instrument) -> ContractRules:
    """Return the rules that a text describes; funding and liquidation say what differs from the defaults.

    Raises:
        OpsError: Something is missing, unknown or no number; it says what and where.

    """
    try:
        table = _Table(tomllib.loads(text), "")
    except tomllib.TOMLDecodeError as error:
        raise OpsError(f"the rules are no TOML: {error}") from error
    rules = ContractRules(
        margin=_margin(table.part("margin"), contract),
        position_max_lots=contract.lots(table.number("position_max")),
        open_interest_max_lots=contract.lots(table.number("open_interest_max")),
        mark_rule=table.word("mark", MarkRule, MarkRule.MEDIAN),
        mark_band_ppm=table.rate("mark_band", PPM, 50_000),
        funding=_funding(table.part("funding"), contract),
        liquidation=_liquidation(table.part("liquidation")),
    )
    table.check_empty()
    return rules


def text_of(rules: ContractRules, contract: Instrument) -> str:
    """Return rules as ``rules_of`` reads them."""
    amount = contract.settle.amount
    lines = [
        f'position_max = "{contract.size(rules.position_max_lots):f}"',
        f'open_interest_max = "{contract.size(rules.open_interest_max_lots):f}"',
        f'mark = "{rules.mark_rule.name.lower()}"',
        f'mark_band = "{_percent(rules.mark_band_ppm, PPM)}"',
        "",
        "[margin]",
        f'slope = "{_percent(rules.margin.slope_ppb, PPB)}"',
        f'open_interest_low = "{amount(rules.margin.open_interest_low_atoms):f}"',
        f'open_interest_high = "{amount(rules.margin.open_interest_high_atoms):f}"',
        f"at_entry = {str(rules.margin.at_entry).lower()}",
    ]
    for tier in rules.margin.tiers:
        lines += [
            "",
            "[[margin.tier]]",
            f'floor = "{amount(tier.floor_atoms):f}"',
            f'maintenance = "{_percent(tier.maintenance_ppm, PPM)}"',
            f'initial = "{_percent(tier.initial_ppm, PPM)}"',
        ]
    funding, liquidation = rules.funding, rules.liquidation
    lines += ["", "[funding]", f'rule = "{funding.rule.name.lower()}"']
    lines.append(f'interval = "{funding.interval_ns // (60 * _SECOND_NS)}m"')
    lines += _rates(funding, _FUNDING_RATES)
    lines.append(f'impact = "{amount(funding.impact_atoms):f}"')
    lines.append(f"weighted = {str(funding.weighted).lower()}")
    lines += ["", "[liquidation]", *_rates(liquidation, _LIQUIDATION_RATES)]
    return "\n".join(lines) + "\n"


class _Table:
    """A table of the file: what was read of it is gone, so that what is left is unknown."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._left = dict(values)
        self._where = where

    def part(self, name: str) -> "_Table":
        """Return a table in this one; an empty one if there is none."""
        found = self._left.pop(name, {})
        if not isinstance(found, dict):
            raise self._wrong(name, "a table")
        return _Table(found, f"{self._where}{name}.")

    def parts(self, name: str) -> list["_Table"]:
        """Return the tables of a list."""
        found = self._left.pop(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self._wrong(name, "a list of tables")
        return [_Table(each, f"{self._where}{name}.") for each in found]

    def number(self, name: str, default: str | None = None) -> Decimal:
        """Return a number of units, written as a text or a whole number."""
        found = self._left.pop(name, default)
        if found is None:
            raise OpsError(f"the rules do not say {self._where}{name}")
        try:
            if isinstance(found, str | int) and not isinstance(found, bool):
                return Decimal(found)
        except InvalidOperation:
            pass
        raise self._wrong(name, 'a number, such as "0.5" or 100')

    def rate(self, name: str, parts: int, default: int | None = None) -> int:
        """Return a share written in per cent, in ``parts`` of one."""
        found = self._left.pop(name, None)
        if found is None and default is not None:
            return default
        if found is None:
            raise OpsError(f"the rules do not say {self._where}{name}")
        try:
            share = Decimal(str(found).removesuffix("%").strip()) / 100 * parts
            if str(found).endswith("%") and share == int(share):
                return int(share)
        except (InvalidOperation, OverflowError, ValueError):
            pass
        raise self._wrong(name, f'a text such as "0.5%", at most as fine as 1/{parts:,}')

    def word(self, name: str, kind: type[E], default: E) -> E:
        """Return one of an enumeration's words."""
        found = self._left.pop(name, default.name.lower())
        words = {each.name.lower(): each for each in kind}
        if not isinstance(found, str) or found not in words:
            raise self._wrong(name, f"one of {', '.join(words)}")
        return words[found]

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        found = self._left.pop(name, default)
        if not isinstance(found, bool):
            raise self._wrong(name, "true or false")
        return found

    def span_ns(self, name: str, default_ns: int) -> int:
        """Return a time such as "8h" or "30m"."""
        found = self._left.pop(name, None)
        if found is None:
            return default_ns
        matched = _SPAN(found) if isinstance(found, str) else None
        if matched is None:
            raise self._wrong(name, 'a time such as "8h" or "30m"')
        return int(matched[1]) * _SPANS[matched[2]] * _SECOND_NS

    def check_empty(self) -> None:
        """Raise ``OpsError`` if there is something that nobody asked for."""
        if self._left:
            raise OpsError(f"the rules say {self._where}{next(iter(self._left))}, which nobody knows")

    def _wrong(self, name: str, wanted: str) -> OpsError:
        return OpsError(f"{self._where}{name} of the rules must be {wanted}")


def _margin(table: _Table, contract: Instrument) -> MarginTerms:
    atoms = contract.settle.atoms
    tiers = []
    for tier in table.parts("tier"):
        tiers.append(
            MarginTier(
                floor_atoms=atoms(tier.number("floor", "0")),
                maintenance_ppm=tier.rate("maintenance", PPM),
                initial_ppm=tier.rate("initial", PPM),
            )
        )
        tier.check_empty()
    if not tiers:
        raise OpsError("the rules need at least one [[margin.tier]] with maintenance and initial")
    terms = MarginTerms(
        tiers=tuple(tiers),
        slope_ppb=table.rate("slope", PPB, 0),
        open_interest_low_atoms=atoms(table.number("open_interest_low", "0")),
        open_interest_high_atoms=atoms(table.number("open_interest_high", "0")),
        at_entry=table.flag("at_entry", default=False),
    )
    table.check_empty()
    return terms


def _funding(table: _Table, contract: Instrument) -> FundingTerms:
    usual = FundingTerms()
    terms = FundingTerms(
        rule=table.word("rule", FundingRule, usual.rule),
        interval_ns=table.span_ns("interval", usual.interval_ns),
        impact_atoms=contract.settle.atoms(table.number("impact", "0")),
        weighted=table.flag("weighted", usual.weighted),
        **_read_rates(table, _FUNDING_RATES, usual),
    )
    table.check_empty()
    return terms


def _liquidation(table: _Table) -> LiquidationTerms:
    terms = LiquidationTerms(**_read_rates(table, _LIQUIDATION_RATES, LiquidationTerms()))
    table.check_empty()
    return terms


def _read_rates(
    table: _Table, rates: dict[str, tuple[str, int]], usual: FundingTerms | LiquidationTerms
) -> dict[str, int]:
    return {field: table.rate(name, parts, getattr(usual, field)) for name, (field, parts) in rates.items()}


def _rates(terms: FundingTerms | LiquidationTerms, rates: dict[str, tuple[str, int]]) -> list[str]:
    return [f'{name} = "{_percent(getattr(terms, field), parts)}"' for name, (field, parts) in rates.items()]


def _percent(share: int, parts: int) -> str:
    exact = Decimal(share) * 100 / parts
    return f"{exact.normalize():f}%"

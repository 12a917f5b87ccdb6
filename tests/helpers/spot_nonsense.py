"""Commands of version 2 bent out of shape: one field of a command, of its terms or of a leg made extreme."""

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace
from tests.helpers.traffic import Traffic
from tests.helpers.world import EXTREMES

from steelyard.core.commands import AnyCommand, CancelOrder, OrderTerms, PlaceOrder, RevokeApiKey
from steelyard.core.units import (
    OPERATOR_KEY,
    BatchMode,
    ListKind,
    PriceSource,
    SelfTrade,
    Side,
    TriggerKind,
)

#: What an absent value may become when a command is bent.
ABSENT: dict[str, tuple[object, ...]] = {
    "trigger": tuple(TriggerKind),
    "self_trade": tuple(SelfTrade),
    "mode": tuple(SelfTrade),
    "side": tuple(Side),
    "new_label": ("", "l1", "x" * 37),
}


@dataclass
class Nonsense(Traffic):
    """A source of commands that now and then makes no sense."""

    def bend(self, command: AnyCommand) -> AnyCommand:
        """Replace one field by something extreme: of the command, of its terms, of one of its legs."""
        name = self.random.choice(command.__struct_fields__)
        value = getattr(command, name)
        if value is None:
            return replace(command, **{name: self.random.choice(ABSENT[name])})
        if isinstance(value, list):
            return replace(command, **{name: self.bent_list(value)})
        if isinstance(value, OrderTerms):
            inner = self.random.choice(OrderTerms.__struct_fields__)
            was = getattr(value, inner)
            now = self.random.choice(ABSENT[inner]) if was is None else self.odd(was)
            return replace(command, terms=replace(value, **{inner: now}))
        if isinstance(value, CancelOrder | PlaceOrder):
            return replace(command, **{name: self.bend(value)})
        bent = replace(command, **{name: self.odd(value)})
        # The operator's only key must outlive the run.
        return command if bent == RevokeApiKey(key=OPERATOR_KEY) else bent

    def bent_list(self, legs: list[Any]) -> list[Any]:
        """Drop a leg, double one, or bend one."""
        if not legs:
            return legs
        place = self.random.randrange(len(legs))
        pick = self.random.random()
        if not isinstance(legs[place], msgspec.Struct) or pick < 0.2:
            return legs[:place] + legs[place + 1 :]
        if pick < 0.4:
            return [*legs, legs[place]]
        return [*legs[:place], self.bend(legs[place]), *legs[place + 1 :]]

    def odd(self, value: object) -> object:
        """Return an unlikely value of the same type."""
        if isinstance(value, SelfTrade | TriggerKind | PriceSource | ListKind | BatchMode):
            return self.random.choice(list(type(value)))
        return self.random.choice(EXTREMES) if type(value) is int else super().odd(value)

"""The column of what a ticket and its incident last agreed on."""

from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from app.models.conflicts import Agreed, Values


class AgreedJSON(TypeDecorator[Agreed]):
    """`Agreed` as JSON; what both sides say alike is kept once, under "both".

    That is nearly all, with the long texts of a resolution: half of what a ticket takes.
    """

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Agreed | None, dialect: Dialect) -> Agreed | None:
        if not value or "theirs" not in value:
            return value
        ours, theirs = value.get("ours", {}), value["theirs"]
        if ours == theirs:
            return {**value, "both": ours, "ours": {}, "theirs": {}}
        both = {name: said for name, said in theirs.items() if name in ours and ours[name] == said}
        rest = {"ours": _without(ours, both), "theirs": _without(theirs, both)}
        return {**value, "both": both, **rest}

    def process_result_value(self, value: Any, dialect: Dialect) -> Agreed | None:
        agreed: dict[str, Values] | None = value
        if agreed and (both := agreed.pop("both", None)):
            agreed |= {side: {**both, **agreed[side]} for side in ("ours", "theirs")}
        return agreed


def _without(values: Values, both: Values) -> Values:
    return {name: said for name, said in values.items() if name not in both}

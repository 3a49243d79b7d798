"""The values that a form showed, to detect which fields a person changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class Basis:
    """A digest of each value that a form showed; sent with the form as text."""

    digests: Mapping[str, str]

    @classmethod
    def of(cls, shown: Mapping[str, object]) -> Self:
        return cls({name: _digest(value) for name, value in shown.items()})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of `str`; malformed parts are ignored."""
        pairs = (pair.partition(":") for pair in text.split())
        return cls({unquote(name): digest for name, _, digest in pairs if digest})

    def __str__(self) -> str:
        return " ".join(f"{quote(name)}:{digest}" for name, digest in self.digests.items())

    def touched(self, name: str, typed: object) -> bool:
        """Whether the person changed this field; True for a field the form did not show."""
        return self.digests.get(name) != _digest(typed)

    def stands(self, name: str, *now: object) -> bool:
        """Whether one of the values `now` equals the value that the form showed."""
        return name not in self.digests or self.digests[name] in map(_digest, now)

    def own(self, typed: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that the person changed."""
        return {name: value for name, value in typed.items() if self.touched(name, value)}

    def contested(
        self, own: Mapping[str, Any], now: Mapping[str, Any], *, shown: Callable[[str], str] = str
    ) -> tuple[str, ...]:
        """The person's `own` changes to fields that another person set to a different value.

        `shown` turns a text into what the form shows of it.
        """
        return tuple(
            name
            for name, value in own.items()
            if not self.stands(name, now[name], shown(_text(now[name])))
            and _digest(value) not in (_digest(now[name]), _digest(shown(_text(now[name]))))
        )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _digest(value: object) -> str:
    """A short digest: only the editor of both texts could construct a collision."""
    text = _text(value).replace("\r\n", "\n").strip()
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

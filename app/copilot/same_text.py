"""When two ticket texts say the same: equal once tidied, or nearly all of their letters shared.

Near-duplicates are found by a sketch (A. Broder, On the resemblance and containment of documents,
1997): of two texts that share most of their four-letter groups, the lowest hashes are mostly the
same, so an index on those finds candidates without reading every text.
"""

import hashlib
import re

from app.copilot.text import cleaned

GROUP = 4
SKETCH = 24
NEARLY_SAME = 0.8
NO_WORD = re.compile(r"[\W_]+")


def tidied(text: str) -> str:
    """The words of a ticket in small letters, without mail clutter and punctuation."""
    return NO_WORD.sub(" ", cleaned(text).casefold()).strip()


def fingerprint(text: str) -> str:
    """The same for texts of the same words."""
    return hashlib.sha256(tidied(text).encode("utf-8", "replace")).hexdigest()


def sketch(text: str) -> tuple[int, ...]:
    """At most 24 numbers below 2**63; texts that nearly agree share most of theirs."""
    return tuple(sorted(_number(group) for group in _groups(text))[:SKETCH])


def similarity(one: str, other: str) -> float:
    """The share of four-letter groups that both have, 0 to 1."""
    ours, theirs = _groups(one), _groups(other)
    every = ours | theirs
    return len(ours & theirs) / len(every) if every else 0.0


def _groups(text: str) -> frozenset[str]:
    words = tidied(text)
    return frozenset(words[i : i + GROUP] for i in range(max(1, len(words) - GROUP + 1)) if words)


def _number(group: str) -> int:
    digest = hashlib.blake2b(group.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1

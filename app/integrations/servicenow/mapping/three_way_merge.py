"""Three-way merge of a ticket and its incident: what each side changed since both agreed.

Only what differs from the agreed values is acted on (docs/servicenow.md 6.2), so a value that
a pull wrote never causes a push, and our own update coming back changes nothing.
"""

from dataclasses import dataclass
from enum import Enum, auto

from app.integrations.servicenow.mapping.from_incident import FIELD_OF, Record
from app.integrations.servicenow.mapping.to_incident import defused, short_description
from app.models.conflicts import CLEARABLE, RESOLUTION, SYNCED, Agreed, Values
from app.models.tickets import TicketStatus


@dataclass(frozen=True, slots=True)
class Merge:
    """The verdict per field; a field in none of the four has not moved.

    `take` holds their new values. `settled`: both sides moved to the same, or ours was emptied
    where that says nothing; there is nothing left to do but to agree on it.
    """

    send: tuple[str, ...]
    take: Values
    conflicts: tuple[str, ...]
    settled: tuple[str, ...]


class _Verdict(Enum):
    SEND = auto()
    TAKE = auto()
    CONFLICT = auto()
    SETTLED = auto()
    NOTHING = auto()


def merge(agreed: Agreed, ours: Values, theirs: Values) -> Merge:
    """What to send, to take and to ask a person about.

    A field that `theirs` lacks is hidden from us and says nothing. The resolution follows the
    status: it waits while that is in conflict, and is neither sent nor asked about before the end.
    """
    agreed = recognised(agreed, theirs)
    verdicts = {name: _verdict(name, agreed, ours=ours, theirs=theirs) for name in SYNCED}
    for name in RESOLUTION:
        verdicts[name] = _following(verdicts["status"], verdicts[name], ours=ours, theirs=theirs)

    def named(wanted: _Verdict) -> tuple[str, ...]:
        return tuple(name for name in SYNCED if verdicts[name] is wanted)

    return Merge(
        send=named(_Verdict.SEND),
        take={name: theirs[name] for name in named(_Verdict.TAKE)},
        conflicts=named(_Verdict.CONFLICT),
        settled=named(_Verdict.SETTLED),
    )


def agreed_at_first(ours: Values, theirs: Values, record: Record) -> tuple[str, ...]:
    """The fields that need nothing when a ticket is tied to an incident that was there before.

    Those that both say alike; and those that we cannot read there, hidden or not mapped: what is
    not known is not overwritten.
    """
    return tuple(
        name
        for name in SYNCED
        if name not in theirs
        or same(name, ours.get(name), theirs[name])
        or (theirs[name] is None and record.get(FIELD_OF[name]))
    )


def agreed_when_found(agreed: Agreed, theirs: Values, *, untouched: bool) -> tuple[Values, Values]:
    """(ours, theirs) as agreed on, for an incident of ours that is found after a lost answer.

    `agreed` holds what was written ahead of the create. A field that says something else was
    changed there, unless nobody has touched the incident: then rules of the instance did it. One
    that says what an earlier try sent is to be sent again.
    """
    ours, base = dict(agreed.get("sent", {})), dict(theirs)
    expected, earlier = agreed.get("theirs", {}), agreed.get("earlier", {})
    for name, value in expected.items():
        if name not in theirs or theirs[name] == value:
            continue
        if name in earlier and earlier[name] == theirs[name]:
            ours[name] = theirs[name]
        elif not untouched:
            base[name] = value
    return ours, base


def recognised(agreed: Agreed, theirs: Values) -> Agreed:
    """The agreed values after what we sent was seen there, though its answer was lost.

    "sent" holds our values of a write under way: theirs that say the same are not a change of
    theirs, they are ours coming back. The answer has no "sent" any more.
    """
    sent = agreed.get("sent", {})
    back = {
        name: theirs[name]
        for name in sent
        if name in theirs
        and theirs[name] != agreed.get("theirs", {}).get(name)
        and same(name, sent[name], theirs[name])
    }
    return {
        "ours": {**agreed.get("ours", {}), **{name: sent[name] for name in back}},
        "theirs": {**agreed.get("theirs", {}), **back},
        "seen": agreed.get("seen", {}),
    }


def same(name: str, ours: str | None, theirs: str | None) -> bool:
    """True when the two sides say the same, each in its own lengths and letters."""
    if name == "subject":
        ours = short_description(ours) if ours else ours
    if name == "resolution_notes":
        ours = defused(ours) if ours else ours
    if name in ("assignee", "resolution_code"):
        return (ours or "").casefold() == (theirs or "").casefold()
    return ours == theirs


def _verdict(name: str, agreed: Agreed, *, ours: Values, theirs: Values) -> _Verdict:
    mine, his = ours.get(name), theirs.get(name)
    silent = name not in theirs or (his is None and name not in CLEARABLE)
    moved_there = name in theirs and his != agreed.get("theirs", {}).get(name)
    moved_here = mine != agreed.get("ours", {}).get(name)
    if not moved_here:
        if not moved_there or silent:
            return _Verdict.NOTHING
        return _Verdict.SETTLED if same(name, mine, his) else _Verdict.TAKE
    if not silent and same(name, mine, his):
        return _Verdict.SETTLED
    if mine is None and name not in CLEARABLE:
        return _Verdict.TAKE if moved_there and not silent else _Verdict.SETTLED
    # Theirs may also have moved to something that is not mapped here: that is never overwritten.
    return _Verdict.CONFLICT if moved_there else _Verdict.SEND


def _following(status: _Verdict, own: _Verdict, *, ours: Values, theirs: Values) -> _Verdict:
    """What becomes of a field of the resolution, given what becomes of the status."""
    if status is _Verdict.CONFLICT:
        return _Verdict.NOTHING
    after = theirs["status"] if status is _Verdict.TAKE else ours["status"]
    ended = TicketStatus(after).ended if after else False
    if not ended and own in (_Verdict.SEND, _Verdict.CONFLICT):
        return _Verdict.NOTHING
    return own

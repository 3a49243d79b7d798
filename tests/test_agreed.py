"""What both sides last agreed on comes back as it was kept, and is kept once."""

import pytest
from sqlalchemy import Engine, insert, select, text

from app.db.engine import reading, utc_now, writing
from app.db.tables import tickets
from app.models.conflicts import Agreed

SEEN = {"mod_count": "3", "updated_on": "2026-11-05 08:27:18", "updated_by": "kenji"}
NOTES = "Cleared the credential store and rebuilt the mail profile."


def kept(engine: Engine, agreed: Agreed | None) -> tuple[Agreed | None, str]:
    """What is read of what was written, and the text in the column."""
    now = utc_now()
    with writing(engine) as conn:
        row = insert(tickets).values(
            subject="Mail",
            description="",
            requester_email="a@example.com",
            status="open",
            created_at=now,
            updated_at=now,
            sn_agreed=agreed,
        )
        ticket_id = conn.execute(row.returning(tickets.c.id)).scalar_one()
    return read(engine, ticket_id)


def read(engine: Engine, ticket_id: int) -> tuple[Agreed | None, str]:
    query = select(tickets.c.sn_agreed).where(tickets.c.id == ticket_id)
    raw = text("SELECT CAST(sn_agreed AS TEXT) FROM tickets WHERE id = :id")
    with reading(engine) as conn:
        return (
            conn.execute(query).scalar_one(),
            conn.execute(raw, {"id": ticket_id}).scalar_one() or "",
        )


@pytest.mark.parametrize(
    "agreed",
    [
        {"ours": {"status": "open", "assignee": None}, "theirs": {"status": "open"}, "seen": SEEN},
        {"ours": {"status": "open"}, "theirs": {"status": "open", "assignee": None}, "seen": SEEN},
        {"ours": {"subject": "Mail"}, "theirs": {"subject": "Mail, still"}, "seen": SEEN},
        {"ours": {"status": None}, "theirs": {"status": None}, "seen": {}, "sent": {"status": "x"}},
        {"seen": SEEN},
        {"ours": {}, "theirs": {}, "seen": {}},
        {},
        None,
    ],
)
def test_it_is_read_as_it_was_written(engine: Engine, agreed: Agreed | None) -> None:
    assert (kept(engine, agreed)[0] or {}) == (agreed or {})


def test_a_long_text_that_both_sides_say_is_kept_once(engine: Engine) -> None:
    values = {"status": "resolved", "resolution_notes": NOTES}
    found, raw = kept(engine, {"ours": values, "theirs": values, "seen": SEEN})
    assert found == {"ours": values, "theirs": values, "seen": SEEN}
    assert raw.count(NOTES) == 1


def test_what_was_kept_before_is_still_read(engine: Engine) -> None:
    _, _ = kept(engine, None)
    old = '{"ours": {"status": "open"}, "theirs": {"status": "open", "category": null}, "seen": {}}'
    with writing(engine) as conn:
        conn.execute(text("UPDATE tickets SET sn_agreed = :old"), {"old": old})
        ticket_id = conn.execute(select(tickets.c.id)).scalars().one()
    assert read(engine, ticket_id)[0] == {
        "ours": {"status": "open"},
        "theirs": {"status": "open", "category": None},
        "seen": {},
    }

"""API tokens: hashes only."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, or_, select, update

from app.db.accounts import get_user
from app.db.tables import api_tokens, users
from app.errors import NotFound
from app.models.accounts import ApiToken, Scope, User

NAMES = tuple(name for name in ApiToken.__dataclass_fields__ if name != "user_email")


def _live() -> Select[Any]:
    columns = [api_tokens.c[name] for name in NAMES]
    query = select(*columns, users.c.email.label("user_email"), users.c.active)
    joined = query.join(users, users.c.id == api_tokens.c.user_id)
    return joined.where(api_tokens.c.revoked_at.is_(None))


def _token(row: RowMapping) -> ApiToken:
    values = {name: row[name] for name in (*NAMES, "user_email")}
    return ApiToken(**values | {"scope": Scope(row["scope"])})


def add(
    conn: Connection,
    user_id: int,
    *,
    name: str,
    prefix: str,
    secret_hash: str,
    scope: Scope,
    expires_at: datetime | None,
    now: datetime,
) -> ApiToken:
    statement = api_tokens.insert().values(
        user_id=user_id,
        name=name,
        prefix=prefix,
        token_hash=secret_hash,
        scope=scope,
        expires_at=expires_at,
        created_at=now,
    )
    token_id = conn.execute(statement.returning(api_tokens.c.id)).scalar_one()
    return get(conn, token_id)


def get(conn: Connection, token_id: int) -> ApiToken:
    """A token that was not revoked."""
    row = conn.execute(_live().where(api_tokens.c.id == token_id)).mappings().first()
    if row is None:
        raise NotFound("There is no such token.")
    return _token(row)


def find_by_hash(
    conn: Connection, secret_hash: str, *, now: datetime
) -> tuple[ApiToken, User] | None:
    """The token and its owner, unless revoked, expired or the owner inactive."""
    lasts = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > now)
    query = _live().where(api_tokens.c.token_hash == secret_hash, users.c.active, lasts)
    row = conn.execute(query).mappings().first()
    return (_token(row), get_user(conn, row["user_id"])) if row else None


def list_tokens(conn: Connection, *, user_id: int | None = None) -> list[ApiToken]:
    """One user's tokens, or everybody's; newest first."""
    query = _live() if user_id is None else _live().where(api_tokens.c.user_id == user_id)
    rows = conn.execute(query.order_by(api_tokens.c.id.desc())).mappings()
    return [_token(row) for row in rows]


def touch(conn: Connection, token_id: int, *, now: datetime, pause: timedelta) -> None:
    """Note a use, unless one was noted within `pause`."""
    due = or_(api_tokens.c.last_used_at.is_(None), api_tokens.c.last_used_at <= now - pause)
    conn.execute(
        update(api_tokens).where(api_tokens.c.id == token_id, due).values(last_used_at=now)
    )


def revoke(conn: Connection, token_id: int, *, now: datetime) -> None:
    conn.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(revoked_at=now))


def revoke_all(
    conn: Connection, user_id: int, *, now: datetime, only: Collection[int] | None = None
) -> None:
    """End every token of a user, or those of `only`."""
    mine = [api_tokens.c.user_id == user_id, api_tokens.c.revoked_at.is_(None)]
    if only is not None:
        mine.append(api_tokens.c.id.in_(only))
    conn.execute(update(api_tokens).where(*mine).values(revoked_at=now))

"""Accounts, roles and tokens."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    REQUESTER = "requester"
    AGENT = "agent"
    ADMIN = "admin"

    def may_act_as(self, needed: "Role") -> bool:
        """An admin may do what an agent may, an agent what a requester may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Scope(StrEnum):
    """What an API token may do under /api; the lesser of scope and owner's role counts."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """An account. `time_zone` is an IANA name, or None to use the browser's zone."""

    id: int
    email: str
    role: Role
    active: bool
    created_at: datetime
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as lists show it; its secret is shown once and kept as a hash only."""

    id: int
    user_id: int
    user_email: str
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    scope: Scope
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in; `key` is the hash of its secret id."""

    key: str
    browser: str
    address: str
    created_at: datetime
    last_active_at: datetime
    current: bool

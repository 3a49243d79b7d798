"""Accounts, roles and tokens."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    REQUESTER = "requester"
    AGENT = "agent"
    ADMIN = "admin"

    def may_act_as(self, needed: "Role") -> bool:
        """Whether this role includes the permissions of `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Scope(StrEnum):
    """The permissions of an API token under /api, limited by its owner's role."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """An account. `time_zone` is an IANA name, or None to use the browser's zone."""

    id: int
    email: str
    name: str
    role: Role
    active: bool
    created_at: datetime
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, as pages show them. `staff` is an agent or an admin."""

    name: str
    staff: bool


@dataclass(frozen=True, slots=True)
class ApiToken:
    """An API token without its secret, of which only a hash is stored."""

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
    """A logged-in browser; `key` is the hash of its secret id."""

    key: str
    browser: str
    address: str
    created_at: datetime
    last_active_at: datetime
    current: bool

"""Accounts: creation, roles, log-in, passwords, reset links and API tokens."""

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from app.db import accounts, migrate, tokens
from app.db.engine import reading, utc_now, writing
from app.errors import (
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    SettingsError,
    TooManyAttempts,
)
from app.models.accounts import ApiToken, Role, Scope, User
from app.models.names import checked_name
from app.security import (
    NO_PASSWORD,
    TOKEN_PREFIX_LENGTH,
    DeviceSigner,
    checked_email,
    checked_token_name,
    hash_password,
    needs_rehash,
    new_password,
    new_secret,
    new_token,
    token_hash,
    verify_nothing,
    verify_password,
)
from app.services.accounts.passwords import checked_password
from app.services.accounts.profiles import Profiles, is_name_conflict, name_taken
from app.services.accounts.sessions import Sessions
from app.services.accounts.throttle import Source, Throttle

RESET_LASTS = timedelta(hours=24)
USE_NOTED_EVERY = timedelta(minutes=1)
FIRST_ADMIN = "admin@localhost"
USED_UP = "This link is not valid. It was used, has expired or is incomplete."
# People type passwords into the wrong field, so only e-mail addresses are logged.
SHOWN_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\.[a-z]{2,63}")
log = logging.getLogger("app.accounts")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The cookies for a browser that has just logged in."""

    session: str
    device: str


class AccountService:
    """Accounts, API tokens and reset links. Secrets are returned once and stored hashed."""

    def __init__(
        self,
        engine: Engine,
        *,
        secret_key: str,
        full_name: Callable[[str], str] = lambda _: "",
        idle: timedelta = timedelta(hours=12),
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self.profiles = Profiles(engine, full_name=full_name)
        self.sessions = Sessions(engine, secret_key=secret_key, idle=idle, now=now)
        self._devices = DeviceSigner(secret_key)
        self._throttle = Throttle(engine, now=now)
        self._now = now

    # -- accounts ----------------------------------------------------------------------------

    def ensure_admin(self, email: str = "", password: str = "") -> str | None:
        """Create the first administrator if there are no accounts yet.

        Returns the generated password if none was given, else None. Raises SettingsError.
        """
        with reading(self._engine) as conn:
            if accounts.any_user(conn):
                return None
        try:
            address = checked_email(email or FIRST_ADMIN)
            chosen = checked_password(password, email=address) if password else new_password()
        except Invalid as exc:
            field, sentence = next(iter(exc.fields.items()))
            raise SettingsError(f"ADMIN_{field.upper()}: {sentence}") from None
        hashed = hash_password(chosen)
        with writing(self._engine) as conn:
            migrate.one_at_a_time(conn)
            if accounts.any_user(conn):
                return None
            accounts.add_user(conn, address, password_hash=hashed, role=Role.ADMIN, now=self._now())
        return None if password else chosen

    def create_user(
        self, email: str, role: Role, password: str | None = None, *, name: str = ""
    ) -> tuple[User, str]:
        """Create an account; returns it and its generated password, or "". Raises Invalid."""
        address = checked_email(email)
        chosen = new_password() if password is None else checked_password(password, email=address)
        user = self._add(address, role, name, password_hash=hash_password(chosen))
        return user, chosen if password is None else ""

    def invite_user(self, email: str, role: Role, *, name: str = "") -> tuple[User, str]:
        """Create an account without a password; returns it and the token of its reset link."""
        user = self._add(checked_email(email), role, name, password_hash=NO_PASSWORD)
        return user, self.reset_token(user.id)

    def _add(self, email: str, role: Role, name: str, *, password_hash: str) -> User:
        """Without a name the account is made with a free one, then looked up in ServiceNow."""
        given = checked_name(name) if name.strip() else ""
        try:
            with writing(self._engine) as conn:
                user = accounts.add_user(
                    conn, email, password_hash=password_hash, role=role, now=self._now(), name=given
                )
        except IntegrityError as exc:
            if is_name_conflict(exc):
                if not given:
                    # Another account took the free name in this moment: use the next one.
                    return self._add(email, role, name, password_hash=password_hash)
                raise name_taken() from None
            sentence = "An account with this e-mail already exists."
            raise Invalid(sentence, fields={"email": sentence}) from None
        return user if given else self.profiles.look_up_name(user)

    def users(self) -> Sequence[User]:
        """All accounts, active ones first, by name."""
        with reading(self._engine) as conn:
            return accounts.list_users(conn)

    def user(self, user_id: int) -> User:
        """Raises NotFound."""
        with reading(self._engine) as conn:
            return accounts.get_user(conn, user_id)

    def user_by_email(self, email: str) -> User:
        """Raises NotFound."""
        with reading(self._engine) as conn:
            user = accounts.find_user(conn, email.strip().casefold())
        if user is None:
            raise NotFound(f"Account {email} was not found.")
        return user

    def deactivate(self, user_id: int) -> User:
        """Deactivate an account and end its sessions and tokens. Raises NotFound, Conflict."""
        with writing(self._engine) as conn:
            self._spare_last_admin(conn, user_id)
            accounts.change_user(conn, user_id, active=False)
            accounts.remove_sessions(conn, user_id)
            accounts.remove_resets(conn, user_id)
            tokens.revoke_all(conn, user_id, now=self._now())
            return accounts.get_user(conn, user_id)

    def activate(self, user_id: int) -> User:
        with writing(self._engine) as conn:
            accounts.change_user(conn, user_id, active=True)
            return accounts.get_user(conn, user_id)

    def change_role(self, user_id: int, role: Role) -> User:
        """Change a role; API tokens of a new requester are revoked. Raises NotFound, Conflict."""
        with writing(self._engine) as conn:
            if role is not Role.ADMIN:
                self._spare_last_admin(conn, user_id)
            accounts.change_user(conn, user_id, role=role)
            if role is Role.REQUESTER:
                tokens.revoke_all(conn, user_id, now=self._now())
            return accounts.get_user(conn, user_id)

    def _spare_last_admin(self, conn: Connection, user_id: int) -> None:
        if list(accounts.active_admin_ids(conn)) == [user_id]:
            raise Conflict(
                "This is the last active administrator.",
                hint="Give another account the admin role first.",
            )

    # -- log-in ------------------------------------------------------------------------------

    def sign_in(
        self,
        email: str,
        password: str,
        *,
        address: str = "",
        shared: bool = False,
        device: str = "",
        user_agent: str = "",
        session: str | None = None,
    ) -> SignedIn:
        """Start a session and end `session`, the cookie of an earlier session in this browser.

        Raises Invalid or, during a wait, TooManyAttempts. An unknown account, an inactive account
        and a wrong password get the same response after the same time.
        """
        account = email.strip().casefold()
        found = self._credentials(account)
        known = found and self._devices.device(device, found[0].id, found[1], self._now())
        source = Source(address, shared=shared, device=known or "")
        try:
            with self._throttle.attempt(account, source):
                user, hashed = self._verified(found, password)
        except (Invalid, TooManyAttempts) as exc:
            shown = account if SHOWN_ACCOUNT.fullmatch(account) else ""
            fields = {"account": shown, "address": address, "reason": exc.code}
            log.warning("log-in failed", extra={"fields": fields})
            raise
        self.sessions.end(session)
        opened = self.sessions.open(user, user_agent=user_agent, address=address)
        return SignedIn(opened, self._devices.sign(user.id, hashed, self._now()))

    def _credentials(self, account: str) -> tuple[User, str] | None:
        """The account with this e-mail and the hash of its password, or None."""
        with reading(self._engine) as conn:
            return accounts.find_credentials(conn, account) if account.isprintable() else None

    def _verified(self, found: tuple[User, str] | None, password: str) -> tuple[User, str]:
        """The account and its current hash, if it is active and the password is right.

        Raises Invalid.
        """
        if found is None:
            verify_nothing(password)
        elif verify_password(password, found[1]) and found[0].active:
            return found[0], self._rehashed(found[0], password, found[1])
        raise Invalid("The e-mail or password is wrong.")

    def _rehashed(self, user: User, password: str, hashed: str) -> str:
        if not needs_rehash(hashed):
            return hashed
        fresh = hash_password(password)
        with writing(self._engine) as conn:
            accounts.change_user(conn, user.id, password_hash=fresh)
        return fresh

    # -- passwords ---------------------------------------------------------------------------

    def change_password(
        self,
        user: User,
        *,
        current: str,
        new: str,
        cookie: str | None = None,
        end_tokens: Collection[int] = (),
    ) -> None:
        """Set a new password, end all other sessions than that of `cookie`, revoke `end_tokens`.

        Raises Invalid, TooManyAttempts.
        """
        checked_password(new, email=user.email, field="new")
        with self._throttle.attempt(f"password of {user.id}"):
            self._check_current(user, current)
        hashed = hash_password(new)
        with writing(self._engine) as conn:
            accounts.change_user(conn, user.id, password_hash=hashed)
            accounts.remove_sessions(conn, user.id, keep=self.sessions.key(cookie))
            accounts.remove_resets(conn, user.id)
            tokens.revoke_all(conn, user.id, now=self._now(), only=end_tokens)

    def _check_current(self, user: User, password: str) -> None:
        try:
            self._verified(self._credentials(user.email), password)
        except Invalid:
            sentence = "The current password is wrong."
            raise Invalid(sentence, fields={"current": sentence}) from None

    def reset_token(self, user_id: int) -> str:
        """Create a reset link that works once within 24 hours; earlier links end.

        Returns its token. Raises NotFound, Conflict.
        """
        token = new_secret()
        with writing(self._engine) as conn:
            user = accounts.get_user(conn, user_id)
            if not user.active:
                raise Conflict("This account is not active.", hint="Activate it first.")
            expires_at = self._now() + RESET_LASTS
            accounts.store_reset(conn, token_hash(token), user_id, expires_at=expires_at)
        return token

    def user_of_reset(self, token: str) -> User:
        """The owner of a reset link. Raises NotFound."""
        with reading(self._engine) as conn:
            return self._of_reset(conn, token)

    def reset_password(self, token: str, password: str) -> User:
        """Set the password with a reset link; all sessions and API tokens of the account end.

        Raises Invalid, NotFound.
        """
        owner = self.user_of_reset(token)
        hashed = hash_password(checked_password(password, email=owner.email))
        with writing(self._engine) as conn:
            user = self._of_reset(conn, token)
            if not accounts.take_reset(conn, token_hash(token)):
                raise NotFound(USED_UP)
            accounts.change_user(conn, user.id, password_hash=hashed)
            accounts.remove_sessions(conn, user.id)
            tokens.revoke_all(conn, user.id, now=self._now())
            self._throttle.clear(conn, user.email)
        return user

    def _of_reset(self, conn: Connection, token: str) -> User:
        user = accounts.find_user_of_reset(conn, token_hash(token), now=self._now())
        if user is None:
            raise NotFound(USED_UP, hint="Ask an administrator for a new link.")
        return user

    # -- API tokens --------------------------------------------------------------------------

    def create_token(
        self, user: User, name: str, *, scope: Scope = Scope.ADMIN, lasts: timedelta | None = None
    ) -> tuple[ApiToken, str]:
        """Create an API token; returns it and its secret, which is not stored.

        Raises NotAllowed for requesters, Invalid for the name.
        """
        if not user.role.may_act_as(Role.AGENT):
            raise NotAllowed("Only agents and administrators can create API tokens.")
        title = checked_token_name(name)
        secret = new_token()
        now = self._now()
        with writing(self._engine) as conn:
            token = tokens.add(
                conn,
                user.id,
                name=title,
                prefix=secret[:TOKEN_PREFIX_LENGTH],
                secret_hash=token_hash(secret),
                scope=scope,
                expires_at=now + lasts if lasts else None,
                now=now,
            )
        return token, secret

    def tokens(self, user: User) -> Sequence[ApiToken]:
        with reading(self._engine) as conn:
            return tokens.list_tokens(conn, user_id=user.id)

    def all_tokens(self) -> Sequence[ApiToken]:
        with reading(self._engine) as conn:
            return tokens.list_tokens(conn)

    def revoke_token(self, user: User, token_id: int) -> None:
        """Revoke the user's own token; administrators can revoke any token. Raises NotFound."""
        with writing(self._engine) as conn:
            token = tokens.get(conn, token_id)
            if token.user_id != user.id and user.role is not Role.ADMIN:
                raise NotFound("The token was not found.")
            tokens.revoke(conn, token_id, now=self._now())

    def user_of_token(self, secret: str, *, writes: bool = False) -> User | None:
        """The active owner of a token, with the lower of the owner's role and the token's scope.

        None for an unknown or expired token. Its use is recorded at most once a minute. Raises
        NotAllowed for a write with the scope read.
        """
        now = self._now()
        with reading(self._engine) as conn:
            found = tokens.find_by_hash(conn, token_hash(secret), now=now)
        if found is None:
            return None
        token, user = found
        if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
            with writing(self._engine) as conn:
                tokens.touch(conn, token.id, now=now, pause=USE_NOTED_EVERY)
        if writes and token.scope is Scope.READ:
            raise NotAllowed(
                "This API token can only read.", hint="Use a token with the scope write."
            )
        if user.role is Role.ADMIN and token.scope is not Scope.ADMIN:
            return replace(user, role=Role.AGENT)
        return user

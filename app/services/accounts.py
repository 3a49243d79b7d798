"""People: who may come in, as what, and how they prove it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from app.db import accounts, migrate, tokens
from app.db.engine import reading, utc_now, writing
from app.errors import Conflict, Invalid, NotAllowed, NotFound
from app.models import ApiToken, Role, User
from app.security import (
    NO_PASSWORD,
    TOKEN_PREFIX_LENGTH,
    SessionSigner,
    checked_email,
    checked_password,
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
from app.services.throttle import Throttle

SESSION_LASTS = timedelta(days=14)
RESET_LASTS = timedelta(hours=24)
USE_NOTED_EVERY = timedelta(minutes=1)
FIRST_ADMIN = "admin@localhost"
USED_UP = "This link was used, has expired, or never was."


class AccountService:
    """Accounts, sessions, API tokens and reset links. Secrets leave it once and are kept hashed."""

    def __init__(
        self, engine: Engine, *, secret_key: str, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._engine = engine
        self._signer = SessionSigner(secret_key)
        self._throttle = Throttle(engine, now=now)
        self._now = now

    # -- accounts ----------------------------------------------------------------------------

    def ensure_admin(self, email: str = "", password: str = "") -> str | None:
        """Make the first admin when there is nobody yet.

        Answers the generated password when none was given, else None.
        """
        with reading(self._engine) as conn:
            if accounts.any_user(conn):
                return None
        address = checked_email(email or FIRST_ADMIN)
        chosen = checked_password(password) if password else new_password()
        hashed = hash_password(chosen)
        with writing(self._engine) as conn:
            migrate.one_at_a_time(conn)
            if accounts.any_user(conn):
                return None
            accounts.add_user(conn, address, password_hash=hashed, role=Role.ADMIN, now=self._now())
        return None if password else chosen

    def create_user(self, email: str, role: Role, password: str | None = None) -> tuple[User, str]:
        """The account, and its generated password or "" when one was given. Raises Invalid."""
        address = checked_email(email)
        chosen = new_password() if password is None else checked_password(password)
        user = self._add(address, role, password_hash=hash_password(chosen))
        return user, chosen if password is None else ""

    def invite_user(self, email: str, role: Role) -> tuple[User, str]:
        """An account without a password, and the token of the link that sets one."""
        user = self._add(checked_email(email), role, password_hash=NO_PASSWORD)
        return user, self.reset_token(user.id)

    def _add(self, email: str, role: Role, *, password_hash: str) -> User:
        try:
            with writing(self._engine) as conn:
                return accounts.add_user(
                    conn, email, password_hash=password_hash, role=role, now=self._now()
                )
        except IntegrityError:
            sentence = "There is already an account with this address."
            raise Invalid(sentence, fields={"email": sentence}) from None

    def users(self) -> Sequence[User]:
        """Everybody, active ones first."""
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
            raise NotFound(f"There is no account {email}.")
        return user

    def deactivate(self, user_id: int) -> User:
        """Nobody can sign in to it or use its tokens until it is activated again."""
        with writing(self._engine) as conn:
            self._spare_last_admin(conn, user_id)
            accounts.change_user(conn, user_id, active=False)
            accounts.remove_sessions(conn, user_id)
            accounts.remove_resets(conn, user_id)
            return accounts.get_user(conn, user_id)

    def activate(self, user_id: int) -> User:
        with writing(self._engine) as conn:
            accounts.change_user(conn, user_id, active=True)
            return accounts.get_user(conn, user_id)

    def change_role(self, user_id: int, role: Role) -> User:
        """A requester has no API tokens: theirs are revoked."""
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
                "This is the last active admin.", hint="Make somebody else an admin first."
            )

    # -- signing in --------------------------------------------------------------------------

    def sign_in(self, email: str, password: str, address: str) -> str:
        """A new session's cookie. Raises Invalid or, during a wait, TooManyAttempts.

        An unknown account, an inactive one and a wrong password look alike and take as long.
        """
        account = email.strip().casefold()
        with self._throttle.attempt(account, address=address):
            user = self._verified(account, password)
        return self.open_session(user)

    def open_session(self, user: User) -> str:
        """The cookie of a new session, for somebody who has shown who they are."""
        session_id = new_secret()
        now = self._now()
        with writing(self._engine) as conn:
            accounts.add_session(
                conn, token_hash(session_id), user.id, now=now, expires_at=now + SESSION_LASTS
            )
        return self._signer.sign(session_id)

    def _verified(self, account: str, password: str) -> User:
        with reading(self._engine) as conn:
            found = accounts.find_credentials(conn, account) if account.isprintable() else None
        if found is None:
            verify_nothing(password)
        elif verify_password(password, found[1]) and found[0].active:
            self._rehash(found[0], password, found[1])
            return found[0]
        raise Invalid("E-mail address or password is wrong.")

    def _rehash(self, user: User, password: str, hashed: str) -> None:
        if needs_rehash(hashed):
            fresh = hash_password(password)
            with writing(self._engine) as conn:
                accounts.change_user(conn, user.id, password_hash=fresh)

    def sign_out(self, cookie: str | None) -> None:
        """End the session of this cookie; an unknown cookie is no error."""
        session_id = self._signer.unsign(cookie or "")
        if session_id:
            with writing(self._engine) as conn:
                accounts.remove_session(conn, token_hash(session_id))

    def user_of_session(self, cookie: str | None) -> User | None:
        session_id = self._signer.unsign(cookie or "")
        if not session_id:
            return None
        with reading(self._engine) as conn:
            return accounts.find_user_of_session(conn, token_hash(session_id), now=self._now())

    # -- passwords ---------------------------------------------------------------------------

    def change_password(
        self, user: User, *, current: str, new: str, cookie: str | None = None
    ) -> None:
        """Set a new password and end every other session than the one of `cookie`."""
        checked_password(new, field="new")
        with self._throttle.attempt(f"password of {user.id}"):
            self._check_current(user, current)
        session_id = self._signer.unsign(cookie or "")
        keep = token_hash(session_id) if session_id else ""
        hashed = hash_password(new)
        with writing(self._engine) as conn:
            accounts.change_user(conn, user.id, password_hash=hashed)
            accounts.remove_sessions(conn, user.id, keep=keep)
            accounts.remove_resets(conn, user.id)

    def _check_current(self, user: User, password: str) -> None:
        try:
            self._verified(user.email, password)
        except Invalid:
            sentence = "This is not your current password."
            raise Invalid(sentence, fields={"current": sentence}) from None

    def reset_token(self, user_id: int) -> str:
        """The token of a new reset link, good once within 24 hours; an earlier link ends."""
        token = new_secret()
        with writing(self._engine) as conn:
            user = accounts.get_user(conn, user_id)
            if not user.active:
                raise Conflict("This account is not active.", hint="Activate it first.")
            expires_at = self._now() + RESET_LASTS
            accounts.store_reset(conn, token_hash(token), user_id, expires_at=expires_at)
        return token

    def user_of_reset(self, token: str) -> User:
        """Whose password this link sets. Raises NotFound."""
        with reading(self._engine) as conn:
            return self._of_reset(conn, token)

    def reset_password(self, token: str, password: str) -> User:
        """Use the link up: set the password and end every session. Raises Invalid, NotFound."""
        self.user_of_reset(token)
        hashed = hash_password(checked_password(password))
        with writing(self._engine) as conn:
            user = self._of_reset(conn, token)
            if not accounts.take_reset(conn, token_hash(token)):
                raise NotFound(USED_UP)
            accounts.change_user(conn, user.id, password_hash=hashed)
            accounts.remove_sessions(conn, user.id)
            self._throttle.clear(conn, user.email)
        return user

    def _of_reset(self, conn: Connection, token: str) -> User:
        user = accounts.find_user_of_reset(conn, token_hash(token), now=self._now())
        if user is None:
            raise NotFound(USED_UP, hint="Ask an admin for a new link.")
        return user

    # -- API tokens --------------------------------------------------------------------------

    def create_token(self, user: User, name: str) -> tuple[ApiToken, str]:
        """A token for agents and admins, and its secret, which is never shown again."""
        if not user.role.may_act_as(Role.AGENT):
            raise NotAllowed("API tokens are for agents and admins.")
        title = checked_token_name(name)
        secret = new_token()
        with writing(self._engine) as conn:
            token = tokens.add(
                conn,
                user.id,
                name=title,
                prefix=secret[:TOKEN_PREFIX_LENGTH],
                secret_hash=token_hash(secret),
                now=self._now(),
            )
        return token, secret

    def tokens(self, user: User) -> Sequence[ApiToken]:
        with reading(self._engine) as conn:
            return tokens.list_tokens(conn, user_id=user.id)

    def all_tokens(self) -> Sequence[ApiToken]:
        with reading(self._engine) as conn:
            return tokens.list_tokens(conn)

    def revoke_token(self, user: User, token_id: int) -> None:
        """One's own token, or anybody's for an admin. Raises NotFound."""
        with writing(self._engine) as conn:
            token = tokens.get(conn, token_id)
            if token.user_id != user.id and user.role is not Role.ADMIN:
                raise NotFound("There is no such token.")
            tokens.revoke(conn, token_id, now=self._now())

    def user_of_token(self, secret: str) -> User | None:
        """The token's active owner; its use is noted once a minute at most."""
        now = self._now()
        with reading(self._engine) as conn:
            found = tokens.find_by_hash(conn, token_hash(secret))
        if found is None:
            return None
        token, user = found
        if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
            with writing(self._engine) as conn:
                tokens.touch(conn, token.id, now=now, pause=USE_NOTED_EVERY)
        return user

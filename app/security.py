"""Cookies, passwords, tokens and safe ways back: what proves who somebody is. No I/O."""

import re
import secrets
import unicodedata
from datetime import datetime, timedelta
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from itsdangerous import BadSignature, Signer

from app.errors import Invalid

SESSION_COOKIE = "desk_session"
# Browsers accept this name only with Secure and without Domain, so no other host can set it.
SECURE_PREFIX = "__Host-"
DEVICE_COOKIE = "desk_device"
DEVICE_LASTS = timedelta(days=90)
# More of a password is not read.
LONGEST_PASSWORD = 1024
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
LONGEST_EMAIL = 254
LONGEST_TOKEN_NAME = 100
TOKEN_START = "hd_"
# Characters of a token that lists show, so that people can tell their tokens apart.
TOKEN_PREFIX_LENGTH = 9
# For accounts nobody can sign in to with a password; not a hash of anything.
NO_PASSWORD = "!"

# OWASP's argon2id parameters: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)
# Checked when there is no such account, so that both answers take the same time.
_DUMMY_HASH = _hasher.hash(secrets.token_urlsafe(16))


class SessionSigner:
    """Signs the random id of a session for its cookie; a made-up cookie costs no query."""

    def __init__(self, secret_key: str) -> None:
        self._signer = Signer(secret_key, salt="desk.session", digest_method=sha256)

    def sign(self, session_id: str) -> str:
        return self._signer.sign(session_id).decode("ascii")

    def unsign(self, cookie: str) -> str | None:
        """The session id, or None for a cookie that was not made here."""
        try:
            return self._signer.unsign(cookie.encode("ascii")).decode("ascii")
        except (BadSignature, UnicodeError):
            return None


class DeviceSigner:
    """Cookies that say "this browser has logged in to this account before".

    One belongs to an account and its present password, and lasts 90 days.
    """

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key

    def sign(self, user_id: int, password_hash: str, now: datetime) -> str:
        """A cookie for a browser that has just logged in."""
        value = f"{user_id}.{int(now.timestamp())}.{secrets.token_hex(8)}"
        return self._signer(password_hash).sign(value).decode("ascii")

    def device(self, cookie: str, user_id: int, password_hash: str, now: datetime) -> str:
        """The id of the device if this cookie is valid for the account now, else ""."""
        try:
            value = self._signer(password_hash).unsign(cookie.encode("ascii")).decode("ascii")
            owner, made, device = value.split(".")
            age = now.timestamp() - int(made)
        except (BadSignature, ValueError):
            return ""
        return device if owner == str(user_id) and age < DEVICE_LASTS.total_seconds() else ""

    def _signer(self, password_hash: str) -> Signer:
        salt = f"desk.device.{token_hash(password_hash)}"
        return Signer(self._secret_key, salt=salt, digest_method=sha256)


class ModelSigner:
    """Signs stored models: reading one that was not made here would run somebody else's code."""

    def __init__(self, secret_key: str) -> None:
        self._signer = Signer(secret_key, salt="desk.model", digest_method=sha256)

    def signature(self, content: bytes) -> str:
        return self._signer.get_signature(content).decode("ascii")

    def made_here(self, content: bytes, signature: str) -> bool:
        """Whether this installation's key signed exactly these bytes."""
        return self._signer.verify_signature(content, signature.encode("ascii", "replace"))


def new_secret() -> str:
    """256 random bits as text: a session id, a reset token."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """The secret of an API token."""
    return TOKEN_START + new_secret()


def token_hash(secret: str) -> str:
    """How random secrets are kept: 256 random bits need no slow hash."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_password() -> str:
    """A password to hand to a person once."""
    return secrets.token_urlsafe(12)


def checked_email(email: str) -> str:
    """The address, case-folded. Raises Invalid."""
    address = email.strip().casefold()
    fits = EMAIL.fullmatch(address) and address.isprintable() and len(address) <= LONGEST_EMAIL
    if not fits:
        sentence = "Give an e-mail address, such as name@example.com."
        raise Invalid(sentence, fields={"email": sentence})
    return address


def checked_token_name(name: str) -> str:
    """The name of an API token. Raises Invalid."""
    title = name.strip()
    if not title or not title.isprintable() or len(title) > LONGEST_TOKEN_NAME:
        sentence = f"Give a name of 1 to {LONGEST_TOKEN_NAME} characters."
        raise Invalid(sentence, fields={"name": sentence})
    return title


def hash_password(password: str) -> str:
    return _hasher.hash(_spelled(password))


def verify_password(password: str, hashed: str) -> bool:
    """Whether `password` made `hashed`. A hash nobody can match takes as long as a real one."""
    try:
        return _hasher.verify(hashed, _spelled(password))
    except InvalidHashError:
        verify_nothing(password)
        return False
    except VerificationError:
        return False


def verify_nothing(password: str) -> None:
    """Spend the time of a check when there is no account to check against."""
    verify_password(password, _DUMMY_HASH)


def needs_rehash(hashed: str) -> bool:
    """True when `hashed` was made with other parameters than ours."""
    return _hasher.check_needs_rehash(hashed)


def local_path(target: str | None) -> str:
    """`target` when it is a path of this site, else "/".

    Browsers drop tabs and line breaks from addresses and read "\\" as "/", so a path with
    either could lead to another host.
    """
    path = target or "/"
    plain = path.isprintable() and "\\" not in path
    return path if plain and path.startswith("/") and not path.startswith("//") else "/"


def _spelled(password: str) -> bytes:
    """One spelling per password: systems type accented letters as one or two characters."""
    text = unicodedata.normalize("NFKC", password[: LONGEST_PASSWORD + 1])
    return text.encode("utf-8", "surrogatepass")

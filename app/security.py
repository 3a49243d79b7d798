"""Signed cookies, password hashes, tokens and safe redirect paths. No I/O."""

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
# Browsers accept this prefix only with Secure and without Domain, so no other host can set it.
SECURE_PREFIX = "__Host-"
DEVICE_COOKIE = "desk_device"
DEVICE_LASTS = timedelta(days=90)
# Longer passwords are rejected before hashing.
LONGEST_PASSWORD = 1024
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
LONGEST_EMAIL = 254
LONGEST_TOKEN_NAME = 100
TOKEN_START = "hd_"
# The characters of a token that lists show, to tell tokens apart.
TOKEN_PREFIX_LENGTH = 9
# The hash column of an account without a password; it matches no password.
NO_PASSWORD = "!"

# OWASP's parameters for argon2id: 19 MiB, two iterations, one degree of parallelism.
_hasher = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)
# Verified for unknown accounts, so that both cases take the same time.
_DUMMY_HASH = _hasher.hash(secrets.token_urlsafe(16))


class SessionSigner:
    """Signs the random session id for the cookie; a forged cookie causes no query."""

    def __init__(self, secret_key: str) -> None:
        self._signer = Signer(secret_key, salt="desk.session", digest_method=sha256)

    def sign(self, session_id: str) -> str:
        return self._signer.sign(session_id).decode("ascii")

    def unsign(self, cookie: str) -> str | None:
        """The session id, or None for an invalid cookie."""
        try:
            return self._signer.unsign(cookie.encode("ascii")).decode("ascii")
        except (BadSignature, UnicodeError):
            return None


class DeviceSigner:
    """Signs cookies for browsers that have logged in to an account before.

    A cookie belongs to an account and its current password, and lasts 90 days.
    """

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key

    def sign(self, user_id: int, password_hash: str, now: datetime) -> str:
        """A cookie for a browser that has just logged in."""
        value = f"{user_id}.{int(now.timestamp())}.{secrets.token_hex(8)}"
        return self._signer(password_hash).sign(value).decode("ascii")

    def device(self, cookie: str, user_id: int, password_hash: str, now: datetime) -> str:
        """The id of the device if the cookie is valid for the account, else ""."""
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
    """Signs stored models, because loading a forged model would run its code."""

    def __init__(self, secret_key: str) -> None:
        self._signer = Signer(secret_key, salt="desk.model", digest_method=sha256)

    def signature(self, content: bytes) -> str:
        return self._signer.get_signature(content).decode("ascii")

    def made_here(self, content: bytes, signature: str) -> bool:
        """Whether this installation's key signed these bytes."""
        return self._signer.verify_signature(content, signature.encode("ascii", "replace"))


def new_secret() -> str:
    """256 random bits as text, for a session id or a reset token."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """The secret of an API token."""
    return TOKEN_START + new_secret()


def token_hash(secret: str) -> str:
    """The stored hash of a random secret: 256 random bits need no slow hash."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_password() -> str:
    """A random initial password."""
    return secrets.token_urlsafe(12)


def checked_email(email: str) -> str:
    """The address, case-folded. Raises Invalid."""
    address = email.strip().casefold()
    fits = EMAIL.fullmatch(address) and address.isprintable() and len(address) <= LONGEST_EMAIL
    if not fits:
        sentence = "Enter an e-mail address, such as name@example.com."
        raise Invalid(sentence, fields={"email": sentence})
    return address


def checked_token_name(name: str) -> str:
    """The name of an API token. Raises Invalid."""
    title = name.strip()
    if not title or not title.isprintable() or len(title) > LONGEST_TOKEN_NAME:
        sentence = f"Enter a name with 1 to {LONGEST_TOKEN_NAME} characters."
        raise Invalid(sentence, fields={"name": sentence})
    return title


def hash_password(password: str) -> str:
    return _hasher.hash(_spelled(password))


def verify_password(password: str, hashed: str) -> bool:
    """Whether `password` matches `hashed`. An unusable hash takes as long as a real one."""
    try:
        return _hasher.verify(hashed, _spelled(password))
    except InvalidHashError:
        verify_nothing(password)
        return False
    except VerificationError:
        return False


def verify_nothing(password: str) -> None:
    """Take the time of a verification for an unknown account."""
    verify_password(password, _DUMMY_HASH)


def needs_rehash(hashed: str) -> bool:
    """True if `hashed` has other parameters than the current ones."""
    return _hasher.check_needs_rehash(hashed)


def local_path(target: str | None) -> str:
    """`target` if it is a path of this site, else "/".

    Browsers remove tabs and line breaks from addresses and read "\\" as "/", so a path with one
    of them could lead to another host.
    """
    path = target or "/"
    plain = path.isprintable() and "\\" not in path
    return path if plain and path.startswith("/") and not path.startswith("//") else "/"


def _spelled(password: str) -> bytes:
    """The normalized password: systems enter accented letters as one or two characters."""
    text = unicodedata.normalize("NFKC", password[: LONGEST_PASSWORD + 1])
    return text.encode("utf-8", "surrogatepass")

"""Everything that can go wrong on purpose. Each error has a sentence, a status and a stable code.

AppError
├── SettingsError            a variable of the environment is wrong
├── BadRequest               400
├── SignInNeeded             401
├── NotAllowed               403
├── NotFound                 404
├── BodyTooSlow              408
├── Conflict                 409, with one sentence per field if fields are in the way
├── TooLarge                 413
├── Invalid                  422, with one sentence per field
├── TooManyAttempts          429, with seconds to wait
├── NotConfigured            503, with the names of the missing variables
├── DatabaseAway             503: the database is away or busy for a moment
├── LanguageModelError       what the language model, or the way to it, answered
└── ServiceNowError          what the instance, or the way to it, answered
    ├── ServiceNowUnavailable    nothing was applied: try again later
    │   ├── HeldBack             we did not even call: our own limits said no
    │   ├── TooSlow              the instance cancelled a query: ask for less at once
    │   └── AnswerTooLarge       more came than is read: ask for less at once
    ├── AnswerLost               a write may have been applied: find out first
    └── ServiceNowRejected       it will not work like this: ask a person
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class AppError(Exception):
    """An error with a sentence for people, an HTTP status and a code for programs."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(AppError):
    """A bad setting; the sentence names the variable and never repeats a secret."""

    code = "bad_setting"


class BadRequest(AppError):
    status = 400
    code = "bad_request"


class SignInNeeded(AppError):
    status = 401
    code = "sign_in_needed"


class NotAllowed(AppError):
    status = 403
    code = "not_allowed"


class NotFound(AppError):
    status = 404
    code = "not_found"


class BodyTooSlow(AppError):
    status = 408
    code = "body_too_slow"


class Conflict(AppError):
    """It cannot be done as things are; `fields` holds a sentence per field that is in the way."""

    status = 409
    code = "conflict"

    def __init__(
        self, message: str, *, fields: Mapping[str, str] | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.fields = dict(fields or {})


class TooLarge(AppError):
    status = 413
    code = "too_large"


class Invalid(AppError):
    """Input that cannot be used; `fields` holds one sentence per field name."""

    status = 422
    code = "invalid"

    def __init__(
        self, message: str, *, fields: Mapping[str, str] | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.fields = dict(fields or {})


class TooManyAttempts(AppError):
    """`retry_after` is in seconds."""

    status = 429
    code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotConfigured(AppError):
    """ServiceNow is not set up; `missing` names the variables."""

    status = 503
    code = "servicenow_not_configured"

    def __init__(self, missing: Sequence[str]) -> None:
        names = ", ".join(missing)
        super().__init__(
            f"ServiceNow not configured. Missing: {names}.",
            hint="Set these variables as the README's section ServiceNow Setup describes.",
        )
        self.missing = tuple(missing)


class DatabaseAway(AppError):
    """The database cannot be used for a moment; nothing was written, the same may work soon."""

    status = 503
    code = "database_unavailable"


class Kind(StrEnum):
    """The kind of a failure, and with it what the app or a person does next.

    Code and templates decide by the kind, never by the wording of the message.
    """

    AUTH = "auth"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    RATE = "rate"
    BUSY = "busy"
    NETWORK = "network"
    HIBERNATING = "hibernating"
    UNCONFIRMED = "unconfirmed"
    UNEXPECTED = "unexpected"
    # Both sides changed a field: a person chooses which value to keep.
    CONFLICT = "conflict"
    # An incident may exist that cannot be found: a person looks for it, or sends again.
    UNPROVEN = "unproven"
    # The instance has no such resolution code: a person chooses one of its codes.
    CLOSE_CODE = "close_code"
    # The incident is closed or canceled: a person unlinks it and creates a new one.
    CLOSED = "closed"
    # The instance changed the state back: its administrator checks its rules.
    NOT_KEPT = "not_kept"
    # The ticket was unlinked meanwhile: a person discards the update.
    NOT_LINKED = "not_linked"
    # The update belongs to another instance than the connected one.
    OTHER_INSTANCE = "other_instance"
    # The database was restored or copied: an administrator releases the creates.
    RESTORED = "restored"
    # It waited for more than 30 days: a person retries or discards it.
    OLD = "old"
    # A fault of the app itself: an administrator reads the log.
    OUR_FAULT = "our_fault"


STATUS_OF_KIND = {
    Kind.NETWORK: 503,
    Kind.BUSY: 503,
    Kind.RATE: 503,
    Kind.UNCONFIRMED: 503,
    Kind.AUTH: 502,
    Kind.PERMISSION: 502,
    Kind.HIBERNATING: 502,
    Kind.UNEXPECTED: 502,
    Kind.NOT_FOUND: 404,
    Kind.INVALID: 422,
    Kind.CONFLICT: 409,
    Kind.UNPROVEN: 409,
    Kind.CLOSE_CODE: 422,
    Kind.CLOSED: 409,
    Kind.NOT_KEPT: 422,
    Kind.NOT_LINKED: 409,
    Kind.RESTORED: 409,
    Kind.OUR_FAULT: 500,
    Kind.OTHER_INSTANCE: 422,
    Kind.OLD: 422,
}


class LanguageModelError(AppError):
    """No draft can be had; nothing depends on one."""

    def __init__(self, message: str, *, kind: Kind, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = STATUS_OF_KIND[kind]
        self.code = f"llm_{kind}"


class ServiceNowError(AppError):
    """`retry_after` (seconds) is what the instance asked for; `details` go to the log only.

    `details` never hold a query, a body or a secret: method, path, HTTP status, transaction id.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        hint: str = "",
        retry_after: float | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status = STATUS_OF_KIND[kind]
        self.code = f"servicenow_{kind}"
        self.retry_after = retry_after
        self.details = dict(details or {})


class ServiceNowUnavailable(ServiceNowError):
    """Nothing was applied; the same call may work later."""


class HeldBack(ServiceNowUnavailable):
    """No call was made: no slot is free, or the rate limit of the instance is reached."""


class TooSlow(ServiceNowUnavailable):
    """The instance cancelled a query at its time limit: ask for fewer rows at once."""


class AnswerTooLarge(ServiceNowUnavailable):
    """An answer to a read has more bytes than are accepted: ask for fewer rows at once."""


class AnswerLost(ServiceNowError):
    """A write's bytes went out and its end is unknown: look up before sending it again."""


class ServiceNowRejected(ServiceNowError):
    """The instance understood and refused, or sent what cannot be read: a person must look."""


# Messages for the error types of the validation library.
SAID = {
    "missing": "This field is required.",
    "extra_forbidden": "Unknown field.",
    "json_invalid": "The request body is not valid JSON.",
    "model_attributes_type": "Send a JSON object.",
    "string_type": "Enter text.",
    "string_too_short": "Use at least {min_length} characters.",
    "string_too_long": "Use at most {max_length} characters.",
    "string_pattern_mismatch": "The format is not valid.",
    "int_parsing": "Enter a whole number.",
    "int_type": "Enter a whole number.",
    "bool_parsing": "Use true or false.",
    "literal_error": "Use one of: {expected}.",
    "greater_than_equal": "Use {ge} or more.",
    "less_than_equal": "Use {le} or less.",
}


def sentence(error: Mapping[str, Any]) -> str:
    """The message of a validation error for the person who filled in the field."""
    bounds = error.get("ctx", {})
    if error["type"] == "string_too_short" and bounds["min_length"] == 1:
        name = "text" if error["loc"][-1] == "body" else str(error["loc"][-1]).replace("_", " ")
        return f"Enter {'an' if name[0] in 'aeiou' else 'a'} {name}."
    if said := SAID.get(error["type"]):
        return said.format(**bounds)
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{text[:1].upper()}{text[1:]}."

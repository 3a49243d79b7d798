"""What an instance's answer means: a result, or an error sorted by what to do next."""

import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from app.errors import (
    AnswerLost,
    AnswerTooLarge,
    Kind,
    ServiceNowError,
    ServiceNowRejected,
    ServiceNowUnavailable,
    TooSlow,
)
from app.integrations.bounded_http import AnswerTooLong, json_of

WRITES = frozenset({"POST", "PATCH"})
HIBERNATING = ("Instance Hibernating page", "instance-hibernating-page")
# What an instance says when a query outlasts its quota, inside a 200 and often amid cut JSON.
CANCELLED = "Transaction cancelled"
MANDATORY = re.compile(r"following fields are mandatory:\s*(.+)", re.DOTALL)
BUSINESS_RULE = re.compile(r"aborted by Business Rule '([^'^]+)")
SHOWN = 200
# Reads are not repeated later, pushes are: true of both.
TRY_AGAIN = "Try again later. Waiting updates are sent automatically."
Record = dict[str, str]


def result_of(response: httpx.Response, *, expected: int) -> Any:
    """The `result` of an answer: the expected status and JSON and a result, nothing less.

    Raises ServiceNowUnavailable, AnswerLost or ServiceNowRejected.
    """
    body = _json(response)
    complete = response.status_code == expected and "result" in body and "error" not in body
    if complete:
        return body["result"]
    raise _failure(response, body)


def transport_failure(exc: httpx.HTTPError, *, write: bool) -> ServiceNowError:
    """No answer at all. `write`: the bytes of a write may have arrived."""
    details = {"cause": type(exc).__name__}
    never_sent = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
    )
    message, hint = _broken(exc)
    if write and not isinstance(exc, never_sent):
        message += " The change may have arrived. Checking the result."
        return AnswerLost(message, kind=Kind.UNCONFIRMED, hint=hint, details=details)
    if isinstance(exc, AnswerTooLong):
        return AnswerTooLarge(message, kind=Kind.UNEXPECTED, hint=hint, details=details)
    return ServiceNowUnavailable(message, kind=Kind.NETWORK, hint=hint, details=details)


def _broken(exc: httpx.HTTPError) -> tuple[str, str]:
    """Why no answer came, and what to do: the sentence for each cause is a different one."""
    causes = tuple(_causes(exc))
    if isinstance(exc, AnswerTooLong):
        hint = "Raise SN_MAX_ANSWER_MB if answers of this instance are really that large."
        return f"ServiceNow's answer is too large ({exc}).", hint
    if isinstance(exc, httpx.ProxyError):
        return _refused_by_proxy(exc)
    if "CERTIFICATE" in str(exc).upper():
        return (
            "ServiceNow's certificate could not be verified.",
            "Check SN_INSTANCE_URL. For a private certificate authority, set SN_CA_FILE.",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return (
            "A secure connection to ServiceNow could not be made (TLS).",
            "Check that SN_INSTANCE_URL uses HTTPS. Check any proxy.",
        )
    if isinstance(exc, httpx.TimeoutException):
        return (
            "ServiceNow did not respond in time.",
            "Try again. If it is always slow, increase SN_TIMEOUT_SECONDS.",
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return (
            "The ServiceNow host name was not found (DNS).",
            "Check the spelling of SN_INSTANCE_URL and this server's DNS settings.",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return (
            "ServiceNow refused the connection.",
            "Check the host and port in SN_INSTANCE_URL, and any firewall.",
        )
    if isinstance(exc, httpx.ConnectError):
        return (
            "Cannot reach ServiceNow.",
            "Check SN_INSTANCE_URL, the network and any proxy.",
        )
    return "The connection to ServiceNow was lost.", TRY_AGAIN


def _refused_by_proxy(exc: httpx.ProxyError) -> tuple[str, str]:
    """The proxy's status is shown, never its words."""
    status = str(exc)[:3]
    if status == "407":
        return (
            "The proxy refused the connection to ServiceNow: it wants a user name and password "
            "(HTTP 407).",
            "Check the user name and password in HTTPS_PROXY.",
        )
    if status.isdecimal():
        return (
            f"The proxy refused the connection to ServiceNow (HTTP {status}).",
            "The proxy must allow CONNECT to the instance; or list its host in NO_PROXY.",
        )
    return (
        "Cannot reach the proxy for ServiceNow.",
        "Check HTTPS_PROXY; list the instance's host in NO_PROXY if no proxy is needed.",
    )


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


# More than this is no time to plan with, and may be too much for a calendar.
LONGEST_ASKED = 86_400.0


def retry_after(response: httpx.Response) -> float | None:
    """Seconds the instance asks to wait, from seconds or a date; a day at most."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return min(float(text), LONGEST_ASKED)
    moment = http_date(text)
    if moment is None:
        return None
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), LONGEST_ASKED)


def http_date(text: str) -> datetime | None:
    """The moment a header tells (RFC 9110 5.6.7), in UTC where it leaves the zone open."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def text_of(value: object) -> str:
    """A raw value as text: a reference object is its sys_id, a missing value is empty."""
    while isinstance(value, Mapping):
        value = value.get("value", value.get("display_value"))
    if value is None or isinstance(value, list):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    # What no database can keep (NUL, half a surrogate pair) is dropped here, once.
    return str(value).encode("utf-8", "ignore").decode().replace("\x00", "")


def record_of(row: object, *, needs: Sequence[str] = ("sys_id",)) -> Record:
    """A row as strings. Raises ServiceNowUnavailable when it is none or lacks what is needed."""
    if not isinstance(row, Mapping) or any(not row.get(name) for name in needs):
        raise unreadable()
    # Nearly all rows are such; asking text_of about each value would take longer than the rest.
    return dict(row) if _clean(row.values()) else {n: text_of(value) for n, value in row.items()}


def _clean(values: Iterable[Any]) -> bool:
    """True when all are texts that any database can keep."""
    try:
        text = "".join(values)
        text.encode()
    except (TypeError, UnicodeEncodeError):
        return False
    return "\x00" not in text


def unreadable() -> ServiceNowRejected:
    return ServiceNowRejected(
        "ServiceNow's response could not be read.",
        kind=Kind.UNEXPECTED,
        hint="Check SN_INSTANCE_URL and any proxy in front of the instance.",
    )


def _json(response: httpx.Response) -> dict[str, Any]:
    if "json" not in response.headers.get("Content-Type", ""):
        return {}
    try:
        body = json_of(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _failure(response: httpx.Response, body: dict[str, Any]) -> ServiceNowError:
    status = response.status_code
    details = {
        "status": str(status),
        "transaction": response.headers.get("X-Transaction-ID", "")[:40],
    }
    wait = retry_after(response)
    write = response.request.method in WRITES
    if status == 401:
        return ServiceNowUnavailable(
            "ServiceNow rejected the sign-in (401).",
            kind=Kind.AUTH,
            hint="Check the user name and password or the OAuth client. The account may be "
            "locked, or basic authentication switched off: OAuth is the preferred way.",
            details=details,
        )
    if status == 429:
        return ServiceNowUnavailable(
            "The ServiceNow rate limit is reached."
            if "X-RateLimit-Rule" in response.headers or wait
            else "ServiceNow is busy (HTTP 429).",
            kind=Kind.RATE,
            hint=TRY_AGAIN,
            retry_after=wait,
            details=details,
        )
    if 400 <= status < 500 and status != 408:
        return _rejection(status, body, details)
    kind, message, hint = _trouble(response, body)
    if CANCELLED in response.text and not write:
        return TooSlow(message, kind=kind, hint=hint, details=details)
    if write:
        message += " The change may have arrived. Checking the result."
        kind = kind if kind is Kind.HIBERNATING else Kind.UNCONFIRMED
        return AnswerLost(message, kind=kind, hint=hint, retry_after=wait, details=details)
    return ServiceNowUnavailable(message, kind=kind, hint=hint, retry_after=wait, details=details)


def _trouble(response: httpx.Response, body: dict[str, Any]) -> tuple[Kind, str, str]:
    """An answer that is neither a result nor a refusal: kind, sentence, hint."""
    status = response.status_code
    if any(mark in response.text for mark in HIBERNATING):
        return (
            Kind.HIBERNATING,
            "The ServiceNow instance is hibernating.",
            "Wake it on the ServiceNow developer site. This takes a few minutes.",
        )
    if "currently offline" in response.text:
        return Kind.BUSY, "The ServiceNow instance is offline.", TRY_AGAIN
    if status >= 500 or status == 408:
        return Kind.BUSY, f"ServiceNow is busy (HTTP {status}).", TRY_AGAIN
    if 300 <= status < 400:
        return (
            Kind.UNEXPECTED,
            "ServiceNow redirected the request to another page.",
            "Check SN_INSTANCE_URL. Single sign-on or a proxy may block the API.",
        )
    if status == 202:
        return Kind.BUSY, "ServiceNow accepted the request but sent no response.", TRY_AGAIN
    if "error" in body or CANCELLED in response.text:
        return Kind.BUSY, "ServiceNow canceled the request because it took too long.", TRY_AGAIN
    if "json" in response.headers.get("Content-Type", ""):
        return Kind.BUSY, "ServiceNow's answer is incomplete or cannot be read.", TRY_AGAIN
    return (
        Kind.UNEXPECTED,
        "A web page was returned instead of ServiceNow data.",
        "Check SN_INSTANCE_URL. Single sign-on, a proxy or a maintenance page may block the API.",
    )


def _rejection(status: int, body: dict[str, Any], details: dict[str, str]) -> ServiceNowError:
    message, detail = _said(body)
    kind = {403: Kind.PERMISSION, 404: Kind.NOT_FOUND}.get(status, Kind.INVALID)
    hint = "Ask a ServiceNow administrator to grant the permission."
    if status == 404:
        sentence = "The record was not found, or the integration account cannot see it."
    elif found := MANDATORY.search(detail):
        kind, hint = Kind.INVALID, "Fill in these fields, then press Retry now."
        sentence = f"ServiceNow requires these fields: {_short(found[1])}."
    elif found := BUSINESS_RULE.search(detail):
        sentence = f"The business rule “{_short(found[1])}” rejected this change."
        hint = "Ask a ServiceNow administrator what the rule requires."
    elif "access scope" in message + detail:
        sentence = "The OAuth token cannot use the Table API."
        hint = "Add the REST API auth scope to the OAuth client."
    elif status == 403 and "ACL" in detail:
        sentence = "The integration account does not have permission in ServiceNow (access rule)."
    elif status == 403 and "Insufficient rights" in message:
        sentence = "The query uses an unknown field, or one that the account cannot read."
    elif status == 403:
        sentence = f"ServiceNow denied the request: {_short(detail or message) or 'HTTP 403'}"
    else:
        said = _short(message or detail)
        sentence = f"ServiceNow rejected the request (HTTP {status}{': ' + said if said else ''})."
        hint = "Check the query or the values."
    return ServiceNowRejected(sentence, kind=kind, hint=hint, details=details)


def _said(body: dict[str, Any]) -> tuple[str, str]:
    error = body.get("error")
    if isinstance(error, str):
        return error, text_of(body.get("error_description"))
    if isinstance(error, dict):
        return text_of(error.get("message")), text_of(error.get("detail"))
    return "", ""


def _short(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"

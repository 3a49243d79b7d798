"""Any OpenAI-compatible chat endpoint: messages in, one text out. It has never heard of tickets.

As with ServiceNow: one deadline over the whole answer, TLS always verified, redirects never
followed, failures sorted by what to do next, and neither prompt, answer nor key in log or error.
A call is not repeated: a person waits for it and can press again.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from app.errors import Kind, LanguageModelError
from app.integrations.bounded_http import AnswerTooLong, BoundedTransport, json_of

log = logging.getLogger("app.llm")
# More than any draft needs; what is longer is not read to its end.
LONGEST_ANSWER = 400_000
MESSAGES_OF_STATUS = {
    401: (Kind.AUTH, "The language model rejected the API key.", "Check LLM_API_KEY."),
    403: (Kind.PERMISSION, "The language model rejected this account.", "Check LLM_API_KEY."),
    404: (
        Kind.NOT_FOUND,
        "The language model was not found at this address.",
        "Check LLM_BASE_URL and LLM_MODEL.",
    ),
    429: (Kind.RATE, "The language model's rate limit is reached.", "Try again in a minute."),
}


class LLMClient:
    """`base_url` ends where `/chat/completions` begins. `seconds` is for one whole call.

    `proxy_for` answers the proxy of an address, "" for none.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        seconds: float,
        proxy_for: Callable[[str], str] = lambda _: "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        headers = {"Accept": "application/json", "User-Agent": "smart-it-copilot"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        transport = BoundedTransport(max_bytes=LONGEST_ANSWER, proxy_for=proxy_for)
        self._http = httpx.Client(
            base_url=base_url, headers=headers, transport=transport, timeout=seconds
        )
        self._model = model
        self._seconds = seconds
        self._monotonic = monotonic

    def close(self) -> None:
        self._http.close()

    def complete(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The answer to a conversation of `role` and `content`. Raises LanguageModelError."""
        started = self._monotonic()
        payload = {"model": self._model, "messages": list(messages), "stream": False}
        outcome: object = "broken"
        try:
            response = self._http.post("chat/completions", json=payload)
            outcome = response.status_code
            return _text(response.status_code, response.content)
        except httpx.HTTPError as exc:
            outcome = type(exc).__name__
            raise _no_answer(exc, self._seconds) from exc
        except LanguageModelError as exc:
            outcome = f"{outcome} {exc.kind}"
            raise
        finally:
            ms = round(1000 * (self._monotonic() - started))
            level = logging.DEBUG if str(outcome) == "200" else logging.INFO
            log.log(level, "llm call", extra={"fields": {"status": str(outcome), "ms": ms}})


def _text(status: int, body: bytes) -> str:
    """The words of an answer. Raises LanguageModelError for everything else."""
    if status != httpx.codes.OK:
        raise _refused(status)
    try:
        answer: Any = json_of(body)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as exc:
        raise _unexpected("The language model's response could not be read.") from exc
    if not isinstance(text, str) or not text.strip():
        raise _unexpected("The language model returned an empty response.")
    return text


def _refused(status: int) -> LanguageModelError:
    if status in MESSAGES_OF_STATUS:
        kind, message, hint = MESSAGES_OF_STATUS[status]
        return LanguageModelError(message, kind=kind, hint=hint)
    if status >= 500:
        message, hint = f"The language model is not available (HTTP {status}).", "Try again later."
        return LanguageModelError(message, kind=Kind.BUSY, hint=hint)
    if status >= 400:
        message = f"The language model rejected the request (HTTP {status})."
        return LanguageModelError(message, kind=Kind.INVALID, hint="Check LLM_MODEL.")
    return _unexpected(f"The language model returned an unexpected response (HTTP {status}).")


def _unexpected(message: str) -> LanguageModelError:
    hint = "LLM_BASE_URL must be the address of an OpenAI-compatible API."
    return LanguageModelError(message, kind=Kind.UNEXPECTED, hint=hint)


def _no_answer(exc: httpx.HTTPError, seconds: float) -> LanguageModelError:
    if isinstance(exc, AnswerTooLong):
        return _unexpected("The language model's answer is too long.")
    if isinstance(exc, httpx.ProxyError):
        return _refused_by_proxy(str(exc)[:3])
    if isinstance(exc, httpx.TimeoutException):
        message = f"The language model did not respond within {seconds:g} seconds."
        return LanguageModelError(message, kind=Kind.NETWORK, hint="Try again later.")
    if "CERTIFICATE" in str(exc).upper():
        message = "The language model's certificate could not be verified."
        return LanguageModelError(message, kind=Kind.NETWORK, hint="Check LLM_BASE_URL.")
    if isinstance(exc, httpx.ConnectError):
        message = "Cannot reach the language model."
        return LanguageModelError(message, kind=Kind.NETWORK, hint="Check LLM_BASE_URL.")
    message = "The connection to the language model was lost."
    return LanguageModelError(message, kind=Kind.NETWORK, hint="Try again.")


def _refused_by_proxy(status: str) -> LanguageModelError:
    """The proxy's status is shown, never its words."""
    hint = "Check HTTPS_PROXY; list the host of LLM_BASE_URL in NO_PROXY if no proxy is needed."
    if not status.isdecimal():
        message = "The proxy on the way to the language model could not be reached."
    else:
        message = f"The proxy refused the connection to the language model (HTTP {status})."
    return LanguageModelError(message, kind=Kind.NETWORK, hint=hint)

"""Any OpenAI-compatible chat endpoint: messages in, one text out. It has never heard of tickets.

As with ServiceNow: one deadline over the whole answer, TLS always verified, redirects never
followed, failures sorted by what to do next, and neither prompt, answer nor key in log or error.
A call is not repeated: a person waits for it and can press again.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from app.errors import Kind, LanguageModelError

log = logging.getLogger("app.llm")
# More than any draft needs; what is longer is not read to its end.
LONGEST_ANSWER = 400_000
MESSAGES_OF_STATUS = {
    401: (Kind.AUTH, "The language model refused the key.", "Check LLM_API_KEY."),
    403: (Kind.PERMISSION, "The language model refuses this account.", "Check LLM_API_KEY."),
    404: (
        Kind.NOT_FOUND,
        "The language model is not at this address.",
        "Check LLM_BASE_URL and LLM_MODEL.",
    ),
    429: (Kind.RATE, "The language model is asked too often.", "Try again in a minute."),
}


class LLMClient:
    """`base_url` ends where `/chat/completions` begins. `seconds` is for one whole call."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        headers = {"Accept": "application/json", "User-Agent": "smart-it-copilot"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        # Named, so that a proxy of the environment does not see what is sent.
        transport = httpx.HTTPTransport()
        self._http = httpx.Client(base_url=base_url, headers=headers, transport=transport)
        self._model = model
        self._seconds = seconds
        self._monotonic = monotonic

    def close(self) -> None:
        self._http.close()

    def complete(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The answer to a conversation of `role` and `content`. Raises LanguageModelError."""
        started = self._monotonic()
        outcome: object = "broken"
        try:
            status, body = self._asked(messages, until=started + self._seconds)
            outcome = status
            return _text(status, body)
        except httpx.HTTPError as exc:
            outcome = type(exc).__name__
            raise _no_answer(exc, self._seconds) from exc
        except LanguageModelError as exc:
            outcome = f"{outcome} {exc.kind}"
            raise
        finally:
            ms = round(1000 * (self._monotonic() - started))
            log.info("llm call", extra={"fields": {"status": str(outcome), "ms": ms}})

    def _asked(self, messages: Sequence[Mapping[str, str]], *, until: float) -> tuple[int, bytes]:
        """The status and the body, read until the deadline and no further than is sane."""
        payload = {"model": self._model, "messages": list(messages), "stream": False}
        body = bytearray()
        with self._http.stream(
            "POST", "chat/completions", json=payload, timeout=self._seconds
        ) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if self._monotonic() > until:
                    raise httpx.ReadTimeout("deadline")
                if len(body) > LONGEST_ANSWER:
                    raise _unexpected("The language model answered far too much.")
            return response.status_code, bytes(body)


def _text(status: int, body: bytes) -> str:
    """The words of an answer. Raises LanguageModelError for everything else."""
    if status != httpx.codes.OK:
        raise _refused(status)
    try:
        answer: Any = json.loads(body)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as exc:
        raise _unexpected("What the language model answered cannot be read.") from exc
    if not isinstance(text, str) or not text.strip():
        raise _unexpected("The language model answered with nothing.")
    return text


def _refused(status: int) -> LanguageModelError:
    if status in MESSAGES_OF_STATUS:
        kind, message, hint = MESSAGES_OF_STATUS[status]
        return LanguageModelError(message, kind=kind, hint=hint)
    if status >= 500:
        message, hint = f"The language model is in trouble (HTTP {status}).", "Try again later."
        return LanguageModelError(message, kind=Kind.BUSY, hint=hint)
    if status >= 400:
        message = f"The language model refused the request (HTTP {status})."
        return LanguageModelError(message, kind=Kind.INVALID, hint="Check LLM_MODEL.")
    return _unexpected(f"The language model did not answer properly (HTTP {status}).")


def _unexpected(message: str) -> LanguageModelError:
    hint = "LLM_BASE_URL must be the address of an OpenAI-compatible API."
    return LanguageModelError(message, kind=Kind.UNEXPECTED, hint=hint)


def _no_answer(exc: httpx.HTTPError, seconds: float) -> LanguageModelError:
    if isinstance(exc, httpx.TimeoutException):
        message = f"The language model did not answer within {seconds:g} seconds."
        return LanguageModelError(message, kind=Kind.NETWORK, hint="Try again later.")
    if "CERTIFICATE" in str(exc).upper():
        message = "The certificate of the language model could not be verified."
        return LanguageModelError(message, kind=Kind.NETWORK, hint="Check LLM_BASE_URL.")
    if isinstance(exc, httpx.ConnectError):
        message = "The language model could not be reached."
        return LanguageModelError(message, kind=Kind.NETWORK, hint="Check LLM_BASE_URL.")
    message = "The connection to the language model broke."
    return LanguageModelError(message, kind=Kind.NETWORK, hint="Try again.")

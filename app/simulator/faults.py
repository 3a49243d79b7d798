"""How an instance misbehaves, on demand: each fault for the next n requests that match it."""

import threading
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "accepted_empty",
    "cut_json",
    "deep_json",
    "drip",
    "drop_before",
    "edit_before",
    "endless",
    "expire_tokens",
    "fail",
    "gzip_bomb",
    "hang",
    "hibernate",
    "late_commit",
    "login_redirect",
    "lose_reply",
    "offline_page",
    "rate_limit",
    "repeated_row",
    "result_and_error",
    "semaphore_full",
    "slow_answer",
    "slow_commit",
    "unauthorized",
)


@dataclass(slots=True)
class Fault:
    """One fault; `times` is how many requests it still meets, None for all."""

    kind: str
    times: int | None = 1
    method: str | None = None
    path: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def meets(self, method: str, path: str) -> bool:
        return (self.method is None or self.method == method) and (
            self.path is None or self.path in path
        )


class Faults:
    """The faults switched on; the first that matches a request is the one it meets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        kind: str,
        *,
        times: int | None = 1,
        method: str | None = None,
        path: str | None = None,
        **options: Any,
    ) -> None:
        """Switch a fault on. Raises ValueError for an unknown kind."""
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; known: {', '.join(KINDS)}")
        with self._lock:
            self._faults.append(Fault(kind, times, method, path, options))

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def met(self, kind: str) -> bool:
        """True when no fault of this kind is left to be met."""
        with self._lock:
            return all(fault.kind != kind for fault in self._faults)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, counted."""
        with self._lock:
            for fault in self._faults:
                if fault.meets(method, path):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def lose_next_reply(self) -> None:
        """The next write is applied, then the connection drops without an answer."""
        self.add("lose_reply", method="POST")

    def fail_next(self, *, status: int = 503, applied: bool = False) -> None:
        """The next request gets an HTML error; with `applied` a write was done all the same."""
        self.add("fail", status=status, applied=applied)

    def hang(self, seconds: float) -> None:
        """Every request waits this long before it is served."""
        self.add("hang", times=None, seconds=seconds)

    def hibernate(self) -> None:
        """Every path and verb answers the page of a sleeping instance."""
        self.add("hibernate", times=None)

    def rate_limit(self, *, retry_after: int = 60) -> None:
        self.add("rate_limit", retry_after=retry_after)

    def semaphore_full(self) -> None:
        self.add("semaphore_full")

    def cut_json(self) -> None:
        self.add("cut_json")

    def result_and_error(self) -> None:
        self.add("result_and_error")

    def deep_json(self) -> None:
        """The next answer nests 100,000 lists."""
        self.add("deep_json")

    def drip(self) -> None:
        """The next request is served, and its answer comes at 200 bytes a second."""
        self.add("drip")

    def endless(self) -> None:
        """The next request is served, and its answer goes on and on."""
        self.add("endless")

    def gzip_bomb(self, *, megabytes: int = 100) -> None:
        """The next request is served, and its answer unpacks to so much."""
        self.add("gzip_bomb", megabytes=megabytes)

    def repeated_row(self) -> None:
        """The next page has one of its rows twice."""
        self.add("repeated_row")

    def drop_before(self) -> None:
        """The connection drops before anything was applied."""
        self.add("drop_before")

    def edit_before(self, *, by: str = "beth.anglin", **fields: str) -> None:
        """A person changes the record between the read and the next write of it.

        Any fault takes these options: a lost reply may have met such an edit too.
        """
        self.add("edit_before", method="PATCH", by=by, fields=fields)

    def late_commit(self, seconds: float) -> None:
        """503 at once; the write is applied after this many seconds."""
        self.add("late_commit", seconds=seconds)

    def slow_answer(self, seconds: float) -> None:
        """The next request is applied at once and answered after this many seconds."""
        self.add("slow_answer", seconds=seconds)

    def slow_commit(self, seconds: float) -> None:
        """The write is applied and answered after this many seconds."""
        self.add("slow_commit", seconds=seconds)

    def expire_tokens(self) -> None:
        """Every token handed out so far is refused from the next request on."""
        self.add("expire_tokens")

    def unauthorized_once(self) -> None:
        self.add("unauthorized")

    def accepted_empty(self) -> None:
        self.add("accepted_empty")

    def login_redirect(self) -> None:
        self.add("login_redirect")

    def offline_page(self) -> None:
        self.add("offline_page")

"""A language model on this machine that speaks the chat protocol, and misbehaves when told to."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def chat(text: object) -> bytes:
    """The body of a well-behaved answer."""
    message = {"role": "assistant", "content": text}
    return json.dumps({"object": "chat.completion", "choices": [{"message": message}]}).encode()


class LanguageModel:
    """Answers every call with `body` and `status`; `requests` keeps what it was sent."""

    def __init__(self) -> None:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                raw = self.rfile.read(length).decode()
                model.requests.append(
                    {"path": self.path, "headers": dict(self.headers), "raw": raw}
                )
                model.behave(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.reset()

    def reset(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()
        self.says("Fine.")

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    # -- how it behaves ---------------------------------------------------------------------

    def says(self, text: object) -> None:
        self.answers(chat(text))

    def answers(
        self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.behave: Callable[[BaseHTTPRequestHandler], None] = lambda handler: _send(
            handler, body, status, headers or {}
        )

    def cuts_its_answer_short(self) -> None:
        def behave(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "5000")
            handler.end_headers()
            handler.wfile.write(chat("Half of")[:40])
            handler.close_connection = True

        self.behave = behave

    def drips(self) -> None:
        """One byte after the other, each soon enough, for seconds on end."""

        def behave(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            with suppress(OSError):
                for _ in range(200):
                    if not self.released.wait(0.02):
                        handler.wfile.write(b" ")

        self.behave = behave

    def keeps_silent(self) -> None:
        def behave(_: BaseHTTPRequestHandler) -> None:
            self.released.wait(30)

        self.behave = behave


def _send(
    handler: BaseHTTPRequestHandler, body: bytes, status: int, headers: dict[str, str]
) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)

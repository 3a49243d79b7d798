"""Listening: uvicorn with our logs. Forwarded headers are read by the app itself."""

import asyncio

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from app import logs
from app.settings import Settings

HEAD_SECONDS = 30.0


class ImpatientProtocol(H11Protocol):
    """HTTP whose request line and headers must arrive within 30 s; uvicorn waits for ever."""

    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time_the_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_the_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()

    def _time_the_head(self) -> None:
        """Start the timer when a head is awaited, stop it when one is there."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self.head_timer is None:
            self.head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None


def listen(app: FastAPI, settings: Settings) -> int:
    """Serve until told to stop; answers the exit status."""
    logs.configure(settings.log_format)
    url = f"http://{settings.host}:{settings.port}"
    print(f"Smart IT Copilot is running at {settings.public_url or url}", flush=True)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        http=ImpatientProtocol,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1

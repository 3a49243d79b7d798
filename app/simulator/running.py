"""An instance on a real port, served from a thread of its own."""

import logging
import socket
import threading
import time
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.simulator.instance import Instance
from app.simulator.web import create_app


class RunningSimulator:
    """`with RunningSimulator() as running:` serves `running.instance` at `running.url`."""

    def __init__(
        self, instance: Instance | None = None, *, port: int = 0, control: bool = True
    ) -> None:
        self.instance = instance or Instance()
        self._socket = listening_socket(port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        # A dropped connection is meant here, not worth a line.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            create_app(self.instance, base_url=self.url, control=control),
            http=_protocol(self.instance),
            lifespan="off",
            log_config=None,
            access_log=False,
            # The instance sends its own Date.
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="simulator", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> "RunningSimulator":
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(3)
        self._socket.close()

    def __enter__(self) -> "RunningSimulator":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def listening_socket(port: int = 0) -> socket.socket:
    """A loopback socket for a server; port 0 is any free one.

    It names TCP, unlike `socket.create_server`: only then asyncio sends answers without delay.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def _protocol(instance: Instance) -> type[H11Protocol]:
    """HTTP that remembers its connections, so that a fault can drop one without an answer."""

    class Droppable(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            instance.transports[transport.get_extra_info("peername")] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            instance.transports.pop(self.client, None)
            super().connection_lost(exc)

    return Droppable

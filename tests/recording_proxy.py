"""A web proxy on this machine that notes who asked for what, and refuses when told to."""

import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).parent / "data" / "instance_test.pem"


class RecordingProxy:
    """Stands for instance.test, login.instance.test and model.test: what comes through a tunnel
    goes, without its TLS, to one port of this machine.
    """

    def __init__(self, port: int) -> None:
        proxy = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self.asked: list[tuple[str, str]] = []
        """Host and port, and the credentials, of each CONNECT."""
        self.refusal: int | None = None

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                credentials = self.headers.get("Proxy-Authorization", "")
                proxy.asked.append((self.path, credentials))
                if proxy.refusal:
                    self.send_error(proxy.refusal, f"not for {credentials}")
                    return
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                with (
                    suppress(OSError),
                    context.wrap_socket(self.connection, server_side=True) as here,
                    socket.create_connection(("127.0.0.1", port)) as there,
                ):
                    back = threading.Thread(target=_copy, args=(there, here))
                    back.start()
                    _copy(here, there)
                    back.join()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

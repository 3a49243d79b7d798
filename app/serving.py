"""Listening: uvicorn with our logs. Forwarded headers are read by the app itself."""

import uvicorn
from fastapi import FastAPI

from app import logs
from app.settings import Settings


def listen(app: FastAPI, settings: Settings) -> int:
    """Serve until told to stop; answers the exit status."""
    logs.configure()
    url = f"http://{settings.host}:{settings.port}"
    print(f"Smart IT Copilot listens on {settings.public_url or url}", flush=True)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1

"""Liveness and readiness endpoints, without authentication."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.web import problem

pages = APIRouter(include_in_schema=False)


@pages.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz(request: Request) -> dict[str, str]:
    """200 with the version while the process runs."""
    return {"status": "alive", "version": request.app.version}


@pages.api_route("/readyz", methods=["GET", "HEAD"])
def readyz(request: Request) -> Response:
    """200 if the app can serve requests, otherwise 503 with the failed check."""
    checks = request.app.state.health.checks()
    results = {check.name: check.status for check in checks}
    failed = next((check for check in checks if check.status == "failed"), None)
    if failed is None:
        return JSONResponse({"status": "ready", "checks": results})
    return problem(
        request, 503, "not_ready", failed.detail, failed_check=failed.name, checks=results
    )

"""python -m app.simulator: an instance alone, with sample incidents."""

import argparse
import threading
from datetime import UTC, datetime

from app.simulator.running import RunningSimulator
from app.simulator.sample import fill


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m app.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--incidents", type=int, default=1500)
    options = parser.parse_args()
    running = RunningSimulator(port=options.port)
    fill(running.instance, count=options.incidents, now=datetime.now(UTC))
    with running:
        print(f"Simulated ServiceNow on {running.url} (copilot / copilot-secret)", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()

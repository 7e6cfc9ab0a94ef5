"""The program of the soak: starts the service once, and loads it with Locust per iteration."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import urllib.request
from pathlib import Path

LOCUST = [sys.executable, "-m", "locust", "-f", "load.py", "--headless", "--json"]
QUIET = ["--only-summary", "--exit-code-on-error=0"]
LOAD = ["--users=20", "--spawn-rate=20", "--reset-stats", "--run-time=3s", "--stop-timeout=10"]
"""One second of ramp-up that does not count, then two seconds of measured load.

The stop timeout waits for orders that are still open at the end, and counts them. Without it
Locust drops them, and an answer slower than the load is long would never be measured. Buyers time
out after half of it.
"""
PATIENCE_S = 60


def serve(listening: socket.socket) -> subprocess.Popen[bytes]:
    """Start the service on a socket that listens already, so that no request comes too early."""
    number = listening.fileno()
    uvicorn = [sys.executable, "-m", "uvicorn", "service:app", "--no-access-log"]
    ending = "--timeout-graceful-shutdown=1"  # its answers are not needed any more
    return subprocess.Popen([*uvicorn, ending, f"--fd={number}"], pass_fds=[number])


def settings(address: str) -> dict[str, float]:
    """Return the settings that the service's last request used."""
    try:
        with urllib.request.urlopen(f"{address}/settings", timeout=PATIENCE_S) as answer:
            found: dict[str, float] = json.load(answer)
    except OSError as error:
        sys.exit(f"the service does not answer: {error}")
    return found


def load(address: str) -> dict[str, float]:
    """Load the service; return what its clients measured."""
    command = [*LOCUST, *QUIET, *LOAD, f"--host={address}"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_S)
    (stats,) = json.loads(ran.stdout)
    times = [float(ms) for ms, count in stats["response_times"].items() for _ in range(count)]
    return {
        "n": stats["num_requests"],
        "latency_p95_ms": statistics.quantiles(times, n=20)[-1],
        "error_rate": stats["num_failures"] / stats["num_requests"],
    }


def main() -> None:
    """Write a report for each line that pytest-soak sends."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        service = serve(listening)
    try:
        settings(address)  # answers once the service is up
        for line in sys.stdin:
            iteration, _, _, path = line.rstrip("\n").split(" ", 3)
            totals = load(address)
            n = dict.fromkeys(totals, totals.pop("n"))
            report = {
                "iteration": int(iteration),
                "parameters": settings(address),
                "totals": totals,
                "n": n,
            }
            draft = Path(f"{path}.tmp")
            draft.write_text(json.dumps(report), encoding="utf-8")
            draft.rename(path)
    finally:
        service.terminate()
        service.wait()


if __name__ == "__main__":
    main()

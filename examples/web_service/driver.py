"""What pytest-soak runs: starts the service once, and loads it with Locust in each iteration."""

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
"""A second until all users are there, of whose answers none counts; then two that do.

Nobody orders after that, but every order that is out is waited for, and counts: without a stop
timeout Locust forgets it, and an answer slower than the load is long would never be seen. Buyers
lose their patience in half of this time, so none is left.
"""
PATIENCE_S = 60


def serve(listening: socket.socket) -> subprocess.Popen[bytes]:
    """Start the service on a socket that already listens, so nobody has to wait for its port."""
    number = listening.fileno()
    uvicorn = [sys.executable, "-m", "uvicorn", "service:app", "--no-access-log"]
    ending = "--timeout-graceful-shutdown=1"  # nobody waits for its answers any more
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
    """Load the service; return what its callers saw."""
    command = [*LOCUST, *QUIET, *LOAD, f"--host={address}"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_S)
    (told,) = json.loads(ran.stdout)
    times = [float(ms) for ms, count in told["response_times"].items() for _ in range(count)]
    return {
        "n": told["num_requests"],
        "latency_p95_ms": statistics.quantiles(times, n=20)[-1],
        "error_rate": told["num_failures"] / told["num_requests"],
    }


def main() -> None:
    """Leave a report for each line that pytest-soak writes."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        service = serve(listening)
    try:
        settings(address)  # it is up
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

"""The load: each user orders, waits for the answer, and pauses."""

from __future__ import annotations

from locust import FastHttpUser, constant, task


class Buyer(FastHttpUser):
    """One of the users."""

    wait_time = constant(0.35)
    connection_timeout = network_timeout = 5.0
    """Seconds; a timeout counts as an error with this latency."""

    @task
    def order(self) -> None:
        """Order, and count anything but 200 as an error."""
        self.client.get("/order")

"""The load: every user orders, waits for the answer, and thinks for a while."""

from __future__ import annotations

from locust import FastHttpUser, constant, task


class Buyer(FastHttpUser):
    """One of twenty."""

    wait_time = constant(0.35)
    connection_timeout = network_timeout = 5.0
    """After so many seconds without an answer it is an error, as slow as that."""

    @task
    def order(self) -> None:
        """Order, and count anything but 200 as an error."""
        self.client.get("/order")

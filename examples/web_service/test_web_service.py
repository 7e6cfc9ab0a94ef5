"""A soak of a web service: its pool and its timeout are tuned until it is quick enough."""


def test_web_service(soak):
    soak.run()

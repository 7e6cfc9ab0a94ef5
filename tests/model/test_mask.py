"""Secrets: the names that packs and systems declare, with all their past and present values."""

from __future__ import annotations

from types import SimpleNamespace

from pytest_soak.model.mask import Mask, secret_names


def test_what_is_secret_is_what_packs_and_systems_declare() -> None:
    pack, system = SimpleNamespace(secrets=("KEY", "PIN")), SimpleNamespace(secrets=("PIN", "URL"))
    assert secret_names(pack, object(), system, None) == ("KEY", "PIN", "URL")


def test_a_mask_hides_the_values_that_its_names_get_later_and_those_they_had() -> None:
    mask = Mask.of(("KEY", "PIN"), {"KEY": "first one", "HOME": "/home/me"})
    later = mask.seeing({"KEY": "second one", "PIN": "123456"})
    text = "first one, second one, 123456, /home/me"
    assert later.text(text) == "[secret KEY], [secret KEY], [secret PIN], /home/me"
    assert later.seeing({"KEY": "second one"}) is later


def test_a_mask_that_takes_up_another_also_takes_up_names_without_a_value() -> None:
    mask = Mask().and_of(Mask.of(("KEY",), {}))
    assert not mask
    assert mask.seeing({"KEY": "a value"}).text("a value") == "[secret KEY]"


def test_a_mask_without_names_sees_nothing() -> None:
    mask = Mask({"KEY": "a value"})
    assert mask.seeing({"KEY": "another"}) is mask

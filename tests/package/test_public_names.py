"""The names of the package: each can be had, and a former name warns and still works."""

from __future__ import annotations

import pytest

import pytest_soak
import pytest_soak.testing


@pytest.mark.parametrize("module", [pytest_soak, pytest_soak.testing], ids=lambda one: one.__name__)
def test_every_public_name_can_be_had(module: object) -> None:
    names: list[str] = getattr(module, "__all__")  # noqa: B009 - a module's, by its type unknown
    assert names == sorted(names)
    for name in names:
        assert getattr(module, name) is not None


def test_a_former_name_warns_and_is_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match=r"Kept is now called pytest_soak\.ProcessReaper"):
        assert getattr(pytest_soak, "Kept") is pytest_soak.ProcessReaper  # noqa: B009 - as above


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'pytest_soak' has no attribute 'Keeper'"):
        getattr(pytest_soak, "Keeper")  # noqa: B009 - as above

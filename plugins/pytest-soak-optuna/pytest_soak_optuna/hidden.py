"""Removes secrets from the URL of a database and from texts that quote it."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
_SECRETS = re.compile(
    r"(?<=://)(?P<user>[^:/?]*):(?P<password>.+)(?=@)"
    r"|(?<=[?&])(?P<key>[^=&]*(?:pass|pwd|secret|token|key)[^=&]*)=(?P<value>[^&]+)",
    re.IGNORECASE,
)
"""A password before the last ``@``, and query values whose key sounds secret."""


def shown(where: str) -> str:
    """Return *where*, a URL or a path, with ``***`` for each secret in it."""
    return _SECRETS.sub(
        lambda found: (
            f"{found['user']}:{HIDDEN}" if found["password"] else f"{found['key']}={HIDDEN}"
        ),
        where,
    )


def without(text: str, where: str) -> str:
    """Return *text*, such as an error of a database driver, without the secrets of *where*."""
    text = text.replace(where, shown(where))
    secrets = [found["password"] or found["value"] for found in _SECRETS.finditer(where)]
    for secret in secrets:
        for form in (secret, unquote(secret), unquote_plus(secret)):
            text = text.replace(form, HIDDEN)
    return text

"""Foreign text made fit for a message: on one line, short, and without secrets."""

from __future__ import annotations

import os
import re
import reprlib
from typing import Any

HIDDEN = "***"
LONGEST = 600  # characters of a foreign message that are shown

# scheme://user:password@host: a secret key may hold slashes, but what follows a port is a path
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)(?:[^/\s@'\"]+@|[^/\s:@'\"]+:(?!\d+(?:/|\b))[^\s@'\"]*@)", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&;](?:x-amz-(?:signature|credential|security-token)|awsaccesskeyid|signature|sig|[a-z_-]*(?:token|secret|"
    r"password|passwd|api_?key|access_?key)[a-z_-]*)=)[^&;,)\s'\"]+",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
_SHORTEST = 8  # shorter secrets may be ordinary words of a message


def mask(text: str) -> str:
    """`text` without secrets: users and passwords inside URLs, signatures and tokens in queries, keys in use.

    >>> mask("http://anna:pw@host:9000/b?X-Amz-Signature=3f2a&n=1")
    'http://***@host:9000/b?X-Amz-Signature=***&n=1'
    """
    for name in _VARIABLES:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = _USER.sub(rf"\1{HIDDEN}@", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text) if "=" in text else text


def has_secret(address: str) -> bool:
    """Whether an address holds a user, a password, a signature or a token."""
    return bool(_USER.search(address) or _QUERY.search(address))


def one_line(text: object, limit: int = LONGEST) -> str:
    """Foreign text fit for a message: white space folded, cut in the middle where it is long, secrets masked."""
    try:
        words = " ".join(_COLOURS.sub("", str(text)[: 100 * limit]).split())
    except Exception:  # an error whose own text fails must not hide the error
        words = f"a {type(text).__name__} that cannot be shown"
    if len(words) > limit:
        words = f"{words[: limit - limit // 3]} … {words[-limit // 3 :]}"
    return mask(words)


def shown(value: Any) -> str:
    """A value as a message shows it: its repr, of whatever size and depth it is, in about a hundred characters."""
    return one_line(_SHORT.repr(value), 120)


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 4
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80

"""Hiding secrets in text that is written down or shown."""

from __future__ import annotations

import re

__all__ = ["SECRET_NAME", "redact"]

SECRET_NAME = re.compile(
    r"token|passw|pwd|secret|credential|api_?key|access_?key|private_?key|authorization", re.IGNORECASE
)
"""What a name looks like whose value is nobody's business."""

_HIDDEN = "***"
# The password of a URL ends at the last @ before the host, so that one with an @ in it is hidden whole.
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@'\"]*):([^\s'\"]*)@")
_QUERY = re.compile(r"([?&;](?:password|passwd|pwd|token|secret|api_?key|sslpassword)=)[^&;#\s'\"]+", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(\b[\w-]*(?:token|passw(?:or)?d|passwd|secret|api_?key|access_?key)\b['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&}]+",
    re.IGNORECASE,
)
_OPTION = re.compile(r"((?<!\S)--?[\w-]*(?:token|password|secret|api-?key)[\w-]*[ =])\S+", re.IGNORECASE)


def redact(text: str) -> str:
    """Return ``text`` with passwords in URLs and values of names such as ``password`` or ``API_KEY`` hidden."""
    text = _URL.sub(rf"\1:{_HIDDEN}@", text)
    for pattern in (_QUERY, _ASSIGNED, _OPTION):
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text

"""Errors as they cross the border."""

from collections.abc import Callable
from typing import Any

from . import lama_ffi as ffi


class LamaError(Exception):
    """Why something did not work: a stable `code`, and a `message` that says what to do."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{message} ({code})")
        self.code, self.message = code, message


def told(call: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the library; what it tells is raised as a `LamaError`."""
    try:
        return call(*arguments)
    except ffi.LamaFailure.Failed as failure:  # type: ignore[attr-defined]  # generated: a class put there at run time
        raise LamaError(failure.code, failure.words) from None

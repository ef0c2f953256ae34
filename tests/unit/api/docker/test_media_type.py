"""The header Content-Type of a request has the type application/json, and may have parameters."""

from __future__ import annotations

import time

import pytest

from api.docker.errors import ApiError
from api.docker.media_type import require_json

LONG = 100_000
INVALID = "mime: invalid media parameter$"


@pytest.mark.parametrize("end", ["", ";", " ; ", "; charset=utf-8", '; a="b;c" ;'])
def test_parameters_and_a_last_semicolon_are_accepted(end):
    require_json(f"application/json{end}")


@pytest.mark.parametrize("end", [";;", "; a", "; a=", "; ;"])
def test_an_invalid_parameter_is_refused(end):
    with pytest.raises(ApiError, match=INVALID):
        require_json(f"application/json{end}")


@pytest.mark.parametrize("end", [f";{' ' * LONG}x", f"{';a=b' * LONG};;"])
def test_a_long_header_is_checked_in_linear_time(end):
    began = time.process_time()
    with pytest.raises(ApiError, match=INVALID):
        require_json(f"application/json{end}")
    assert time.process_time() - began < 1

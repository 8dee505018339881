"""Calls that must be refused with an exit code."""

from __future__ import annotations

import pytest

from lstm_cli.errors import ExitCode, LstmError


def refused(call, *args, code=ExitCode.ERROR, **kwargs):
    with pytest.raises(LstmError) as caught:
        call(*args, **kwargs)
    assert caught.value.exit_code == code
    return caught.value

from __future__ import annotations

import pytest

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve.settings import Limits, check_limits


def test_queue_shorter_than_a_request_is_a_usage_error():
    with pytest.raises(LstmError, match=r"10 inputs.*11") as caught:
        check_limits(Limits(max_queue=10, max_texts=11))
    assert caught.value.exit_code == ExitCode.USAGE
    check_limits(Limits(max_queue=10, max_texts=10))

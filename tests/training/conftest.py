from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def _without_plots():
    """Train without plots, which take seconds; their tests are in `tests/unit/evaluation`."""
    from lstm_cli.training import artifacts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "_draw", lambda *_: [])
        yield

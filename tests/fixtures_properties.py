"""How property tests run here: on a busy machine a slow example is no failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

"""`lstm predict`: texts or images in, one record each out."""
from __future__ import annotations
def command() -> None:
    """x."""

"""Rules for automatic settings, for texts and images alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Profile = TypeVar("Profile")


def by_size(
    size_of: Callable[[Profile], int], *steps: tuple[int, Any], above: Any
) -> Callable[[Profile], Any]:
    """Return a rule by the number of examples: the value of the first step that is large enough.

    Args:
        size_of: Returns the number of examples of a profile.
        steps: The largest number for a value, and the value, ascending.
        above: The value for more examples.
    """

    def rule(profile: Profile) -> Any:
        return next((value for size, value in steps if size_of(profile) <= size), above)

    return rule

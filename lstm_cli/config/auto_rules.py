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


def validation_fraction(num_examples: int, num_classes: int, num_per_class: int = 5) -> float:
    """Return a tenth, or less: 500 examples suffice, or `num_per_class` for each class.

    The rest is for training.
    """
    wanted = max(500, num_per_class * num_classes)
    return max(0.0001, round(min(0.1, wanted / num_examples), 4))


def num_folds(num_examples: int, has_validation_file: bool) -> int:
    """Return five folds for up to 500 examples without other validation rows, else none."""
    is_small = num_examples <= 500 and not has_validation_file
    return min(5, num_examples) if is_small else 0


def is_refitted(num_examples: int, has_validation_file: bool) -> bool:
    """Return whether the model is trained once more, on the validation rows too."""
    return num_examples <= 3000 and not has_validation_file

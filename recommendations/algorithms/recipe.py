"""Every constant of a model. Where they come from: docs/algorithms.md."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from recommendations.algorithms.ranking import HISTORY

# Beside 1 of "next"; what a shop is served by that is too thin to choose.
DOCUMENTED: Final[Mapping[str, float]] = {"next": 1.0, "similar": 0.2}
CHOSEN: Final = ("similar_target", "weights", "personal_tilt", "history", "fading")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The constants of one build; `CHOSEN` are those that a shop chooses."""

    top: int = 100  # neighbours kept per item
    history_cap: int = 500  # newest items of a profile that are learned from
    similar_source: float = 0.5
    similar_target: float = 0.5
    similar_damping: float = 0.5
    similar_shrink: float = 10.0
    next_window: int = 10
    next_decay: float = 0.9
    next_backward: float = 0.3
    next_source: float = 0.7
    next_target: float = 0.3
    next_shrink: float = 10.0
    dense_items: int = 5_000  # that the models with a matrix of items squared learn from
    smooth_items: int = 10_000
    weights: Mapping[str, float] = field(default_factory=lambda: dict(DOCUMENTED))
    again: float = 1.0  # chosen: weight of a person's own items where repeats are wanted
    visits: float = 0.0  # chosen: weight of visits like mine, for people with a short history
    half_life_days: float = 60.0
    window_days: int = 14
    tilt: float = 0.75  # of the trending list
    personal_tilt: float = 0.5  # power of the trend on the lists people are served from
    history: int = HISTORY  # newest items of a profile that it is served by
    fading: float = 0.6  # their say, per step back

    def with_choice_of(self, other: "Recipe") -> "Recipe":
        """This one, but for what a shop chooses: that comes from the other."""
        return dataclasses.replace(self, **{name: getattr(other, name) for name in CHOSEN})

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def recipe_from(parameters: Mapping[str, Any]) -> Recipe:
    """What `as_dict` gave; constants that were not known then have today's value."""
    known = {field.name for field in dataclasses.fields(Recipe)}
    return Recipe(**{name: value for name, value in parameters.items() if name in known})

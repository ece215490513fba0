"""Form fields that more than one room needs: JSON typed by a person, short lists, event → days."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

MAX_JSON_CHARACTERS = 200_000
MAX_JSON_DEPTH = 60


class CodeArea(UnfoldAdminTextareaWidget):  # type: ignore[misc]
    """A text area in a fixed-width face."""

    def __init__(self, *, rows: int = 12) -> None:
        super().__init__(attrs={"rows": rows, "spellcheck": "false", "class": "codefield"})


class JsonField(forms.CharField):
    """JSON in a text area. Every mistake gets a sentence with its line."""

    def __init__(self, *, empty: object = None, rows: int = 12, **kwargs: Any) -> None:
        self.empty = empty
        kwargs.setdefault("widget", CodeArea(rows=rows))
        defaults: dict[str, Any] = {"strip": True, "max_length": MAX_JSON_CHARACTERS}
        super().__init__(**(defaults | kwargs))

    def prepare_value(self, value: Any) -> Any:
        """What was typed stays as it was typed; a stored value is set in lines."""
        if isinstance(value, str):
            return value
        if value in (None, {}, []) and not self.required:
            return ""
        return json.dumps(value, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text and read_json(text)

    def validate(self, value: Any) -> None:
        """`{}` and `[]` are something; only nothing is missing."""
        if value == "" and self.required:
            raise ValidationError(self.error_messages["required"], code="required")

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        return self.empty if found == "" else found

    def run_validators(self, value: Any) -> None:
        """Length and NUL are judged on the text, in `to_python`; the value has no length."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except ValidationError:
            return True


def read_json(text: str) -> Any:
    """Raises `ValidationError` with a sentence for what is not JSON or cannot be stored."""
    if len(text) > MAX_JSON_CHARACTERS:
        raise ValidationError(f"This is longer than {MAX_JSON_CHARACTERS:,} characters.")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        raise ValidationError(
            f"This is not JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}."
        ) from exc
    except RecursionError as exc:
        raise ValidationError("This is nested too deeply.") from exc
    except ValueError as exc:
        raise ValidationError(f"This is not JSON: {exc}.") from exc
    _check_storable(value, depth=0)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _check_storable(value: Any, *, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise ValidationError("This is nested too deeply.")
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValidationError("A text in it has a character that cannot be stored.")
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise ValidationError("A number in it is too large.")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_storable(key, depth=depth)
            _check_storable(inner, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_storable(inner, depth=depth + 1)


class WordsField(forms.CharField):
    """A list typed as words with commas or in lines: "personal, trending"."""

    def __init__(self, *, choices: Sequence[str] = (), area: bool = False, **kwargs: Any) -> None:
        self.words = choices
        widget = CodeArea(rows=8) if area else UnfoldAdminTextInputWidget()
        super().__init__(**({"widget": widget} | kwargs))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list):
            joint = "\n" if isinstance(self.widget, CodeArea) else ", "
            return joint.join(str(word) for word in value)
        return value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        lines = text.splitlines() if isinstance(self.widget, CodeArea) else text.split(",")
        words = [word.strip() for word in lines if word.strip()]
        for word in words:
            if self.words and word not in self.words:
                raise ValidationError(f"“{word}” is not one of: {', '.join(self.words)}.")
        repeated = sorted({word for word in words if words.count(word) > 1})
        if repeated:
            raise ValidationError(f"“{repeated[0]}” stands in the list twice.")
        return words

    def run_validators(self, value: Any) -> None:
        for word in value:
            super().run_validators(word)

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise ValidationError(self.error_messages["required"], code="required")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or []) != (data or ""))


class CountsField(forms.CharField):
    """Name → whole number, one in a line: "category: 2"."""

    expected = "a name and a number, such as “category: 2”"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"widget": CodeArea(rows=3)} | kwargs))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name}: {count}" for name, count in value.items())
        return value

    def to_python(self, value: Any) -> Any:
        found: dict[str, int] = {}
        for number, line in enumerate((super().to_python(value) or "").splitlines(), start=1):
            if not line.strip():
                continue
            name, _, count = line.rpartition(":")
            if not name.strip() or not count.strip().isdecimal() or len(count.strip()) > 5:
                raise ValidationError(f"Line {number}: expected {self.expected}.")
            if name.strip() in found:
                raise ValidationError(f"“{name.strip()}” stands there twice.")
            found[name.strip()] = int(count)
        return found

    def run_validators(self, value: Any) -> None:
        for name in value:
            super().run_validators(name)

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise ValidationError(self.error_messages["required"], code="required")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or {}) != (data or ""))


class EventDaysField(CountsField):
    """Event → days, one in a line: "Order Completed: 365"."""

    expected = "an event and days, such as “Order Completed: 365”"


class HoursField(forms.DecimalField):
    """A length of time, typed in hours."""

    def __init__(self, **kwargs: Any) -> None:
        limits: dict[str, Any] = {
            "min_value": Decimal("0.25"),
            "max_value": Decimal(24 * 90),
            "decimal_places": 2,
        }
        super().__init__(**(limits | {"widget": UnfoldAdminDecimalFieldWidget()} | kwargs))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, timedelta):
            return f"{value.total_seconds() / 3600:g}"
        return value

    def clean(self, value: Any) -> Any:
        hours = super().clean(value)
        return None if hours is None else timedelta(hours=float(hours))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((self.prepare_value(initial) or "") != (data or ""))

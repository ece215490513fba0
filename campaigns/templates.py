"""What is wrong with a template, and what may be a slip, as sentences with their lines."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from campaigns import slot_checks
from campaigns.compiled import get_compiled, keep_compiled
from campaigns.errors import InvalidTemplate, Problem, TemplateAborted, TemplateFailed
from campaigns.language import find_error, list_names, list_unguarded, parse
from campaigns.liquid.dialect import translate
from campaigns.models import Slot, Template
from campaigns.render import render

FIELDS = {
    "email": ("subject", "preheader", "body", "text"),
    "push": ("title", "body", "image_url", "link"),
    "web_push": ("title", "body", "image_url", "link"),
    "sms": ("body",),
    "webhook": ("body",),
    "in_app": ("title", "body", "image_url", "link", "button"),
    "inbox": ("title", "body", "image_url", "link", "button"),
}
NEEDED = {
    "email": ("subject", "body"),
    "push": ("title",),
    "web_push": ("title",),
    "sms": ("body",),
    "webhook": ("body",),
    "in_app": (),
    "inbox": ("title",),
}
DRAWN_BY_APPS = ("in_app", "inbox")
ROOTS = ("profile", "event", "slots", "campaign", "unsubscribe_url", "preheader")
CARD = ("id", "name", "price", "currency", "image_url", "url", "link", "rank", "reason")
SAMPLE = {name: 1 if name == "rank" else f"a {name}" for name in CARD} | {"price": "9.90"}


@dataclass(frozen=True, slots=True)
class Lint:
    """`problems` stop a launch; `notices` are for reading."""

    problems: tuple[Problem, ...]
    notices: tuple[Problem, ...]


def lint(
    template: Template,
    *,
    slots: Sequence[Slot] | None = None,
    known_attributes: Collection[str] | None = None,
) -> Lint:
    """Look at a template, saved or not.

    An unknown variable renders as nothing; it is listed here. `known_attributes` are the names
    that profiles have; without them attribute names are not judged.
    """
    if slots is None:
        slots = list(template.slots.all()) if template.pk else []
    problems = [*_missing(template), *_broken(template)]
    for slot in slots:
        problems += slot_checks.check(slot)
    if problems:
        return Lint(tuple(problems), ())
    names = {slot.name for slot in slots}
    problems = list(_strangers(template, names))
    if template.channel == "webhook" and not problems:
        problems = list(_not_json(template, slots))
    notices = list(_slips(template, names, known_attributes))
    return Lint(tuple(problems), tuple(notices))


def check(template: Template, *, slots: Sequence[Slot] | None = None) -> None:
    """Raises `InvalidTemplate` with every problem; forms call it before they save."""
    found = lint(template, slots=slots)
    if found.problems:
        raise InvalidTemplate(found.problems)


def doubt(template: Template) -> Iterator[str]:
    """What leaves a gap in the message of whoever lacks it; asked before a launch, as sentences.

    Attributes that nobody has leave one, too: no list of known ones is asked here.
    """
    if list(_broken(template)):
        return  # the launch says so itself
    for problem in _bare(template, None):
        yield f"“{template}”, {problem.path}: {problem.message}."


def save_template(template: Template) -> None:
    """Save what can be compiled, and what it was compiled into; raises `InvalidTemplate`.

    The one way to write a template. Its slots are judged at the launch.
    """
    problems = [*_missing(template), *_broken(template)]
    if problems:
        raise InvalidTemplate(problems)
    keep_compiled(template)
    template.save()


def _missing(template: Template) -> Iterator[Problem]:
    for name in NEEDED[template.channel]:
        if not getattr(template, name).strip():
            yield Problem(name, "is empty")
    if template.channel == "in_app" and not (template.title or template.body).strip():
        yield Problem("title", "is empty, and so is the body")


def _broken(template: Template) -> Iterator[Problem]:
    for name in FIELDS[template.channel]:
        found = find_error(getattr(template, name), json=template.channel == "webhook")
        if found is not None:
            yield Problem(f"{name}, line {found.line}", found.message)
            return
    if template.channel == "email" and template.body:
        yield from _uncompilable(template)


def _uncompilable(template: Template) -> Iterator[Problem]:
    try:
        compiled = get_compiled(template)
        parse(compiled.html, html=True)
        parse(compiled.text)
    except InvalidTemplate as exc:
        yield from exc.problems
    except TemplateFailed as exc:
        yield Problem("body", f"cannot be compiled, a tag and its end stand apart: {exc.message}")


def _not_json(template: Template, slots: Sequence[Slot]) -> Iterator[Problem]:
    """A body is tried as an unknown person would get it: slots empty, with one product, full."""
    for cards in ({slot.name: 0 for slot in slots}, {slot.name: 1 for slot in slots},
                  {slot.name: slot.maximum for slot in slots}):  # fmt: skip
        variables = {
            "profile": {},
            "event": {},
            "person": {"id": "sample"},
            "slots": {name: [SAMPLE] * count for name, count in cards.items()},
            "campaign": {"id": 0, "name": "Sample"},
            "unsubscribe_url": "https://shop.example/u/sample",
        }
        try:
            render(template, variables)
        except TemplateAborted:
            continue  # as its author wants it for such a person
        except TemplateFailed as exc:
            yield Problem("body", exc.message)
            return


def _strangers(template: Template, slots: Collection[str]) -> Iterator[Problem]:
    roots = (*ROOTS, "person") if template.channel == "webhook" else ROOTS
    for place, name, segments in _names(template):
        if segments[0] == "slots" and len(segments) > 1 and segments[1] not in slots:
            known = ", ".join(sorted(slots)) or "none"
            yield Problem(place, f"there is no slot “{segments[1]}” (known: {known})")
        elif segments[0] not in roots:
            yield Problem(place, f"there is no “{name}”; a template sees {', '.join(roots)}")


def _slips(
    template: Template, slots: Collection[str], known: Collection[str] | None
) -> Iterator[Problem]:
    used = {segments[1] for _, _, segments in _names(template) if segments[0] == "slots"
            and len(segments) > 1}  # fmt: skip
    # An app gets the products of every slot as data, whether its text names them or not.
    for name in sorted(set(slots) - used) if template.channel not in DRAWN_BY_APPS else ():
        yield Problem(f"slot {name}", "is filled but shown nowhere")
    for place, name, segments in _names(template):
        if segments[0] == "profile" and known is not None and segments[1:2] != ():
            attribute = segments[1]
            if attribute not in known:
                yield Problem(place, f"no recent profile has “{attribute}”: is {name} a slip?")
    if template.channel == "sms" and "stop" not in template.body.lower():
        yield Problem("body", "does not say how to end it, such as “Reply STOP to end”")
    yield from _bare(template, known)
    if template.channel == "email" and "unsubscribe_url" not in translate(template.body):
        yield Problem("body", "has no {{ unsubscribe_url }}; only the mail's header will have it")


def _bare(template: Template, known: Collection[str] | None) -> Iterator[Problem]:
    """Attributes that some people lack, printed without a word for those."""
    if template.channel == "webhook":
        return  # data, not words: what is missing is empty or null there
    for field in FIELDS[template.channel]:
        for attribute, line in list_unguarded(getattr(template, field)):
            sure = template.channel == "email" and attribute == "email"
            if not sure and (known is None or attribute in known):
                yield Problem(
                    f"{field}, line {line}",
                    f"profile.{attribute} may be missing: say what stands there then, "
                    f'such as {{{{ profile.{attribute} | default: "…" }}}}',
                )


def _names(template: Template) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for field in FIELDS[template.channel]:
        source: Any = getattr(template, field)
        for segments, line in list_names(source):
            yield f"{field}, line {line}", ".".join(segments), segments

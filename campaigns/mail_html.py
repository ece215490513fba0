"""The body of an e-mail, MJML or HTML, made into HTML that mail programs show. Liquid survives.

Compilers move and rewrite what they take for stray text. So every Liquid token is set aside before
them, as a comment where text stands and as a word inside a tag, and put back after them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from importlib.metadata import version

import css_inline
import mjml

from campaigns.errors import InvalidTemplate, Problem
from campaigns.language import TOKEN
from campaigns.liquid.dialect import translate
from campaigns.liquid.queries import encode_attributes

# Whatever makes something else of the same body has another name: what is kept of the one before
# is not sent any more. The number counts changes of ours, here, in `translate` and
# `encode_attributes`.
COMPILER = f"1, mjml {version('mjml-python')}, css-inline {version('css-inline')}"
COMPONENTS = frozenset(
    {
        *("mjml", "mj-head", "mj-body", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint"),
        *("mj-font", "mj-html-attributes", "mj-selector", "mj-html-attribute", "mj-preview"),
        *("mj-style", "mj-title", "mj-accordion", "mj-accordion-element", "mj-accordion-title"),
        *("mj-accordion-text", "mj-button", "mj-carousel", "mj-carousel-image", "mj-column"),
        *("mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar", "mj-navbar-link"),
        *("mj-raw", "mj-section", "mj-social", "mj-social-element", "mj-spacer", "mj-table"),
        *("mj-text", "mj-wrapper"),
    }
)
# What never ends is eaten whole, as browsers do: a source of nothing but beginnings takes no
# longer than any other.
COMMENT = r"<!--.*?(?:-->|\Z)"
ATTRIBUTES = r"(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^>\"'])*+"
TAG = re.compile(rf"{COMMENT}|<(/?)(mj[a-z0-9-]*+)({ATTRIBUTES})(?:>|\Z)", re.DOTALL)
# What is not text: comments, elements whose content is no markup, and tags.
SILENT = r"(?:style|script|title|textarea|mj-style|mj-title|mj-preview)"
SILENT_NAME = re.compile(SILENT)
MARKUP = re.compile(
    rf"({COMMENT}|<{SILENT}\b.*?(?:</{SILENT}\s*+>|\Z)|</?[a-zA-Z!]{ATTRIBUTES}(?:>|\Z))",
    re.DOTALL | re.IGNORECASE,
)
HTML = re.compile(r"<(?:html|body)\b", re.IGNORECASE)
ELEMENT = re.compile(r"<(?P<closing>/?)(?P<name>[a-z][^\s>/]*)", re.IGNORECASE)
# The compilers call themselves for each element in an element: where a body of only "<div>" would
# take the process down. An MJML wrapper becomes some ten elements.
MAX_DEPTH = 150
# They have no end, or need none: a next one ends them.
ENDLESS = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
        *("source", "track", "wbr", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody"),
        *("tfoot", "colgroup", "option", "html", "head", "body"),
    }
)
# Before the <mjml> of an author: comments, a declaration, Liquid that assigns something.
BEFORE_MJML = re.compile(rf"(?:\s|\ufeff|{COMMENT}|<[!?][^<>]*+>|{TOKEN.pattern})*+<mjml\b",
                         re.DOTALL | re.IGNORECASE)  # fmt: skip
# A table whose rows a loop makes: the parser would open its tbody inside the loop.
ROWS = re.compile(r"(<table\b[^<>]*+>)((?:\s|<!--lqdq*[0-9]+x-->)*+)(?=<tr\b)", re.IGNORECASE)
BODY = re.compile(r"<body\b[^<>]*+>", re.IGNORECASE)
PREHEADER = (
    '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{{ preheader }}</div>'
)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Two Liquid sources."""

    html: str
    text: str


@lru_cache(maxsize=256)
def compile_body(body: str) -> Compiled:
    """Raises `InvalidTemplate` with the line of what MJML cannot take. Cached by body."""
    body = encode_attributes(translate(body))
    _refuse_depth(body)
    shelter = Shelter.of(body)
    html = shelter.covered
    if is_mjml(body):
        problems = list(_check_components(body))
        if problems:
            raise InvalidTemplate(problems)
        html = _mjml(html, shelter)
    elif not HTML.search(html):
        # Else the parser opens the body after the first token, which may be an {% if %}.
        html = f"<html><head></head><body>{html}</body></html>"
    html = ROWS.sub(r"\1<tbody>\2", html)
    inlined = css_inline.CSSInliner(
        keep_style_tags=True, load_remote_stylesheets=False, keep_link_tags=False
    ).inline(html)
    shelter.require_order(html, inlined)
    if not inlined.lower().startswith("<!doctype"):
        inlined = f"<!DOCTYPE html>{inlined}"
    text = _plain_text(inlined, shelter.restore)
    restored = shelter.restore(inlined)
    if "preheader" not in body:
        restored = BODY.sub(lambda found: found.group() + PREHEADER, restored, count=1)
    return Compiled(html=restored, text=text)


def is_mjml(body: str) -> bool:
    return BEFORE_MJML.match(body) is not None


def _refuse_depth(body: str) -> None:
    """Raises `InvalidTemplate` for elements in elements in elements."""
    open_tags: Counter[str] = Counter()
    for found in MARKUP.finditer(TOKEN.sub(_blank, body)):
        tag = ELEMENT.match(found.group())
        name = tag["name"].lower() if tag else ""
        if not tag or name in ENDLESS or SILENT_NAME.fullmatch(name):
            continue
        if tag["closing"]:
            open_tags[name] = max(0, open_tags[name] - 1)
        elif not (name.startswith("mj-") and found.group().endswith("/>")):
            open_tags[name] += 1
            if open_tags.total() > MAX_DEPTH:
                line = body.count("\n", 0, found.start()) + 1
                message = f"more than {MAX_DEPTH} elements are open here: is an end missing?"
                raise InvalidTemplate([Problem(f"body, line {line}", message)])


def _blank(token: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", token.group())


@dataclass(slots=True)
class Shelter:
    """Liquid tokens, set aside while others work on the text around them."""

    word: str
    tokens: list[str] = field(default_factory=list)
    covered: str = ""

    @classmethod
    def of(cls, source: str) -> "Shelter":
        word = "lqd"
        while word in source:
            word += "q"
        shelter = cls(word)
        worded = TOKEN.sub(shelter._keep, source)
        parts = MARKUP.split(worded)
        pattern = re.compile(f"({word}[0-9]+x)")
        shelter.covered = "".join(
            part if number % 2 else pattern.sub(r"<!--\1-->", part)
            for number, part in enumerate(parts)
        )
        return shelter

    def restore(self, text: str) -> str:
        # As a name of an attribute, such as an {% if %} around one, it got an empty value.
        pattern = re.compile(f'<!--{self.word}([0-9]+)x-->|{self.word}([0-9]+)x(?:="")?')
        return pattern.sub(lambda found: self.tokens[int(found[1] or found[2])], text)

    def require_order(self, before: str, after: str) -> None:
        """Raises `InvalidTemplate` where the parser moved what stands where HTML has no place.

        Text between the rows of a table lands before the table, so that a loop would lose its
        body. MJML puts an <mj-raw> of a column between rows.
        """
        numbers = re.compile(f"{self.word}([0-9]+)x")
        pairs = zip(numbers.findall(before), numbers.findall(after), strict=False)
        moved = next((int(was) for was, now in pairs if was != now), None)
        if moved is None:
            return
        line = numbers.split(self.covered)
        above = "".join(
            part if place % 2 == 0 else self.tokens[int(part)]
            for place, part in enumerate(line[: 2 * moved + 1])
        )
        raise InvalidTemplate(
            [
                Problem(
                    f"body, line {above.count(chr(10)) + 1}",
                    f"{self.tokens[moved]} stands where HTML allows only table rows: "
                    "put the part into <mj-text>, or make it rows (<tr>) of an <mj-table>",
                )
            ]
        )

    def _keep(self, found: re.Match[str]) -> str:
        self.tokens.append(found.group())
        return f"{self.word}{len(self.tokens) - 1}x"


def _mjml(source: str, shelter: Shelter) -> str:
    """The compiler leaves out what stands around the <mjml>, an {% assign %} too: that is kept."""
    found = BEFORE_MJML.match(source)
    start = found.end() - len("<mjml") if found else 0
    end = source.lower().rfind("</mjml>") + len("</mjml>")
    before, inside, after = source[:start], source[start:end], source[end:]
    try:
        # No fonts of its own: recipients are not shown to a font host unless the author says so.
        html = str(mjml.mjml2html(inside, fonts={}))
    except ValueError as exc:
        message = str(exc).replace(" in root template", "")
        at = re.search(r" at position ([0-9]+):[0-9]+", message)
        line = 0
        if at:
            above = before + inside.encode()[: int(at[1])].decode(errors="ignore")
            line = shelter.restore(above).count("\n") + 1
            message = message.replace(at.group(), "")
        raise InvalidTemplate(
            [Problem(f"body, line {line}" if line else "body", message)]
        ) from exc
    tokens = re.compile(f"<!--{shelter.word}[0-9]+x-->")
    kind, doctype, rest = html.partition("<!doctype html>")
    first, last = ("".join(tokens.findall(part)) for part in (before, after))
    return f"{kind}{doctype}{first}{rest}{last}"


def _check_components(body: str) -> Iterator[Problem]:
    """Unknown components, which MJML passes on in silence, and tags that do not pair."""
    open_tags: list[tuple[str, int]] = []
    for found in TAG.finditer(TOKEN.sub(_blank, body)):
        closing, name, attributes = found.groups()
        if name is None:
            continue
        line = body.count("\n", 0, found.start()) + 1
        if name == "mj-include":
            yield Problem(f"body, line {line}", "mj-include is not supported: paste the part here")
        elif name not in COMPONENTS and not closing:
            yield Problem(f"body, line {line}", f"there is no component “{name}”")
        if closing:
            if not open_tags or open_tags[-1][0] != name:
                yield Problem(f"body, line {line}", f"</{name}> closes nothing that is open here")
                return
            open_tags.pop()
        elif not attributes.endswith("/"):
            open_tags.append((name, line))
    for name, line in open_tags[-1:]:
        yield Problem(f"body, line {line}", f"<{name}> is never closed")


def _plain_text(html: str, restore: Callable[[str], str]) -> str:
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    text = restore("".join(reader.parts))
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


class _TextReader(HTMLParser):
    """Text, line breaks where blocks end, and addresses after their link texts."""

    BLOCKS = frozenset(
        {"p", "div", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "hr"}
        | {"section", "article", "header", "footer", "main", "center", "blockquote", "pre"}
    )
    SILENT = frozenset({"head", "style", "script", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = 0
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self.silent += 1
        elif tag == "a":
            self.targets.append(dict(attrs).get("href") or "")
        elif tag == "img":  # of a button or a logo; an empty one is a picture without words
            self.parts.append(dict(attrs).get("alt") or "")
        elif tag in {"br", "li"}:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT:
            self.silent = max(0, self.silent - 1)
        elif tag == "a" and self.targets:
            target = self.targets.pop()
            self.parts.append(f" ({target})" if target else "")
        elif tag in self.BLOCKS:
            self.parts.append("\n")
        elif tag in {"td", "th"}:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(re.sub(r"\s+", " ", data))

    def handle_comment(self, data: str) -> None:
        if re.fullmatch(r"lqdq*[0-9]+x", data) and not self.silent:
            self.parts.append(f"<!--{data}-->")

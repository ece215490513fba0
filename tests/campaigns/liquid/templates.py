"""Templates and values by the thousand, for comparing the two engines."""

from dataclasses import replace

from hypothesis import strategies as st

from campaigns.errors import TemplateAborted, TemplateFailed
from campaigns.language import parse

NAMES = st.sampled_from(["a", "b", "c", "profile", "slots", "x", "n", "forloop"])
KEYS = st.sampled_from(["a", "b", "name", "size", "first", "last", "price", "index", "x y"])
TEXTS = st.text(alphabet="ab <>&'\"é\r\n😀{}%|1-,.", max_size=8)
NUMBERS = st.integers(-3, 12) | st.floats(-5, 5, allow_nan=False).map(lambda f: round(f, 2))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.just(10**30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
VARIABLES = st.dictionaries(NAMES, VALUES, max_size=6)

QUOTED = st.text(alphabet="ab <>&é\n😀 1,{", max_size=5).map(lambda text: f"'{text}'")
FORLOOP = st.sampled_from(
    [
        *("index", "index0", "rindex", "rindex0", "first", "last", "length", "name"),
        *("parentloop.index", "parentloop.last", "parentloop.parentloop.index0", "other"),
    ]
).map(lambda word: f"forloop.{word}")
LITERALS = (
    QUOTED
    | NUMBERS.map(str)
    | st.sampled_from(["true", "false", "nil", "empty", "blank", "(1..3)", "(a..n)"])
)


@st.composite
def paths(draw):
    steps = draw(
        st.lists(
            KEYS.filter(lambda key: key != "x y").map(lambda key: f".{key}")
            | st.integers(-2, 3).map(lambda place: f"[{place}]")
            | NAMES.map(lambda name: f"[{name}]")
            | st.just("['x y']"),
            max_size=3,
        )
    )
    return draw(NAMES) + "".join(steps)


PRIMITIVES = paths() | FORLOOP | LITERALS
FILTERS = st.sampled_from(
    [
        *("upcase", "downcase", "capitalize", "escape", "escape_once", "size", "first", "last"),
        *("strip", "strip_html", "newline_to_br", "strip_newlines", "url_encode", "url_decode"),
        *("join", "reverse", "sort", "sort_natural", "uniq", "compact", "abs", "ceil", "floor"),
        *("round", "base64_encode", "base64_decode", "squish", "sum", "escapejs", "date", "json"),
    ]
)
FILTERS_OF_ONE = st.sampled_from(
    [
        *("default", "append", "prepend", "split", "join", "map", "where", "remove", "plus"),
        *("minus", "times", "divided_by", "modulo", "at_least", "at_most", "round", "truncate"),
        *("slice", "sort", "uniq", "concat", "date", "truncatewords", "sum", "find", "has"),
        *("replace_first", "remove_first", "remove_last", "compact", "reject", "find_index"),
    ]
)


@st.composite
def filters(draw):
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return f" | default: {draw(PRIMITIVES)}, allow_false: {draw(PRIMITIVES)}"
    if kind == 1:
        word = draw(st.sampled_from(["replace", "slice", "truncate", "where", "replace_last"]))
        return f" | {word}: {draw(PRIMITIVES)}, {draw(PRIMITIVES)}"
    if kind == 2:
        return f" | {draw(FILTERS)}"
    return f" | {draw(FILTERS_OF_ONE)}: {draw(PRIMITIVES)}"


@st.composite
def expressions(draw):
    return draw(PRIMITIVES) + "".join(draw(st.lists(filters(), max_size=2)))


@st.composite
def conditions(draw):
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        sign = draw(st.sampled_from(["", "==", "!=", "<", ">", "<=", ">=", "contains", "<>"]))
        parts.append(draw(PRIMITIVES) + (f" {sign} {draw(PRIMITIVES)}" if sign else ""))
    word = draw(st.sampled_from([" and ", " or "]))
    return word.join(parts)


CONTENT = st.text(alphabet="ab <>&é\r\n\t😀", max_size=6)
SIMPLE = st.one_of(
    CONTENT,
    expressions().map(lambda e: f"{{{{ {e} }}}}"),
    st.tuples(st.sampled_from("{-"), expressions()).map(lambda p: f"{{{{- {p[1]} -}}}}"),
    expressions().map(lambda e: f"{{% echo {e} %}}"),
    st.tuples(NAMES, expressions()).map(lambda p: f"{{% assign {p[0]} = {p[1]} %}}"),
    NAMES.map(lambda n: f"{{% increment {n} %}}"),
    NAMES.map(lambda n: f"{{% decrement {n} %}}"),
    st.sampled_from(
        [
            "{% break %}", "{% continue %}", "{% comment %}x{{ y }}{% endcomment %}", "{% # hm %}",
            "{% raw %}{{ a }}{% endraw %}", "{%- if a -%} \n {%- endif -%}", "{% abort_message %}",
            "{% abort_message('no <stock>') %}", "{% liquid assign a = 1\necho a | plus: n %}",
            "{% cycle 'a', b %}", "{% ifchanged %}{{ a }}{% endifchanged %}",
        ]
    ),
)  # fmt: skip


def _blocks(inner):
    body = st.lists(inner, max_size=4).map("".join)
    options = st.lists(
        st.one_of(
            st.just("reversed"),
            PRIMITIVES.map(lambda p: f"limit: {p}"),
            (PRIMITIVES | st.just("continue")).map(lambda p: f"offset: {p}"),
        ),
        max_size=2,
    ).map(" ".join)
    return st.one_of(
        st.tuples(conditions(), body, conditions(), body, body).map(
            lambda p: (
                f"{{% if {p[0]} %}}{p[1]}{{% elsif {p[2]} %}}{p[3]}{{% else %}}{p[4]}{{% endif %}}"
            )
        ),
        st.tuples(conditions(), body).map(lambda p: f"{{% if {p[0]} %}}{p[1]}{{% endif %}}"),
        st.tuples(conditions(), body, body).map(
            lambda p: f"{{% unless {p[0]} %}}{p[1]}{{% else %}}{p[2]}{{% endunless %}}"
        ),
        st.tuples(NAMES, PRIMITIVES, options, body, body).map(
            lambda p: f"{{% for {p[0]} in {p[1]} {p[2]} %}}{p[3]}{{% else %}}{p[4]}{{% endfor %}}"
        ),
        st.tuples(NAMES, body).map(lambda p: f"{{% capture {p[0]} %}}{p[1]}{{% endcapture %}}"),
        st.tuples(PRIMITIVES, LITERALS, PRIMITIVES, body, body, body).map(
            lambda p: (
                f"{{% case {p[0]} %}}{{% when {p[1]} %}}{p[3]}{{% when {p[2]} %}}{p[4]}"
                f"{{% else %}}{p[5]}{{% endcase %}}"
            )
        ),
        st.tuples(PRIMITIVES, body).map(
            lambda p: f"{{% case {p[0]} %}}{{% when 'a', 1, 'b' %}}{p[1]}{{% endcase %}}"
        ),
    )


TEMPLATES = st.lists(st.recursive(SIMPLE, _blocks, max_leaves=12), min_size=1, max_size=6).map(
    "".join
)


def outcomes(source, variables, **escape):
    """What the compiled template and the library's make of it: a text, or the kind of refusal.

    None instead of the first where the library alone can render the template.
    """
    parsed = parse(source, **escape)
    library = _outcome(replace(parsed, program=None), variables)
    if parsed.program is None:
        return None, library
    return _outcome(parsed, variables), library


def _outcome(parsed, variables):
    try:
        return ("text", parsed.render(variables))
    except TemplateAborted as exc:
        return ("aborted", exc.word)
    except TemplateFailed:
        return ("failed",)

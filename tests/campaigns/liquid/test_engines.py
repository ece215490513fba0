from hypothesis import HealthCheck, given, settings

from campaigns.errors import TemplateFailed
from tests.campaigns.liquid.templates import TEMPLATES, VARIABLES, outcomes

ESCAPES = ({}, {"html": True}, {"json": True})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=TEMPLATES, variables=VARIABLES)
def test_a_compiled_template_says_what_the_library_says(source, variables):
    for escape in ESCAPES:
        try:
            compiled, library = outcomes(source, variables, **escape)
        except TemplateFailed:
            return  # not Liquid
        assert compiled is None or compiled == library


def test_both_keep_the_line_ends_of_texts_and_values():
    """A browser sends CRLF; the library made it LF, or two of them where it wrote it in parts."""
    source = "a\r\n{{ b }}\n{% capture c %}{{ b }}\r{% endcapture %}{{ c }}"
    compiled, library = outcomes(source, {"b": "x\r\ny\rz"})
    assert compiled == library == ("text", "a\r\nx\r\ny\rz\nx\r\ny\rz\r")

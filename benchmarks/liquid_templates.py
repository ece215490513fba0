"""A push and an e-mail, compiled to Python, against python-liquid with the same limits."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.rows import Row
from campaigns.language import Parsed, parse

GOAL = 8.0
ROUNDS = 7  # the fastest of them counts: what a busy machine adds is no property of an engine
RENDERS = 200

PUSH = (
    "{{ profile.first_name | default: 'Hello' }}, {{ slots.picks[0].name }} is back "
    "for {{ slots.picks[0].price }} {{ slots.picks[0].currency }}"
)
CARDS = 6
STYLE = (
    "font-family:Arial,Helvetica,sans-serif;font-size:15px;line-height:22px;color:#333333;"
    "padding:0 24px 12px 24px;text-align:left;word-break:break-word;mso-line-height-rule:exactly"
)
CARD = f"""
<tr><td align="center" style="padding:16px 24px"><table role="presentation" width="100%"
 cellpadding="0" cellspacing="0" border="0" style="border-collapse:collapse;{STYLE}">
<tr><td width="160" valign="top" style="{STYLE}"><a href="{{{{ item.link }}}}" target="_blank"><img
 src="{{{{ item.image_url }}}}" width="144" height="144" alt="{{{{ item.name }}}}"
 style="display:block;border:0;outline:none;text-decoration:none"></a></td>
<td valign="top" style="{STYLE}"><a href="{{{{ item.link }}}}" style="color:#111111;{STYLE}">
<b>{{{{ forloop.index }}}}. {{{{ item.name }}}}</b></a><br>
{{% if item.price %}}<span style="{STYLE}">{{{{ item.price }}}} {{{{ item.currency }}}}</span>
{{% endif %}}<br>
<small style="{STYLE}">{{{{ item.reason }}}}</small></td></tr></table>
<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="{STYLE}"><tr><td
 bgcolor="#1a73e8" style="border-radius:4px;{STYLE}"><a href="{{{{ item.link }}}}"
 style="display:inline-block;color:#ffffff;text-decoration:none;{STYLE}">See it</a></td></tr>
</table>
</td></tr>"""
EMAIL = f"""<!DOCTYPE html><html><head><title>{{{{ campaign.name }}}}</title>
<style>{"@media only screen and (max-width:480px){.c{width:100%!important}} " * 40}</style></head>
<body style="margin:0;padding:0;background:#f4f4f4"><table role="presentation" width="100%">
<tr><td style="{STYLE}"><h1>Hello {{{{ profile.first_name | default: "there" }}}},</h1>
<p style="{STYLE}">{{% if profile.city %}}what people in {{{{ profile.city }}}} look at{{% else %}}
what people look at{{% endif %}}:</p></td></tr>
{{% for item in slots.picks %}}{CARD}{{% endfor %}}
<tr><td style="{STYLE}">{"<p>Prices include VAT. We ship on weekdays. </p>" * 60}
<a href="{{{{ unsubscribe_url }}}}" style="{STYLE}">Unsubscribe</a></td></tr>
</table></body></html>"""


def variables() -> dict[str, Any]:
    cards = [
        {
            "id": f"sku-{number}",
            "name": f"Cup & saucer no. {number}",
            "price": "12.90",
            "currency": "EUR",
            "image_url": f"https://images.shop.example/p/{number}.jpg",
            "link": f"https://go.shop.example/c/4f9d1c{number}a7?m=8",
            "reason": "because you viewed “Teapot”",
        }
        for number in range(CARDS)
    ]
    return {
        "profile": {"first_name": "Ana", "city": "Ulm", "email": "ana@shop.example"},
        "slots": {"picks": cards},
        "campaign": {"id": 7, "name": "New in May"},
        "unsubscribe_url": "https://go.shop.example/u/8c1b",
    }


def run() -> list[Row]:
    return [
        _row("template push", PUSH, html=False),
        _row(f"template email {_kilobytes():.0f} kB", EMAIL, html=True),
    ]


def _kilobytes() -> float:
    return len(parse(EMAIL, html=True).render(variables()).encode()) / 1000


def _row(name: str, source: str, *, html: bool) -> Row:
    parsed = parse(source, html=html)
    library = replace(parsed, program=None)
    values = variables()
    if parsed.program is None or parsed.render(values) != library.render(values):
        raise RuntimeError(f"{name}: the two engines do not say the same")
    compiled = _per_second(parsed, values)
    liquid = _per_second(library, values)
    return Row(
        name=f"{name}: compiled",
        value=compiled,
        unit="/s",
        yardstick_name="python-liquid",
        yardstick_value=liquid,
        ratio=compiled / liquid,
        goal=GOAL,
    )


def _per_second(parsed: Parsed, values: Mapping[str, Any]) -> float:
    return RENDERS / min(_seconds(lambda: parsed.render(values)) for _ in range(ROUNDS))


def _seconds(render: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(RENDERS):
        render()
    return time.perf_counter() - start

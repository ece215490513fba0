"""Templates that want out, or want everything."""

DUNDERS = (
    *("__class__", "__mro__", "__subclasses__", "__globals__", "__init__", "__dict__", "__doc__"),
    *("__builtins__", "__import__", "__module__", "__getattribute__", "__reduce__", "__liquid__"),
    *("__html__", "__call__", "__code__", "gi_frame", "f_back", "f_globals", "func_globals"),
)
SHAPES = (
    "{{{{ profile.{0} }}}}",
    "{{{{ profile['{0}'] }}}}",
    "{{{{ profile.first_name.{0}.{0} }}}}",
    "{{{{ slots.picks[0].{0} }}}}",
    "{{{{ slots.picks | map: '{0}' | first }}}}",
    "{{% assign k = '{0}' %}}{{{{ profile[k] }}}}",
    "{{% for x in profile.{0} %}}{{{{ x }}}}{{% endfor %}}",
    "{{{{ {0} }}}}",
    "{{{{ ${{{0}}} }}}}",
    "{{{{ custom_attribute.${{{0}}} }}}}",
)
WALKS = [shape.format(name) for name in DUNDERS for shape in SHAPES]

OUTSIDE = [
    "{{ settings.SECRET_KEY }}", "{{ settings }}", "{{ environ.ENGAGE_CANARY }}",
    "{{ os.environ }}", "{{ env }}", "{{ request }}", "{{ self }}", "{{ context }}",
    "{{ template }}", "{{ globals }}", "{{ locals }}", "{{ state }}", "{{ variables }}",
    "{{ state.locals }}", "{{ item1 }}", "{{ parts0 }}", "{{ root0 }}", "{{ filter_upcase }}",
    "{{ UNDEFINED }}", "{{ runtime }}", "{{ abort }}", "{{ show }}", "{{ text }}", "{{ len }}",
    "{% include '/etc/passwd' %}", "{% include profile.first_name %}", "{% render 'x' %}",
    "{% debug %}", "{% load static %}", "{% extends 'base' %}", "{% import os %}",
    "{% block a %}{% endblock %}", "{% macro a %}{% endmacro %}", "{% call a %}",
    "{% set a = 1 %}",
    "{% with a: 1 %}{% endwith %}", "{% exec 'x' %}", "{% python %}", "{% do x %}", "{% now %}",
    "{% csrf_token %}", "{% url 'x' %}", "{% ssi '/etc/passwd' %}", "{% filter upper %}",
    "{{ ''.__class__ }}", "{{ 1.__class__ }}", "{{ config.items() }}", "{{ profile.keys() }}",
    "{{ profile|attr:'__class__' }}", "{{ [].__class__ }}", "{{ lambda: 1 }}", "{{ (1).real }}",
    "{{ 'x' | escape: environment: profile }}", "{{ 'x' | escape: environment: 1 }}",
    "{{ 'x' | upcase: context: 1 }}", "{{ 'x' | upcase: spender: 1 }}",
    "{{ 'x' | join: state: 1 }}",
    "{{ 'x' | safe }}", "{{ 'x' | eval }}", "{{ 'x' | __import__ }}", "{{ 'os' | import }}",
    "{{ '__import__(\"os\").environ' }}", "{{ '\\'); import os #' }}", "{{ \"{root0}\" }}",
    "{{ '{0.__class__}' | append: '%s' }}", "{show}{{ 'x' }}{state.work}", "%(x)s{{ 1 }}%s",
    "'''{{ 1 }}'''", "\"\"\"{{ 1 }}\\", "{{ 1 }}\x00{{ 2 }}", "{% assign state = 1 %}{{ state }}",
    "{% assign show = 'x' %}{{ show }}", "{% for state in (1..2) %}{{ state }}{% endfor %}",
    "{% capture text %}x{% endcapture %}{{ text }}", "{% increment work %}{{ work }}",
    "{{ profile | map: '__class__' }}", "{{ profile | sort: '__class__' }}",
    "{{ slots.picks | where: '__class__' | size }}", "{{ slots.picks | sum: '__len__' }}",
    "{{ profile | first | first | map: 'upper' }}", "{{ profile.tags | compact: 'x' }}",
]  # fmt: skip

BIG = (
    "{% assign s = 'aZ,bY;cX dW' %}"
    + "{% for i in (1..13) %}{% assign s = s | append: s %}{% endfor %}"
)
# Each would take seconds or gigabytes; all must be refused.
BOMBS = [
    "{% for i in (1..1000000000) %}x{% endfor %}",
    "{% for i in (1..1000000000) reversed %}x{% endfor %}",
    "{% tablerow i in (1..1000000000) %}x{% endtablerow %}",
    "{% for i in (1..10000) %}{% for j in (1..10000) %}{% endfor %}{% endfor %}",
    "{% for i in (1..1000) %}" * 3 + "x" + "{% endfor %}" * 3,
    "{% for i in (1..10) %}" * 15 + "x" + "{% endfor %}" * 15,
    "{% for i in (1..10000) %}{% endfor %}" * 60,
    "{% for i in (1..10000) %}{% assign a = i %}{% assign a = i %}{% endfor %}" * 20,
    "{% for i in (1..10000) %}{% for j in (1..1) %}{% endfor %}{% endfor %}" * 5,
    "{% for i in (1..10000) %}" + "{% if i == 1 %}{% endif %}" * 20 + "{% endfor %}",
    "{% tablerow i in (1..10000) %}{% endtablerow %}" * 60,
    *[f"{{{{ (1..1000000000) | {name} }}}}" for name in ("join", "size", "first", "last", "sort")],
    *[f"{{{{ (1..99999999999999999999) | {name} }}}}" for name in ("reverse", "uniq", "sum")],
    "{{ (1..9999) | uniq | size }}",
    "{% if (1..1000000000) contains 'x' %}{% endif %}",
    "{% for i in (1..10000) %}" + "x" * 200 + "{% endfor %}",
    "{% for i in (1..10000) %}{{ '" + "é" * 60 + "' }}{% endfor %}",
    "{{ 'aaaaaaaaaa' " + "| replace: 'a', 'aaaaaaaaaa' " * 12 + "}}",
    "{{ 'aaaaaaaaaa' | split: '' | join: '" + "b" * 90_000 + "' }}",
    "{% assign s = 'aaaaaaaa' %}{% for i in (1..40) %}{% assign s = s | append: s %}{% endfor %}",
    "{% assign s = 'aaaaaaaa' %}{% for i in (1..40) %}{% assign s = s | prepend: s %}{% endfor %}",
    "{% capture s %}x{% endcapture %}{% for i in (1..40) %}{% capture s %}{{ s }}{{ s }}"
    "{% endcapture %}{% endfor %}",
    BIG + "{{ s }}" * 20,
    BIG + "{% for i in (1..10000) %}{{ s }}{% endfor %}",
    BIG + "{% for i in (1..10000) %}{% if s contains 'zz' %}{% endif %}{% endfor %}",
    BIG + "{% for i in (1..10000) %}{% assign x = s | upcase %}{% endfor %}",
    BIG + "{% for i in (1..1000) %}{% capture z %}{{ s }}{% endcapture %}{% endfor %}",
    BIG + "{% for i in (1..100) %}{% assign z = s | strip_html %}{% endfor %}",
    BIG + "{% for i in (1..100) %}{% assign z = s | escape | strip_newlines %}{% endfor %}",
    BIG + "{{ s | split: '' | sort | reverse | join }}",
    BIG + "{{ s | split: ',' | uniq | join }}",
    BIG + "{{ s | replace: ',', s }}",
    BIG + "{{ s | base64_encode | base64_encode | base64_encode | base64_encode }}",
    BIG + "{{ s | date: '%Y' }}",
    BIG + "{{ 'now' | date: s }}",
    BIG + "{% assign l = s | split: '~' %}{% for i in (1..20) %}{% assign l = l | concat: l %}"
    "{% endfor %}{{ l }}",
    BIG + "{% assign a = s | append: 1 %}{% assign b = s | append: 2 %}"
    "{% assign c = s | append: 3 %}{% assign d = s | append: 4 %}{% assign e = s | append: 5 %}"
    "{% assign f = s | append: 6 %}",
    "{% assign l = slots.picks %}{% for i in (1..20) %}{% assign l = l | concat: l %}{% endfor %}",
    "{% assign n = 9 %}{% for i in (1..60) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    "{{ 9 " + "| times: 999999999999999999 " * 300 + "}}",
    "{{ 'x' " + "| append: 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' " * 5000 + "}}",
    "{{ " + "9" * 5000 + " }}",
    "{% if a %}" * 21 + "{% endif %}" * 21,
    "{% if a == 1" + " or b == 2" * 3000 + " %}x{% endif %}",
    "{{ a" + "[b" * 2000 + "]" * 2000 + " }}",
    "{{ x }}" * 80_000,
    "{{ " * 5000, "{{ ${" * 5000, "{%" * 5000, "{% raw %}" * 500, "{% if x %}" * 500,
]  # fmt: skip

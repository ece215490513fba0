"""A rule in plain English, as the admin shows it beside its JSON."""

from campaigns.segments.rules import AllOf, AnyOf, Comparison, Did, Moment, Not, Rule

OPS = {
    "=": "is",
    "!=": "is not",
    "<": "is below",
    "<=": "is at most",
    ">": "is above",
    ">=": "is at least",
    "in": "is one of",
    "contains": "contains",
    "starts with": "starts with",
    "is set": "is known",
    "is not set": "is not known",
    "before": "is before",
    "after": "is after",
}


def describe(rule: Rule) -> str:
    """A sentence: "people who did Product Viewed at least 3 times in 14 days"."""
    if rule == AllOf():
        return "everybody"
    if rule == AnyOf():
        return "nobody"
    return f"people {_clause(rule, outer=True)}"


def _clause(rule: Rule, *, outer: bool = False) -> str:
    if isinstance(rule, AllOf | AnyOf):
        word = " and " if isinstance(rule, AllOf) else " or "
        if not rule.rules:
            return "who may be anybody" if isinstance(rule, AllOf) else "who are nobody"
        joined = word.join(_clause(child) for child in rule.rules)
        return joined if outer or len(rule.rules) == 1 else f"({joined})"
    if isinstance(rule, Not):
        if isinstance(rule.rule, Did):
            return f"who did not do {_deed(rule.rule)}"
        return f"except those {_clause(rule.rule)}"
    if isinstance(rule, Did):
        return f"who did {_deed(rule)}"
    return f"whose {_comparison(rule)}"


def _deed(rule: Did) -> str:
    parts = [rule.event]
    if rule.items:
        parts.append(f"of {_list(rule.items)}")
    if rule.where:
        parts.append("with " + " and ".join(_comparison(one) for one in rule.where))
    if rule.at_least > 1:
        parts.append(f"at least {rule.at_least} times")
    if rule.within_days is not None:
        days = f"{rule.within_days:g}"
        parts.append(f"in {days} day{'' if days == '1' else 's'}")
    return " ".join(parts)


def _comparison(comparison: Comparison) -> str:
    value = comparison.value
    words = f"{comparison.name} {OPS[comparison.op]}"
    if value is None:
        return words
    if isinstance(value, tuple):
        return f"{words} {_list(value)}"
    if isinstance(value, Moment):
        return f"{words} {_moment(value)}"
    return f"{words} {_value(value)}"


def _moment(moment: Moment) -> str:
    if moment.at is not None:
        return f"{moment.at:%Y-%m-%d %H:%M %Z}"
    days = f"{abs(moment.days_ago or 0):g}"
    unit = "day" if days == "1" else "days"
    return f"{days} {unit} {'from now' if (moment.days_ago or 0) < 0 else 'ago'}"


def _list(values: tuple[object, ...]) -> str:
    shown = [_value(value) for value in values[:5]]
    if len(values) > 5:
        return f"{', '.join(shown)} or {len(values) - 5} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)

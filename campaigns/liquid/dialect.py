"""What people paste from other systems, as the Liquid we understand. Lines stay where they are.

Braze writes `{{${first_name}}}`, `{{custom_attribute.${size}}}`, `{{event_properties.${total}}}`;
CleverTap `{{ Profile.Name }}`, `{{ Event.Total }}`, `{{ Profile["Shoe size"] }}`.
Only tags and outputs are looked at, outside of texts in quotes and of {% raw %}.
"""

import re
from functools import lru_cache
from typing import Final

RAW = r"\{%-?\s*(?P<verbatim>raw|comment|doc)\b.*?\{%-?\s*end(?P=verbatim)\s*-?%\}"
# As the library finds them: whatever comes first ends them. What never ends is eaten whole, so
# that a source of nothing but beginnings takes no longer than any other.
PIECE = re.compile(
    rf"{RAW}"
    r"|\{\{(?>\$\{[^{}\n]*\}|(?!\}\}).)*+(?:\}\}|\Z)"
    r"|\{%(?>(?!%\}).)*+(?:%\}|\Z)",
    re.DOTALL,
)
NAME = re.compile(
    r"(?P<quoted>\"[^\"]*\"|'[^']*')"
    r"|(?:(?P<owner>[A-Za-z_]\w*)\.)?\$\{\s*(?P<braze>[^{}\n\"]+?)\s*\}"
    r"|(?<![\w.])(?P<clevertap>Profile|Event)(?:\.(?P<field>\w+)|(?=\[))"
)
SIGNS: Final = ("${", "Profile", "Event")
WORD = re.compile(r"[A-Za-z_]\w*")
# What Braze calls them, and where we have them. Any other keeps its name.
STANDARD: Final = {
    "email_address": "profile.email",
    "phone_number": "profile.phone",
    "time_zone": "profile.timezone",
    "date_of_birth": "profile.birthday",
    "set_user_to_unsubscribed_url": "unsubscribe_url",
}
CLEVERTAP: Final = {"Email": "email", "Phone": "phone", "Name": "name"}
# Whose fields they are, and what we call that. Any other owner keeps its name.
OWNERS: Final = {
    None: "profile",
    "custom_attribute": "profile",
    "event_properties": "event",
    "api_trigger_properties": "event",
}


@lru_cache(maxsize=2048)
def translate(source: str) -> str:
    if not any(sign in source for sign in SIGNS):
        return source
    return PIECE.sub(_piece, source)


def _piece(found: re.Match[str]) -> str:
    text = found.group()
    return text if found["verbatim"] else NAME.sub(_name, text)


def _name(found: re.Match[str]) -> str:
    if found["quoted"]:
        return found.group()
    if found["clevertap"]:
        owner, field = found["clevertap"].lower(), found["field"]
        if field is None:
            return owner
        return f"{owner}.{CLEVERTAP.get(field, field) if owner == 'profile' else field}"
    name, owner = found["braze"], found["owner"]
    if owner is None and name in STANDARD:
        return STANDARD[name]
    owner = OWNERS.get(owner, owner)
    return f"{owner}.{name}" if WORD.fullmatch(name) else f'{owner}["{name}"]'

"""What was captured, as files that a person can open."""

import html
import json
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
td,th{{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd}}
table{{border-collapse:collapse;width:100%}}</style><h1>{title}</h1>
<table><tr><th>To<th>Subject<th></tr>
"""


def read_header(mail: Message, name: str) -> str:
    return str(make_header(decode_header(mail[name] or "")))


class Captured:
    """Each message as a file, and an index page that grows."""

    def __init__(self, folder: Path, *, title: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.index = folder / "index.html"
        self.index.write_text(PAGE.format(title=title))
        self.count = 0

    def add_mail(self, raw: bytes, *, recipient: str) -> None:
        mail = message_from_bytes(raw)  # the modern policy takes ten times as long
        parts = [part for part in mail.walk() if part.get_content_type() == "text/html"]
        name = self._write("eml", raw)
        shown = self._write("html", parts[0].get_payload(decode=True)) if parts else name
        self._row(recipient, read_header(mail, "subject"), {"read": shown, "source": name})

    def add_push(self, message: dict) -> None:
        shown = message.get("notification", {})
        name = self._write("json", json.dumps(message, indent=2, ensure_ascii=False).encode())
        self._row(message.get("token", ""), shown.get("title", ""), {"json": name})

    def _write(self, suffix: str, content: bytes) -> str:
        self.count += 1
        name = f"{self.count:06}.{suffix}"
        (self.folder / name).write_bytes(content)
        return name

    def _row(self, recipient: str, subject: str, files: dict[str, str]) -> None:
        links = " ".join(f'<a href="{file}">{word}</a>' for word, file in files.items())
        with open(self.index, "a") as page:
            page.write(
                f"<tr><td>{html.escape(recipient)}<td>{html.escape(subject)}<td>{links}</tr>\n"
            )

"""Log records as one JSON object a line: time, level, logger, message and the given facts."""

import json
import logging
from datetime import UTC, datetime

from django.http import HttpRequest

STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def route_of(request: HttpRequest) -> str:
    """The path as `urls.py` writes it: "v1/profiles/<user_id>"."""
    found = request.resolver_match
    return found.route if found else "no such path"


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in STANDARD}
        if isinstance(request := line.get("request"), HttpRequest):
            # Django puts the path into its words: it may hold a token, or whom it is about.
            line["message"] = str(record.msg).partition(":")[0]
            line["request"] = f"{request.method} {route_of(request)}"
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)

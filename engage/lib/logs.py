"""Log records as one JSON object a line: time, level, logger, message and the given facts."""

import json
import logging
import re
from datetime import UTC, datetime

# The links of recipients: who holds the token of one can click and unsubscribe for its owner.
LINK = re.compile(r"(/t/[co]/|/u/)[A-Za-z0-9_-]+")
STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return LINK.sub(r"\1...", json.dumps(line, default=str))

#!/usr/bin/env python
"""The command line of Engage. `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
    try:
        from django.core.management import execute_from_command_line

        from engage.runner.servers import servers_for_command
    except ImportError as exc:
        raise SystemExit(f"Engage is not installed ({exc}). Run: make demo") from exc
    with servers_for_command(sys.argv[1:]):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

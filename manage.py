#!/usr/bin/env python
"""The command line of Engage. `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")
    try:
        from django.core.management import execute_from_command_line

        from engage.runner import up
        from engage.runner.servers import servers_for_command, told_in_a_sentence
    except ImportError as exc:
        raise SystemExit(f"Engage is not installed ({exc}). Run: make demo") from exc
    try:
        if sys.argv[1:] == ["up"]:  # it loads Django itself, while its servers start
            up.main()
            return
        with servers_for_command(sys.argv[1:]), told_in_a_sentence():
            execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.stderr.write("engage: interrupted\n")
        raise SystemExit(130) from None
    except BrokenPipeError:  # `manage.py recommend … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


if __name__ == "__main__":
    main()

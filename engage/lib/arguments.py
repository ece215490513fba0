"""What is typed after a command."""

from argparse import ArgumentTypeError


def text(value: str) -> str:
    """An argument that will be stored or looked up. The shell hands on any bytes."""
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ArgumentTypeError(f"{value.encode(errors='replace').decode()} is not UTF-8") from exc
    return value

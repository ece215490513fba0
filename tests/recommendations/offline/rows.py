"""Files written as rows, without the files."""

from pathlib import Path

from recommendations.offline.files import Table

DAY_SECONDS = 86_400


def table(header, rows=()):
    names = header.split(",")
    cells = [[str(cell) for cell in row] for row in rows]
    columns = {name: [row[place] for row in cells] for place, name in enumerate(names)}
    return Table(Path("rows.csv"), columns)


def day(number):
    """A time as unix seconds."""
    return number * DAY_SECONDS


def table_of(text, *, name="train.csv"):
    """From a header and lines of cells."""
    header, *lines = [line.strip() for line in text.strip().splitlines()]
    return Table(Path(name), table(header, [line.split(",") for line in lines]).columns)

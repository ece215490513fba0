import gzip
import io

import pytest

from catalog import feed as feeds
from catalog.errors import InvalidFile
from catalog.feed import Feed


def read(data, file_name="feed.csv"):
    raw = data.encode() if isinstance(data, str) else data
    return list(Feed(io.BytesIO(raw), file_name=file_name).rows())


def cells(data, file_name="feed.csv"):
    return [(row.line, dict(row.cells)) for row in read(data, file_name)]


EXPECTED = [(2, {"id": "1", "name": "Hat"}), (3, {"id": "2", "name": "Cap"})]


@pytest.mark.parametrize(
    ("data", "file_name"),
    [
        ("id,name\n1,Hat\n2,Cap\n", "a.csv"),
        ("id,name\r\n1,Hat\r\n2,Cap", "a.CSV"),
        ("id,name\r1,Hat\r2,Cap\r", "a.csv"),
        ("id,name\n1,Hat\r2,Cap\r\n", "a.csv"),
        ("\ufeffid,name\n1,Hat\n2,Cap\n", "a.csv"),
        ('id;name\n1;"Hat"\n2;Cap\n', "a.csv"),
        ("id\tname\n1\tHat\n2\t Cap \n", "a.tsv"),
        ("id\tname\n1\tHat\n2\tCap\n", "a.b.tab"),
        (gzip.compress(b"id,name\n1,Hat\n2,Cap\n"), "a.csv.gz"),
        (gzip.compress(b"id,name\n1,Hat\n2,Cap\n"), "a.csv"),
    ],
)
def test_tables_in_many_clothes_read_the_same(data, file_name):
    assert cells(data, file_name) == EXPECTED


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, lambda data: b"\xef\xbb\xbf" + data])
def test_json_lines_keep_their_types(wrap):
    data = wrap(b'{"id": 1, "tags": ["a"], "x": null}\r\n\n  {"id": "2", "eco": true}')
    assert cells(data, "a.jsonl") == [
        (1, {"id": 1, "tags": ["a"], "x": None}),
        (3, {"id": "2", "eco": True}),
    ]


def test_blank_lines_before_the_header_are_passed_over():
    assert [(row.line, row.cells) for row in read("\n  \nid,name\n1,Hat\n")] == [
        (4, {"id": "1", "name": "Hat"})
    ]
    with pytest.raises(InvalidFile, match="Line 2: the header has the column “id” twice"):
        read("\nid,id\n")


def test_lines_are_counted_through_quotes_and_blank_lines():
    data = 'id,name\n\n1,"two\nlines"\n\n2,"a ""b"""\n'
    assert cells(data) == [
        (3, {"id": "1", "name": "two\nlines"}),
        (6, {"id": "2", "name": 'a "b"'}),
    ]


def test_rows_that_cannot_be_read_do_not_stop_the_others():
    found = read('id,name\n1\n2,"Hat"x\n3,Cap,more\n4,Boot\n')
    assert [(row.line, row.problem and row.problem.message) for row in found] == [
        (2, "has 1 cells, the header has 2"),
        (3, "its quotation marks do not match (',' expected after '\"')"),
        (4, "has 3 cells, the header has 2"),
        (5, None),
    ]
    assert found[0].cells == {"id": "1"}


def test_json_lines_that_are_none_do_not_stop_the_others():
    found = read(
        '{"id": 1}\n{"id": NaN}\n[1]\n{"id": 2\n7\n{"a": "\\ud800"}\n{"id": 3}\n', "a.jsonl"
    )
    assert [row.line for row in found if row.problem] == [2, 3, 4, 5, 6]
    assert all("is not a JSON object" in row.problem.message for row in found if row.problem)


@pytest.mark.parametrize(
    ("data", "file_name", "message"),
    [
        ("", "a.csv", "The file is empty"),
        ("id,name,id\n1,2,3", "a.csv", "has the column “id” twice"),
        ("id,,name\n1,2,3", "a.csv", "column 2 has no name"),
        ('"id,name\n1,2', "a.csv", "Line 1: the header cannot be read"),
        (",".join(f"c{n}" for n in range(501)), "a.csv", "more than 500 columns"),
        (
            "id,name\n1,H\xfct\n".encode("latin-1"),
            "a.csv",
            r"Line 2 is not UTF-8 \(byte 0xfc at column 4\)",
        ),
        ("id,name\n1,Hat".encode("utf-16"), "a.csv", "Line 1 is not UTF-8"),
        (b'{"id": 1}\n{"id": "\xff"}\n', "a.jsonl", "Line 2 is not UTF-8"),
        (gzip.compress(b"id,name\n\xff,x"), "a.csv.gz", "Line 2 is not UTF-8"),
        ('id,name\n1,"never closed\n2,x\n', "a.csv", "Line 2: a quotation mark opens here"),
        ("id,name\n1," + '"' * 10_000_001, "a.csv", "is longer than|never closes"),
        ('id,name\n1,"' + "x\n" * 500_000, "a.csv", "Line 2: a quotation mark opens here"),
        ("id,name\n1," + "x" * 1_000_001, "a.csv", "Line 2 is longer than 1,000,000 characters"),
        ('{"id": "' + "x" * 1_000_001 + '"}', "a.jsonl", "Line 1 is longer than 1,000,000 bytes"),
        ('[{"id": 1}]', "a.json", "one JSON object in each line"),
        (gzip.compress(b"id,name\n1,Hat\n" * 1_000)[:-20], "a.csv.gz", "damaged or cut off"),
        (b"\x1f\x8bnonsense", "a.csv.gz", "damaged or cut off"),
        ("x", "a.xlsx", "“a.xlsx” does not say its format"),
        ("x", "a.gz", "does not say its format"),
        ("x", "feed", "does not say its format"),
    ],
)
def test_files_that_cannot_be_read_say_where(data, file_name, message):
    with pytest.raises(InvalidFile, match=message):
        read(data, file_name)


def test_a_small_packed_file_with_a_huge_line_stays_small():
    bomb = gzip.compress(b"id,name\n1," + b"x" * 50_000_000)
    with pytest.raises(InvalidFile, match="Line 2 is longer"):
        read(bomb, "a.csv.gz")


def test_a_feed_can_be_read_twice():
    feed = Feed(io.BytesIO(b"id,name\n1,Hat\n"), file_name="a.csv")
    assert list(feed.rows()) == list(feed.rows())
    assert feeds.LONGEST_LINE == 1_000_000

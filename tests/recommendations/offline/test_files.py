import gzip

import pytest

from engage.lib.errors import InvalidInput
from recommendations.offline.files import read_table


def write(tmp_path, content: bytes):
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_columns_are_read_plain_or_packed(tmp_path, pack):
    table = read_table(write(tmp_path, pack(b'User, item\n1,"a, b"\n2,c\n')))
    assert table.columns == {"user": ["1", "2"], "item": ["a, b", "c"]}
    assert len(table) == 2


def test_a_byte_order_mark_and_empty_lines_are_passed_over(tmp_path):
    table = read_table(write(tmp_path, b"\xef\xbb\xbfuser\r\n1\r\n\r\n"))
    assert table.columns == {"user": ["1"]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "line 1: expected a header of different column names"),
        (b"user,user\n", "line 1: expected a header of different column names"),
        (b"user,item\n1,2\n3\n", "line 3: 1 cells, the header has 2"),
        (b"user\n\xff\n", "cannot be read"),
        (gzip.compress(b"user\n1\n")[:-6], "cannot be read"),
    ],
)
def test_a_file_that_is_not_meant_is_refused_with_its_place(tmp_path, content, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        read_table(write(tmp_path, content))


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.csv cannot be read"):
        read_table(tmp_path / "none.csv")


def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path):
    table = read_table(write(tmp_path, b"pos\n1\nx\n"))
    with pytest.raises(InvalidInput, match="line 3: pos is 'x', not a number"):
        table.numbers("pos")
    assert read_table(write(tmp_path, b"pos\n1\n2.5\n")).numbers("pos").tolist() == [1, 2.5]

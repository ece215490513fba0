import gzip
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from engage.profiles import activity, history, identity
from engage.profiles.models import Event, Identity, Notice, Profile

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("history_folder"),
]
HEAD = "user,item,event,ts,order,quantity,price,country\n"


def load(path, *options: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("load_events", str(path), *options, stdout=out, stderr=err)
    return out.getvalue().split(", in ")[0], err.getvalue()


def write(folder, content: str, name: str = "events.csv"):
    path = folder / name
    path.write_text(content)
    return path


@pytest.mark.django_db(transaction=True)
def test_rows_become_events_of_people(tmp_path) -> None:
    path = write(tmp_path, HEAD + "7,P1,purchase,2010-12-01T08:26,536365,6,2.55,United Kingdom\n")

    assert load(path) == ("1 rows: 1 stored, 0 duplicates, 0 refused", "")
    event = Event.objects.get()
    assert (event.user_id, event.name) == ("7", "Order Completed")
    assert f"{event.ts:%Y-%m-%d %H:%M %Z}" == "2010-12-01 08:26 UTC"
    assert event.properties == {
        "product_id": "P1",
        "order_id": "536365",
        "quantity": 6,
        "price": 2.55,
        "country": "United Kingdom",
    }
    profile_id = identity.find_profile_id(user_id="7")
    assert activity.get_touches([profile_id])[profile_id][0].item == "P1"
    assert len(history.open_history().read().profile) == 1


def test_the_same_file_twice_stores_equal_rows_as_often_as_it_has_them(tmp_path) -> None:
    row = "7,P1,view,1300000000,,,,\n"
    path = write(tmp_path, HEAD + row + row)

    assert load(path)[0] == "2 rows: 2 stored, 0 duplicates, 0 refused"
    assert load(path)[0] == "2 rows: 0 stored, 2 duplicates, 0 refused"
    path.write_text(HEAD + row * 3)
    assert load(path)[0] == "3 rows: 1 stored, 2 duplicates, 0 refused"


def test_guests_are_known_by_their_order_or_not_at_all(tmp_path) -> None:
    path = write(
        tmp_path,
        HEAD
        + ",P1,purchase,2010-12-01T08:26,o1,1,1,\n"
        + ",P2,purchase,2010-12-01T08:26,o1,1,1,\n"
        + ",P3,view,2010-12-01T08:26,,1,1,\n",
    )

    assert load(path) == (
        "3 rows: 2 stored, 0 duplicates, 1 refused",
        "line 4: has no user, no anonymous id and no order\n",
    )
    assert Identity.objects.get().value == "order-o1"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7,P1,view,yesterday,,,,", "ts is 'yesterday', expected ISO 8601 or seconds since 1970"),
        ("7,P1,view,,,,,", "ts is '', expected ISO 8601 or seconds since 1970"),
        ("7,P1,view,nan,,,,", "ts is 'nan', expected ISO 8601 or seconds since 1970"),
        ("7,P1,view,1e400,,,,", "ts is '1e400', expected ISO 8601 or seconds since 1970"),
        ("7,P1,view,3000-01-01,,,,", "ts is 3000-01-01T00:00:00+00:00, "
         "before 1990 or in the future"),
        ("7,P1,,2010-12-01,,,,", "has no event"),
        ("7,P1,view,2010-12-01,,many,,", "quantity is 'many', expected a number"),
        ("7,P1,view,2010-12-01,,,inf,", "price is 'inf', expected a number"),
        ("7,P1,view,2010-12-01", "has 4 columns, the header has 8"),
        ("7,P1,view,2010-12-01,,,,a\0b", "has a NUL byte"),
        (f"{'7' * 300},P1,view,2010-12-01,,,,", "user is longer than 255 letters"),
    ],
)  # fmt: skip
def test_a_bad_row_is_told_by_its_line_and_its_neighbours_are_stored(
    tmp_path, row, reason
) -> None:
    good = "8,P1,view,2010-12-01,,,,\n"
    path = write(tmp_path, HEAD + good + row + "\n" + good)

    assert load(path) == (
        "3 rows: 2 stored, 0 duplicates, 1 refused",
        f"line 3: {reason}\n",
    )


def test_an_undecodable_byte_spoils_its_row_alone(tmp_path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(HEAD.encode() + b"8,P\xff,view,2010-12-01,,,,\n8,P2,view,2010-12-01,,,,\n")

    assert load(path) == ("2 rows: 1 stored, 0 duplicates, 1 refused", "line 2: is not UTF-8\n")


def test_only_ten_reasons_are_shown(tmp_path) -> None:
    path = write(tmp_path, HEAD + "7,P1,view,never,,,,\n" * 12)

    counted, reasons = load(path)

    assert counted == "12 rows: 0 stored, 0 duplicates, 12 refused"
    assert reasons.splitlines()[9:] == [
        "line 11: ts is 'never', expected ISO 8601 or seconds since 1970",
        "… and 2 more",
    ]


def test_columns_can_be_renamed_and_files_packed(tmp_path) -> None:
    path = tmp_path / "events.tsv.gz"
    path.write_bytes(
        gzip.compress(b"visitor\tsku\tevent\ttime\n1\t2\tcart\t1430623535\n1\t3\treturn\t1430623535123\n")
    )  # fmt: skip

    counted, _ = load(path, "--map", "visitor=anonymous", "--map", "sku=item", "--map", "time=ts")

    assert counted == "2 rows: 2 stored, 0 duplicates, 0 refused"


def test_json_lines_bring_their_own_ids_and_properties(tmp_path) -> None:
    line = '{"user": 5, "item": 17, "event": "view", "ts": 1e9, "message_id": "m1", "a": {"b": 1}}'
    path = write(tmp_path, f"{line}\n{line}\nnot json\n[]\n", "events.jsonl")

    counted, reasons = load(path)

    assert counted == "4 rows: 1 stored, 1 duplicates, 2 refused"
    assert reasons.startswith("line 3: is not JSON")
    assert reasons.endswith("line 4: is not a JSON object\n")
    event = Event.objects.get()
    assert (event.message_id, event.properties) == ("m1", {"product_id": "17", "a": {"b": 1}})


def test_a_file_without_a_column_changes_nothing(tmp_path) -> None:
    path = write(tmp_path, "user,item,time\n1,2,3\n")

    with pytest.raises(CommandError, match=r"no column 'event' and no column 'ts'.*--map"):
        load(path)
    assert Profile.objects.count() == 0


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08cut short"])
def test_a_damaged_or_empty_file_is_told(tmp_path, content) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(content)

    with pytest.raises(CommandError, match=r"events\.csv\.gz"):
        load(path)


def test_a_renaming_of_nothing_is_told(tmp_path) -> None:
    with pytest.raises(CommandError, match="no column 'sku' that could be renamed"):
        load(write(tmp_path, HEAD), "--map", "sku=item")


def test_a_missing_file_is_told(tmp_path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        load(tmp_path / "nothing.csv")


def test_loading_tells_nobody(tmp_path) -> None:
    load(write(tmp_path, HEAD + "7,P1,Notification Clicked,2010-12-01,,,,\n"))

    assert (Event.objects.count(), Notice.objects.count()) == (1, 0)

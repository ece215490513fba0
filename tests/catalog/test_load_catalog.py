import gzip
import io
import json
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalog import uploads
from catalog.models import Catalog, Product, Upload

pytestmark = pytest.mark.django_db
FEED = "item,title,price,weight\na,Hat,1,2\nb,Cap,free,3\nc,Boot,3,4\n"


def load(path, *args):
    out = io.StringIO()
    call_command("load_catalog", str(path), *args, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def feed(tmp_path):
    path = tmp_path / "feed.csv"
    path.write_text(FEED)
    return path


def test_columns_difference_and_refusals_are_printed(feed):
    assert load(feed, "--catalog", "shop") == (
        "Columns\n"
        "  id                   text       (from “item”)\n"
        "  name                 text       (from “title”)\n"
        "  price                number\n"
        "  weight               number     own\n"
        "Difference\n"
        "           2 added\n"
        "             a  Hat\n"
        "             c  Boot\n"
        "           0 changed\n"
        "           0 removed\n"
        "           0 unchanged\n"
        "           1 refused\n"
        "    line 3 (id b): price “free” is not a price: write 1234.50, with a point before the"
        " decimals and nothing between the thousands\n"
        "Catalog “shop” is at version 1.\n"
    )
    assert Product.objects.filter(catalog__name="shop").count() == 2


def test_changes_are_printed_with_before_and_after(feed):
    load(feed)
    feed.write_text("item,title,price,weight\na,Hat,1.50,\nc,Boot,3,XL\n")
    printed = load(feed)
    assert "  weight               text       own   (was number)\n" in printed
    assert "             a  price: 1.00 → 1.50, weight: 2 → –\n" in printed
    assert "             c  weight: 4 → XL\n" in printed


def test_dry_run_shows_and_changes_nothing(feed):
    printed = load(feed, "--dry-run")
    assert "2 added" in printed
    assert printed.endswith("Dry run: nothing was changed.\n")
    assert not Catalog.objects.exists()


def test_dry_run_asks_for_the_same_word_and_writes_no_product(feed, monkeypatch):
    load(feed)
    monkeypatch.setattr(uploads, "apply", None)
    feed.write_text("id,name\na,Hat\n")
    with pytest.raises(CommandError, match=r"remove 1 of 2 .* add --allow-removals. Nothing was"):
        load(feed, "--dry-run")
    assert load(feed, "--dry-run", "--allow-removals").endswith("Dry run: nothing was changed.\n")
    assert Upload.objects.get().state == Upload.State.APPLIED


def test_names_cannot_command_the_terminal(feed):
    feed.write_text('id,name\na,"\x1b[2JHat\nCap"\n')
    assert "             a  �[2JHat�Cap\n" in load(feed)


def test_stated_type(feed):
    assert "weight               text       own\n" in load(feed, "--column", "weight=text")
    assert Product.objects.get(item_id="a").extra == {"weight": "2"}


def test_removals_need_a_word(feed):
    load(feed)
    feed.write_text("id,name\na,Hat\n")
    with pytest.raises(CommandError, match=r"remove 1 of 2 .* add --allow-removals. Nothing was"):
        load(feed)
    assert Product.objects.filter(deleted_at=None).count() == 2
    assert Upload.objects.latest("id").state == Upload.State.REFUSED
    load(feed, "--allow-removals")
    assert Product.objects.filter(deleted_at=None).count() == 1


@pytest.mark.parametrize(
    ("content", "args", "message"),
    [
        (b"id,name\n1,H\xfct\n", (), "Line 2 is not UTF-8"),
        (b"id,price\n1,2\n", (), "no column “name”"),
        (FEED.encode(), ("--catalog", "A B"), "catalog's name “A B”"),
        (FEED.encode(), ("--column", "weight"), "expected NAME=TYPE"),
        (FEED.encode(), ("--column", "weight=int"), "“int” is none of"),
    ],
)
def test_refusals_are_sentences(feed, content, args, message):
    feed.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        load(feed, *args)
    assert not Catalog.objects.exists()


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        load(tmp_path / "nope.csv")
    with pytest.raises(CommandError, match="Is a directory"):
        load(tmp_path)


# --- a large file ----------------------------------------------------------------------------

PLACE = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
MEASURED = """
import json, sys
import django
from django.conf import settings
settings.DATABASES["default"].update(json.loads(sys.argv[1]))
django.setup()
from django.core.management import call_command

def peak():  # of this program alone: getrusage starts with the peak of the process that forked
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

call_command("load_catalog", sys.argv[2])
before = peak()
call_command("load_catalog", sys.argv[3])
print(before, peak())
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_forty_thousand_products_take_no_more_memory_than_a_thousand(tmp_path):
    small, large = tmp_path / "small.csv.gz", tmp_path / "large.csv.gz"
    write(small, products=1_000)
    write(large, products=40_000)
    place = {part: connection.settings_dict[part] for part in PLACE}
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, json.dumps(place), small, large],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "engage.settings"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    before, after = map(int, ran.stdout.split()[-2:])  # KiB
    assert Product.objects.filter(deleted_at=None).count() == 40_000
    assert after - before < 10_000
    assert after < 300_000


def write(path, *, products):
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("id,name,category,price,url,image_url,in_stock,brand,weight\n")
        for n in range(products):
            file.write(
                f"sku-{n},Product number {n},cat {n % 50},{n % 997}.95,https://shop.example/p/{n},"
                f"https://shop.example/i/{n}.jpg,{n % 7},brand {n % 300},{n % 13}.5\n"
            )


def test_refused_first_file_leaves_no_catalog(feed):
    feed.write_text("id,name,price\na,Hat,free\n")
    with pytest.raises(CommandError, match="No row of the file can be used"):
        load(feed, "--catalog", "shop")
    assert not Catalog.objects.exists()

"""`manage.py evaluate_recommendations` as somebody at a terminal meets it."""

import json

import numpy as np
import pytest
import threadpoolctl
from django.core.management import call_command
from django.core.management.base import CommandError

from recommendations.offline import evaluation

KEYS = {
    "model", "protocol", "users", "items", "metrics", "fit_seconds", "peak_memory_mb", "weights",
    "left_out",
}  # fmt: skip
METRICS = {
    "hr@10", "ndcg@10", "recall@20", "ndcg@20", "mrr@20", "hr@20", "coverage@20", "novelty",
    "gini@20", "diversity@20",
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Everybody goes round in a ring of ten items: who knows the order knows the next."""
    rng = np.random.default_rng(1)
    train, test = ["user,item,pos"], ["user,item"]
    for user in range(60):
        start, length = int(rng.integers(10)), int(rng.integers(3, 7))
        ring = [(start + step) % 10 for step in range(length + 1)]
        train += [f"u{user},i{item},{pos}" for pos, item in enumerate(ring[:-1])]
        test.append(f"u{user},i{ring[-1]}")
    (tmp_path / "train.csv").write_text("\n".join(train))
    (tmp_path / "test.csv").write_text("\n".join(test))
    return tmp_path


def run(files, capsys, *more, train="train.csv", test="test.csv"):
    call_command(
        "evaluate_recommendations", "--train", str(files / train), "--test", str(files / test),
        *more,
    )  # fmt: skip
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_last_line_is_one_json_object_with_all_figures(files, capsys):
    found = run(files, capsys)
    assert set(found) == KEYS
    assert set(found["metrics"]) >= METRICS
    assert (found["model"], found["protocol"]) == ("auto", "next-item")
    assert (found["users"], found["items"]) == (60, 10)
    assert found["metrics"]["ndcg@10"] > 0.95
    assert found["peak_memory_mb"] > 0


def test_one_source_is_measured_alone(files, capsys):
    found = run(files, capsys, "--model", "popular")
    assert found["weights"] == {"popular": 1.0}
    assert found["metrics"]["hr@10"] == 1.0  # of ten items
    assert found["metrics"]["ndcg@10"] < 0.7


def test_the_same_files_give_the_same_figures(files, capsys):
    first, second = (run(files, capsys) for _ in range(2))
    assert (first["metrics"], first["weights"]) == (second["metrics"], second["weights"])


def test_nothing_is_learned_from_the_test(files, capsys):
    before = run(files, capsys, "--model", "next")
    lines = (files / "test.csv").read_text().splitlines()
    (files / "twice.csv").write_text("\n".join([*lines, *lines[1:]]))
    again = run(files, capsys, "--model", "next", test="twice.csv")
    assert before["metrics"]["ndcg@10"] == again["metrics"]["ndcg@10"]
    assert before["weights"] == again["weights"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"test": "none.csv"}, "none.csv cannot be read"),
        ({"train": "test.csv", "test": "empty.csv"}, "line 1: expected a header"),
        ({"test": "strangers.csv"}, r"asks nobody .* \(questions of unknown users 1, "),
        ({"items": "nameless.csv"}, "nameless.csv has the columns id, title, but no item"),
        ({"train": "endless.csv"}, "endless.csv, line 3: pos is 'nan', not a number"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_a_sentence(files, capsys, arguments, sentence):
    (files / "empty.csv").write_text("")
    (files / "strangers.csv").write_text("user,item\nzoe,i1\n")
    (files / "nameless.csv").write_text("id,title\ni1,Ring\n")
    (files / "endless.csv").write_text("user,item,pos\nann,i1,0\nann,i2,nan\n")
    items = arguments.pop("items", None)
    more = ["--items", str(files / items)] if items else []
    with pytest.raises(CommandError, match=sentence):
        run(files, capsys, *more, **arguments)


def test_learning_takes_as_many_cores_as_a_build(files, capsys, settings, monkeypatch):
    settings.BUILD_THREADS = 2
    evaluate, seen = evaluation.evaluate, []

    def watched(*args, **options):
        seen.extend(one["num_threads"] for one in threadpoolctl.threadpool_info())
        return evaluate(*args, **options)

    monkeypatch.setattr(evaluation, "evaluate", watched)
    with threadpoolctl.threadpool_limits(limits=1):
        run(files, capsys, "--model", "popular")
    assert set(seen) == {2}


def test_an_unknown_model_is_named_with_the_known(files, capsys):
    with pytest.raises(
        CommandError, match=r"no model 'deep' for these data; there are auto, next"
    ):
        run(files, capsys, "--model", "deep")

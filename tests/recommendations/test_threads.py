import pytest
import threadpoolctl

from recommendations import build, threads
from tests.factories import NOON
from tests.recommendations.shops import VIEW, make_shop, store_history


def in_use() -> set[int]:
    """Threads of each library that counts in parallel."""
    return {one["num_threads"] for one in threadpoolctl.threadpool_info()}


@pytest.mark.parametrize("allowed", [1, 2])
def test_libraries_take_so_many_cores_and_afterwards_what_they_had(allowed):
    with threadpoolctl.threadpool_limits(limits=3):
        before = in_use()
        with threads.bounded(allowed):
            assert in_use() == {allowed}
        assert in_use() == before


@pytest.mark.django_db
def test_build_counts_on_as_many_threads_as_the_setting_says(settings, monkeypatch):
    settings.BUILD_THREADS = 2
    make_shop(["a", "b"])
    store_history([("ann", "a", VIEW, 2), ("ann", "b", VIEW, 1)])
    fit, seen = build.fit, []

    def watched(*args, **options):
        seen.append((in_use(), build.settings_of_models()["threads"]))
        return fit(*args, **options)

    monkeypatch.setattr(build, "fit", watched)
    with threadpoolctl.threadpool_limits(limits=1):
        build.run("default", now=NOON)
    assert seen
    assert all(one == ({2}, 2) for one in seen)

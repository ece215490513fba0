"""The project's settings, with the routes of the benchmarks."""

from engage.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.served_urls"

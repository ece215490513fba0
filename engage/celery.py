"""The Celery app: its queues, and the one place that says what runs when."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engage.settings")

app = Celery("engage")


class Config:
    """Late acknowledgement is safe because every task can run twice (see each docstring)."""

    task_default_queue = "default"
    task_acks_late = True
    task_reject_on_worker_lost = True
    task_ignore_result = True
    task_time_limit = 300  # seconds
    task_soft_time_limit = 270
    worker_prefetch_multiplier = 1
    worker_max_tasks_per_child = 1000
    worker_max_memory_per_child = 800_000  # KiB
    worker_hijack_root_logger = False
    worker_soft_shutdown_timeout = 3
    worker_cancel_long_running_tasks_on_connection_loss = True
    broker_connection_retry_on_startup = True
    broker_transport_options = {"visibility_timeout": 900}
    accept_content = ["json"]
    timezone = "UTC"


app.config_from_object(Config)
app.autodiscover_tasks()


@app.on_configure.connect  # type: ignore[untyped-decorator]
def use_our_broker(sender: Celery, **kwargs: object) -> None:
    from django.conf import settings

    sender.conf.broker_url = settings.BROKER_URL

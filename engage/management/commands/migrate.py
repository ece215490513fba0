"""Django's `migrate`, which can also be run again when it was killed half way."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

ONLY_LOOK = ("plan", "check_unapplied", "fake", "fake_initial")


class Command(migrate.Command):
    def handle(self, *args: Any, database: str, **options: Any) -> None:
        if not any(options.get(name) for name in ONLY_LOOK):
            drop_half_built_indexes(database)
        super().handle(*args, database=database, **options)


def drop_half_built_indexes(database: str) -> None:
    """Indexes that a killed migration began, or built without having said so.

    They are built outside of a transaction, beside the writers, so nothing takes them back; and
    what is there already cannot be made again.
    """
    connection = connections[database]
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if len(plan) == len(executor.loader.graph.nodes):
        return  # a new database
    with connection.cursor() as cursor:
        for migration, _ in plan:
            for operation in migration.operations:
                if isinstance(operation, AddIndexConcurrently):
                    name = connection.ops.quote_name(operation.index.name)
                    cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

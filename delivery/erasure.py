"""Forgetting a person: what they did goes, the counts of the runs stay."""

from typing import Final

from django.db import connection, transaction

# Whoever puts something into the inbox now has committed before, or sees the journal after.
HOLD: Final = "SELECT 1 FROM profiles_profile WHERE id = %s FOR UPDATE"
# The row that is left says that a message was planned and how it ended, for the sums of its run.
# A claim has them in the same order, or a mark and we could wait for each other.
# It names nobody: the number leads to no profile any more, and no journal says whose it was.
STRIP: Final = """
WITH theirs AS (
  SELECT profile_id, id FROM delivery_message WHERE profile_id = %s ORDER BY id FOR UPDATE
)
UPDATE delivery_message m SET
  state = CASE WHEN state IN ('planned', 'leased') THEN 'suppressed' ELSE state END,
  reason = CASE WHEN state IN ('planned', 'leased') THEN 'erased' ELSE reason END,
  finished_at = CASE WHEN state IN ('planned', 'leased') THEN clock_timestamp()
                     ELSE finished_at END,
  address_id = '', address_digest = NULL, provider_id = '', topic = '', items = '[]'
FROM theirs WHERE m.profile_id = theirs.profile_id AND m.id = theirs.id
"""
TABLES: Final = ("interaction", "sendattempt", "receipt", "preference", "inboxmessage")


@transaction.atomic
def erase(profile_id: int) -> None:
    """Safe to run twice. Suppressed addresses stay, as digests: the promise not to write again."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [profile_id])
        for table in TABLES:
            cursor.execute(f"DELETE FROM delivery_{table} WHERE profile_id = %s", [profile_id])  # noqa: S608
        cursor.execute(STRIP, [profile_id])

from django.db import migrations

# Partitioned by month of ts; `engage/profiles/partitions.py` makes the months that events need.
SQL = """
CREATE TABLE profiles_event (
    profile_id   bigint      NOT NULL,
    ts           timestamptz NOT NULL,
    id           uuid        NOT NULL,
    source_id    integer     NOT NULL,
    message_id   varchar(100) NOT NULL,
    kind         varchar(10) NOT NULL,
    name         varchar(200) NOT NULL,
    user_id      varchar(255) NOT NULL DEFAULT '',
    anonymous_id varchar(255) NOT NULL DEFAULT '',
    properties   jsonb       NOT NULL DEFAULT '{}',
    context      jsonb       NOT NULL DEFAULT '{}',
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (profile_id, ts, id)
) PARTITION BY RANGE (ts);
CREATE INDEX profiles_event_ts ON profiles_event USING brin (ts);
-- Rows that every batch updates leave room beside them, so that no index has to be touched.
ALTER TABLE profiles_profile SET (fillfactor = 70);
ALTER TABLE profiles_activity SET (fillfactor = 70);
ALTER TABLE profiles_activity ALTER touches SET STORAGE PLAIN;
-- Lives for a second: compressing it costs more than writing it.
ALTER TABLE profiles_historyblock ALTER payload SET STORAGE EXTERNAL;
"""


class Migration(migrations.Migration):
    dependencies = [("profiles", "0001_initial")]
    operations = [migrations.RunSQL(SQL, "DROP TABLE profiles_event")]

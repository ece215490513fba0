from django.db import migrations

# campaigns_time: what campaigns/segments/rules.py `parse_time` reads, null for anything else.
# campaigns_item: what engage/profiles/extract.py `item_of` reads.
SQL = """
CREATE FUNCTION campaigns_time(value jsonb) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    said text := value #>> '{}';
BEGIN
    IF jsonb_typeof(value) <> 'string' OR said !~ ('^[12][0-9]{3}-[0-9]{2}-[0-9]{2}'
        '([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?'
        '(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$') THEN
        RETURN NULL;
    END IF;
    IF length(said) > 10 AND said ~ '(Z|[+-][0-9]{2}:?[0-9]{2})$' THEN
        RETURN said::timestamptz;
    END IF;
    RETURN (said || CASE length(said) WHEN 10 THEN ' 00:00Z' ELSE 'Z' END)::timestamptz;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    RETURN NULL;
END
$$;
CREATE FUNCTION campaigns_item(holder jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'string' THEN CASE WHEN length(value #>> '{}') BETWEEN 1 AND 255
            THEN value #>> '{}' END
        WHEN 'number' THEN CASE WHEN value #>> '{}' ~ '^-?[0-9]{1,30}$'
            THEN value #>> '{}' END
    END
    FROM (SELECT CASE
        WHEN jsonb_typeof(holder) <> 'object' THEN NULL
        WHEN coalesce(holder->'product_id', 'null') IN ('null', '""') THEN holder->'sku'
        ELSE holder->'product_id'
    END AS value) AS chosen
$$;
"""
UNDO = "DROP FUNCTION campaigns_time(jsonb); DROP FUNCTION campaigns_item(jsonb);"


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial")]
    operations = [migrations.RunSQL(SQL, UNDO)]

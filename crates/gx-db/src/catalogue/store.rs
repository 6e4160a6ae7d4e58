//! SQL that reads the catalogue for [`super::Catalogue::read`]. It uses only what every supported
//! major version returns in the same form: no generated text of views, no constraint kinds of newer
//! versions.

use sqlx::PgConnection;

/// Makes the session print times and intervals in the same way, until its transaction ends.
pub(super) async fn print_alike(conn: &mut PgConnection) -> sqlx::Result<()> {
    let sql = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'iso_8601'";
    sqlx::raw_sql(sql).execute(conn).await.map(drop)
}

/// Returns one line per object: `kind name: definition`.
pub(super) async fn catalogue_lines(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(CATALOGUE).fetch_all(conn).await
}

/// Returns the number of the catalogue's rows for the current schema, and a sum of hashes of their
/// ids and transactions.
pub(super) async fn revision(conn: &mut PgConnection) -> sqlx::Result<(i64, Option<String>)> {
    sqlx::query_as(REVISION).fetch_one(conn).await
}

const CATALOGUE: &str = r#"
WITH schema AS (
    SELECT oid, quote_ident(nspname) || '.' AS prefix
    FROM pg_namespace WHERE nspname = current_schema()
), relation AS (
    SELECT c.oid, c.relkind, quote_ident(c.relname) AS name, c.relrowsecurity, prefix
    FROM pg_class c JOIN schema ON schema.oid = c.relnamespace
    WHERE NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT CASE relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
            WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || name
       || CASE WHEN relkind = 'p' THEN ': partitioned by ' || pg_get_partkeydef(oid) ELSE '' END
       || CASE WHEN relrowsecurity THEN ': row security' ELSE '' END
FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
UNION ALL
SELECT 'column ' || relation.name || '.' || quote_ident(a.attname) || ': '
       || replace(format_type(a.atttypid, a.atttypmod), prefix, '')
       || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
       || CASE a.attidentity WHEN 'a' THEN ' IDENTITY ALWAYS' WHEN 'd' THEN ' IDENTITY' ELSE '' END
       || CASE WHEN a.attgenerated <> '' THEN ' GENERATED' ELSE '' END
       || coalesce(' DEFAULT ' || replace(pg_get_expr(d.adbin, d.adrelid), prefix, ''), '')
FROM relation
JOIN pg_attribute a ON a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL
SELECT 'constraint ' || relation.name || '.' || quote_ident(k.conname) || ': '
       || replace(pg_get_constraintdef(k.oid), prefix, '')
FROM relation JOIN pg_constraint k ON k.conrelid = relation.oid
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'index ' || quote_ident(i.relname) || ': ' || replace(pg_get_indexdef(i.oid), prefix, '')
       || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END
FROM relation
JOIN pg_index x ON x.indrelid = relation.oid
JOIN pg_class i ON i.oid = x.indexrelid
UNION ALL
SELECT 'sequence ' || name FROM relation
WHERE relkind = 'S' AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = relation.oid
    AND d.deptype = 'i')
UNION ALL
SELECT 'enum ' || quote_ident(t.typname) || ': '
       || string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
FROM pg_type t JOIN schema ON schema.oid = t.typnamespace JOIN pg_enum e ON e.enumtypid = t.oid
GROUP BY t.typname
UNION ALL
SELECT 'domain ' || quote_ident(t.typname) || ': ' || format_type(t.typbasetype, t.typtypmod)
       || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
       || coalesce((SELECT string_agg(' ' || replace(pg_get_constraintdef(k.oid), prefix, ''), '' ORDER BY k.conname)
                    FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '')
FROM pg_type t JOIN schema ON schema.oid = t.typnamespace WHERE t.typtype = 'd'
UNION ALL
SELECT 'function ' || quote_ident(p.proname) || '(' || replace(pg_get_function_identity_arguments(p.oid), prefix, '')
       || '): ' || coalesce(replace(pg_get_function_result(p.oid), prefix, ''), 'procedure')
       || ' ' || l.lanname || ' sha256 '
       || left(encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'), 16)
FROM pg_proc p JOIN schema ON schema.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                  AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'trigger ' || relation.name || '.' || quote_ident(t.tgname) || ': '
       || replace(pg_get_triggerdef(t.oid), prefix, '')
       || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' ENABLED ' || t.tgenabled::text END
FROM relation JOIN pg_trigger t ON t.tgrelid = relation.oid
WHERE NOT t.tgisinternal
"#;

const REVISION: &str = r#"
WITH schema AS (
    SELECT oid, xmin FROM pg_namespace WHERE nspname = current_schema()
), relation AS (
    SELECT c.oid, c.xmin FROM pg_class c JOIN schema ON schema.oid = c.relnamespace
    WHERE NOT c.relispartition
), row_of_catalogue (kind, id, part, xmin) AS (
    SELECT 0, oid, 0, xmin FROM schema
    UNION ALL
    SELECT 1, oid, 0, xmin FROM relation
    UNION ALL
    SELECT 2, a.attrelid, a.attnum, a.xmin
    FROM relation JOIN pg_attribute a ON a.attrelid = relation.oid AND a.attnum > 0
    UNION ALL
    SELECT 3, d.oid, 0, d.xmin FROM relation JOIN pg_attrdef d ON d.adrelid = relation.oid
    UNION ALL
    SELECT 4, k.oid, 0, k.xmin FROM schema JOIN pg_constraint k ON k.connamespace = schema.oid
    UNION ALL
    SELECT 5, x.indexrelid, 0, x.xmin FROM relation JOIN pg_index x ON x.indrelid = relation.oid
    UNION ALL
    SELECT 6, t.oid, 0, t.xmin FROM schema JOIN pg_type t ON t.typnamespace = schema.oid
    UNION ALL
    SELECT 7, e.oid, 0, e.xmin
    FROM schema JOIN pg_type t ON t.typnamespace = schema.oid JOIN pg_enum e ON e.enumtypid = t.oid
    UNION ALL
    SELECT 8, p.oid, 0, p.xmin FROM schema JOIN pg_proc p ON p.pronamespace = schema.oid
    UNION ALL
    SELECT 9, t.oid, 0, t.xmin FROM relation JOIN pg_trigger t ON t.tgrelid = relation.oid
)
SELECT count(*),
       sum(hashint8extended(xmin::text::bigint, (id::bigint << 20) + (part << 4) + kind))::text
FROM row_of_catalogue
"#;

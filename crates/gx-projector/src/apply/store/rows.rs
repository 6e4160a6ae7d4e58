//! Inserts many rows with one statement: few of them as arrays, more by COPY. Both use PostgreSQL's
//! binary format. Called by the sibling modules for the tables that get a row for each event.

use std::fmt::Write as _;

use gx_db::PgConnection;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{AssertSqlSafe, Encode, Postgres, Type};
use time::OffsetDateTime;
use time::macros::datetime;

/// The zero of PostgreSQL's binary timestamps.
const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
/// Signature of a COPY stream, without flags and extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a COPY stream, in place of a number of columns.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// The length of a NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The version of jsonb's binary format.
const JSONB: u8 = 1;
/// Number of bytes that are collected before they are sent.
const CHUNK_BYTES: usize = 64 * 1024;
/// Limit of the rows of one INSERT. COPY costs the server less, but its end is a separate packet:
/// with a driver that leaves Nagle's algorithm on (RFC 896), that packet waits up to 40 ms until
/// the server has acknowledged the rows.
const MAX_INSERT_ROWS: usize = 1_000;

/// A table, and the columns of new rows.
pub(crate) struct InsertTarget {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [(&'static str, ColumnType)],
}

/// The type of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ColumnType {
    Text,
    BigInt,
    Integer,
    SmallInt,
    Time,
    Jsonb,
}

impl ColumnType {
    /// Returns the name of the type, and its number in PostgreSQL's catalog.
    const fn in_sql(self) -> (&'static str, u32) {
        match self {
            Self::Text => ("text", 25),
            Self::BigInt => ("bigint", 20),
            Self::Integer => ("integer", 23),
            Self::SmallInt => ("smallint", 21),
            Self::Time => ("timestamptz", 1184),
            Self::Jsonb => ("jsonb", 3802),
        }
    }
}

/// A row that is being written: one value for each column, in order and of its type.
pub(crate) struct Row<'b>(&'b mut Vec<u8>);

/// Adds all rows, or none. `write` writes the values of one row in the order of the columns.
pub(crate) async fn add<T: Sync>(
    conn: &mut PgConnection,
    target: &InsertTarget,
    rows: &[T],
    write: impl Fn(&T, &mut Row<'_>) + Send,
) -> Result<(), sqlx::Error> {
    let added = if rows.len() <= MAX_INSERT_ROWS {
        insert(conn, target, rows, write).await?
    } else {
        copy(conn, target, rows, write).await?
    };
    if usize::try_from(added) == Ok(rows.len()) {
        return Ok(());
    }
    let wrong = format!("{} rows were sent to {} and {added} added", rows.len(), target.table);
    Err(sqlx::Error::Protocol(wrong))
}

/// Adds rows by an INSERT from arrays and returns their number.
async fn insert<T: Sync>(
    conn: &mut PgConnection,
    target: &InsertTarget,
    rows: &[T],
    write: impl Fn(&T, &mut Row<'_>) + Send,
) -> Result<u64, sqlx::Error> {
    let mut arrays: Vec<_> =
        target.columns.iter().map(|(_, kind)| BinaryArray::new(*kind, rows.len())).collect();
    let mut values = Vec::new();
    for one in rows {
        values.clear();
        write(one, &mut Row(&mut values));
        let mut rest = values.as_slice();
        for array in &mut arrays {
            rest = array.push_first(rest);
        }
    }
    let unnested = target.columns.iter().enumerate().fold(String::new(), |mut sql, (n, column)| {
        let comma = if n == 0 { "" } else { ", " };
        let _infallible = write!(sql, "{comma}${}::{}[]", n + 1, column.1.in_sql().0);
        sql
    });
    let (table, names) = (target.table, names(target));
    let sql = format!(r#"INSERT INTO "{table}" ({names}) SELECT * FROM unnest({unnested})"#);
    let statement = sqlx::query(AssertSqlSafe(sql));
    let done = arrays.into_iter().fold(statement, sqlx::query::Query::bind).execute(conn).await?;
    Ok(done.rows_affected())
}

/// Adds rows by COPY and returns their number.
async fn copy<T: Sync>(
    conn: &mut PgConnection,
    target: &InsertTarget,
    rows: &[T],
    write: impl Fn(&T, &mut Row<'_>) + Send,
) -> Result<u64, sqlx::Error> {
    let (table, names) = (target.table, names(target));
    let sql = format!(r#"COPY "{table}" ({names}) FROM STDIN (FORMAT binary)"#);
    let mut sink = conn.copy_in_raw(&sql).await?;
    let columns = i16::try_from(target.columns.len()).expect("a table has few columns");
    let mut buffer = Vec::with_capacity(2 * CHUNK_BYTES);
    buffer.extend_from_slice(HEADER);
    for one in rows {
        buffer.extend_from_slice(&columns.to_be_bytes());
        write(one, &mut Row(&mut buffer));
        if buffer.len() >= CHUNK_BYTES {
            sink.send(buffer.as_slice()).await?;
            buffer.clear();
        }
    }
    buffer.extend_from_slice(&TRAILER);
    sink.send(buffer.as_slice()).await?;
    sink.finish().await
}

fn names(target: &InsertTarget) -> String {
    let names: Vec<_> = target.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    names.join(", ")
}

/// The values of a column in the format that PostgreSQL's `array_recv` reads.
struct BinaryArray(Vec<u8>);

impl BinaryArray {
    fn new(kind: ColumnType, length: usize) -> Self {
        let length = u32::try_from(length).expect("there are few rows");
        // One dimension, perhaps with NULL, of this type and length, with indexes from 1.
        let header = [1, 1, kind.in_sql().1, length, 1];
        Self(header.into_iter().flat_map(u32::to_be_bytes).collect())
    }

    /// Takes the first value from `values` and returns the rest.
    fn push_first<'v>(&mut self, values: &'v [u8]) -> &'v [u8] {
        let (length, _) = values.split_first_chunk().expect("a row has a value for each column");
        // A NULL has the length -1 and no bytes.
        let bytes = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (first, rest) = values.split_at(length.len() + bytes);
        self.0.extend_from_slice(first);
        rest
    }
}

impl Type<Postgres> for BinaryArray {
    /// Returns no type, because the statement names it.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for BinaryArray {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}

impl Row<'_> {
    fn value(&mut self, bytes: &[u8]) -> &mut Self {
        let length = i32::try_from(bytes.len()).expect("a value is far below 2 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.0.extend_from_slice(&NULL);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.value(text.as_bytes())
    }

    pub(crate) fn bigint(&mut self, number: i64) -> &mut Self {
        self.value(&number.to_be_bytes())
    }

    pub(crate) fn integer(&mut self, number: i32) -> &mut Self {
        self.value(&number.to_be_bytes())
    }

    pub(crate) fn smallint(&mut self, number: i16) -> &mut Self {
        self.value(&number.to_be_bytes())
    }

    pub(crate) fn time(&mut self, at: OffsetDateTime) -> &mut Self {
        let since = i64::try_from((at - EPOCH).whole_microseconds());
        self.bigint(since.expect("times of four-digit years fit"))
    }

    pub(crate) fn jsonb(&mut self, json: &str) -> &mut Self {
        let length = i32::try_from(json.len() + 1).expect("a value is far below 2 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.push(JSONB);
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// Writes a value, or NULL.
    pub(crate) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }
}

#[cfg(test)]
mod tests {

    use gx_db::testing::TestDatabase;

    use super::*;

    const EVERY_KIND: InsertTarget = InsertTarget {
        table: "every_kind",
        columns: &[
            ("number", ColumnType::BigInt),
            ("Text", ColumnType::Text),
            ("integer", ColumnType::Integer),
            ("small", ColumnType::SmallInt),
            ("at", ColumnType::Time),
            ("json", ColumnType::Jsonb),
        ],
    };

    fn write(number: &i64, row: &mut Row<'_>) {
        let small = i16::try_from(*number).ok().filter(|small| small % 2 == 0);
        row.bigint(*number)
            .text(&format!("čí\\s\t{number}"))
            .integer(-7)
            .option(small, Row::smallint)
            .time(datetime!(1999-12-31 23:59:59.5 UTC))
            .jsonb(&format!(r#"{{"number": {number}}}"#));
    }

    #[tokio::test]
    async fn rows_are_the_same_whichever_way_they_come() {
        let db = TestDatabase::create().await;
        let mut conn = db.connection().await;
        let make = r#"CREATE TABLE every_kind (number bigint PRIMARY KEY, "Text" text NOT NULL,
            integer integer NOT NULL, small smallint, at timestamptz NOT NULL, json jsonb NOT NULL)"#;
        sqlx::query(make).execute(&mut conn).await.unwrap();
        let (few, more) = (vec![1, 2, 3], (1..=2_000).collect::<Vec<i64>>());
        assert!(few.len() <= MAX_INSERT_ROWS);
        assert!(more.len() > MAX_INSERT_ROWS);
        let mut seen = Vec::new();
        for rows in [few, more] {
            add(&mut conn, &EVERY_KIND, &rows, write).await.unwrap();
            let look = r#"SELECT string_agg(t::text, ' ' ORDER BY number) FROM every_kind t
                          WHERE number <= 3"#;
            seen.push(sqlx::query_scalar::<_, String>(look).fetch_one(&mut conn).await.unwrap());
            sqlx::query("TRUNCATE every_kind").execute(&mut conn).await.unwrap();
        }
        assert_eq!(seen[0], seen[1]);
        let second = r#"(2,"čí\\s	2",-7,2,"1999-12-31 23:59:59.5+00","{""number"": 2}")"#;
        assert!(seen[0].contains(second), "{}", seen[0]);
        add(&mut conn, &EVERY_KIND, &[], write).await.unwrap();
        add(&mut conn, &EVERY_KIND, &[1], write).await.unwrap();
        add(&mut conn, &EVERY_KIND, &[0, 1], write).await.unwrap_err();
        let all = "SELECT count(*) FROM every_kind";
        assert_eq!(sqlx::query_scalar::<_, i64>(all).fetch_one(&mut conn).await.unwrap(), 1);
    }
}

//! COPY in PostgreSQL's binary form: rows go to the server while they are made.

use gx_db::PgConnection;
use sqlx::postgres::PgCopyIn;
use time::OffsetDateTime;
use time::macros::datetime;

/// Where PostgreSQL's binary timestamps begin.
const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// In place of a number of columns.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// In place of a length.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// The version of jsonb's binary form.
const JSONB: u8 = 1;
/// Bytes that are gathered before they are sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// A COPY under way.
pub(crate) struct Copy<'c> {
    sink: PgCopyIn<&'c mut PgConnection>,
    columns: i16,
    buffer: Vec<u8>,
    rows: u64,
}

/// One row being made: as many values as the COPY has columns, in their order and of their
/// types.
pub(crate) struct Row<'b>(&'b mut Vec<u8>);

impl<'c> Copy<'c> {
    /// Begins `COPY … FROM STDIN (FORMAT binary)` into so many columns.
    pub(crate) async fn begin(
        conn: &'c mut PgConnection,
        statement: &str,
        columns: i16,
    ) -> Result<Self, sqlx::Error> {
        let sink = conn.copy_in_raw(statement).await?;
        let mut buffer = Vec::with_capacity(2 * CHUNK_BYTES);
        buffer.extend_from_slice(HEADER);
        Ok(Self { sink, columns, buffer, rows: 0 })
    }

    /// Adds a row.
    pub(crate) async fn row(
        &mut self,
        write: impl FnOnce(&mut Row<'_>),
    ) -> Result<(), sqlx::Error> {
        self.buffer.extend_from_slice(&self.columns.to_be_bytes());
        write(&mut Row(&mut self.buffer));
        self.rows += 1;
        if self.buffer.len() >= CHUNK_BYTES {
            self.sink.send(self.buffer.as_slice()).await?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends the COPY; every row was written, or none.
    pub(crate) async fn finish(mut self) -> Result<(), sqlx::Error> {
        self.buffer.extend_from_slice(&TRAILER);
        self.sink.send(self.buffer.as_slice()).await?;
        let written = self.sink.finish().await?;
        if written == self.rows {
            return Ok(());
        }
        let wrong = format!("{} rows were copied and {written} written", self.rows);
        Err(sqlx::Error::Protocol(wrong))
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

    /// A value, or NULL.
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

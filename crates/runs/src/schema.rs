//! The version of everything under the prefix, checked once at start.

use crate::Error;
use airlock_store::Connection;

/// The version of keys and values that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Claims the prefix for this version, or refuses one that a newer version wrote.
pub(crate) async fn check(mut conn: Connection, prefix: &str) -> Result<u32, Error> {
    let key = format!("{prefix}:schema");
    let (_, found): (Option<String>, Option<String>) = redis::pipe()
        .cmd("SET")
        .arg(&key)
        .arg(SCHEMA_VERSION)
        .arg("NX")
        .cmd("GET")
        .arg(&key)
        .query_async(&mut conn)
        .await?;
    let found = found
        .and_then(|text| text.parse().ok())
        .ok_or(Error::Corrupt("schema is not a version number"))?;
    if found > SCHEMA_VERSION {
        return Err(Error::NewerSchema { found, supported: SCHEMA_VERSION });
    }
    Ok(found)
}

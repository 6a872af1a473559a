//! `airlock schema`.

use airlock_contract::schema;

use crate::cli::SchemaArgs;
use crate::exit::{Error, Exit};
use crate::output;

/// Prints the schema of everything, or of one activity.
pub(crate) fn run(args: &SchemaArgs) -> Result<(), Error> {
    let document = schema::document();
    let Some(name) = &args.activity else { return output::json(&document) };
    if let Some(found) = document["activities"].get(name) {
        return output::json(found);
    }
    let known: Vec<&str> = document["activities"]
        .as_object()
        .map(|map| map.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let message = format!("no activity {name:?}; there are {}", known.join(", "));
    Err(Error::new(Exit::Usage, message))
}

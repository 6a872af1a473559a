//! Redactor: streaming, linear-time removal of secrets from output.
#![forbid(unsafe_code)]

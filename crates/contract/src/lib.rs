//! The public face of Airlock: inputs, outputs, failure types and names.
#![forbid(unsafe_code)]

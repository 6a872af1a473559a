//! The door for Temporal: activities polled through core, one thin function each.
#![forbid(unsafe_code)]

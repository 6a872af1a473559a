//! A client for E2B sandboxes: control plane and envd.
#![forbid(unsafe_code)]

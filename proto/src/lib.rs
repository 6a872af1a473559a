//! envd protocol files and the prost types generated from them.
#![forbid(unsafe_code)]

//! PolicyGate: shell analysis, effects, rules, decision; pure.
#![forbid(unsafe_code)]

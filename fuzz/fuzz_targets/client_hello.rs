//! The first bytes of a tunnel: a host name is found or not, the same once more bytes follow.
#![no_main]

use airlock_sandbox_host::fuzzing::client_hello;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(name) = client_hello(data) {
        assert!(name.len() < data.len());
        let more = [data, &[0; 100]].concat();
        assert_eq!(client_hello(&more), Some(name));
    }
});

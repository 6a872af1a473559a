//! Bodies of requests to the control plane: sandboxes, network rules, fault rules. What is
//! accepted is within bounds, what is refused names its field.
#![no_main]

use airlock_sandbox_host::fuzzing::{create_body, fault_body, network_body};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    create_body(data);
    fault_body(data);
    if let Some(hosts) = network_body(data) {
        assert!(!hosts.contains(&"169.254.169.254"), "the metadata service is let through");
    }
});

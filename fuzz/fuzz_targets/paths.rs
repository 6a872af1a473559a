//! Whatever a request calls a file, a user, a sandbox or a host: paths come out absolute and
//! stay as they are, ids and hosts in one form.
#![no_main]

use airlock_sandbox_host::fuzzing::{path, target, users};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    // The first line is the home directory, which the sandbox's root may have written.
    let (home, wanted) = text.split_once('\n').unwrap_or(("/home/user", &text));
    if let Ok(found) = path(wanted, home) {
        assert!(found.starts_with('/') && !found.contains('\0'), "{found:?}");
        assert_eq!(path(&found, home).as_ref(), Ok(&found));
    }
    if let Some((id, port)) = target(home, wanted) {
        assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(port > 0);
    }
    users(&text);
});

//! How a path of a request becomes an absolute one.

use super::users::User;

/// Longest path accepted, in bytes.
const MAX_PATH: usize = 4096;

/// Empty means the home directory, `~` and `~/` are expanded, a relative path starts at home. An
/// absolute one is left to the kernel as it is: `a/link/..` is not `a` for it.
pub(crate) fn resolve(path: &str, user: &User) -> Result<String, String> {
    // The home directory is text of the sandbox's root: it is checked like the path.
    if path.len().max(user.home.len()) > MAX_PATH {
        return Err("path is too long".into());
    }
    if path.contains('\0') || user.home.contains('\0') {
        return Err("path contains a NUL byte".into());
    }
    let home = user.home.trim_end_matches('/');
    let joined = match path.strip_prefix('~') {
        None if path.is_empty() => home.to_owned(),
        None if path.starts_with('/') => return Ok(path.to_owned()),
        None => format!("{home}/{path}"),
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => format!("{home}{rest}"),
        Some(_) => return Err("cannot expand user-specific home dir".into()),
    };
    Ok(clean(&joined))
}

/// Removes `.`, `..` and doubled slashes by text alone, as Go's `filepath.Clean` does.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_follow_the_home_directory() {
        let user = User {
            name: "user".into(),
            uid: 1000,
            gid: 1000,
            home: "/home/user".into(),
            groups: vec![],
        };
        for (given, want) in [
            ("", Ok("/home/user")),
            ("~", Ok("/home/user")),
            ("~/a", Ok("/home/user/a")),
            ("a/../b", Ok("/home/user/b")),
            ("/etc//x/.", Ok("/etc//x/.")),
            ("x/../..//y", Ok("/home/y")),
            ("~other", Err("cannot expand user-specific home dir".to_owned())),
        ] {
            assert_eq!(resolve(given, &user), want.map(str::to_owned), "{given}");
        }
        assert!(resolve("a\0b", &user).is_err());
        let odd = User { home: "/home\0user".into(), ..user };
        assert!(resolve("a", &odd).is_err());
    }

    proptest! {
        #[test]
        fn a_resolved_path_is_absolute_and_resolves_to_itself(
            path in prop_oneof![any::<String>(), "[a./~\\x00]{0,30}"],
        ) {
            let user = User {
                name: "user".into(),
                uid: 1000,
                gid: 1000,
                home: "/home/user".into(),
                groups: vec![],
            };
            if let Ok(resolved) = resolve(&path, &user) {
                prop_assert!(resolved.starts_with('/') && !resolved.contains('\0'));
                let cleaned = clean(&resolved);
                let mut parts = cleaned.split('/').skip(1);
                prop_assert!(cleaned == "/" || parts.all(|part| !["", ".", ".."].contains(&part)));
                prop_assert!(path.starts_with('/') || cleaned == resolved);
                prop_assert_eq!(resolve(&resolved, &user), Ok(resolved));
            }
        }
    }
}

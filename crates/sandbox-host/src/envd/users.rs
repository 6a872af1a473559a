//! Users as the sandbox's own `/etc/passwd` and `/etc/group` have them now: its root may add some.

use std::fs::File;
use std::io::{self, Read as _};

/// The user that acts when a request names none.
pub(crate) const DEFAULT: &str = "user";

/// Most bytes read of an account file.
const MAX_FILE: u64 = 1 << 20;

/// One user with the groups that a login would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
    pub(crate) groups: Vec<u32>,
}

/// Finds a user by name.
pub(crate) fn find(name: &str) -> io::Result<User> {
    let passwd = read("/etc/passwd")?;
    let mut user = parse_user(&passwd, name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such user"))?;
    user.groups = groups_of(&read("/etc/group").unwrap_or_default(), &user);
    Ok(user)
}

/// The name of a user id, else its number.
pub(crate) fn user_name(uid: u32) -> String {
    name_of(&read("/etc/passwd").unwrap_or_default(), uid)
}

/// The name of a group id, else its number.
pub(crate) fn group_name(gid: u32) -> String {
    name_of(&read("/etc/group").unwrap_or_default(), gid)
}

fn read(path: &str) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(crate) fn parse_user(passwd: &str, name: &str) -> Option<User> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let line = passwd.lines().map(fields).find(|line| line.len() >= 7 && line[0] == name)?;
    Some(User {
        name: line[0].clone(),
        uid: line[2].parse().ok()?,
        gid: line[3].parse().ok()?,
        home: line[5].clone(),
        groups: Vec::new(),
    })
}

pub(crate) fn groups_of(group: &str, user: &User) -> Vec<u32> {
    let mut groups = vec![user.gid];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields[..] else { continue };
        let Ok(gid) = gid.parse() else { continue };
        if members.split(',').any(|member| member == user.name) && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    groups.truncate(64);
    groups
}

fn name_of(text: &str, id: u32) -> String {
    text.lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
        })
        .unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_primary_group_and_those_that_list_it() {
        let passwd = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/bash\n";
        let group = "root:x:0:\nsudo:x:27:a,user\nother:x:9:users\nbroken\n";
        let user = parse_user(passwd, "user").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_str()), (1000, 1000, "/home/user"));
        assert_eq!(groups_of(group, &user), [1000, 27]);
        assert_eq!(parse_user(passwd, "use"), None);
        assert_eq!(name_of(group, 27), "sudo");
        assert_eq!(name_of(group, 1), "1");
    }
}

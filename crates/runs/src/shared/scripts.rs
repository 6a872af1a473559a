//! The Lua scripts. KEYS and ARGV of each are written on top of its file; `store.rs` fills them.

use std::sync::LazyLock;

use redis::Script;

/// Every script of the shared sandboxes, hashed once.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    register: Script::new(concat!(
        include_str!("../lua/fence.lua"),
        include_str!("../lua/shared/register.lua")
    )),
    enter: Script::new(include_str!("../lua/shared/enter.lua")),
    stay: Script::new(include_str!("../lua/shared/stay.lua")),
    leave: Script::new(include_str!("../lua/shared/leave.lua")),
    grow: Script::new(include_str!("../lua/shared/grow.lua")),
    closing: Script::new(include_str!("../lua/shared/closing.lua")),
    ended: Script::new(include_str!("../lua/shared/ended.lua")),
    closed: Script::new(include_str!("../lua/shared/closed.lua")),
});

pub(super) struct Scripts {
    pub(super) register: Script,
    pub(super) enter: Script,
    pub(super) stay: Script,
    pub(super) leave: Script,
    pub(super) grow: Script,
    pub(super) closing: Script,
    pub(super) ended: Script,
    pub(super) closed: Script,
}

//! The Lua scripts. KEYS and ARGV of each are written on top of its file; `runs.rs` fills them.

use redis::Script;

/// Every script of the run record, hashed once.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) claim: Script,
    pub(crate) bind: Script,
    pub(crate) starting: Script,
    pub(crate) ended: Script,
    pub(crate) set: Script,
    pub(crate) finish: Script,
    pub(crate) renew: Script,
    pub(crate) unbind: Script,
    pub(crate) check: Script,
}

macro_rules! fenced {
    ($file:literal) => {
        Script::new(concat!(include_str!("lua/fence.lua"), include_str!(concat!("lua/", $file))))
    };
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            claim: fenced!("claim.lua"),
            bind: fenced!("bind.lua"),
            starting: fenced!("starting.lua"),
            ended: fenced!("ended.lua"),
            set: fenced!("set.lua"),
            finish: fenced!("finish.lua"),
            renew: fenced!("renew.lua"),
            unbind: fenced!("unbind.lua"),
            check: fenced!("check.lua"),
        }
    }
}

//! Paths by scope: what a path means, as text, without looking at any disk.
//!
//! The workspace is the directory the command starts in. Everything a project rebuilds (build
//! outputs, caches, temporary files) is apart from what is lost for good.

use crate::eval::{SOME, UNKNOWN, is_unknown};
use crate::glob;

/// Where a path lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The system, or the root itself.
    System,
    /// A home directory itself, or a part of it that is nobody's to rebuild.
    Home,
    /// A single visible file of a home.
    HomeFile,
    /// The workspace itself, with its history.
    Workspace,
    /// Everything visible in the workspace.
    WorkspaceContents,
    /// A repository's `.git`.
    GitHistory,
    /// Beside the workspace.
    Outside,
    /// Depends on the run.
    Unknown,
    /// Depends on the run and may be the root (`$x/`, `$x/*`).
    UnknownRoot,
    /// In the workspace, or a build output.
    Project,
    /// A temporary directory.
    Temp,
    /// A cache of a tool.
    Cache,
}

impl Scope {
    /// The class of an `fs.delete` effect.
    pub(crate) fn delete_class(self, recursive: bool) -> &'static str {
        match self {
            Self::System => "system",
            Self::Home => "home",
            Self::HomeFile if recursive => "home",
            Self::HomeFile => "home-file",
            Self::Workspace => "workspace",
            Self::WorkspaceContents => "workspace-contents",
            Self::GitHistory => "git-history",
            Self::Outside => "outside",
            Self::Unknown if recursive => "unknown",
            Self::Unknown => "unknown-file",
            Self::UnknownRoot => "unknown-root",
            Self::Project => "project",
            Self::Temp => "temp",
            Self::Cache => "cache",
        }
    }
}

/// The absolute form of a path; `.`, `..` and doubled slashes are gone.
pub(crate) fn normalize(path: &str, cwd: &str) -> String {
    let joined;
    let whole = if path.starts_with('/') || path.starts_with([UNKNOWN, SOME]) {
        path
    } else {
        joined = format!("{}/{path}", cwd.trim_end_matches('/'));
        &joined
    };
    let mut segments: Vec<&str> = Vec::new();
    for segment in whole.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::with_capacity(whole.len() + 1);
    if !whole.starts_with([UNKNOWN, SOME]) {
        out.push('/');
    }
    out.push_str(&segments.join("/"));
    if whole.ends_with('/') && out.starts_with([UNKNOWN, SOME]) {
        out.push('/');
    }
    out
}

const BUILD: &[&str] = &[
    "build",
    "dist",
    "out",
    "target",
    "node_modules",
    "__pycache__",
    "coverage",
    "htmlcov",
    "bin",
    "obj",
    "tmp",
    "temp",
    "cache",
    "logs",
    "log",
    "venv",
    "env",
    "vendor",
    "site-packages",
    "Debug",
    "Release",
    "x64",
    "output",
    "outputs",
    "generated",
    "storybook-static",
    "public",
    "_build",
    "_site",
    "deps",
    "Pods",
    "DerivedData",
    "elm-stuff",
    "bower_components",
    "cmake-build-debug",
    "cmake-build-release",
    "test-results",
    "playwright-report",
    "artifacts",
    "reports",
    "bazel-out",
    "zig-out",
    "zig-cache",
    "wheelhouse",
    "sdist",
    "lib-cov",
    "junit",
    "allure-results",
    "results",
    "screenshots",
    "snapshots",
    "scratch",
];

const BUILD_DOT: &[&str] = &[
    ".cache",
    ".next",
    ".nuxt",
    ".turbo",
    ".parcel-cache",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".venv",
    ".eggs",
    ".gradle",
    ".terraform",
    ".svelte-kit",
    ".output",
    ".vite",
    ".angular",
    ".nyc_output",
    ".coverage",
    ".tmp",
    ".temp",
    ".sass-cache",
    ".serverless",
    ".docusaurus",
    ".astro",
    ".expo",
    ".dart_tool",
    ".build",
    ".stack-work",
    ".ipynb_checkpoints",
    ".DS_Store",
    ".eslintcache",
    ".hypothesis",
    ".bundle",
    ".yarn",
    ".pnpm-store",
    ".webpack",
    ".rollup.cache",
    ".vercel",
    ".netlify",
    ".wrangler",
    ".direnv",
];

/// Whether a name is something a build makes again.
pub(crate) fn is_build_output(name: &str) -> bool {
    let name = name.trim_end_matches('*').trim_end_matches('-').trim_end_matches('.');
    BUILD.contains(&name)
        || BUILD_DOT.contains(&name)
        || name.ends_with(".egg-info")
        || name.ends_with(".log")
        || name.ends_with(".tmp")
        || name.ends_with(".pyc")
        || name.starts_with("cmake-build")
        || name.starts_with("bazel-")
        || name.starts_with("build-")
        || name.starts_with("dist-")
}

/// Where the normalized path lies, seen from the workspace and the home.
pub(crate) fn scope(path: &str, root: &str, home: &str) -> Scope {
    if path.starts_with([UNKNOWN, SOME]) {
        return unknown(path);
    }
    if let Some(rest) = within(path, root)
        && root != "/"
    {
        return in_workspace(rest);
    }
    if let Some(scope) = temporary(path) {
        return scope;
    }
    if let Some(scope) = at_home(path, home) {
        return scope;
    }
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let Some(first) = segments.first() else { return Scope::System };
    if covers(path, root) {
        return Scope::Workspace;
    }
    if matches!(*first, "workspace" | "workspaces" | "repo" | "repos" | "builds") {
        return beside(&segments);
    }
    if segments.last().is_some_and(|last| is_build_output(last)) && !is_system(first) {
        return Scope::Project;
    }
    if is_system(first) || is_unknown(first) || glob::is_glob(first) || segments.len() == 1 {
        return Scope::System;
    }
    Scope::Outside
}

// The part of `path` below `base`.
fn within<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

// Whether a path with globs may be the workspace or something that holds it.
fn covers(path: &str, root: &str) -> bool {
    let wanted: Vec<&str> = root.split('/').filter(|s| !s.is_empty()).collect();
    let given: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    (2..=wanted.len()).contains(&given.len())
        && given.iter().zip(&wanted).all(|(g, w)| is_unknown(g) || glob::matches(g, w))
}

fn unknown(path: &str) -> Scope {
    let head_is_whole = path.chars().nth(1).is_none_or(|c| c == '/');
    let nonempty = path.starts_with(SOME);
    let mut segments = path.split('/').skip(1).peekable();
    if segments.peek().is_none() {
        return if head_is_whole { Scope::Unknown } else { Scope::Project };
    }
    let rest: Vec<&str> = segments.collect();
    let last = rest.last().copied().unwrap_or_default();
    if rest.contains(&".git") {
        return Scope::GitHistory;
    }
    if is_build_output(last) {
        return Scope::Project;
    }
    let bare = rest.iter().all(|segment| {
        segment.is_empty()
            || segment.chars().all(|c| matches!(c, '*' | '.' | '?'))
            || is_unknown(segment)
    });
    let systemish = rest.len() == 1 && is_system(last);
    if (bare || systemish) && head_is_whole && !nonempty {
        return Scope::UnknownRoot;
    }
    Scope::Unknown
}

fn in_workspace(rest: &str) -> Scope {
    if rest.is_empty() {
        return Scope::Workspace;
    }
    if let Some(at) = rest.split('/').position(|segment| segment == ".git") {
        return git_dir(rest, at);
    }
    let hidden_glob = |s: &str| s.starts_with('.') && s != ".." && glob::matches(s, ".git");
    if !rest.contains('/') {
        if hidden_glob(rest) {
            return Scope::GitHistory;
        }
        if rest.chars().all(|c| c == '*' || c == '?') {
            return Scope::WorkspaceContents;
        }
    }
    Scope::Project
}

// Locks and half-done merges may go; history may not.
fn git_dir(rest: &str, at: usize) -> Scope {
    let inner: Vec<&str> = rest.split('/').skip(at + 1).collect();
    match inner.last() {
        None => Scope::GitHistory,
        Some(last) if last.ends_with(".lock") => Scope::Project,
        Some(last)
            if matches!(
                *last,
                "MERGE_HEAD"
                    | "MERGE_MSG"
                    | "rebase-merge"
                    | "rebase-apply"
                    | "gc.log"
                    | "CHERRY_PICK_HEAD"
                    | "COMMIT_EDITMSG"
                    | "ORIG_HEAD"
            ) =>
        {
            Scope::Project
        }
        Some(_) if inner.first() == Some(&"hooks") => Scope::Project,
        Some(_) => Scope::GitHistory,
    }
}

fn temporary(path: &str) -> Option<Scope> {
    for base in ["/tmp", "/var/tmp", "/dev/shm", "/private/tmp", "/run/user"] {
        if let Some(rest) = within(path, base) {
            return Some(if rest.is_empty() { Scope::System } else { Scope::Temp });
        }
    }
    for base in ["/var/lib/apt/lists", "/var/cache", "/usr/share/doc", "/usr/share/man"] {
        if within(path, base).is_some_and(|rest| !rest.is_empty()) {
            return Some(Scope::Cache);
        }
    }
    if path.starts_with("/var/folders/") {
        return Some(Scope::Temp);
    }
    None
}

const HOME_CACHES: &[&str] = &[
    ".cache",
    ".npm",
    ".gradle/caches",
    ".gradle/daemon",
    ".m2/repository",
    ".cargo/registry",
    ".cargo/git",
    ".pnpm-store",
    ".yarn/cache",
    ".yarn-cache",
    ".local/share/Trash",
    ".ivy2/cache",
    ".nuget/packages",
    "go/pkg",
    ".bundle/cache",
    "Library/Caches",
    ".conda/pkgs",
    ".node-gyp",
    ".electron",
    ".local/share/pnpm",
    ".local/share/virtualenvs",
    ".virtualenvs",
    ".npm/_cacache",
    ".nvm/.cache",
    ".rustup/tmp",
    ".rustup/downloads",
    ".terraform.d/plugin-cache",
    ".cpanm",
    ".hex/packages",
    ".sbt/boot",
    ".coursier",
    ".keras",
    ".torch",
    ".composer/cache",
    ".docker/buildx",
    ".tox",
    ".venv",
    ".local/pipx",
    "Library/Developer/Xcode/DerivedData",
    ".bun/install/cache",
    ".deno",
    ".vscode-server",
    ".cursor-server",
    ".expo",
    ".android/cache",
];

const HOME_PROJECTS: &[&str] = &[
    "project",
    "projects",
    "src",
    "code",
    "work",
    "workspace",
    "dev",
    "repos",
    "git",
    "app",
    "apps",
    "repo",
    "Projects",
    "Code",
    "sandbox",
    "tmp",
    "build",
    "playground",
    "Developer",
];

fn at_home(path: &str, home: &str) -> Option<Scope> {
    let rest = if let Some(rest) = within(path, home) {
        rest
    } else if let Some(rest) = within(path, "/root") {
        rest
    } else {
        let below = within(path, "/home").or_else(|| within(path, "/Users"))?;
        below.split_once('/').map_or("", |(_, rest)| rest)
    };
    let segments: Vec<&str> = rest.split('/').filter(|s| !s.is_empty()).collect();
    let Some(first) = segments.first() else { return Some(Scope::Home) };
    let whole = |s: &str| is_unknown(s) && s.chars().count() == 1;
    if segments.len() == 1 && (glob::is_glob(first) || whole(first)) {
        let risky = first.starts_with('.') || first.starts_with('*') || whole(first);
        return Some(if risky { Scope::Home } else { Scope::HomeFile });
    }
    if HOME_CACHES.iter().any(|cache| within(rest, cache).is_some()) {
        return Some(Scope::Cache);
    }
    if segments.contains(&".git") {
        return Some(Scope::GitHistory);
    }
    let last = segments.last().copied().unwrap_or_default();
    if first.starts_with('.') {
        let rebuilt = segments.len() > 1 && matches!(last, "cache" | "Cache" | "tmp" | "logs");
        return Some(if rebuilt { Scope::Cache } else { Scope::Home });
    }
    if is_build_output(last) && segments.len() > 1 {
        return Some(Scope::Project);
    }
    if HOME_PROJECTS.contains(first) {
        return Some(match segments.len() {
            1 if *first == "tmp" || *first == "build" => Scope::Project,
            1 => Scope::Home,
            2 if glob::is_glob(last) => Scope::Home,
            2 => Scope::Outside,
            _ => Scope::Project,
        });
    }
    Some(Scope::HomeFile)
}

fn beside(segments: &[&str]) -> Scope {
    let last = segments.last().copied().unwrap_or_default();
    if segments.contains(&".git") {
        return Scope::GitHistory;
    }
    match segments.len() {
        1 => Scope::Workspace,
        2 if is_build_output(last) => Scope::Project,
        2 if last.starts_with('*') || last == "." => Scope::Workspace,
        2 => Scope::Outside,
        _ if glob::is_glob(segments.get(1).copied().unwrap_or_default()) => Scope::Outside,
        _ => Scope::Project,
    }
}

/// Whether a directory below the root belongs to the system or holds what nobody rebuilds.
pub(crate) fn is_system(top: &str) -> bool {
    matches!(
        top,
        "bin"
            | "boot"
            | "dev"
            | "etc"
            | "lib"
            | "lib32"
            | "lib64"
            | "libx32"
            | "lost+found"
            | "media"
            | "mnt"
            | "opt"
            | "proc"
            | "run"
            | "sbin"
            | "srv"
            | "sys"
            | "usr"
            | "var"
            | "root"
            | "home"
            | "snap"
            | "System"
            | "Library"
            | "Applications"
            | "Users"
            | "private"
            | "data"
            | "backup"
            | "backups"
            | "nix"
            | "Volumes"
            | "storage"
            | "efi"
            | "nfs"
            | "cygdrive"
            | "Windows"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Scope {
        let cwd = "/workspace/project";
        scope(&normalize(path, cwd), cwd, "/home/user")
    }

    #[test]
    fn paths_are_judged_by_where_they_lie() {
        for (path, expected) in [
            ("/", Scope::System),
            ("/*", Scope::System),
            ("//etc/../usr", Scope::System),
            ("/tmp/x", Scope::Temp),
            ("build", Scope::Project),
            ("./a/../b", Scope::Project),
            (".", Scope::Workspace),
            ("*", Scope::WorkspaceContents),
            (".git", Scope::GitHistory),
            (".git/index.lock", Scope::Project),
            ("..", Scope::Workspace),
            ("../../etc", Scope::System),
            ("../other", Scope::Outside),
            ("/home/user", Scope::Home),
            ("/home/user/.cache/pip", Scope::Cache),
            ("/home/user/.ssh", Scope::Home),
            ("/home/user/project/dist", Scope::Project),
            ("/root/*", Scope::Home),
            ("/var/lib/apt/lists/*", Scope::Cache),
            ("\u{F0000}", Scope::Unknown),
            ("\u{F0000}/", Scope::UnknownRoot),
            ("\u{F0000}/*", Scope::UnknownRoot),
            ("\u{F0000}/node_modules", Scope::Project),
            ("./out/\u{F0000}", Scope::Project),
        ] {
            assert_eq!(at(path), expected, "{path:?}");
        }
    }
}

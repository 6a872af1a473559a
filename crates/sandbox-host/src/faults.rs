//! Faults on purpose: what a network or a cloud does once a month, at the moment a test wants it.
//!
//! Off unless [`crate::Config::faults`] is set. A host with it on applies the rules given there and
//! takes more, with its API key, by
//!
//! ```text
//! POST   /admin/faults         one rule, or an array of rules -> 201 {"ids": [1, 2]}
//! GET    /admin/faults         -> [{"id": 1, "seen": 3, "fired": 1, "fault": {...}}]
//! DELETE /admin/faults         removes all rules -> 204
//! DELETE /admin/faults/{id}    removes one -> 204, 404
//! ```
//!
//! A rule says which requests it is for, which of them it acts on, and what it does:
//!
//! ```json
//! [
//!   {"path": "/process.Process/Start", "action": {"cut": {"at": 100}}},
//!   {"method": "POST", "path": "/v2/sandboxes", "action": "loseReply"},
//!   {"path": "/files", "nth": 3, "times": 2, "action": {"delay": {"ms": 500}}},
//!   {"path": "/process.*", "forMs": 2000, "action": {"refuse": {"status": 503}}},
//!   {"path": "/*", "times": null, "action": {"refuse": {"status": 429, "retryAfter": 1}}},
//!   {"bodyContains": "make test", "action": {"killSandbox": {"afterMs": 200}}},
//!   {"path": "/process.Process/Connect", "times": null, "action": "forgetExits"}
//! ]
//! ```
//!
//! All rules that fire for one request apply: first delays, then what becomes of the sandbox, then
//! the first refusal; otherwise the request is served and its answer tampered with. Calls of
//! `/admin` itself are never touched.

use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Most rules at a time.
const MAX_RULES: usize = 1000;

/// Longest pattern or text in a rule, in bytes.
const MAX_TEXT: usize = 1024;

/// Longest delay, in milliseconds.
const MAX_WAIT: u64 = 3_600_000;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Requests with this method only, such as `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Requests whose path (without the query) is this one; `*` stands for any text, `/` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Requests for this sandbox only: by its headers or host name, or by the control plane's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Requests whose body has these bytes in it. Only bodies with a `Content-Length` of at most
    /// 1 MiB are looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
    /// The first of the matching requests that the rule acts on, counted from 1, the default.
    #[serde(default = "one")]
    pub nth: u64,
    /// On how many in a row it acts; default 1, `None` (JSON `null`) is without end.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// Instead of `times`: it acts on all from the first one on for so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What it does.
    pub action: FaultAction,
}

/// What a rule does to a request that it acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum FaultAction {
    /// Serves, and aborts the connection after so many bytes of the answer's body; an answer that is
    /// shorter comes whole. With 0 only the head of the answer comes.
    Cut {
        /// Bytes that still come.
        at: u64,
    },
    /// Serves, and holds the answer's body back for a while after so many bytes.
    Stall {
        /// Bytes that come before.
        at: u64,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Waits before the request is served or refused.
    Delay {
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Answers with an error instead of serving.
    Refuse {
        /// The HTTP status, 400 to 599; also the `code` of the JSON body.
        status: u16,
        /// `Retry-After`, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// `Should-Retry`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        should_retry: Option<bool>,
        /// The `message` of the body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Serves to the end, then aborts the connection without an answer: the work is done, and the
    /// client cannot know. On `POST /v2/sandboxes` that is a sandbox whose creator has no id of it.
    LoseReply,
    /// Serves, and kills the sandbox on the way, which cuts all its streams.
    KillSandbox {
        /// Bytes of the answer that come before; default 0.
        #[serde(default)]
        at: u64,
        /// Then so many milliseconds; default 0.
        #[serde(default)]
        after_ms: u64,
    },
    /// Ends the sandbox before the request is served, which then finds nothing.
    ForgetSandbox,
    /// The daemon forgets the ends of all processes first, as versions before 0.6.12 did at once: a
    /// late `Connect` is `not_found`.
    ForgetExits,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
const fn once() -> Option<u64> {
    Some(1)
}

/// A rule that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A field has an impossible value.
    #[error("{field}: {problem}")]
    Field {
        /// Its name in JSON.
        field: &'static str,
        /// What to write instead.
        problem: &'static str,
    },
    /// There are rules enough.
    #[error("at most {MAX_RULES} rules at a time: remove some with DELETE /admin/faults")]
    TooMany,
}

impl Fault {
    /// Acts on the first request with this path (`*` stands for any text).
    pub fn new(path: impl Into<String>, action: FaultAction) -> Self {
        Self {
            method: None,
            path: Some(path.into()),
            sandbox: None,
            body_contains: None,
            nth: 1,
            times: Some(1),
            for_ms: None,
            action,
        }
    }

    fn check(&self) -> Result<(), FaultError> {
        let refuse = |field, problem| Err(FaultError::Field { field, problem });
        if self.nth == 0 {
            return refuse("nth", "counts from 1");
        }
        if self.times == Some(0) {
            return refuse("times", "use 1 or more, or null for without end");
        }
        let texts = [&self.method, &self.path, &self.sandbox, &self.body_contains];
        if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT || text.is_empty()) {
            return refuse("match", "use texts of 1 to 1024 bytes, or leave the field out");
        }
        match &self.action {
            FaultAction::Refuse { status, .. } if !(400..=599).contains(status) => {
                refuse("action.refuse.status", "use 400 to 599")
            }
            FaultAction::Refuse { message: Some(text), .. } if text.len() > MAX_TEXT => {
                refuse("action.refuse.message", "use at most 1024 bytes")
            }
            FaultAction::Delay { ms }
            | FaultAction::Stall { ms, .. }
            | FaultAction::KillSandbox { after_ms: ms, .. }
                if *ms > MAX_WAIT =>
            {
                refuse("action", "wait at most 3600000 ms")
            }
            _ => Ok(()),
        }
    }

    fn matches(&self, request: &Asked<'_>) -> bool {
        let method = self.method.as_ref().is_none_or(|method| request.method.as_str() == method);
        let path = self.path.as_ref().is_none_or(|path| glob(path, request.path));
        let sandbox =
            self.sandbox.as_ref().is_none_or(|sandbox| request.sandbox == Some(sandbox.as_str()));
        method && path && sandbox
    }
}

/// A request as rules see it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) sandbox: Option<&'a str>,
}

/// A rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// Number of the rule; never used again.
    pub id: u64,
    /// Requests that it was for.
    pub seen: u64,
    /// Requests that it acted on.
    pub fired: u64,
    /// The rule.
    pub fault: Fault,
}

#[derive(Debug)]
struct Rule {
    report: FaultReport,
    /// When it acted for the first time.
    since: Option<Instant>,
}

impl Rule {
    fn strike(&mut self, now: Instant) -> bool {
        let FaultReport { seen, fired, fault, .. } = &mut self.report;
        *seen += 1;
        if *seen < fault.nth {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let acts = match fault.for_ms {
            Some(ms) => now.duration_since(since) < Duration::from_millis(ms),
            None => fault.times.is_none_or(|times| *fired < times),
        };
        *fired += u64::from(acts);
        acts
    }
}

/// The rules of a host.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    rules: Vec<Rule>,
    last: u64,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Result<Self, FaultError> {
        let all = Self::default();
        all.add(faults)?;
        Ok(all)
    }

    /// Adds rules behind those that are there; all or, if one of them is wrong, none.
    pub fn add(&self, faults: Vec<Fault>) -> Result<Vec<u64>, FaultError> {
        faults.iter().try_for_each(Fault::check)?;
        let mut all = self.0.lock();
        if all.rules.len() + faults.len() > MAX_RULES {
            return Err(FaultError::TooMany);
        }
        let ids = faults.into_iter().map(|fault| {
            all.last += 1;
            let report = FaultReport { id: all.last, seen: 0, fired: 0, fault };
            all.rules.push(Rule { report, since: None });
            all.last
        });
        Ok(ids.collect())
    }

    /// Removes one; `false` if it is not there.
    pub fn remove(&self, id: u64) -> bool {
        let mut all = self.0.lock();
        let before = all.rules.len();
        all.rules.retain(|rule| rule.report.id != id);
        all.rules.len() < before
    }

    /// Removes all.
    pub fn clear(&self) {
        self.0.lock().rules.clear();
    }

    /// All rules, with how often each was met.
    pub fn report(&self) -> Vec<FaultReport> {
        self.0.lock().rules.iter().map(|rule| rule.report.clone()).collect()
    }

    /// Whether the body of a request decides about a rule.
    pub(crate) fn asks_for_body(&self, request: &Asked<'_>) -> bool {
        let all = self.0.lock();
        let mut faults = all.rules.iter().map(|rule| &rule.report.fault);
        faults.any(|fault| fault.body_contains.is_some() && fault.matches(request))
    }

    /// Counts a request and says what is to be done to it.
    pub(crate) fn strike(&self, request: &Asked<'_>, body: Option<&[u8]>) -> Vec<FaultAction> {
        self.strike_at(Instant::now(), request, body)
    }

    fn strike_at(
        &self,
        now: Instant,
        request: &Asked<'_>,
        body: Option<&[u8]>,
    ) -> Vec<FaultAction> {
        let mut actions = Vec::new();
        for rule in &mut self.0.lock().rules {
            let fault = &rule.report.fault;
            let has = |text: &String| {
                body.is_some_and(|body| body.windows(text.len()).any(|at| at == text.as_bytes()))
            };
            if fault.matches(request)
                && fault.body_contains.as_ref().is_none_or(has)
                && rule.strike(now)
            {
                actions.push(rule.report.fault.action.clone());
            }
        }
        actions
    }
}

/// Whether `text` has the form of `pattern`, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Where to go on if the last star has to stand for one byte more.
    let mut star = None;
    while from < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, from));
        } else if pattern.get(at) == Some(&text[from]) {
            (at, from) = (at + 1, from + 1);
        } else if let Some((after, begun)) = star {
            star = Some((after, begun + 1));
            (at, from) = (after, begun + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, want) in [
            ("/files", "/files", true),
            ("/files", "/files/x", false),
            ("*", "", true),
            ("/process.*", "/process.Process/Start", true),
            ("/*/Start", "/process.Process/Start", true),
            ("/*/Start", "/process.Process/Starts", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxbxxa", false),
            ("", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), want, "{pattern} {text}");
        }
    }

    fn asked(path: &str) -> Asked<'_> {
        Asked { method: &Method::POST, path, sandbox: Some("i1") }
    }

    fn fired(fault: Fault, requests: usize) -> Vec<bool> {
        let faults = Faults::new(vec![fault]).unwrap();
        (0..requests).map(|_| !faults.strike(&asked("/a"), None).is_empty()).collect()
    }

    #[test]
    fn a_rule_acts_from_the_nth_match_on_and_so_many_times() {
        let rule = |nth, times| Fault { nth, times, ..Fault::new("/*", FaultAction::LoseReply) };
        assert_eq!(fired(rule(1, Some(1)), 3), [true, false, false]);
        assert_eq!(fired(rule(2, Some(2)), 4), [false, true, true, false]);
        assert_eq!(fired(rule(2, None), 4), [false, true, true, true]);
    }

    #[test]
    fn a_rule_for_a_while_acts_until_then() {
        let mut fault = Fault::new("/*", FaultAction::LoseReply);
        fault.for_ms = Some(100);
        let faults = Faults::new(vec![fault]).unwrap();
        let now = Instant::now();
        let fires = [0, 0, 99, 100].map(|ms| {
            let at = now + Duration::from_millis(ms);
            !faults.strike_at(at, &asked("/a"), None).is_empty()
        });
        assert_eq!(fires, [true, true, true, false]);
        assert_eq!((faults.report()[0].seen, faults.report()[0].fired), (4, 3));
    }

    #[test]
    fn a_rule_is_for_what_all_its_fields_say() {
        let parse = |text| serde_json::from_value::<Fault>(text).unwrap();
        for (fault, body, want) in [
            (json!({"action": "loseReply"}), None, true),
            (json!({"sandbox": "i1", "method": "POST", "action": "loseReply"}), None, true),
            (json!({"sandbox": "i2", "action": "loseReply"}), None, false),
            (json!({"method": "GET", "action": "loseReply"}), None, false),
            (json!({"bodyContains": "make", "action": "loseReply"}), None, false),
            (json!({"bodyContains": "make", "action": "loseReply"}), Some("x make"), true),
            (json!({"bodyContains": "make", "action": "loseReply"}), Some("x"), false),
        ] {
            let faults = Faults::new(vec![parse(fault.clone())]).unwrap();
            let actions = faults.strike(&asked("/a"), body.map(str::as_bytes));
            assert_eq!(!actions.is_empty(), want, "{fault} {body:?}");
        }
    }

    #[test]
    fn rules_survive_json_and_wrong_ones_are_named() {
        for action in [
            json!({"cut": {"at": 100}}),
            json!({"stall": {"at": 1, "ms": 2}}),
            json!({"refuse": {"status": 429, "retryAfter": 1, "shouldRetry": true}}),
            json!({"killSandbox": {"at": 0, "afterMs": 5}}),
            json!("forgetExits"),
        ] {
            let fault: Fault = serde_json::from_value(json!({"action": action})).unwrap();
            assert_eq!(serde_json::to_value(&fault).unwrap()["action"], action);
        }
        for (wrong, field) in [
            (json!({"nth": 0, "action": "loseReply"}), "nth"),
            (json!({"times": 0, "action": "loseReply"}), "times"),
            (json!({"path": "", "action": "loseReply"}), "match"),
            (json!({"action": {"refuse": {"status": 200}}}), "action.refuse.status"),
            (json!({"action": {"delay": {"ms": 3_600_001}}}), "action"),
        ] {
            let fault: Fault = serde_json::from_value(wrong).unwrap();
            let error = Faults::new(vec![fault]).unwrap_err();
            assert!(matches!(error, FaultError::Field { field: named, .. } if named == field));
        }
        for unknown in [json!({"action": "explode"}), json!({"pth": "/", "action": "loseReply"})] {
            assert!(serde_json::from_value::<Fault>(unknown).is_err());
        }
    }

    /// The same by trying all possibilities.
    fn slow_glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| slow_glob(rest, &text[at..])),
            Some((byte, rest)) => text.first() == Some(byte) && slow_glob(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn globs_match_as_if_all_possibilities_were_tried(
            pattern in "[ab*]{0,7}",
            text in "[ab]{0,9}",
        ) {
            prop_assert_eq!(glob(&pattern, &text), slow_glob(pattern.as_bytes(), text.as_bytes()));
        }
    }
}

//! Lists of sandboxes: filters, order and pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::sandboxes::Sandbox;

/// Largest page.
const MAX_LIMIT: usize = 100;

/// The query of `GET /v2/sandboxes`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Query {
    metadata: Option<String>,
    state: Option<String>,
    order: Option<String>,
    started_after: Option<String>,
    template: Option<String>,
    limit: Option<String>,
    next_token: Option<String>,
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) sandboxes: Vec<Arc<Sandbox>>,
    pub(crate) next: Option<String>,
    /// Only if running ones were asked for.
    pub(crate) total_running: Option<usize>,
}

impl Query {
    /// The query of the old list: running ones, all on one page.
    pub(crate) fn running(metadata: Option<String>) -> Self {
        Self { metadata, state: Some("running".into()), ..Self::default() }
    }

    /// Selects one page; the error says which parameter is wrong.
    pub(crate) fn page(&self, mut all: Vec<Arc<Sandbox>>, paged: bool) -> Result<Page, String> {
        let wanted = parse_metadata(self.metadata.as_deref().unwrap_or_default());
        let states = self.state.as_deref().filter(|state| !state.is_empty());
        let states: Vec<&str> = states.unwrap_or("running,paused").split(',').collect();
        if let Some(unknown) = states.iter().find(|state| !["running", "paused"].contains(state)) {
            return Err(format!("state: unknown value '{unknown}', use running or paused"));
        }
        let ascending = match self.order.as_deref() {
            None | Some("" | "desc") => false,
            Some("asc") => true,
            Some(other) => return Err(format!("order: unknown value '{other}', use asc or desc")),
        };
        let after: Option<Timestamp> = match &self.started_after {
            Some(text) => {
                Some(text.parse().map_err(|_invalid| "startedAfter: not an RFC 3339 time")?)
            }
            None => None,
        };
        let limit = match self.limit.as_deref().map(str::parse) {
            _ if !paged => usize::MAX,
            None => MAX_LIMIT,
            Some(Ok(limit @ 1..=MAX_LIMIT)) => limit,
            Some(_) => return Err(format!("limit: use 1 to {MAX_LIMIT}")),
        };
        let cursor = match self.next_token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => Some(parse_cursor(token, ascending)?),
            None => None,
        };
        all.retain(|sandbox| {
            let has = |(key, value)| sandbox.wanted.metadata.get(key) == Some(value);
            wanted.iter().all(has)
                && after.is_none_or(|after| sandbox.started_at > after)
                && self.template.as_ref().is_none_or(|name| sandbox.wanted.template == *name)
        });
        let running = |sandbox: &Arc<Sandbox>| !sandbox.life.borrow().paused;
        let total_running =
            states.contains(&"running").then(|| all.iter().filter(|one| running(one)).count());
        all.retain(|sandbox| states.contains(&if running(sandbox) { "running" } else { "paused" }));
        let key = |sandbox: &Arc<Sandbox>| (sandbox.started_at, sandbox.id.clone());
        all.sort_by_cached_key(key);
        if !ascending {
            all.reverse();
        }
        if let Some(cursor) = cursor {
            all.retain(|one| if ascending { key(one) > cursor } else { key(one) < cursor });
        }
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|last| cursor_of(last, ascending));
        Ok(Page { sandboxes: all, next, total_running })
    }
}

/// Clients encode the metadata filter three times: each key and value, the query that they form,
/// and that as one value. The last was undone before.
pub(crate) fn parse_metadata(text: &str) -> BTreeMap<String, String> {
    let decode = |part: &str| {
        let once = part.replace('+', " ");
        let once = percent_decode_str(&once).decode_utf8_lossy().into_owned();
        percent_decode_str(&once).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

fn cursor_of(sandbox: &Sandbox, ascending: bool) -> String {
    let order = if ascending { "__asc" } else { "" };
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}__{}{order}", sandbox.started_at, sandbox.id))
}

fn parse_cursor(token: &str, ascending: bool) -> Result<(Timestamp, String), String> {
    let invalid = || "nextToken: invalid".to_owned();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.trim_end_matches('='));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(invalid)?;
    let mut parts = text.split("__");
    let (time, id, order) = (parts.next(), parts.next(), parts.next());
    if (order == Some("asc")) != ascending {
        return Err("nextToken: belongs to a list of the other order".into());
    }
    let time = time.and_then(|time| time.parse().ok()).ok_or_else(invalid)?;
    Ok((time, id.ok_or_else(invalid)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_metadata_filter_is_decoded_as_often_as_clients_encode_it() {
        // {"k k": "v&v"} as it stands after the query itself was decoded once.
        let got = parse_metadata("k%2520k=v%2526v");
        assert_eq!(got, BTreeMap::from([("k k".to_owned(), "v&v".to_owned())]));
        assert_eq!(parse_metadata(""), BTreeMap::new());
    }

    proptest! {
        #[test]
        fn any_metadata_survives_the_encoding_of_clients(
            metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        ) {
            let encode = |text: &str| {
                let all = percent_encoding::NON_ALPHANUMERIC;
                let once = percent_encoding::utf8_percent_encode(text, all).to_string();
                percent_encoding::utf8_percent_encode(&once, all).to_string()
            };
            let pairs: Vec<_> =
                metadata.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
            prop_assert_eq!(parse_metadata(&pairs.join("&")), metadata);
        }

        #[test]
        fn any_filter_and_any_cursor_is_read_or_refused(
            text in prop_oneof![any::<String>(), "[%0-9a-fA-F+&=]{0,60}"],
            bytes in any::<Vec<u8>>(),
        ) {
            prop_assert!(parse_metadata(&text).len() <= text.len());
            let _refused_mostly = parse_cursor(&text, false);
            let _refused_mostly = parse_cursor(&BASE64_URL_SAFE_NO_PAD.encode(bytes), true);
        }
    }
}

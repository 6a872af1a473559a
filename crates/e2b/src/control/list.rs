//! Listing sandboxes, page by page.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::call::{Answer, Call};
use super::client::{Client, decode, version};
use super::types::{ListQuery, Order, SandboxInfo, SandboxState};
use super::wire::InfoReply;
use crate::error::Error;

const OPERATION: &str = "list sandboxes";
/// The provider's largest page.
const PAGE: usize = 100;
/// More pages than any account fills.
const MAX_PAGES: usize = 5000;
/// What `encodeURIComponent` leaves alone, as the official SDKs encode.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl Client {
    /// Lists the account's sandboxes, following the provider's pages.
    ///
    /// The list is not a snapshot: a sandbox that starts or ends meanwhile may be missing.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there are more than [`Limits`](crate::Limits)`::list_entries`;
    /// ask for less with [`ListQuery::limit`].
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<SandboxInfo>, Error> {
        let wanted = query.limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        let mut room = self.0.limits.control_body.saturating_mul(8);
        for _ in 0..MAX_PAGES {
            let answer = self.page(query, token.as_deref()).await?;
            room = room
                .checked_sub(answer.body.len())
                .ok_or_else(|| Error::too_large(OPERATION, self.0.limits.list_entries as u64))?;
            let page: Vec<InfoReply> = decode(OPERATION, &answer)?;
            for reply in page {
                let info = reply.into_info(OPERATION)?;
                if matches(query, &info) {
                    found.push(info);
                }
            }
            if found.len() > self.0.limits.list_entries && query.limit.is_none() {
                return Err(Error::too_large(OPERATION, self.0.limits.list_entries as u64));
            }
            match answer.next_token {
                Some(next) if found.len() < wanted && token.as_ref() != Some(&next) => {
                    token = Some(next);
                }
                Some(_) if found.len() < wanted => break,
                _ => {
                    found.truncate(wanted);
                    return Ok(found);
                }
            }
        }
        // A provider that hands out pages for ever must not keep us for ever.
        Err(Error::protocol(OPERATION, "pages that lead nowhere"))
    }

    async fn page(&self, query: &ListQuery, token: Option<&str>) -> Result<Answer, Error> {
        let call = |is_v1: bool| -> Result<Call, Error> {
            let mut call = self.0.get(OPERATION, &version(is_v1, &["sandboxes"]))?;
            add_parameters(&mut call.url, query, token, is_v1);
            Ok(call)
        };
        self.0.call_v2_or_v1(call).await
    }
}

fn add_parameters(url: &mut url::Url, query: &ListQuery, token: Option<&str>, is_v1: bool) {
    let mut pairs = url.query_pairs_mut();
    if !query.metadata.is_empty() {
        pairs.append_pair("metadata", &metadata_filter(&query.metadata));
    }
    if !is_v1 {
        let states = states(&query.states);
        if !states.is_empty() {
            pairs.append_pair("state", &states.join(","));
        }
        if query.order == Order::Ascending {
            pairs.append_pair("order", "asc");
        }
        if let Some(instant) = query.started_after {
            pairs.append_pair("startedAfter", &instant.to_string());
        }
        if let Some(template) = &query.template {
            pairs.append_pair("template", template);
        }
        pairs.append_pair("limit", &query.limit.unwrap_or(PAGE).clamp(1, PAGE).to_string());
        if let Some(token) = token {
            pairs.append_pair("nextToken", token);
        }
    }
    drop(pairs);
    if url.query() == Some("") {
        url.set_query(None);
    }
}

/// The filter as the provider decodes it: keys and values percent-encoded, joined as a query
/// string (which encodes them again), and that string is the parameter's value (and is encoded
/// once more by whoever builds the URL).
fn metadata_filter(metadata: &BTreeMap<String, String>) -> String {
    let mut joined = form_urlencoded::Serializer::new(String::new());
    for (key, value) in metadata {
        let [key, value] =
            [key, value].map(|text| utf8_percent_encode(text, COMPONENT).to_string());
        joined.append_pair(&key, &value);
    }
    joined.finish()
}

fn states(states: &[SandboxState]) -> Vec<&'static str> {
    let name = |state: &SandboxState| match state {
        SandboxState::Running => Some("running"),
        SandboxState::Paused => Some("paused"),
        SandboxState::Unknown => None,
    };
    states.iter().filter_map(name).collect()
}

/// Whether a sandbox is one that was asked for, whatever filter the provider applied.
fn matches(query: &ListQuery, info: &SandboxInfo) -> bool {
    let has_labels =
        query.metadata.iter().all(|(key, value)| info.metadata.get(key) == Some(value));
    let has_state = query.states.is_empty() || query.states.contains(&info.state);
    let is_after = query.started_after.is_none_or(|instant| info.started_at >= instant);
    has_labels && has_state && is_after
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_metadata_filter_is_encoded_as_often_as_the_provider_decodes() {
        let query = ListQuery {
            metadata: [("k k".to_owned(), "v&v".to_owned())].into(),
            ..ListQuery::default()
        };
        let mut url: url::Url = "http://h/v2/sandboxes".parse().unwrap();
        add_parameters(&mut url, &query, None, false);
        assert_eq!(url.query(), Some("metadata=k%252520k%3Dv%252526v&limit=100"));
    }

    proptest! {
        #[test]
        fn any_label_survives_the_decoding(
            labels in prop::collection::btree_map(".{1,12}", ".{0,12}", 1..4),
        ) {
            let query = ListQuery { metadata: labels.clone(), ..ListQuery::default() };
            let mut url: url::Url = "http://h/".parse().unwrap();
            add_parameters(&mut url, &query, None, true);
            let (_, value) = url.query_pairs().next().unwrap();
            let once = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
            let decoded = form_urlencoded::parse(value.as_bytes());
            let decoded: BTreeMap<_, _> = decoded.map(|(k, v)| (once(&k), once(&v))).collect();
            prop_assert_eq!(decoded, labels);
        }
    }

    #[test]
    fn the_old_list_gets_no_parameter_it_does_not_know() {
        let query = ListQuery {
            limit: Some(3),
            states: vec![SandboxState::Paused],
            ..ListQuery::default()
        };
        let mut url: url::Url = "http://h/sandboxes".parse().unwrap();
        add_parameters(&mut url, &query, Some("t"), true);
        assert_eq!(url.query(), None);
    }
}

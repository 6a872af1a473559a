//! File contents, over plain HTTP.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::timeout;
use url::Url;

use super::rpc::refused;
use super::sandbox::Sandbox;
use crate::error::Error;
use crate::transport::{self, Refusal};
use crate::{ids, transport::send};

const WRITE: &str = "write file";
const READ: &str = "read file";
/// How much goes into one multipart request, in bytes.
const BATCH: usize = 8 << 20;
/// The first envd that takes a raw body.
const RAW_BODY: [u64; 3] = [0, 5, 7];

impl Sandbox {
    /// Writes a whole file, replacing what is there and making missing parents. It belongs to
    /// `user`; relative paths are under that user's home.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the path is a directory or the disk is full. Any other error
    /// leaves open how much of the file was written.
    pub async fn write_file(
        &self,
        user: Option<&str>,
        path: &str,
        data: Bytes,
    ) -> Result<(), Error> {
        let request = self.transport().files.post(self.files_url(user, Some(path))?);
        let request = if self.takes_raw_body() {
            request.header(CONTENT_TYPE, "application/octet-stream").body(data)
        } else {
            request.multipart(Form::new().part("file", part(data, "file")))
        };
        self.upload(request).await
    }

    /// Writes several files, in as few requests as their sizes and names allow. After an error
    /// some of them may have been written.
    pub async fn write_files(
        &self,
        user: Option<&str>,
        files: impl IntoIterator<Item = (String, Bytes)>,
    ) -> Result<(), Error> {
        let (mut form, mut size) = (None::<Form>, 0);
        for (path, data) in files {
            ids::check_path(&path)?;
            if !is_plain_name(&path) || data.len() > BATCH {
                self.write_file(user, &path, data).await?;
                continue;
            }
            if size + data.len() > BATCH
                && let Some(full) = form.take()
            {
                self.upload_form(user, full).await?;
                size = 0;
            }
            size += data.len();
            form = Some(form.unwrap_or_default().part("file", part(data, &path)));
        }
        match form {
            Some(form) => self.upload_form(user, form).await,
            None => Ok(()),
        }
    }

    /// Reads a file, or `range` of its bytes. What lies beyond its end is left out, so a range
    /// that begins there is empty.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, [`Error::InvalidArgument`] if it is a directory,
    /// [`Error::TooLarge`] if there is more to read than `cap` bytes: nothing is returned then.
    pub async fn read_file(
        &self,
        user: Option<&str>,
        path: &str,
        range: Option<Range<u64>>,
        cap: u64,
    ) -> Result<Bytes, Error> {
        let mut request = self
            .transport()
            .files
            .get(self.files_url(user, Some(path))?)
            .headers(self.headers(None)?)
            .header(ACCEPT_ENCODING, "identity");
        if let Some(range) = &range {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        let work = async {
            let sending = send(READ, request);
            let response = transport::within(READ, self.timeouts().request, sending).await?;
            self.download(response, range, cap).await
        };
        transport::within(READ, self.timeouts().transfer, work).await
    }

    async fn download(
        &self,
        response: Response,
        range: Option<Range<u64>>,
        cap: u64,
    ) -> Result<Bytes, Error> {
        let asked = range.is_some();
        let range = range.unwrap_or(0..u64::MAX);
        let skip = match response.status() {
            // envd answers a range of an empty file, and a host may answer any, with the whole.
            StatusCode::OK => range.start,
            StatusCode::PARTIAL_CONTENT if asked && starts_at(&response, range.start) => 0,
            StatusCode::PARTIAL_CONTENT => {
                return Err(Error::protocol(READ, "another range than was asked for"));
            }
            StatusCode::RANGE_NOT_SATISFIABLE if asked => return Ok(Bytes::new()),
            _ => return Err(refused(READ, &Refusal::read(response).await)),
        };
        transport::refuse_encoding(READ, &response)?;
        self.collect(response, skip, range.end - range.start, cap).await
    }

    /// Reads a body without its first `skip` bytes, `length` bytes at most.
    async fn collect(
        &self,
        mut response: Response,
        mut skip: u64,
        length: u64,
        cap: u64,
    ) -> Result<Bytes, Error> {
        let mut kept = BytesMut::new();
        loop {
            let chunk = match timeout(self.timeouts().request, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(kept.freeze()),
                Ok(Err(error)) => return Err(Error::transport(READ, error)),
                Err(_) => return Err(Error::timeout(READ)),
            };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let rest = &chunk[usize::try_from(skipped).unwrap_or(chunk.len())..];
            let room = length - kept.len() as u64;
            let taken = &rest[..usize::try_from(room).unwrap_or(usize::MAX).min(rest.len())];
            if taken.len() as u64 > cap - kept.len() as u64 {
                return Err(Error::too_large(READ, cap));
            }
            kept.extend_from_slice(taken);
            if kept.len() as u64 == length && taken.len() < rest.len() {
                return Ok(kept.freeze());
            }
        }
    }

    async fn upload_form(&self, user: Option<&str>, form: Form) -> Result<(), Error> {
        let url = self.files_url(user, None)?;
        self.upload(self.transport().files.post(url).multipart(form)).await
    }

    async fn upload(&self, request: RequestBuilder) -> Result<(), Error> {
        let work = async {
            let response = send(WRITE, request.headers(self.headers(None)?)).await?;
            if !response.status().is_success() {
                return Err(refused(WRITE, &Refusal::read(response).await));
            }
            // The list of what was written says nothing new, but must be read: a connection that
            // ends in it may be the sandbox's death.
            transport::read_body(WRITE, response, self.limits().envd_body).await?;
            Ok(())
        };
        transport::within(WRITE, self.timeouts().transfer, work).await
    }

    fn files_url(&self, user: Option<&str>, path: Option<&str>) -> Result<Url, Error> {
        let mut url = self.url(&["files"])?;
        if let Some(path) = path {
            ids::check_path(path)?;
            url.query_pairs_mut().append_pair("path", path);
        }
        if let Some(user) = user {
            ids::check_user(user)?;
            url.query_pairs_mut().append_pair("username", user);
        }
        Ok(url)
    }

    fn takes_raw_body(&self) -> bool {
        self.envd_version().and_then(parse_version).is_none_or(|version| version >= RAW_BODY)
    }
}

/// Whether a multipart header can carry the path as it is.
fn is_plain_name(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+=@,~".contains(&b))
}

fn part(data: Bytes, name: &str) -> Part {
    let length = data.len() as u64;
    Part::stream_with_length(data, length).file_name(name.to_owned())
}

/// Whether `Content-Range` begins where it should.
fn starts_at(response: &Response, start: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes "));
    let first = first.and_then(|range| range.split('-').next()).map(str::parse::<u64>);
    matches!(first, Some(Ok(first)) if first == start)
}

/// `1.2.3`, with anything after it ignored.
fn parse_version(text: &str) -> Option<[u64; 3]> {
    let mut parts = text.trim_start_matches('v').splitn(3, '.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse::<u64>().ok()
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (text, version) in [
            ("0.6.13", Some([0, 6, 13])),
            ("v0.5.7-dev", Some([0, 5, 7])),
            ("0.10", None),
            ("", None),
            ("a.b.c", None),
            ("99999999999999999999.0.0", None),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
        assert!(parse_version("0.10.0") > Some(RAW_BODY));
    }
}

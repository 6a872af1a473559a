//! A server on loopback that answers exactly what a test tells it to, and remembers what it was
//! asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use airlock_e2b::{Client, Config, Sandbox};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the server was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A running server; it ends with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers the n-th request (from 0) with `answer(n, request)`.
    pub(crate) async fn start(
        answer: impl Fn(usize, &Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let handler = move |request: Request| {
            let (sender, count, answer) = (sender.clone(), count.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let asked = Asked {
                    method: parts.method,
                    target: parts.uri.to_string(),
                    headers: parts.headers,
                    body: to_bytes(body, usize::MAX).await.unwrap(),
                };
                let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let response = answer(n, &asked);
                let _ = sender.send(asked);
                response
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(handler);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, task }
    }

    /// The requests so far.
    pub(crate) fn asked(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    pub(crate) fn config(&self) -> Config {
        let url: url::Url = format!("http://{}", self.address).parse().unwrap();
        let mut config = Config::new(url.clone(), "e2b_key".to_owned().into());
        config.sandbox_url = Some(url);
        config.timeouts.request = Duration::from_secs(5);
        config.timeouts.call = Duration::from_secs(10);
        config
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        self.client().attach("i1", "token".to_owned().into(), None)
    }
}

pub(crate) fn reply(status: u16, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

pub(crate) fn proto(message: &impl prost::Message) -> Response {
    Response::builder()
        .header("content-type", "application/proto")
        .body(message.encode_to_vec().into())
        .unwrap()
}

/// A body that ends well after these chunks.
pub(crate) fn chunks(chunks: Vec<Vec<u8>>) -> Body {
    Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>)))
}

/// A body whose connection is cut after these chunks were sent.
pub(crate) fn cut(chunks: Vec<Vec<u8>>) -> Body {
    // hyper drops what it has not written when the body fails.
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut"))
    });
    Body::from_stream(stream::iter(chunks.into_iter().map(Ok)).chain(end))
}

/// A body that says nothing more after these chunks.
pub(crate) fn hang(chunks: Vec<Vec<u8>>) -> Body {
    let all = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
    Body::from_stream(all.chain(stream::pending()))
}

pub(crate) fn streaming(body: Body) -> Response {
    Response::builder().header("content-type", "application/connect+proto").body(body).unwrap()
}

/// One envelope.
pub(crate) fn envelope(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut all = vec![flags];
    all.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    all.extend_from_slice(payload);
    all
}

pub(crate) const SANDBOX: &str = r#"{"sandboxID":"i1","templateID":"base","clientID":"c",
    "envdVersion":"0.6.13","envdAccessToken":"t0ken","trafficAccessToken":null,"domain":null}"#;

//! The connections: what goes wrong behind an answer goes wrong here.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

use crate::store::Objects;
use crate::{Fake, Shared};

/// What an operation says about its own answer; never sent.
pub(crate) const MARK: &str = "x-fake-trouble";

/// Listens on a free port, which it returns.
pub(crate) async fn listen(state: Shared) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut builder = S3ServiceBuilder::new(Objects(state.clone()));
    builder.set_auth(SimpleAuth::from_single(Fake::ACCESS_KEY, Fake::SECRET_KEY));
    let service = builder.build();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (service, state) = (service.clone(), state.clone());
            tokio::spawn(async move {
                let answer =
                    service_fn(move |request| in_time(service.clone(), state.clone(), request));
                let connection = TokioIo::new(connection);
                let serving = hyper::server::conn::http1::Builder::new();
                // A client that goes away, and an answer that is to be lost, end it.
                let _ = serving.serve_connection(connection, answer).await;
            });
        }
    });
    port
}

/// Answers as late as it is to, and counts how many others wait.
async fn in_time(
    service: S3Service,
    state: Shared,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let delay = state.lock().begin();
    tokio::time::sleep(delay).await;
    let answered = answer(service, request).await;
    state.lock().end();
    answered
}

async fn answer(service: S3Service, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let answered = Service::call(&service, request).await;
    let mut answer = answered.map_err(|error| io::Error::other(format!("{error:?}")))?;
    let Some(mark) = answer.headers_mut().remove(MARK) else {
        return Ok(answer);
    };
    match mark.as_bytes() {
        b"lost" => Err(io::ErrorKind::ConnectionReset.into()),
        b"cut" => cut(answer).await,
        _ => {
            let error = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>";
            Ok(Response::new(Body::from(error.to_owned())))
        }
    }
}

/// How long a connection is silent before it ends.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// An answer that says how long it is and ends in the middle.
async fn cut(answer: Response<Body>) -> io::Result<Response<Body>> {
    let (head, body) = answer.into_parts();
    let whole = BodyExt::collect(body)
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let half: Bytes = whole.slice(..whole.len() / 2);
    let begun = stream::iter([Ok(Frame::data(half))]);
    let end = stream::once(async {
        // What was begun is sent meanwhile; it would be dropped with the connection.
        tokio::time::sleep(CUT_AFTER).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let body = Body::http_body_unsync(StreamBody::new(begun.chain(end)));
    Ok(Response::from_parts(head, body))
}

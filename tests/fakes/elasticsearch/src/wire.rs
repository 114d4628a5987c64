//! Connections: bytes in, bytes out, and those that end when they should not.

use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::response::Response;
use axum::{Router, routing};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Notify;

use crate::script::{Fault, Seen};
use crate::serve::{Answer, Asked, answer, error};
use crate::{Shared, bulk};

/// A body of more is no test's.
const BODY_MAX: usize = 256 << 20;

/// Takes connections until the runtime ends.
pub(crate) async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let router = Router::new()
        .fallback(routing::any(handle))
        .with_state(shared);
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let end = Arc::new(Notify::new());
        let service = router.clone().layer(Extension(Arc::clone(&end)));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            tokio::select! {
                _ = connection => {}
                () = end.notified() => {}
            }
        });
    }
}

/// Ends the connection this request came by.
async fn hang_up(end: &Notify) -> Response {
    end.notify_one();
    std::future::pending().await
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    Extension(end): Extension<Arc<Notify>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
    let text = |name| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let gzip = text(CONTENT_ENCODING).as_deref() == Some("gzip");
    let body = match gzip {
        true => {
            let mut plain = Vec::new();
            let unpacked = flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain);
            match unpacked {
                Ok(_) => Bytes::from(plain),
                Err(_) => return respond(error(400, "parse_exception", "not gzip"), None).await,
            }
        }
        false => body,
    };
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        media: text(CONTENT_TYPE),
        body,
    };
    let (fault, refused) = {
        let mut script = shared.script();
        let authorization = text(AUTHORIZATION);
        script.seen.push(Seen {
            method: asked.method.clone(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            body: String::from_utf8_lossy(&asked.body).into_owned(),
            gzip,
            authorization: authorization.clone(),
        });
        let stranger = script
            .key
            .as_ref()
            .is_some_and(|key| authorization.as_deref() != Some(format!("ApiKey {key}").as_str()));
        let large = script.limit.is_some_and(|limit| asked.body.len() > limit);
        let refused = match (stranger, large) {
            (true, _) => Some(error(401, "security_exception", "unable to authenticate")),
            (_, true) => Some(Answer {
                status: 413,
                body: Vec::new(),
            }),
            _ => None,
        };
        (script.fault(&asked.method, &asked.path), refused)
    };
    if let Some(refused) = refused {
        return respond(refused, None).await;
    }
    act(&shared, &end, &asked, fault).await
}

/// Answers as the fault says.
async fn act(shared: &Shared, end: &Notify, asked: &Asked, fault: Option<Fault>) -> Response {
    match fault {
        None => respond(answer(shared, asked, &[]), None).await,
        Some(Fault::Status(status, retry_after)) => {
            let kind = match status {
                429 => "es_rejected_execution_exception",
                503 => "unavailable_shards_exception",
                _ => "exception",
            };
            respond(error(status, kind, "as planned"), retry_after).await
        }
        Some(Fault::Dropped) => hang_up(end).await,
        Some(Fault::Lost) => {
            answer(shared, asked, &[]);
            hang_up(end).await
        }
        Some(Fault::Items(items)) => respond(answer(shared, asked, &items), None).await,
        Some(Fault::DoneItems(items)) => {
            let answered = answer(shared, asked, &[]);
            respond(bulk::with_statuses(answered, &items), None).await
        }
        Some(Fault::Reordered) => {
            let answered = answer(shared, asked, &[]);
            respond(bulk::with_items(answered, |items| items.reverse()), None).await
        }
        Some(Fault::Short(count)) => {
            let answered = answer(shared, asked, &[]);
            let shorten = |items: &mut Vec<_>| items.truncate(items.len().saturating_sub(count));
            respond(bulk::with_items(answered, shorten), None).await
        }
        Some(Fault::Cut(bytes)) => {
            let mut answered = answer(shared, asked, &[]);
            let whole = answered.body.len();
            answered.body.truncate(bytes);
            let mut response = respond(answered, None).await;
            // It promises more than comes.
            response
                .headers_mut()
                .insert("content-length", whole.into());
            response
        }
        Some(Fault::Flipped(at)) => {
            let mut answered = answer(shared, asked, &[]);
            if let Some(byte) = answered.body.get_mut(at) {
                *byte ^= 0x15;
            }
            respond(answered, None).await
        }
        Some(Fault::Held) => {
            shared.released.acquire().await.unwrap().forget();
            respond(answer(shared, asked, &[]), None).await
        }
        Some(Fault::ErrorInside(status)) => {
            let inside = error(status, "exception", "as planned");
            respond(
                Answer {
                    status: 200,
                    ..inside
                },
                None,
            )
            .await
        }
    }
}

async fn respond(answer: Answer, retry_after: Option<u32>) -> Response {
    let mut response = Response::builder()
        .status(answer.status)
        .header("x-elastic-product", "Elasticsearch")
        .header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    response.body(Body::from(answer.body)).unwrap()
}

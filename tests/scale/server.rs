//! A registry whose pages are rendered before the first request, so that it costs as little as it can.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{ETAG, IF_NONE_MATCH, LINK},
    },
    response::{IntoResponse as _, Response},
};

const PAGE_SIZE: usize = 1000;

/// One page: its body, and the link to the next.
type Page = (Bytes, Option<HeaderValue>);

/// What the state of every listing is called, in the repositories that name it.
const STATE: &str = "\"1\"";

/// Serves `count` tags as every repository but `small`, which has one, and prints the address.
///
/// The listings of repositories that begin with `e` have a name for their state, and `/requests` is
/// how many requests there were.
pub(crate) fn serve(count: usize) {
    let pages: HashMap<String, Page> = rendered(count).into_iter().collect();
    let pages = Arc::new(pages);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        println!("{}", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        let app = Router::new().fallback(move |request: Request| {
            let pages = Arc::clone(&pages);
            let requests = requests.fetch_add(1, Ordering::Relaxed);
            async move {
                match request.uri().path() {
                    "/requests" => requests.to_string().into_response(),
                    _ => answer(&pages, &request),
                }
            }
        });
        axum::serve(listener, app)
            .await
            .expect("it serves until it is ended");
    });
}

/// The paths and queries of the pages, in order.
pub(crate) fn pages(count: usize) -> impl Iterator<Item = String> {
    rendered(count)
        .into_iter()
        .map(|(query, _)| format!("/v2/r0/tags/list?{query}"))
}

fn answer(pages: &HashMap<String, Page>, request: &Request) -> Response {
    if request.uri().path().starts_with("/v2/small/") {
        return r#"{"tags":["1"]}"#.into_response();
    }
    let Some((body, link)) = pages.get(request.uri().query().unwrap_or_default()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let has_state = request.uri().path().starts_with("/v2/e");
    if has_state && request.headers().contains_key(IF_NONE_MATCH) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, STATE)]).into_response();
    }
    let mut response = body.clone().into_response();
    if has_state {
        let headers = response.headers_mut();
        headers.insert(ETAG, HeaderValue::from_static(STATE));
    }
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link.clone());
    }
    response
}

/// Every page by its query. One tag in a thousand is a release, the others are builds.
fn rendered(count: usize) -> Vec<(String, Page)> {
    let tags = (0..count).map(|number| {
        if number % 1000 == 7 {
            format!("release-1.{}.0", number / 1000)
        } else {
            format!("build-{number:07}")
        }
    });
    let mut tags = tags.collect::<Vec<_>>();
    tags.sort();
    let mut query = format!("n={PAGE_SIZE}");
    let mut pages = Vec::new();
    let chunks = tags.chunks(PAGE_SIZE).collect::<Vec<_>>();
    for (number, chunk) in chunks.iter().enumerate() {
        let body = format!(r#"{{"name":"r0","tags":["{}"]}}"#, chunk.join("\",\""));
        let last = chunk.last().map_or("", String::as_str);
        let next = format!("last={last}&n={PAGE_SIZE}");
        let link = format!(r#"<?{next}>; rel="next""#);
        let link = HeaderValue::from_str(&link).ok();
        let has_next = number + 1 < chunks.len();
        pages.push((query, (Bytes::from(body), link.filter(|_| has_next))));
        query = next;
    }
    pages
}

//! Forms with a file, through the routers of a service that takes them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gx_model::Clock;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use time::macros::datetime;
use tower::ServiceExt as _;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{FileForm, FilePart};
use crate::fields::{Fields, FromFields, Text};
use crate::tests::fingerprint_keys;
use crate::{
    Entropy, HealthBoard, Problem, RateLimitSettings, RateLimiter, Reply, RequestLayer,
    RouteAccess, RouteLimit, Routes, Service, ServiceParts,
};

const BOUNDARY: &str = "----aBoundary";
const KIB: usize = 1024;

/// The form of `/photos`.
#[derive(ToSchema)]
struct Photo {
    #[schema(value_type = String, max_length = 12)]
    title: Text<12>,
    #[schema(value_type = String, format = Binary, rename = "file")]
    _file: FilePart,
}

impl FromFields for Photo {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { title: fields.required("title")?, _file: FilePart })
    }
}

/// What the route has read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Seen {
    title: String,
    name: Option<String>,
    mime_type: Option<String>,
    size: usize,
    largest_piece: usize,
}

#[utoipa::path(post, path = "/photos",
               request_body(content = Photo, content_type = "multipart/form-data"),
               responses((status = 200, description = "What was read.", body = Seen)))]
async fn photos(FileForm { fields, file, .. }: FileForm<Photo>) -> Result<Reply<Seen>, Problem> {
    let (name, mime_type) = (file.name.clone(), file.mime_type.clone());
    let mut content = std::pin::pin!(file.into_content());
    let (mut size, mut largest_piece) = (0, 0);
    while let Some(piece) = content.next().await {
        let piece = piece?;
        size += piece.len();
        largest_piece = largest_piece.max(piece.len());
    }
    Ok(Reply::ok(Seen { title: fields.title.0, name, mime_type, size, largest_piece }))
}

fn service() -> Service {
    let clock = Clock::manual(datetime!(2026-03-01 12:00:00 UTC));
    let limits =
        RateLimiter::new(&RateLimitSettings::generous(), clock.clone(), fingerprint_keys());
    let request_layer = RequestLayer::new("svc-test", clock.clone(), Entropy::system());
    let health = HealthBoard::new("svc-test", clock);
    let fingerprint_keys = fingerprint_keys();
    let parts = ServiceParts { health, database: None, request_layer, limits, fingerprint_keys };
    Routes::new("svc-test")
        .add(RouteAccess::Public, routes!(photos), &[])
        .limited(RouteLimit::Files)
        .into_service((), parts)
}

/// Returns a part of a form.
fn part(name: &str, rest: &str, content: &[u8]) -> Vec<u8> {
    let head =
        format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{rest}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn end() -> Vec<u8> {
    format!("--{BOUNDARY}--\r\n").into_bytes()
}

/// Returns the part of a file with all that a client says about it.
fn file(content: &[u8]) -> Vec<u8> {
    part("file", "; filename=\"a photo.png\"\r\ncontent-type: image/png", content)
}

fn form(content: &[u8]) -> Vec<u8> {
    [part("title", "", b"a photo"), file(content), end()].concat()
}

fn request(content_type: &str, body: Body) -> Request<Body> {
    Request::post("/photos").header("content-type", content_type).body(body).unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn content_type() -> String {
    format!("multipart/form-data; boundary=\"{BOUNDARY}\"")
}

async fn post(body: impl Into<Body>) -> (u16, Value) {
    let router = service().public(false);
    let (status, json) = send(&router, request(&content_type(), body.into())).await;
    (status.as_u16(), json)
}

/// Returns a body that arrives in pieces of this size.
fn in_pieces(body: &[u8], size: usize) -> Body {
    let pieces: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    Body::from_stream(futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

/// FILE-02: a file is read in small pieces, whatever the sizes are in which it arrives, and its
/// name and type are what the client says.
#[tokio::test]
async fn file_02_a_file_is_read_as_it_arrives() {
    let content = vec![b'\r'; 3 * KIB * KIB];
    for size in [1_000, 16 * KIB, 100 * KIB, content.len() * 2] {
        let (status, json) = post(in_pieces(&form(&content), size)).await;
        assert_eq!(status, 200, "{json}");
        assert!(json["largestPiece"].as_u64().unwrap() <= 20 * KIB as u64, "{json}");
        let expected = json!({
            "title": "a photo", "name": "a photo.png", "mimeType": "image/png",
            "size": content.len(), "largestPiece": json["largestPiece"],
        });
        assert_eq!(json, expected, "{size}");
    }
    let (status, json) =
        post([part("title", "", b"x"), part("file", "", b"y"), end()].concat()).await;
    assert_eq!((status, &json["name"], &json["mimeType"]), (200, &Value::Null, &Value::Null));
}

/// FILE-01, SEC-API-06: fields come before the file, and none that the route does not know. All
/// wrong fields are named.
#[tokio::test]
async fn file_01_the_fields_of_a_form_are_checked_before_its_file() {
    let title = || part("title", "", b"a photo");
    let pointers = |json: &Value| -> Vec<String> {
        let errors = json["errors"].as_array().into_iter().flatten();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    };
    for (body, expected) in [
        ([file(b"x"), end()].concat(), vec!["/title"]),
        ([title(), end()].concat(), vec!["/file"]),
        (end(), vec!["/title", "/file"]),
        ([title(), part("titel", "", b"x"), file(b"x"), end()].concat(), vec!["/titel"]),
        ([title(), title(), file(b"x"), end()].concat(), vec!["/title"]),
        ([part("title", "", &[b'x'; 13]), file(b"x"), end()].concat(), vec!["/title"]),
        ([part("title", "", b""), file(b"x"), end()].concat(), vec!["/title"]),
    ] {
        let (status, json) = post(body).await;
        assert_eq!((status, json["code"].as_str()), (400, Some("validation_failed")), "{json}");
        assert_eq!(pointers(&json), expected);
    }
    for (body, detail) in [
        ([title(), file(b"x"), part("more", "", b"x"), end()].concat(), "last"),
        ([title(), file(b"x"), file(b"x"), end()].concat(), "last"),
        ([title(), file(b"x")].concat(), "ends early"),
        (title(), "ends early"),
        (b"no form".to_vec(), "ends early"),
        (Vec::new(), "ends early"),
        ([part("title", "", b"\xff"), file(b"x"), end()].concat(), "UTF-8"),
        ([vec![title(); 33].concat(), file(b"x"), end()].concat(), "too many"),
    ] {
        let (status, json) = post(body).await;
        assert_eq!((status, json["code"].as_str()), (400, Some("bad_request")), "{json}");
        assert!(json["detail"].as_str().unwrap().contains(detail), "{json}");
    }
}

/// SEC-API-07: what is no form with a boundary is refused by its type.
#[tokio::test]
async fn a_body_that_is_no_form_is_refused_by_its_type() {
    let router = service().public(false);
    let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
    for given in ["application/json", "multipart/form-data", "multipart/mixed; boundary=a", &long] {
        let (status, json) = send(&router, request(given, form(b"x").into())).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{given}: {json}");
    }
}

/// SEC-API-07, FILE-01: a body above the limit is refused, by its announced length before it
/// arrives, and so are fields and heads that would fill the memory.
#[tokio::test]
async fn file_01_the_size_of_a_form_is_bounded() {
    let largest = vec![0; 10 * KIB * KIB];
    assert_eq!(post(form(&largest)).await.1["size"], largest.len());
    let larger = form(&vec![0; 10 * KIB * KIB + 64 * KIB]);
    let (status, json) = post(in_pieces(&larger, 64 * KIB)).await;
    assert_eq!((status, json["code"].as_str()), (413, Some("body_too_large")), "{json}");

    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let mut announced = request(&content_type(), Body::from_stream(never));
    announced.headers_mut().insert("content-length", "11000000".parse().unwrap());
    assert_eq!(send(&service().public(false), announced).await.0.as_u16(), 413);

    let head = part("title", &format!("; filename=\"{}\"", "a".repeat(100 * KIB)), b"");
    let after = part("more", &format!("; filename=\"{}\"", "a".repeat(200 * KIB)), b"");
    for body in [
        [part("title", "", &vec![b'x'; 100 * KIB]), file(b"x"), end()].concat(),
        [head, file(b"x"), end()].concat(),
        vec![b'x'; 100 * KIB],
        [part("title", "", b"x"), file(b"x"), after, end()].concat(),
    ] {
        let (status, json) = post(in_pieces(&body, 16 * KIB)).await;
        assert_eq!(status, 413, "{json}");
    }
}

/// Returns a body that gives a piece in each interval.
fn trickling(body: &[u8], size: usize, interval: Duration) -> Body {
    let pieces: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let pieces = futures_util::stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(interval).await;
        Ok::<_, std::io::Error>(piece)
    });
    Body::from_stream(pieces)
}

/// Returns the status, and after which time it was there.
async fn timed(body: Body) -> (u16, Duration) {
    let since = tokio::time::Instant::now();
    (post(body).await.0, since.elapsed())
}

/// FILE-01: a file arrives at 16 KiB a second or faster, and within five minutes. A pause of ten
/// seconds ends it.
#[tokio::test(start_paused = true)]
async fn file_01_a_file_that_arrives_too_slowly_is_refused() {
    let second = Duration::from_secs(1);
    let whole = form(&vec![0; 1024 * KIB]);
    assert_eq!(timed(trickling(&whole, 17 * KIB, second)).await.0, 200);
    let (status, took) = timed(trickling(&whole, 8 * KIB, second)).await;
    assert_eq!(status, 408);
    assert!((18 * second..22 * second).contains(&took), "{took:?}");

    let begun = Body::from_stream(stalling(&form(&vec![0; 64 * KIB])));
    let (status, took) = timed(begun).await;
    assert_eq!(status, 408);
    assert!((10 * second..11 * second).contains(&took), "{took:?}");

    let (status, took) = timed(trickling(&form(&vec![0; 8 * 1024 * KIB]), 20 * KIB, second)).await;
    assert_eq!(status, 408);
    assert!((300 * second..302 * second).contains(&took), "{took:?}");
}

/// Returns a form whose end never comes.
fn stalling(form: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    let begun = Bytes::copy_from_slice(&form[..form.len() / 2]);
    futures_util::stream::iter([Ok(begun)]).chain(futures_util::stream::pending())
}

/// SEC-API-09: the document says that the form refuses other fields and demands its file.
#[test]
fn a_form_is_described_as_strictly_as_it_is_read() {
    let document = service().openapi;
    let body = &document["paths"]["/photos"]["post"]["requestBody"];
    assert_eq!(body["required"], true);
    assert_eq!(
        body["content"]["multipart/form-data"]["schema"]["$ref"],
        "#/components/schemas/Photo"
    );
    let schema = &document["components"]["schemas"]["Photo"];
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["title", "file"]));
    assert_eq!(schema["properties"]["file"], json!({ "type": "string", "format": "binary" }));
}

//! The page: three files in the program, and the headers that keep it from loading or being anything else.
//!
//! **Invariant:** nothing of the cluster is in these files; whatever the page shows it asks the API for, with the token
//! that its user typed in.

use super::Shared;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;

/// No script, style, font, image, frame or connection but our own, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The files of the page, beside `api`.
pub fn routes(api: Router<Shared>) -> Router<Shared> {
    let file = |kind: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, kind)], text));
    api.route("/", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("page/style.css")))
        .route("/app.js", file("text/javascript; charset=utf-8", include_str!("page/app.js")))
        .route("/icon.svg", file("image/svg+xml", include_str!("page/icon.svg")))
}

/// On every answer, the API's included.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_has_nothing_inline_and_loads_nothing_from_elsewhere() {
        let (html, style) = (include_str!("page/index.html"), include_str!("page/style.css"));
        for word in ["style=", "onclick", "<style", "javascript:", "http:", "https:"] {
            assert!(!html.contains(word), "index.html has {word}");
        }
        assert_eq!(html.matches("<script").count(), html.matches("<script src=\"app.js\"").count());
        assert!(!style.contains("@import") && !style.contains("url("));
        let script = include_str!("page/app.js");
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "localStorage", "sessionStorage", "cookie"]
        {
            assert!(!script.contains(word), "app.js has {word}");
        }
    }
}

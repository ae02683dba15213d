//! `docs/openapi.json`, as it is served at /openapi.json.

use super::hold;
use restart_controller::http_api::openapi;

#[test]
fn the_openapi_document_in_docs_is_the_one_that_is_served() {
    hold("docs/openapi.json", &openapi::text());
}

//! The web page at `/`: one document and what it loads, all of it in the program.
//!
//! No frameworks and no build: the files under `api/page` are served as they are. Their addresses
//! are relative, so that the page works below any prefix a proxy adds.

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::with_type;
use crate::errors::Refusal;

/// Name below `/page/`, content type, content; the first is the document itself.
type Asset = (&'static str, &'static str, &'static [u8]);

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../../page/", $name)))
    };
}

const ASSETS: &[Asset] = &[
    asset!("index.html", "text/html; charset=utf-8"),
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("app.js", SCRIPT),
    asset!("browse.js", SCRIPT),
    asset!("chart.js", SCRIPT),
    asset!("cluster.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("editor.js", SCRIPT),
    asset!("language.js", SCRIPT),
    asset!("numbers.js", SCRIPT),
    asset!("server.js", SCRIPT),
    asset!("state.js", SCRIPT),
    asset!("tables.js", SCRIPT),
    asset!("tree.js", SCRIPT),
];

/// Nothing from elsewhere, nothing inline, and no text that could become markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// The document for no name, else what stands below `/page/`.
pub(super) fn answer(name: &str) -> Result<Response, Refusal> {
    let found = match name.trim_start_matches('/') {
        "" => ASSETS.first(),
        name => ASSETS.iter().find(|asset| asset.0 == name),
    };
    let missing = || Refusal::NotFound(format!("{name} is no part of the page"));
    let (_, kind, content) = found.ok_or_else(missing)?;
    let mut response = with_type(kind, *content);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // A new release and an old script would not go together.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> &'static str {
        let asset = ASSETS.iter().find(|asset| asset.0 == name).unwrap();
        str::from_utf8(asset.2).unwrap()
    }

    #[test]
    fn what_the_page_loads_is_there_and_nothing_is_inline() {
        let page = text("index.html");
        for attribute in ["href=\"page/", "src=\"page/"] {
            for part in page.split(attribute).skip(1) {
                text(part.split('"').next().unwrap());
            }
        }
        for forbidden in ["<script>", "<style", " style=", " onclick=", "javascript:", "//"] {
            assert!(!page.contains(forbidden), "{forbidden} in the document");
        }
        for (name, kind, _) in ASSETS.iter().filter(|asset| asset.1 == SCRIPT) {
            assert_eq!(*kind, SCRIPT);
            for import in text(name).split("from \"./").skip(1) {
                text(import.split('"').next().unwrap());
            }
            for forbidden in ["innerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text(name).contains(forbidden), "{forbidden} in {name}");
            }
        }
    }

    #[test]
    fn every_part_says_what_it_may_do() {
        for name in ["", "app.js", "/page.css"] {
            let response = answer(name).unwrap();
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(!policy.contains("unsafe") && policy.contains("default-src 'none'"));
        }
        assert!(answer("../Cargo.toml").is_err());
    }
}

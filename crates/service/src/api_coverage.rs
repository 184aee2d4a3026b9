//! The page that tells users what works, `docs/api-coverage.md`, written from what the service really dispatches.
//!
//! What stands above the mark in the page is written by hand; what stands below it is made here. A stale page fails the
//! test, and `UPDATE_DOCS=1 cargo test -p meridian-service api_coverage` rewrites it. So two branches that both add operations
//! are merged by taking either page and rewriting it.

use std::fmt::Write as _;

use meridian_model::Operation;

use crate::route::Route;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api-coverage.md");

/// Everything from here to the end of the page is made by this test.
const MARK: &str = "<!-- From here on made from the code; see crates/service/src/api_coverage.rs. -->";

#[test]
fn the_coverage_page_says_what_is_offered() {
    let page = std::fs::read_to_string(PAGE).expect("docs/api-coverage.md is part of the tree");
    let (by_hand, _) = page.split_once(MARK).expect("the page holds the mark");
    let current = format!("{by_hand}{MARK}\n\n{}", coverage());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, current).expect("the page can be written");
    } else {
        assert!(page == current, "docs/api-coverage.md is stale: run this test once with UPDATE_DOCS=1");
    }
}

fn coverage() -> String {
    let offered = Operation::ALL.iter().filter(|operation| is_offered(**operation)).count();
    let mut text = format!("{offered} of {} operations are offered. The others answer ", Operation::ALL.len());
    text.push_str("`UnsupportedOperationException` and name\nthemselves, after parameters and permission were checked like those of all.\n\n");
    text.push_str("| operation | offered | where it runs |\n|---|---|---|\n");
    for operation in Operation::ALL {
        let (offered, place) = match Route::of(*operation) {
            Route::Cryptography => ("yes", "the node that is asked, on its applied state"),
            Route::Read => ("yes", "the node that is asked, after a read barrier"),
            Route::Change => ("yes", "the leader"),
            Route::Unsupported if is_about_key_stores(*operation) => ("to come", ""),
            Route::Unsupported => ("missing", ""),
        };
        let _ = writeln!(text, "| {operation} | {offered} | {place} |");
    }
    text
}

fn is_offered(operation: Operation) -> bool {
    Route::of(operation) != Route::Unsupported
}

/// The operations of custom key stores, which come as a whole.
fn is_about_key_stores(operation: Operation) -> bool {
    operation.name().contains("CustomKeyStore")
}

//! What the pages say is there, and what they name is there.

use std::collections::BTreeSet;
use std::path::Path;

use lithe_ffi_tests::{Language, check_compiles, check_compiles_as, root};

use crate::{CPP_PAGE, OTHERS, PAGES, blocks, read};

const REFERENCE: &str = "docs/c-api/reference.md";

#[test]
fn every_piece_of_c_compiles() {
    for file in PAGES.iter().chain(&OTHERS) {
        let blocks = blocks(file, "c");
        assert!(!blocks.is_empty(), "{file} has no C in it");
        for block in blocks {
            check_compiles("cc", Language::C, &block);
        }
    }
}

#[test]
fn every_piece_of_cpp_compiles() {
    let blocks = blocks(CPP_PAGE, "cpp");
    assert!(!blocks.is_empty(), "{CPP_PAGE} has no C++ in it");
    for block in blocks {
        check_compiles_as("c++", "c++11", &["-fno-exceptions", "-fno-rtti"], &block);
    }
}

/// The words of a text that C could take for names.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

#[test]
fn the_reference_lists_each_function_once() {
    let text = read(REFERENCE);
    let mut listed: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    listed.sort_unstable();
    let symbols = read("ffi-tests/symbols.txt");
    assert_eq!(listed, symbols.lines().collect::<Vec<_>>());
}

/// Functions, types and constants: also `lithe_ws_` and the like, which stand for what begins so.
#[test]
fn the_guide_names_nothing_that_the_header_does_not_have() {
    let header = read("include/lithe.h") + &read("include/lithe.hpp");
    let known: BTreeSet<_> = names(&header).collect();
    let is_known = |name: &str| match name {
        prefix if prefix.ends_with('_') => known.iter().any(|name| name.starts_with(prefix)),
        name => known.contains(name),
    };
    for file in PAGES.iter().chain(&[REFERENCE, CPP_PAGE]) {
        let text = read(file);
        let ours = names(&text).filter(|name| name.to_ascii_lowercase().starts_with("lithe_"));
        let unknown: Vec<_> = ours.filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

/// What is not in a block of code.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect()
}

/// As GitHub makes them of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let title = |line: &str| line.trim_start_matches('#').trim().to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    headings
        .map(|line| title(line).chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let more = [REFERENCE, CPP_PAGE, "docs/install.md", "docs/performance.md"];
    for file in PAGES.iter().chain(&OTHERS).chain(&more) {
        let text = prose(&read(file));
        let directory = Path::new(file).parent().expect("it is in the repository");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { root().join(file) } else { root().join(directory).join(path) };
            assert!(target.exists(), "{file} links to {link}");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).expect("a page");
                assert!(anchors(&prose(&text)).contains(anchor), "{file} links to {link}");
            }
        }
    }
}

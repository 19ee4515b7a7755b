//! The C in the documentation compiles as printed, its programs do what the pages say, and the
//! pages leave no function out.

mod pages;
mod programs;

use std::fs;

use lithe_ffi_tests::root;

/// The pages about the C interface, with C in them.
const PAGES: [&str; 4] =
    ["README.md", "docs/c-api.md", "docs/c-api/production.md", "docs/coming-from.md"];

/// The page about C++.
const CPP_PAGE: &str = "docs/c-api/cpp.md";

/// Others with C in them.
const OTHERS: [&str; 1] = ["docs/migration.md"];

/// What is in a file of the repository.
fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The blocks in a language of a Markdown file.
fn blocks(file: &str, language: &str) -> Vec<String> {
    let text = read(file);
    let fence = format!("\n```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or(block).to_owned() + "\n").collect()
}

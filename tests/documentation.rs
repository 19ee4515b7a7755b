//! What the documentation says of itself and of the library is so: links lead somewhere; the
//! settings, defaults, limits and metrics in the tables of the guide are those that there are, and
//! so are the dependencies.
#![cfg(all(feature = "server", feature = "sse", feature = "ws"))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use axum::Router;
use lithe::server::Server;
use lithe::{sse, ws};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn markdown_files() -> Vec<PathBuf> {
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    };
    ["", "docs", "bench"].into_iter().flat_map(in_folder).collect()
}

/// The text without what is in code blocks.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// Where the links of a Markdown text lead.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The anchors of a Markdown text, one for each heading.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter_map(|line| line.strip_prefix('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let titles = headings.map(|heading| heading.trim_start_matches('#').trim().to_lowercase());
    titles.map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for file in markdown_files() {
        for link in links(&read(&file)) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            let found =
                target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn guide() -> String {
    read(&root().join("docs/rust-api.md"))
}

/// The first two cells of each row that begins with a name in code, such as
/// "| `send_queue` | 1 MiB | senders wait |".
fn rows(guide: &str) -> Vec<(&str, &str)> {
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, rest)| (name, rest.split(" | ").next().unwrap_or(rest))).collect()
}

/// The names of all families in a text in the OpenMetrics format, as their samples have them.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| name.to_owned() + if kind == "counter" { "_total" } else { "" })
        .collect()
}

#[test]
fn the_guide_names_every_metric_and_every_limit() {
    let server = Server::builder().router(Router::new()).workers(1).start().unwrap();
    let guide = guide();
    let names = rows(&guide).into_iter().map(|(name, _)| name.to_owned());
    let metrics: BTreeSet<_> = names.filter(|name| name.starts_with("lithe_")).collect();
    assert_eq!(families(&server.metrics_text()), metrics);

    let limits = server.metrics().limits;
    let missing: Vec<_> =
        limits.keys().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A default as the guide puts it, such as "16 MiB", as `Debug` shows it.
fn debug(default: &str) -> String {
    let default = default.split(';').next().unwrap_or(default).replace(',', "");
    match default.rsplit_once(' ') {
        Some((number, "KiB")) => (number.parse::<u64>().unwrap() << 10).to_string(),
        Some((number, "MiB")) => (number.parse::<u64>().unwrap() << 20).to_string(),
        Some((number, "s")) => format!("{number}s"),
        _ if default == "same host" => "SameHost".to_owned(),
        _ if default == "off" => "Off".to_owned(),
        _ if default == "none" => "None".to_owned(),
        _ => default,
    }
}

/// Checks the rows of one table against the settings that `Debug` shows; says how many there are.
fn check_defaults(table: &str, shown: &str) -> usize {
    let rows = rows(table);
    for (name, default) in &rows {
        let (_, value) = shown
            .split_once(&format!(" {name}: "))
            .unwrap_or_else(|| panic!("{name} is no setting"));
        let value = value.strip_prefix("Some(").unwrap_or(value);
        let value = value.split([',', ')', ' ', '}']).next().unwrap();
        assert_eq!(value, debug(default), "{name}");
    }
    rows.len()
}

#[test]
fn the_guide_names_every_setting_with_its_default() {
    let guide = guide();
    let table_after = |heading: &str| {
        let section = guide.split_once(heading).expect(heading).1;
        section.split("\n## ").next().unwrap().split("\n### ").next().unwrap().to_owned()
    };
    let of_websockets = format!("{:?}", ws::Config::default());
    let settings = check_defaults(&table_after("\n### Settings\n"), &of_websockets);
    assert_eq!(settings, of_websockets.matches(": ").count());
    let of_servers = format!("{:?}", Server::builder());
    assert!(check_defaults(&table_after("\n### Limits\n"), &of_servers) >= 9);
}

#[test]
fn what_the_guide_calls_shareable_is() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Server>();
    is_shareable::<sse::Sender>();
    is_shareable::<ws::Sender>();
    is_shareable::<ws::Receiver>();
    is_shareable::<ws::Socket>();
}

/// The dependencies in a manifest, of every kind.
fn dependencies(manifest: &str) -> Vec<String> {
    let sections = manifest.split("\n[").filter_map(|section| section.split_once("]\n"));
    let lists = sections.filter(|(name, _)| name.ends_with("dependencies"));
    let lines = lists.flat_map(|(_, list)| list.lines());
    let names = lines.filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.to_owned()).filter(|name| name != "lithe-rt").collect()
}

#[test]
fn every_dependency_has_its_line() {
    let text = read(&root().join("docs/dependencies.md"));
    let cells: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let named: BTreeSet<_> = cells.iter().flat_map(|cell| cell.split([' ', ','])).collect();
    for manifest in ["Cargo.toml", "bench/Cargo.toml", "ffi-tests/Cargo.toml"] {
        let dependencies = dependencies(&read(&root().join(manifest)));
        assert!(!dependencies.is_empty(), "{manifest}");
        for name in dependencies {
            assert!(named.contains(name.as_str()), "{name}, of {manifest}");
        }
    }
}

//! What the header promises of each function, read from its documentation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::include_dir;

/// A function of the header.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The codes that it can return, without their `LITHE_ERR_`. PANIC and FORKED, which every
    /// function can return, are not among them.
    pub errors: Vec<String>,
    /// Whether it can also return a number that is not negative.
    pub counts: bool,
}

/// Every function, by name.
pub fn functions() -> Vec<Function> {
    let header = fs::read_to_string(include_dir().join("lithe.h")).expect("the header");
    let codes = codes(&header);
    let documented = documented(&header);
    let function = |name: &String, (doc, parameters): &(String, String)| Function {
        name: name.clone(),
        errors: codes
            .keys()
            .filter(|code| can_return(code, doc, parameters, &documented))
            .cloned()
            .collect(),
        counts: counts(doc),
    };
    documented.iter().map(|(name, all)| function(name, all)).collect()
}

/// The functions as a table in C: `every_function`, an array of `struct entry { name, codes,
/// counts }`.
pub fn table() -> String {
    let header = fs::read_to_string(include_dir().join("lithe.h")).expect("the header");
    let codes = codes(&header);
    let mut table = String::from(
        "#include <stddef.h>\n#include <stdint.h>\n\
        struct entry { const char *name; uint32_t codes; int counts; };\n\
        extern const struct entry every_function[];\n\
        const struct entry every_function[] = {\n",
    );
    for Function { name, errors, counts } in functions() {
        let bits: u32 = errors.iter().map(|error| 1 << codes[error]).sum();
        writeln!(table, "{{ \"{name}\", {bits}u, {} }},", i32::from(counts)).expect("memory");
    }
    table.push_str("{ NULL, 0, 0 }\n};\n");
    table
}

/// The error codes by name, as positive numbers.
fn codes(header: &str) -> BTreeMap<String, u32> {
    let lines = header.lines().filter_map(|line| line.strip_prefix("#define LITHE_ERR_"));
    let pairs = lines.filter_map(|line| line.split_once(" -"));
    pairs.map(|(name, number)| (name.to_owned(), number.parse().expect("a number"))).collect()
}

/// The documentation of each function, its paragraphs as lines, and its parameters.
fn documented(header: &str) -> BTreeMap<String, (String, String)> {
    let mut all = BTreeMap::new();
    for part in header.split("/**").skip(1) {
        let Some((doc, code)) = part.split_once("*/") else { continue };
        let Some((declaration, _)) = code.trim_start().split_once(");") else { continue };
        let Some((result_and_name, parameters)) = declaration.split_once('(') else { continue };
        if result_and_name.contains(['{', '#', ';']) || result_and_name.starts_with("typedef") {
            continue;
        }
        let name = result_and_name.rsplit([' ', '*']).next().unwrap_or_default();
        let lines = doc.lines().map(|line| line.trim().trim_start_matches('*').trim());
        let text = lines.fold(String::new(), |text, line| match line {
            "" => text + "\n",
            line => text + line + " ",
        });
        all.insert(name.to_owned(), (text, parameters.to_owned()));
    }
    all
}

fn can_return(
    code: &str,
    doc: &str,
    parameters: &str,
    documented: &BTreeMap<String, (String, String)>,
) -> bool {
    let listed = doc.split("Errors:").skip(1).any(|after| {
        let paragraph = after.lines().next().unwrap_or_default();
        paragraph.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == code)
    });
    // "... and those that make a handle FULL."
    let makes_handle = [
        "server",
        "request",
        "ws",
        "sse",
        "buffer",
        "response",
        "codec",
        "options",
        "hub",
        "authorization",
    ]
    .iter()
    .any(|noun| {
        let place = format!("lithe_{noun}_t *");
        parameters.match_indices(&place).any(|(at, _)| !parameters[..at].ends_with("const "))
    });
    let otherwise = doc.split("Otherwise it is ").nth(1).is_some_and(|after| {
        let name = after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        let other = name.and_then(|name| documented.get(name));
        let (doc, parameters) = other.expect("a function of the header");
        can_return(code, doc, parameters, documented)
    });
    listed || (code == "FULL" && makes_handle) || otherwise
}

/// A function that returns a number says which in its first words, or that it returns how many.
fn counts(doc: &str) -> bool {
    let first = doc.trim_start();
    let numbers = ["How many", "The port", "A file descriptor", "1 when", "The code that"];
    numbers.iter().any(|words| first.starts_with(words)) || doc.contains("eturns how many")
}

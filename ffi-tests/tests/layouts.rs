//! The structs of the header lie in memory as those of the library, and as they always have.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lithe_ffi_tests::{Language, check_compiles, include_dir};

/// For 64-bit systems: a struct and its size, or a field with its offset and its size. A test of
/// the library itself holds it against the library.
const GOLDEN: &str = include_str!("../layouts.txt");

/// A program that compiles only if all is so.
fn program() -> String {
    let mut program = String::from("#include <lithe.h>\n");
    let mut assertion = |number, condition: &str| {
        // An array of -1 elements does not compile.
        writeln!(program, "typedef char so_{number}[({condition}) ? 1 : -1];").unwrap();
    };
    for (number, line) in GOLDEN.lines().enumerate() {
        let parts: Vec<_> = line.split([' ', '.']).collect();
        match parts[..] {
            [name, size] => assertion(number, &format!("sizeof({name}) == {size}")),
            [name, field, offset, size] => assertion(
                number,
                &format!(
                    "offsetof({name}, {field}) == {offset} && sizeof((({name} *)0)->{field}) == {size}"
                ),
            ),
            _ => panic!("{line:?}"),
        }
    }
    program
}

#[test]
#[cfg(target_pointer_width = "64")]
fn structs_of_the_header_are_laid_out_as_ever_in_c() {
    check_compiles("gcc", Language::C, &program());
    check_compiles("clang", Language::C, &program());
}

#[test]
#[cfg(target_pointer_width = "64")]
fn structs_of_the_header_are_laid_out_as_ever_in_cpp() {
    check_compiles("g++", Language::Cpp, &program());
    check_compiles("clang++", Language::Cpp, &program());
}

/// What the header declares: the structs, and their fields behind a dot.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(include_dir().join("lithe.h")).unwrap();
    let code = header.lines().map(str::trim).filter(|line| !line.starts_with(['/', '*', '#']));
    let mut names = BTreeSet::new();
    let mut current = None;
    for line in code {
        if let Some(name) = line.strip_prefix("typedef struct ") {
            let name = name.strip_suffix(" {").unwrap_or_else(|| panic!("{line:?}"));
            names.insert(name.to_owned());
            current = Some(name);
        } else if line.starts_with('}') {
            current = None;
        } else if let (Some(name), Some(field)) = (current, line.strip_suffix(';')) {
            let field = field.split('[').next().unwrap().rsplit([' ', '*']).next().unwrap();
            names.insert(format!("{name}.{field}"));
        }
    }
    names
}

#[test]
fn every_struct_and_field_of_the_header_is_on_the_list() {
    let listed = GOLDEN.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let declared = declared();
    assert!(declared.contains("lithe_message_t.owner"), "{declared:?}");
    assert_eq!(declared, listed);
}

/// Room there could be taken by a field of a later version, in which a program that was compiled
/// before, and has a struct of that very size, has left anything.
#[test]
fn structs_with_a_size_end_with_their_last_field() {
    let lines: Vec<_> = GOLDEN.lines().collect();
    let number = |text: &str| text.parse::<usize>().unwrap();
    for line in &lines {
        let Some((name, size)) = line.split_once(' ').filter(|(name, _)| !name.contains('.'))
        else {
            continue;
        };
        let fields = lines.iter().filter_map(|line| line.strip_prefix(&format!("{name}.")));
        let fields: Vec<Vec<_>> = fields.map(|field| field.split(' ').collect()).collect();
        if let [first, .., last] = &fields[..]
            && first[0] == "size"
        {
            assert_eq!(number(last[1]) + number(last[2]), number(size), "{name}");
        }
    }
}

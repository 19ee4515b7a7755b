//! Random sequences of calls from several threads (`c/api_fuzz.c`): every function returns what its
//! documentation in the header says, in time, and nothing is left over.
//!
//! `LITHE_FUZZ_SECONDS` says how long the fuzzer runs as it is, 10 unless set; `LITHE_FUZZ_SEED`
//! repeats a run.

use std::env;
use std::fs;
use std::path::PathBuf;

use lithe_ffi_tests::{
    Function, Linkage, Program, Sanitizer, compile, compile_sanitized, functions, root,
    scratch_dir, table,
};

fn sources() -> [PathBuf; 4] {
    let source = |name| root().join("ffi-tests/c").join(name);
    let file = scratch_dir("fuzz").join("every_function.c");
    fs::write(&file, table()).unwrap();
    [source("api_fuzz.c"), source("fuzz_clients.c"), source("check.c"), file]
}

fn build() -> PathBuf {
    compile("api_fuzz", &sources(), Linkage::Static)
}

fn arguments(seconds: &str) -> Vec<String> {
    [seconds.to_owned()].into_iter().chain(env::var("LITHE_FUZZ_SEED").ok()).collect()
}

#[test]
fn documentation_lists_the_codes_of_every_function() {
    let all = functions();
    assert_eq!(all.len(), include_str!("../symbols.txt").lines().count());
    let errors = |name: &str| {
        let function = all.iter().find(|function| function.name == name).unwrap();
        (function.errors.join(" "), function.counts)
    };
    assert_eq!(errors("lithe_server_port"), ("BAD_HANDLE".to_owned(), true));
    assert_eq!(errors("lithe_request_dispatch"), ("BAD_HANDLE".to_owned(), false));
    assert_eq!(errors("lithe_buffer_create").0, "BAD_ARGUMENT FULL NOT_UTF8 TOO_LARGE");
    assert_eq!(errors("lithe_ws_send_text"), errors("lithe_ws_send"));
    assert_eq!(errors("lithe_version"), (String::new(), false));
}

/// A program that calls every function there is with nothing.
fn build_nothing() -> PathBuf {
    let calls = functions().into_iter().map(|Function { name, .. }| format!("(function){name},\n"));
    let calls = format!(
        "#include <lithe.h>\n\
        typedef void (*function)(void);\n\
        extern const function every_call[];\n\
        const function every_call[] = {{\n{}NULL\n}};\n",
        calls.collect::<String>()
    );
    let file = scratch_dir("nothing").join("every_call.c");
    fs::write(&file, calls).unwrap();
    let [_, _, check, table] = sources();
    let program = root().join("ffi-tests/c/nothing.c");
    compile("nothing", &[program, check, table, file], Linkage::Static)
}

#[test]
fn every_function_refuses_to_do_something_with_nothing() {
    Program::start(&build_nothing(), [""; 0]).finish();
}

#[test]
fn nothing_passes_in_valgrind() {
    Program::start_in_valgrind(&build_nothing(), [""; 0]).finish();
}

/// Waits for the fuzzer, which must find nothing, and returns its seed and what else it says.
fn finish(mut fuzzer: Program) -> (String, Vec<String>) {
    let seed = fuzzer.line();
    let output = fuzzer.wait();
    assert!(output.status.success(), "{seed}: {}\n{}", output.status, output.stderr);
    let own = |line: &&str| !line.starts_with("==");
    assert_eq!(output.stderr.lines().filter(own).collect::<Vec<_>>(), [""; 0], "{seed}");
    (seed, output.stdout)
}

#[test]
fn every_function_keeps_its_promises() {
    let seconds = env::var("LITHE_FUZZ_SECONDS").unwrap_or_else(|_| "10".to_owned());
    let (seed, stdout) = finish(Program::start(&build(), arguments(&seconds)));
    // A fuzzer that gets nothing but errors would find nothing.
    assert_eq!(stdout.len(), functions().len());
    for line in stdout {
        let succeeded = line.rsplit(' ').next().unwrap();
        assert_ne!(succeeded, "0", "{seed}: never with success: {line}");
    }
}

#[test]
fn every_function_keeps_its_promises_in_valgrind() {
    finish(Program::start_in_valgrind(&build(), arguments("10")));
}

fn sanitized(sanitizer: Sanitizer) {
    if let Some(fuzzer) = compile_sanitized("api_fuzz", &sources(), sanitizer) {
        finish(Program::start(&fuzzer, arguments("10")));
    }
}

#[test]
fn every_function_keeps_its_promises_with_address_sanitizer() {
    sanitized(Sanitizer::Address);
}

#[test]
fn every_function_keeps_its_promises_with_thread_sanitizer() {
    sanitized(Sanitizer::Thread);
}

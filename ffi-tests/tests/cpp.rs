//! `lithe.hpp`: it is clean in every C++ since 2011, with and without exceptions, and frees what it
//! owns.

use lithe_ffi_tests::{Linkage, Program, check_compiles_as, compile, root};

/// Uses each class.
const PROGRAM: &str = r#"
#include <lithe.hpp>
#include <lithe.hpp>

static void serve(const lithe::server &server, lithe::event_batch &events) {
    lithe::request request;
    lithe::websocket ws;
    lithe::event_stream stream;
    lithe::message message;
    lithe::buffer buffer;
    while (server.accept(request) == LITHE_OK) {
        if (request.path() == "/ws" && ws.accept(request) == LITHE_OK && buffer.create("x") == 0)
            while (ws.receive(message) == LITHE_OK && ws.send(message) == LITHE_OK)
                ws.send(buffer);
        else if (stream.open(request) == LITHE_OK)
            stream.send(request.header("name").str());
        request.respond(200, "text", { lithe::header("name", "value") });
    }
    lithe::hub hub;
    lithe::publication_page page(10);
    lithe::authorization question;
    if (hub.create(lithe::hub_options()) == LITHE_OK && server.mount(hub, "/hub") == LITHE_OK)
        hub.publish("news", buffer ? "there" : "not there", lithe::publish_options());
    if (ws.subscribe(hub, "news") == LITHE_OK && stream.subscribe(hub, std::string("news")) == LITHE_OK)
        hub.history("news", page);
    for (const lithe_publication_t &publication : page)
        request.respond(200, lithe::text(publication.data, publication.len));
    while (server.authorize(question) == LITHE_OK)
        question.answer(lithe::grant());
    for (lithe_event_t &event : events)
        message = lithe::message(event.message);
}

int main() {
    lithe::server_config config;
    lithe::server server;
    lithe::event_batch events(64);
    if (server.start(config) == LITHE_OK && server.wait(events) >= 0)
        serve(server, events);
}
"#;

fn is_clean_for(compiler: &str) {
    for standard in ["c++11", "c++14", "c++17", "c++20"] {
        check_compiles_as(compiler, standard, &["-fno-exceptions", "-fno-rtti"], PROGRAM);
        check_compiles_as(compiler, standard, &["-DLITHE_EXCEPTIONS"], PROGRAM);
    }
}

#[test]
fn wrapper_is_clean_for_gcc() {
    is_clean_for("g++");
}

#[test]
fn wrapper_is_clean_for_clang() {
    is_clean_for("clang++");
}

fn build() -> std::path::PathBuf {
    let sources = ["wrapper.cpp", "check.c"].map(|name| root().join("ffi-tests/c").join(name));
    compile("wrapper", &sources, Linkage::Static)
}

#[test]
fn objects_end_what_they_own() {
    Program::start(&build(), [""; 0]).finish();
}

#[test]
fn objects_end_what_they_own_in_valgrind() {
    Program::start_in_valgrind(&build(), [""; 0]).finish();
}

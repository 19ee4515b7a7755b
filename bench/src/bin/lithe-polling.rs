//! Compares pages that poll with pages that listen, and prints a table in Markdown.

use std::io;
use std::time::Duration;

use clap::Parser;
use lithe_bench::net::raise_descriptor_limit;
use lithe_bench::polling::{CHANGE, DOWNLOADS, POLL, Pages, Way};
use lithe_bench::process::{Server, on_server_core};

/// Pages that follow the progress of downloads, by polling and by an event stream.
#[derive(Parser)]
struct Options {
    /// How many pages are open.
    #[arg(long, default_value_t = 100)]
    pages: usize,
    /// Seconds that each way is measured for.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    raise_descriptor_limit();
    let executable = std::env::current_exe()?;
    let program = executable.with_file_name("lithe-bench-server");
    println!(
        "{} pages, each with {DOWNLOADS} downloads that change every {CHANGE:?}; polls every {POLL:?}. \
         For one page, in a minute:\n",
        options.pages
    );
    println!(
        "| | requests | KiB sent | KiB received | ms of server CPU | a change is seen after, ms |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for way in [Way::Polling, Way::CalmStream, Way::Stream] {
        // Afresh, so that each begins with nothing.
        let server = on_server_core(|| Server::start(&program))?;
        let pages = Pages {
            address: server.address,
            server: server.pid(),
            pages: options.pages,
            way,
            measure: Duration::from_secs(options.seconds),
        };
        let name = match way {
            Way::Polling => "polling",
            Way::CalmStream => "event stream, events every 2 s",
            Way::Stream => "event stream, events at once",
        };
        println!("| {name} | {}", pages.run().await?);
    }
    Ok(())
}

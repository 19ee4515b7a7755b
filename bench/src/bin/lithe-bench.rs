//! Measures Lithe beside a bare TCP echo and axum, and prints a report in Markdown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;
use lithe_bench::load::Programs;
use lithe_bench::net::raise_descriptor_limit;
use lithe_bench::report::Timing;
use lithe_bench::suite::{Row, rows};
use lithe_bench::table::{Measured, render, waited};

/// Measures Lithe beside a bare TCP echo and axum. Servers run on core 0, the load on core 1.
#[derive(Parser)]
struct Options {
    /// Only rows that have a target, briefly: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How often all is measured; the medians are printed.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that each measurement takes.
    #[arg(long)]
    seconds: Option<f64>,
    /// Another program to be measured in the place of lithe-bench-server.
    #[arg(long, value_name = "PROGRAM")]
    lithe: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lithe-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    raise_descriptor_limit();
    // Before anything is pinned, or there would be one core.
    let machine = machine();
    let executable = std::env::current_exe()?;
    let directory = executable.parent().expect("a program lies in a directory");
    let c_directory = directory.join("../bench-c");
    let programs = Programs {
        directory: directory.to_owned(),
        c_directory: c_directory.clone(),
        c_examples: directory.join("../c"),
        lithe: options.lithe.clone(),
    };
    let (rounds, seconds) = if options.quick { (1, 0.5) } else { (3, 1.0) };
    let rounds = options.rounds.unwrap_or(rounds);
    let measure = Duration::from_secs_f64(options.seconds.unwrap_or(seconds));
    let timing = Timing { warm_up: measure / 3, measure };
    let chosen = |row: &Row| {
        (!options.quick || row.has_target())
            && options.only.as_ref().is_none_or(|text| row.name().contains(text))
    };
    let mut measured: Vec<Measured> = rows()
        .into_iter()
        .filter(chosen)
        .map(|row| Measured { row, samples: vec![Vec::new(); row.runs().len()] })
        .collect();
    for round in 1..=rounds {
        for Measured { row, samples } in &mut measured {
            eprintln!("round {round} of {rounds}: {}", row.name());
            for (run, samples) in row.runs().into_iter().zip(samples) {
                samples.push(run.measure(&programs, timing)?);
            }
        }
    }
    println!("{machine}, {rounds} × {measure:?} each. {}", disturbance(&measured));
    println!("\n{}", render(&measured));
    if options.only.is_none() {
        println!("{}", crossings(&c_directory)?);
        print!("{}", sizes(directory)?);
    }
    Ok(())
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Other work on the machine moves every figure; how much there was belongs to the result.
fn disturbance(measured: &[Measured]) -> String {
    waited(measured).map_or_else(String::new, |share| {
        let percent = 100.0 * share;
        format!("Servers waited for their core {percent:.0} % of the time (0 on a quiet machine).")
    })
}

/// What a call over the boundary costs.
fn crossings(directory: &Path) -> io::Result<String> {
    let program = directory.join("crossing");
    let output = Command::new(&program).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{}: {}", program.display(), output.status)));
    }
    let mut out = String::from("### Nanoseconds for a call from C\n\n| | |\n|---|---:|\n");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (what, nanoseconds) = line.split_once(": ").unwrap_or((line, ""));
        out += &format!("| {what} | {nanoseconds} |\n");
    }
    Ok(out)
}

/// The sizes of what was built, as far as it was built, without symbols.
fn sizes(directory: &Path) -> io::Result<String> {
    let programs = [
        ("C echo server, linked to liblithe.a", directory.join("../c/echo")),
        ("benchmark server in Rust", directory.join("lithe-bench-server")),
        ("axum's baseline in Rust", directory.join("axum-baseline")),
    ];
    let mut out = String::from("### Size of programs in KiB, stripped\n\n| | |\n|---|---:|\n");
    for (name, path) in programs {
        if !path.exists() {
            eprintln!("{} is not there; its size is left out", path.display());
            continue;
        }
        let stripped = std::env::temp_dir().join(format!("lithe-bench-{}", std::process::id()));
        let status = Command::new("strip").arg("-o").arg(&stripped).arg(&path).status()?;
        let size = fs::metadata(&stripped).map(|metadata| metadata.len());
        let _ = fs::remove_file(&stripped);
        if !status.success() {
            return Err(io::Error::other(format!("strip {}: {status}", path.display())));
        }
        out += &format!("| {name} | {} |\n", size? / 1024);
    }
    Ok(out)
}

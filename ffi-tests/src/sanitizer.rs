//! The library and programs with sanitizers, which see what valgrind cannot: data races, accesses
//! next to objects on the stack, and behaviour that C leaves undefined.
//!
//! Rust's part of the library is sanitized too, for which it takes a nightly compiler. Without one,
//! ThreadSanitizer would take every message that changes hands for a race.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Once, OnceLock};

use crate::toolchain::{
    SYSTEM_LIBRARIES, WARNINGS, include_dir, library, replace, root, run, target_dir,
};

/// What a program is checked for while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
    Address,
    /// ThreadSanitizer.
    Thread,
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Sanitizer::Address => "address",
            Sanitizer::Thread => "thread",
        }
    }

    /// For clang.
    fn options(self) -> &'static [&'static str] {
        match self {
            Sanitizer::Address => &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
            Sanitizer::Thread => &["-fsanitize=thread"],
        }
    }
}

impl fmt::Display for Sanitizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A nightly compiler with the sources of the standard library, which have to be sanitized as well.
struct Nightly {
    host: String,
    libraries: PathBuf,
}

impl Nightly {
    fn find() -> Option<Nightly> {
        let rustc = |argument: &[&str]| {
            let mut rustc = Command::new("rustup");
            rustc.args(["run", "nightly", "rustc"]).args(argument).stderr(Stdio::null());
            let output = rustc.output().ok().filter(|output| output.status.success())?;
            String::from_utf8(output.stdout).ok()
        };
        let version = rustc(&["--version", "--verbose"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let sources = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
        let libraries = sysroot.join("lib/rustlib").join(&host).join("lib");
        sources.exists().then_some(Nightly { host, libraries })
    }

    fn get() -> Option<&'static Nightly> {
        static NIGHTLY: OnceLock<Option<Nightly>> = OnceLock::new();
        NIGHTLY.get_or_init(Nightly::find).as_ref()
    }

    /// The static library, built once for all tests.
    fn library(&self, sanitizer: Sanitizer) -> PathBuf {
        static BUILT: [Once; 2] = [Once::new(), Once::new()];
        let directory = target_dir().join("sanitized").join(sanitizer.name());
        BUILT[sanitizer as usize].call_once(|| {
            run(Command::new("rustup")
                .args(["run", "nightly", "cargo", "rustc", "--quiet", "--locked", "-Zbuild-std"])
                .args(["--package", "lithe-rt", "--lib", "--crate-type=staticlib"])
                .args(["--features=ffi", "--target", &self.host, "--target-dir"])
                .arg(&directory)
                .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"))
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .current_dir(root()));
        });
        directory.join(&self.host).join("debug/liblithe.a")
    }
}

/// Compiles a program of sources in C with a sanitizer. `None`, and a line on the terminal, where
/// that is not possible.
pub fn compile_sanitized(name: &str, sources: &[PathBuf], sanitizer: Sanitizer) -> Option<PathBuf> {
    let nightly = Nightly::get();
    if nightly.is_none() {
        tell(sanitizer);
    }
    let library = match (nightly, sanitizer) {
        (Some(nightly), _) => nightly.library(sanitizer),
        (None, Sanitizer::Address) => library().join("liblithe.a"),
        (None, Sanitizer::Thread) => return None,
    };
    let directory = target_dir().join("ffi-tests").join(format!("{name}-{sanitizer}"));
    std::fs::create_dir_all(&directory).expect("a directory for test programs");
    let objects = sources.iter().map(|source| object(source, &directory, sanitizer));
    let objects: Vec<_> = objects.collect();
    let mut clang = Command::new("clang");
    clang.args(&objects).arg(library);
    match nightly.filter(|_| sanitizer == Sanitizer::Thread) {
        // rustc's own runtime: that of an older clang lacks what rustc's code calls.
        Some(nightly) => clang
            .arg("-Wl,--export-dynamic,--whole-archive")
            .arg(nightly.libraries.join("librustc-nightly_rt.tsan.a"))
            .args(["-Wl,--no-whole-archive", "-lrt"]),
        None => clang.args(sanitizer.options()),
    };
    clang.args(SYSTEM_LIBRARIES);
    Some(replace(&directory.join(name), |unfinished| {
        run(clang.arg("-o").arg(unfinished));
    }))
}

fn object(source: &Path, directory: &Path, sanitizer: Sanitizer) -> PathBuf {
    let name = source.file_stem().expect("a source has a name");
    replace(&directory.join(name).with_extension("o"), |unfinished| {
        run(Command::new("clang")
            .args(["-std=c99", "-O1", "-g", "-pthread", "-c", "-I"])
            .arg(include_dir())
            .args(WARNINGS)
            .args(sanitizer.options())
            .arg("-o")
            .arg(unfinished)
            .arg(source));
    })
}

/// Says once what was not run. The test harness would keep what a test prints to itself.
fn tell(sanitizer: Sanitizer) {
    static TOLD: [Once; 2] = [Once::new(), Once::new()];
    TOLD[sanitizer as usize].call_once(|| {
        let what = match sanitizer {
            Sanitizer::Address => "AddressSanitizer was run on the C side only",
            Sanitizer::Thread => "ThreadSanitizer was NOT RUN",
        };
        let _ = writeln!(
            std::io::stderr(),
            "\n{what}: there is no nightly compiler with the sources of the standard library \
            (rustup toolchain install nightly --component rust-src)"
        );
    });
}

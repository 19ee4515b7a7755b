//! The library, and the compilers.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

/// What warnings a program is compiled with; every one is an error.
pub(crate) const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What the static library needs of the system, as `pkg-config --static` will say.
pub(crate) const SYSTEM_LIBRARIES: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

/// Which language a file is compiled as.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    /// C99.
    C,
    /// C++11.
    Cpp,
}

/// How a program is bound to the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// To `liblithe.a`.
    Static,
    /// To `liblithe.so`.
    Shared,
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where `lithe.h` is.
pub fn include_dir() -> PathBuf {
    root().join("include")
}

/// Where `liblithe.a` and `liblithe.so` are; they are built first, once for all tests. They are those
/// of the profile `release`, which is built sooner and has line numbers, or with
/// `LITHE_TEST_LIBRARY=dist` those that `make install` installs.
pub fn library() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let profile = match env::var("LITHE_TEST_LIBRARY").as_deref() {
            Ok("dist") => {
                build_dist();
                "dist"
            }
            Ok("release") | Err(_) => {
                build_release();
                "release"
            }
            Ok(other) => panic!("LITHE_TEST_LIBRARY={other}: there is release, and dist"),
        };
        let directory = target_dir().join(profile);
        name_shared_library(&directory);
        directory
    })
}

fn build_release() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked", "--package", "lithe-rt", "--lib"])
        .args(["--features", "ffi", "--target-dir"])
        .arg(target_dir())
        .current_dir(root()));
}

/// Builds what `make install` installs, once for all tests.
fn build_dist() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        run(&mut make_command(&["dist"]));
    });
}

/// Gives the shared library, where cargo has put it, the name that programs ask for when they
/// start, as `make install` does.
fn name_shared_library(directory: &Path) {
    let header = std::fs::read_to_string(include_dir().join("lithe.h")).expect("the header");
    let (_, version) = header.split_once("#define LITHE_ABI_VERSION ").expect("the version");
    let version = version.lines().next().unwrap_or(version);
    let link = directory.join(format!("liblithe.so.{version}"));
    if let Err(error) = std::os::unix::fs::symlink("liblithe.so", &link) {
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{}", link.display());
    }
}

/// Runs `make`, which builds where the tests do, and returns what it prints. What `make install`
/// installs is built first, once for all tests.
///
/// # Panics
///
/// When it fails.
pub fn make(arguments: &[&str]) -> String {
    build_dist();
    let output = run(&mut make_command(arguments));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `make`, which must fail, and returns what it complains of.
///
/// # Panics
///
/// When it succeeds.
pub fn make_fails(arguments: &[&str]) -> String {
    let output = make_command(arguments).output().expect("make can be run");
    assert!(!output.status.success(), "make {arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn make_command(arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    // The tests may run under another make, whose flags are not meant for this one.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env("CARGO_TARGET_DIR", target_dir());
    make.args(arguments).current_dir(root());
    make
}

/// A new directory for the files of a test.
pub fn scratch_dir(test: &str) -> PathBuf {
    let directory = target_dir().join("ffi-tests").join(format!("{test}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for a test");
    directory
}

/// Compiles a program of sources in C, or in C++ where they are called `.cpp`, and returns where it
/// is.
pub fn compile(name: &str, sources: &[PathBuf], linkage: Linkage) -> PathBuf {
    let library = library();
    let directory = target_dir().join("ffi-tests");
    std::fs::create_dir_all(&directory).expect("a directory for test programs");
    let program = directory.join(format!("{name}-{linkage:?}").to_lowercase());
    let is_cpp = |source: &PathBuf| source.extension().is_some_and(|name| name == "cpp");
    let mut compiler = if sources.iter().any(is_cpp) {
        Command::new(compiler("CXX", "c++"))
    } else {
        let mut compiler = Command::new(compiler("CC", "cc"));
        compiler.arg("-std=c99");
        compiler
    };
    compiler.args(WARNINGS).args(["-O1", "-g", "-pthread", "-I"]);
    compiler.arg(include_dir());
    for source in sources {
        compiler.args(["-x", if is_cpp(source) { "c++" } else { "c" }]).arg(source);
    }
    compiler.args(["-x", "none"]);
    match linkage {
        Linkage::Static => compiler.arg(library.join("liblithe.a")).args(SYSTEM_LIBRARIES),
        Linkage::Shared => {
            compiler.arg(library.join("liblithe.so")).arg(prefixed("-Wl,-rpath,", library))
        }
    };
    replace(&program, |unfinished| {
        run(compiler.arg("-o").arg(unfinished));
    })
}

/// Makes a file, in place of one that another test may be using, or making, at this time.
pub(crate) fn replace(file: &Path, make: impl FnOnce(&Path)) -> PathBuf {
    static UNIQUE: AtomicUsize = AtomicUsize::new(0);
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let unfinished = file.with_extension(format!("{}-{unique}", std::process::id()));
    make(&unfinished);
    std::fs::rename(&unfinished, file).expect("both are in the same directory");
    file.to_owned()
}

/// Compiles source text, with that compiler, and does nothing with the result.
///
/// # Panics
///
/// When there is an error or a warning, or the compiler is not installed.
pub fn check_compiles(compiler: &str, language: Language, source: &str) {
    match language {
        Language::C => check_compiles_as(compiler, "c99", &[], source),
        Language::Cpp => check_compiles_as(compiler, "c++11", &[], source),
    }
}

/// The same by that standard of the language, and with further options.
///
/// # Panics
///
/// When there is an error or a warning, or the compiler is not installed.
pub fn check_compiles_as(compiler: &str, standard: &str, options: &[&str], source: &str) {
    let directory = target_dir().join("ffi-tests");
    std::fs::create_dir_all(&directory).expect("a directory for test programs");
    let extension = if standard.starts_with("c++") { "cpp" } else { "c" };
    let file = directory.join(format!("header-{compiler}.{extension}"));
    std::fs::write(&file, source).expect("a source file");
    run(Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args(WARNINGS)
        .args(options)
        .arg("-I")
        .arg(include_dir())
        .arg("-fsyntax-only")
        .arg(&file));
}

/// Where cargo puts what it builds: a test is in `deps` of a profile's directory there.
pub(crate) fn target_dir() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.ancestors().nth(3).expect("a test is in <target>/<profile>/deps").to_owned()
}

fn compiler(variable: &str, default: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| default.into())
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(path);
    argument
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} could not be run: {error}; `make test` installs what is missing")
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    output
}

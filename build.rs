//! Generates the C header from `src/ffi`, and names the shared library, for the feature `ffi`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "ffi")]
    {
        header::generate();
        shared_library::name();
    }
}

#[cfg(feature = "ffi")]
mod shared_library {
    use std::{env, fs};

    /// Gives the shared library the name that programs ask for when they start: it holds the
    /// version of the ABI, so that a system may have several, and each program gets its own.
    pub(super) fn name() {
        let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
        let abi = abi_version();
        let argument = match (target("FAMILY").as_str(), target("VENDOR").as_str()) {
            (_, "apple") => format!("-Wl,-install_name,@rpath/liblithe.{abi}.dylib"),
            ("unix", _) => format!("-Wl,-soname,liblithe.so.{abi}"),
            _ => return,
        };
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }

    /// What `LITHE_ABI_VERSION` is.
    fn abi_version() -> u32 {
        let source = fs::read_to_string("src/ffi/version.rs").expect("a file of the package");
        let (_, value) = source.split_once("LITHE_ABI_VERSION: i32 = ").expect("the constant");
        value.split(';').next().and_then(|value| value.parse().ok()).expect("a number")
    }
}

#[cfg(feature = "ffi")]
mod header {
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The sources that the header is made of, in the order of a manual.
    const SOURCES: &[&str] = &[
        "version",
        "error",
        "convert",
        "log",
        "message",
        "server",
        "stats",
        "event",
        "request",
        "response",
        "route",
        "ws",
        "sse",
        "owned",
        "buffer",
        "hub_options",
        "hub",
        "history",
        "subscribe",
        "mount",
        "authorization",
        "revoke",
        "codec",
        "options",
    ];

    /// Writes the header to cargo's output directory, for a test to compare with the one that is
    /// committed; and over that one only when `LITHE_UPDATE_HEADER` asks for it, because a build
    /// must not change its own sources.
    pub(super) fn generate() {
        println!("cargo::rerun-if-changed=cbindgen.toml");
        println!("cargo::rerun-if-env-changed=LITHE_UPDATE_HEADER");
        let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
        let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))
            .unwrap_or_else(|error| panic!("cbindgen.toml: {error}"));
        let mut builder = cbindgen::Builder::new().with_config(config);
        for source in SOURCES {
            let path = root.join("src/ffi").join(source).with_extension("rs");
            println!("cargo::rerun-if-changed={}", path.display());
            builder = builder.with_src(path);
        }
        let bindings = builder.generate().unwrap_or_else(|error| panic!("lithe.h: {error}"));
        let mut header = Vec::new();
        bindings.write(&mut header);
        write_if_changed(&out.join("lithe.h"), &header);
        if env::var_os("LITHE_UPDATE_HEADER").is_some() {
            write_if_changed(&root.join("include/lithe.h"), &header);
        }
    }

    fn write_if_changed(path: &Path, content: &[u8]) {
        if fs::read(path).is_ok_and(|present| present == content) {
            return;
        }
        if let Err(error) = fs::write(path, content) {
            panic!("{}: {error}", path.display());
        }
    }
}

//! Generates the C header from `src/ffi`, for the feature `ffi`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "ffi")]
    header::generate();
}

#[cfg(feature = "ffi")]
mod header {
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The sources that the header is made of, in the order of a manual.
    const SOURCES: [&str; 11] = [
        "version", "error", "convert", "log", "message", "server", "event", "request", "ws", "sse",
        "buffer",
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

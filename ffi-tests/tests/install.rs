//! `make install`: what it installs can be found, linked and run from anywhere, and taken away
//! again.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lithe_ffi_tests::{Program, make, make_fails, root};
use tempfile::TempDir;

/// Longer than anything takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

fn setting(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// An installed library, and an empty folder to build programs in.
struct Installed {
    prefix: PathBuf,
    folder: TempDir,
}

impl Installed {
    /// Installs to a directory of that name.
    fn in_directory(name: &str) -> Self {
        let folder = TempDir::with_prefix("lithe-install-").unwrap();
        let prefix = folder.path().join(name);
        make(&["install", &setting("PREFIX", &prefix)]);
        Installed { prefix, folder }
    }

    fn lib(&self) -> PathBuf {
        self.prefix.join("lib")
    }

    /// Runs a command line in the folder, and returns what it prints. It finds the library by
    /// pkg-config, and only there.
    fn shell(&self, command: &str) -> String {
        output(
            Command::new("sh")
                .args(["-c", command])
                .current_dir(self.folder.path())
                .env("PKG_CONFIG_LIBDIR", self.lib().join("pkgconfig")),
        )
    }

    /// Builds `app` from `app.c` with that command line.
    fn build(&self, command: &str) -> PathBuf {
        fs::copy(root().join("ffi-tests/c/installed.c"), self.folder.path().join("app.c")).unwrap();
        self.shell(command);
        self.folder.path().join("app")
    }
}

fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `make test` installs what it needs"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Runs a program that serves one request, and makes that request.
fn serves(program: &Path) {
    let mut program = Program::start(program, [""; 0]);
    let line = program.line();
    let address = line.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\ninstalled"));
    program.finish();
}

/// The entries of an ELF file's dynamic section of that kind, such as the libraries it needs.
fn dynamic(kind: &str, file: impl AsRef<OsStr>) -> Vec<String> {
    let section = output(Command::new("readelf").args(["--wide", "--dynamic"]).arg(file));
    let entries = section.lines().filter(|line| line.contains(&format!("({kind})")));
    let names = entries.filter_map(|line| line.split_once('[')?.1.split(']').next());
    names.map(str::to_owned).collect()
}

/// The shared libraries of ours that a program asks for.
fn lithe_of(program: &Path) -> Vec<String> {
    let mut needed = dynamic("NEEDED", program);
    needed.retain(|name| name.contains("lithe"));
    needed
}

/// All files and links below a directory, by their paths from there.
fn files(directory: &Path) -> Vec<String> {
    let list = output(Command::new("find").args([".", "!", "-type", "d"]).current_dir(directory));
    let mut files: Vec<_> = list.lines().map(|path| path[2..].to_owned()).collect();
    files.sort();
    files
}

/// The version of the ABI that the header describes.
fn abi_version() -> String {
    let header = fs::read_to_string(root().join("include/lithe.h")).unwrap();
    let (_, version) = header.split_once("#define LITHE_ABI_VERSION ").unwrap();
    version.lines().next().unwrap().to_owned()
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn all_is_where_it_is_looked_for() {
    let installed = Installed::in_directory("usr");
    let abi = abi_version();
    let mut expected = [
        "include/lithe.h",
        "include/lithe.hpp",
        "lib/cmake/lithe/lithe-config-version.cmake",
        "lib/cmake/lithe/lithe-config.cmake",
        "lib/liblithe.a",
        "lib/liblithe.so",
        &format!("lib/liblithe.so.{abi}"),
        &format!("lib/liblithe.so.{VERSION}"),
        "lib/pkgconfig/lithe-static.pc",
        "lib/pkgconfig/lithe.pc",
        "share/doc/lithe/CHANGELOG.md",
        "share/doc/lithe/LICENSE-APACHE",
        "share/doc/lithe/LICENSE-MIT",
        "share/doc/lithe/README.md",
    ];
    expected.sort_unstable();
    assert_eq!(files(&installed.prefix), expected);
    assert_eq!(fs::read_link(installed.lib().join("liblithe.so")).unwrap(), {
        PathBuf::from(format!("liblithe.so.{abi}"))
    });
    let shared = fs::canonicalize(installed.lib().join("liblithe.so")).unwrap();
    assert!(shared.ends_with(format!("liblithe.so.{VERSION}")));
    assert_eq!(dynamic("SONAME", shared), [format!("liblithe.so.{abi}")]);
    assert_eq!(installed.shell("pkg-config --modversion lithe").trim(), VERSION);
}

#[test]
fn pkg_config_links_the_library_into_a_program() {
    let installed = Installed::in_directory("usr");
    let program = installed.build("cc app.c $(pkg-config --cflags --libs lithe-static) -o app");
    assert_eq!(lithe_of(&program), [""; 0]);
    serves(&program);
}

#[test]
fn pkg_config_links_a_program_that_needs_no_shared_library_at_all() {
    let installed = Installed::in_directory("usr");
    let program =
        installed.build("cc -static app.c $(pkg-config --cflags --libs --static lithe) -o app");
    assert_eq!(dynamic("NEEDED", &program), [""; 0]);
    serves(&program);
}

#[test]
fn pkg_config_links_a_program_with_the_shared_library() {
    let installed = Installed::in_directory("usr");
    let program = installed.build(
        "cc app.c $(pkg-config --cflags --libs lithe) \
         -Wl,-rpath,$(pkg-config --variable=libdir lithe) -o app",
    );
    assert_eq!(lithe_of(&program), [format!("liblithe.so.{}", abi_version())]);
    serves(&program);
}

#[test]
fn pkg_config_finds_a_library_with_a_space_in_its_path() {
    let installed = Installed::in_directory("my programs");
    serves(&installed.build("eval cc app.c $(pkg-config --cflags --libs lithe-static) -o app"));
}

/// What rustc says that the static library needs is what pkg-config says; but for what every C
/// compiler links by itself.
#[test]
fn pkg_config_names_the_system_libraries() {
    let installed = Installed::in_directory("usr");
    let list = make(&["--silent", "system-libraries"]);
    let mut named: Vec<_> = list.split_whitespace().collect();
    assert!(named.contains(&"-lc"), "{list}");
    named.retain(|library| !["-lgcc_s", "-lc"].contains(library));
    let private = installed.shell("pkg-config --libs --static lithe");
    let told = private.split_whitespace().skip_while(|word| *word != "-llithe").skip(1);
    assert_eq!(told.collect::<Vec<_>>(), named);
}

const PROJECT: &str = "
cmake_minimum_required(VERSION 3.13)
project(app LANGUAGES C CXX)
find_package(lithe 0.1 REQUIRED)
foreach(language c cpp)
    foreach(library lithe static)
        add_executable(${language}-${library} app.${language})
        target_link_libraries(${language}-${library} PRIVATE lithe::${library})
    endforeach()
endforeach()
";

#[test]
fn cmake_finds_the_library_also_after_it_was_moved() {
    let installed = Installed::in_directory("usr");
    let folder = installed.folder.path();
    let moved = folder.join("somewhere else");
    fs::rename(&installed.prefix, &moved).unwrap();
    for language in ["c", "cpp"] {
        let source = root().join("ffi-tests/c/installed").with_extension(language);
        fs::copy(source, folder.join("app").with_extension(language)).unwrap();
    }
    fs::write(folder.join("CMakeLists.txt"), PROJECT).unwrap();
    let prefix_path = setting("-DCMAKE_PREFIX_PATH", &moved);
    let cmake = |arguments: &[&str]| {
        output(Command::new("cmake").args(arguments).current_dir(folder));
    };
    cmake(&["-S", ".", "-B", "build", &prefix_path]);
    cmake(&["--build", "build"]);
    for language in ["c", "cpp"] {
        let shared = folder.join(format!("build/{language}-lithe"));
        assert_eq!(lithe_of(&shared), [format!("liblithe.so.{}", abi_version())]);
        serves(&shared);
        let linked_in = folder.join(format!("build/{language}-static"));
        assert_eq!(lithe_of(&linked_in), [""; 0]);
        serves(&linked_in);
    }
}

#[test]
fn cmake_refuses_a_version_that_is_not_there() {
    let installed = Installed::in_directory("usr");
    let folder = installed.folder.path();
    let found = |version: &str| {
        let project = format!(
            "cmake_minimum_required(VERSION 3.13)\nproject(app LANGUAGES NONE)\n\
             find_package(lithe {version} QUIET)\nfile(WRITE found \"${{lithe_FOUND}}\")\n"
        );
        fs::write(folder.join("CMakeLists.txt"), project).unwrap();
        let prefix_path = setting("-DCMAKE_PREFIX_PATH", &installed.prefix);
        output(Command::new("cmake").args([".", &prefix_path]).current_dir(folder));
        fs::read_to_string(folder.join("found")).unwrap() == "1"
    };
    let (series, _) = VERSION.rsplit_once('.').unwrap();
    assert!(found("") && found(VERSION) && found(series));
    assert!(!found("99") && !found(&format!("{VERSION}.1")) && !found("0.0.1"));
}

#[test]
fn stage_is_not_named_in_what_is_staged() {
    let stage = TempDir::with_prefix("lithe-stage-").unwrap();
    let settings = [
        &setting("DESTDIR", stage.path()),
        "PREFIX=/opt/lithe",
        "LIBDIR=/opt/lithe/lib/some-linux-gnu",
        "INCLUDEDIR=/usr/include/lithe",
    ];
    make(&[&["install"], &settings[..]].concat());
    let lib = stage.path().join("opt/lithe/lib/some-linux-gnu");
    assert!(lib.join("liblithe.so").exists());
    assert!(stage.path().join("usr/include/lithe/lithe.h").exists());
    for file in files(stage.path()) {
        let content = fs::read(stage.path().join(&file)).unwrap();
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains(stage.path().to_str().unwrap()), "{file}");
    }
    let pc = fs::read_to_string(lib.join("pkgconfig/lithe.pc")).unwrap();
    assert!(pc.contains("prefix=/opt/lithe\n"), "{pc}");
    assert!(pc.contains("libdir=${prefix}/lib/some-linux-gnu\n"), "{pc}");
    assert!(pc.contains("includedir=/usr/include/lithe\n"), "{pc}");
    make(&[&["uninstall"], &settings[..]].concat());
    assert_eq!(files(stage.path()), [""; 0]);
}

#[test]
fn uninstall_takes_what_install_has_brought_and_nothing_else() {
    let installed = Installed::in_directory("my programs");
    let others = ["include/other.h", "lib/cmake/lithe/other.cmake", "lib/libother.so"];
    for other in others {
        fs::write(installed.prefix.join(other), "").unwrap();
    }
    let prefix = setting("PREFIX", &installed.prefix);
    make(&["uninstall", &prefix]);
    assert_eq!(files(&installed.prefix), others);
    make(&["uninstall", &prefix]);
}

#[test]
fn install_builds_nothing_when_nothing_has_changed() {
    let installed = Installed::in_directory("usr");
    let archive = installed.lib().join("liblithe.a");
    fs::remove_file(&archive).unwrap();
    let said = make(&["install", &setting("PREFIX", &installed.prefix)]);
    assert!(archive.exists(), "{said}");
    assert!(!said.contains("rustc"), "{said}");
}

#[test]
fn prefix_must_be_absolute() {
    let said = make_fails(&["install", "PREFIX=here"]);
    assert!(said.contains("absolute"), "{said}");
}

#[test]
fn debian_package_holds_what_a_program_needs() {
    let folder = TempDir::with_prefix("lithe-deb-").unwrap();
    let (deb, root_of_it) = (folder.path().join("lithe.deb"), folder.path().join("root"));
    make(&["deb", &setting("DEB", &deb)]);
    output(Command::new("dpkg-deb").arg("--extract").args([&deb, &root_of_it]));
    let version = output(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Version"));
    assert_eq!(version.trim(), VERSION);
    let packaged = files(&root_of_it);
    let archive = packaged.iter().find(|file| file.ends_with("/liblithe.a")).expect("an archive");
    let program = folder.path().join("app");
    output(
        Command::new("cc")
            .arg(root().join("ffi-tests/c/installed.c"))
            .arg("-I")
            .arg(root_of_it.join("usr/include"))
            .arg(root_of_it.join(archive))
            .args(["-lpthread", "-ldl", "-lm", "-o"])
            .arg(&program),
    );
    serves(&program);
}

//! Builds the C library as a C program gets it, compiles programs against it, and runs them: as
//! they are, and under valgrind.

mod contract;
mod program;
mod sanitizer;
mod toolchain;

pub use contract::{Function, functions, table};
pub use program::{Output, Program};
pub use sanitizer::{Sanitizer, compile_sanitized};
pub use toolchain::{
    Language, Linkage, check_compiles, check_compiles_as, compile, include_dir, library, make,
    make_fails, root, scratch_dir,
};

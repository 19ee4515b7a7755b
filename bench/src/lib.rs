//! What Lithe's benchmarks are made of: a load generator on raw non-blocking sockets, the means
//! to start and watch the servers it is pointed at, and the table of rows and targets.
//!
//! Linux only: it stands on `epoll` and on `/proc`. `README.md` says how to run it and what each
//! figure means.

pub mod accept;
pub mod echo;
pub mod fanout;
pub mod follow;
pub mod idle;
pub mod load;
pub mod net;
pub mod polling;
pub mod process;
pub mod publish;
pub mod report;
pub mod resume;
pub mod sse;
pub mod suite;
pub mod table;
pub mod ws;

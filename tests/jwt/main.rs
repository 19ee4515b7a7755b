//! Tokens: those that were signed with a key that was set, by its algorithm, for the hub and for
//! now, tell who somebody is; no others do.
#![cfg(feature = "jwt")]

mod claims;
mod key_file;
mod signatures;
mod signer;

use std::time::{SystemTime, UNIX_EPOCH};

use lithe::access::jwt::Jwt;
use lithe::access::{Authorizer, Credentials, Identity, Refusal, RefusalKind};

/// In seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn present(jwt: &Jwt, token: &str) -> Result<Identity, Refusal> {
    let credentials = Credentials { token: Some(token), request: None, previous: None };
    jwt.authenticate(credentials).await
}

async fn refusal(jwt: &Jwt, token: &str) -> RefusalKind {
    let refusal = present(jwt, token).await.expect_err("the token should be refused");
    assert!(token.len() < 20 || !refusal.message.contains(token), "{refusal}");
    refusal.kind
}

//! How a conversation ends: what the client is told, and the code of the close frame.

use std::time::Duration;

use crate::endpoint::{Rejection, RejectionKind};
use crate::ws::CloseCode;

/// Why the server parts from a client. From 4200 on the client is to come back by itself; from 4400
/// on it has to change something first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The server goes.
    Drain,
    /// The client was too slow for a channel that does not wait.
    Slow,
    /// Whoever runs the server has closed the connection.
    Close,
    /// There are too many clients, or nobody can say whether this one may come.
    Unavailable,
    /// What it has asked for cannot be.
    BadRequest,
    TokenInvalid,
    TokenExpired,
    /// It may have nothing of what it wants.
    Denied,
}

impl Parting {
    /// The reason in one word.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Parting::Drain => "drain",
            Parting::Slow => "slow",
            Parting::Close => "close",
            Parting::Unavailable => "unavailable",
            Parting::BadRequest => "bad_request",
            Parting::TokenInvalid => "token_invalid",
            Parting::TokenExpired => "token_expired",
            Parting::Denied => "denied",
        }
    }

    pub(super) fn code(self) -> CloseCode {
        let code = match self {
            Parting::Drain => 4200,
            Parting::Slow => 4201,
            Parting::Close => 4202,
            Parting::Unavailable => 4203,
            Parting::BadRequest => 4400,
            Parting::TokenInvalid => 4401,
            Parting::TokenExpired => 4402,
            Parting::Denied => 4403,
        };
        CloseCode::new(code).unwrap_or(CloseCode::NORMAL)
    }

    /// For a client that is not let in, with the time after which it may come back.
    pub(super) fn of(rejection: &Rejection) -> (Self, Option<Duration>) {
        let parting = match rejection.kind() {
            RejectionKind::Later(retry) => return (Parting::Unavailable, Some(retry)),
            RejectionKind::BadRequest | RejectionKind::TooMany => Parting::BadRequest,
            RejectionKind::Unauthorized | RejectionKind::InvalidToken => Parting::TokenInvalid,
            RejectionKind::ExpiredToken => Parting::TokenExpired,
            RejectionKind::Denied | RejectionKind::NotFound => Parting::Denied,
        };
        (parting, None)
    }
}

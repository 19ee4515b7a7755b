//! What a token says: who somebody is, for how long, and what they may do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::Rules;
use crate::access::{Grants, Identity, Refusal, RefusalKind};
use crate::hub::Interest;

/// How many channels and patterns a token may grant, for each action.
pub const MAX_GRANTS: usize = 256;

/// What stands for the subject in the pattern of a grant.
const SUBJECT: &str = "{sub}";

/// The last second of the year 9999. What is later is no number of seconds.
const LAST: u64 = 253_402_300_799;

/// The registered claims (RFC 7519 §4.1); all others are in `rest`.
pub(super) const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<OneOrMore>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
    jti: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The claim of ours. What it does not know it refuses: a word that is written wrongly would
/// otherwise be a grant, or a limit, that is not there.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Granted {
    subscribe: Vec<String>,
    publish: Vec<String>,
    history: Vec<String>,
    presence: Vec<String>,
    info: Option<Value>,
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, message)
}

/// Who a token is for, the signature of which was checked.
pub(super) fn identity(payload: &[u8], rules: &Rules) -> Result<Identity, Refusal> {
    // What serde says of a wrong value may quote it, and no part of a token belongs into a log.
    let mut claims: Claims = serde_json::from_slice(payload)
        .map_err(|_| invalid("the token's claims cannot be read"))?;
    let expires = check_time(&claims, rules)?;
    check_parties(&claims, rules)?;
    let subject = claims.sub.as_deref();
    if subject.is_some_and(str::is_empty) {
        return Err(invalid("the token's sub is empty"));
    }
    let granted = match claims.rest.remove(&*rules.claim) {
        Some(claim) => serde_json::from_value(claim)
            .map_err(|_| invalid("the token's claim of grants is malformed"))?,
        None => Granted::default(),
    };
    let grants = Grants {
        subscribe: interests(&granted.subscribe, subject)?,
        publish: interests(&granted.publish, subject)?,
        history: interests(&granted.history, subject)?,
        presence: interests(&granted.presence, subject)?,
    };
    Ok(Identity {
        subject: claims.sub.map(Into::into),
        info: granted.info.map_or_else(Bytes::new, |info| info.to_string().into()),
        expires,
        issued: claims.iat.as_ref().map(time).transpose()?,
        token_id: claims.jti.map(Into::into),
        grants,
        tag: 0,
    })
}

/// When the token is over.
fn check_time(claims: &Claims, rules: &Rules) -> Result<Option<SystemTime>, Refusal> {
    let now = SystemTime::now();
    let expires = match &claims.exp {
        Some(exp) => Some(time(exp)? + rules.leeway),
        None if rules.require_expiry => return Err(invalid("the token has no exp")),
        None => None,
    };
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Refusal::new(RefusalKind::Expired, "the token has expired"));
    }
    for (claim, message) in [
        (&claims.nbf, "the token is not valid yet (nbf)"),
        (&claims.iat, "the token is from the future (iat)"),
    ] {
        if let Some(claim) = claim
            && time(claim)? > now + rules.leeway
        {
            return Err(invalid(message));
        }
    }
    Ok(expires)
}

/// A time in seconds since 1970 (RFC 7519 §2, NumericDate).
fn time(number: &Number) -> Result<SystemTime, Refusal> {
    let seconds = number.as_u64().or_else(|| {
        number.as_f64().filter(|seconds| (0.0..=LAST as f64).contains(seconds)).map(|s| s as u64)
    });
    seconds
        .filter(|seconds| *seconds <= LAST)
        .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
        .ok_or_else(|| invalid("a time of the token is not in seconds since 1970"))
}

/// Whom it is from, and whom for.
fn check_parties(claims: &Claims, rules: &Rules) -> Result<(), Refusal> {
    let known = |known: &[Box<str>], name: &str| known.iter().any(|known| **known == *name);
    let issuer = claims.iss.as_deref();
    if !rules.issuers.is_empty() && !issuer.is_some_and(|name| known(&rules.issuers, name)) {
        return Err(invalid("the token is from another issuer"));
    }
    // Whoever does not find itself in the list must refuse the token (RFC 7519 §4.1.3).
    let ours = match &claims.aud {
        Some(OneOrMore::One(name)) => known(&rules.audiences, name),
        Some(OneOrMore::More(names)) => names.iter().any(|name| known(&rules.audiences, name)),
        None => rules.audiences.is_empty(),
    };
    if ours { Ok(()) } else { Err(invalid("the token is for another audience")) }
}

fn interests(patterns: &[String], subject: Option<&str>) -> Result<Vec<Interest>, Refusal> {
    if patterns.len() > MAX_GRANTS {
        return Err(invalid("the token has too many grants"));
    }
    patterns.iter().map(|pattern| interest(pattern, subject)).collect()
}

fn interest(pattern: &str, subject: Option<&str>) -> Result<Interest, Refusal> {
    let named;
    let pattern = if pattern.contains(SUBJECT) {
        let subject =
            subject.ok_or_else(|| invalid("a grant of the token names a sub it has not"))?;
        named = pattern.replace(SUBJECT, &super::segment(subject));
        &named
    } else {
        pattern
    };
    pattern.parse().map_err(|_| invalid("a grant of the token is no channel or pattern"))
}

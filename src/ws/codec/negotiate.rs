use std::str::FromStr;

use super::{Deflate, DeflateParams, Role};

/// Picks the first offer of `permessage-deflate` in a `Sec-WebSocket-Extensions` header that can
/// be met, and words the answer (RFC 7692 §7.1). `None` when there is none: the connection then
/// goes on without compression.
pub fn negotiate(offers: &str, settings: &Deflate) -> Option<(DeflateParams, String)> {
    offers.split(',').find_map(|offer| accept(offer, settings))
}

impl DeflateParams {
    /// The parameters in the answer of a server, as `Inflater` and `Deflater`, which are made for
    /// a server, need them at this end: its own side is the server's there. `None` when the answer
    /// is malformed, or asks for a window that cannot be had.
    pub fn agreed(answer: &str, role: Role) -> Option<DeflateParams> {
        let mut parts = answer.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let answer = Offer::parse(parts)?;
        let server = (answer.server_no_context_takeover, answer.server_max_window_bits);
        let client = (answer.client_no_context_takeover, answer.client_max_window_bits);
        let (own, peer) = match role {
            Role::Server => (server, client),
            Role::Client => (client, server),
        };
        // zlib makes no window of 256 bytes; what is made with one inflates with a larger one.
        let own_bits = own.1.unwrap_or(15);
        (own_bits >= 9).then(|| DeflateParams {
            server_no_context_takeover: own.0,
            client_no_context_takeover: peer.0,
            server_max_window_bits: own_bits,
            client_max_window_bits: peer.1.unwrap_or(15).max(9),
        })
    }
}

fn accept(offer: &str, settings: &Deflate) -> Option<(DeflateParams, String)> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let offer = Offer::parse(parts)?;
    // zlib cannot make raw deflate data with a window of 256 bytes.
    let server_bits = offer.server_max_window_bits.unwrap_or(15).min(settings.window_bits);
    if server_bits < 9 {
        return None;
    }
    let takeover = settings.context_takeover;
    let params = DeflateParams {
        server_no_context_takeover: offer.server_no_context_takeover || !takeover,
        client_no_context_takeover: offer.client_no_context_takeover || !takeover,
        server_max_window_bits: server_bits,
        // A client can only be told a window when it says that it understands (§7.1.2.2). Where it
        // need not remember anything, the inflater is shared and the window costs nothing.
        client_max_window_bits: match offer.client_max_window_bits {
            Some(bits) if takeover && bits >= 9 => bits.min(settings.window_bits),
            _ => 15,
        },
    };
    let mut answer = String::from("permessage-deflate");
    if params.server_no_context_takeover {
        answer.push_str("; server_no_context_takeover");
    }
    if params.client_no_context_takeover {
        answer.push_str("; client_no_context_takeover");
    }
    if server_bits < 15 || offer.server_max_window_bits.is_some() {
        answer.push_str(&format!("; server_max_window_bits={server_bits}"));
    }
    if params.client_max_window_bits < 15 {
        answer.push_str(&format!("; client_max_window_bits={}", params.client_max_window_bits));
    }
    Some((params, answer))
}

#[derive(Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Offer {
    /// `None` when a parameter is unknown, doubled or malformed: such an offer must be declined
    /// (RFC 7692 §7.1).
    fn parse<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Offer> {
        let mut offer = Offer::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (part, None),
            };
            match (name.to_ascii_lowercase().as_str(), value) {
                ("server_no_context_takeover", None) if !offer.server_no_context_takeover => {
                    offer.server_no_context_takeover = true;
                }
                ("client_no_context_takeover", None) if !offer.client_no_context_takeover => {
                    offer.client_no_context_takeover = true;
                }
                ("server_max_window_bits", Some(bits))
                    if offer.server_max_window_bits.is_none() =>
                {
                    offer.server_max_window_bits = Some(window_bits(bits)?);
                }
                ("client_max_window_bits", bits) if offer.client_max_window_bits.is_none() => {
                    offer.client_max_window_bits = Some(bits.map_or(Some(15), window_bits)?);
                }
                _ => return None,
            }
        }
        Some(offer)
    }
}

/// 8 to 15 without leading zeros, quoted or not (RFC 7692 §7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    let canonical = !value.starts_with(['0', '+']);
    u8::from_str(value).ok().filter(|bits| canonical && (8..=15).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_take_the_same_answer_from_their_own_side() {
        let answer = "permessage-deflate; server_no_context_takeover; client_max_window_bits=9";
        let server = DeflateParams::agreed(answer, Role::Server).unwrap();
        let client = DeflateParams::agreed(answer, Role::Client).unwrap();
        assert_eq!((server.server_max_window_bits, server.client_max_window_bits), (15, 9));
        assert_eq!((client.server_max_window_bits, client.client_max_window_bits), (9, 15));
        assert!(server.server_no_context_takeover && !server.client_no_context_takeover);
        assert!(client.client_no_context_takeover && !client.server_no_context_takeover);
    }

    #[test]
    fn window_of_256_bytes_inflates_but_cannot_be_made() {
        let answer = "permessage-deflate; server_max_window_bits=8";
        assert_eq!(DeflateParams::agreed(answer, Role::Server), None);
        let client = DeflateParams::agreed(answer, Role::Client).unwrap();
        assert_eq!(client.client_max_window_bits, 9);
        assert_eq!(DeflateParams::agreed("permessage-deflate; x", Role::Client), None);
        assert_eq!(DeflateParams::agreed("x-other", Role::Client), None);
    }
}

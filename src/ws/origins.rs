use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// Which pages may connect. Browsers say in `Origin` which page opened a WebSocket and let any page
/// open one to any server, cookies included, so the server has to check (RFC 6455 §10.2). A request
/// without `Origin` does not come from a page and is always let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Pages from the host and port that the request itself is for, by its `Host`. The default.
    #[default]
    SameHost,
    /// Pages from these origins, such as `https://app.example.com`.
    List(Vec<String>),
    /// All pages.
    Any,
}

impl Origins {
    /// Whether a page may connect by a request for that host.
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        match self {
            Origins::Any => true,
            Origins::List(origins) => origins.iter().any(|o| o.eq_ignore_ascii_case(origin)),
            Origins::SameHost => {
                let Some(((scheme, origin), host)) = origin.split_once("://").zip(host) else {
                    return false;
                };
                without_default_port(scheme, host)
                    .eq_ignore_ascii_case(without_default_port(scheme, origin))
            }
        }
    }

    /// Whether a page that may connect may do so as whoever its browser is logged in as. Where all
    /// pages may, nobody has said which of them can be trusted with that.
    #[cfg(feature = "endpoint")]
    pub(crate) fn trust(&self, origin: Option<&HeaderValue>, host: Option<&str>) -> bool {
        *self != Origins::Any || Origins::SameHost.allow(origin, host)
    }
}

/// A page's origin leaves out the default port of its scheme, but a `Host` may name it
/// (RFC 9110 §4.2.3).
fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

/// The host that a request is for.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

//! Routes: to whom a request goes, by its method and path.

use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use matchit::InsertError;
use percent_encoding::percent_decode_str;

/// What a host has called for each request of a route: with its handle, and with the route's data.
pub(crate) type Handler = extern "C" fn(request: u64, user_data: *mut c_void);

/// Where requests go that fit a method and a pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(crate) handler: Option<Handler>,
    /// The host's own, as a number.
    pub(crate) user_data: usize,
    pub(crate) settings: Settings,
}

/// What a route does in another way than its server; `None` for what it does not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) max_body_bytes: Option<usize>,
    /// How long the host may take to answer.
    pub(crate) timeout: Option<Duration>,
    /// Whether requests reach the host before their bodies.
    pub(crate) stream_body: Option<bool>,
}

/// Why there can be no such route.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RouteError {
    #[error("{0:?} is no method: methods are written in upper case, like GET")]
    Method(String),
    #[error("{0:?} is no pattern: patterns begin with a slash")]
    Relative(String),
    #[error(
        "{pattern:?}: {segment:?} would stand for itself; a parameter is {{name}}, the rest {{*name}}"
    )]
    Foreign { pattern: String, segment: String },
    #[error("{pattern:?} captures {name:?} twice")]
    Twice { pattern: String, name: String },
    #[error("{pattern:?}: {source}")]
    Pattern { pattern: String, source: InsertError },
    #[error("{0:?} has a route for that method already")]
    Taken(String),
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Route {
        route: Arc<Route>,
        /// The names and values that the pattern has captured, decoded.
        params: Vec<(String, String)>,
    },
    /// There are routes for the path, but only for these methods.
    OtherMethods(String),
    Nothing,
}

/// The routes of a server.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    table: RwLock<Table>,
    /// What holds for requests whose route says nothing about it, or that have none.
    stream_bodies: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct Table {
    paths: matchit::Router<usize>,
    /// Where `paths` leads to.
    places: Vec<Place>,
    patterns: HashMap<String, usize>,
}

/// The routes of a pattern, each with its method, or `None` for any.
type Place = Vec<(Option<Method>, Arc<Route>)>;

impl Routes {
    /// Adds a route, for one method or for any.
    pub(crate) fn add(
        &self,
        method: Option<&str>,
        pattern: &str,
        route: Route,
    ) -> Result<(), RouteError> {
        let method = method.map(parse_method).transpose()?;
        if !pattern.starts_with('/') {
            return Err(RouteError::Relative(pattern.to_owned()));
        }
        check_segments(pattern)?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.add(method, pattern, route)
    }

    /// Has requests reach the host before their bodies, unless their route says otherwise.
    pub(crate) fn stream_bodies(&self) {
        self.stream_bodies.store(true, Relaxed);
    }

    /// Whether a request that has gone there reaches the host before its body.
    pub(super) fn streams_body_of(&self, found: &Found) -> bool {
        let own = found.route().and_then(|route| route.settings.stream_body);
        own.unwrap_or_else(|| self.stream_bodies.load(Relaxed))
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        self.table.read().unwrap_or_else(PoisonError::into_inner).find(method, path)
    }

    /// The limit on the body of a request, if it has one of its own.
    pub(crate) fn max_body_bytes(&self, method: &Method, path: &str) -> Option<usize> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let place = table.paths.at(path).ok()?;
        pick(&table.places[*place.value], method)?.settings.max_body_bytes
    }
}

/// Refuses what other routers write for a parameter, and names that come twice.
fn check_segments(pattern: &str) -> Result<(), RouteError> {
    let mut names = Vec::new();
    for segment in pattern.split('/') {
        if segment.starts_with([':', '*']) {
            let (pattern, segment) = (pattern.to_owned(), segment.to_owned());
            return Err(RouteError::Foreign { pattern, segment });
        }
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name.map(|name| name.trim_start_matches('*')) else { continue };
        if names.contains(&name) {
            let (pattern, name) = (pattern.to_owned(), name.to_owned());
            return Err(RouteError::Twice { pattern, name });
        }
        names.push(name);
    }
    Ok(())
}

impl Table {
    fn add(
        &mut self,
        method: Option<Method>,
        pattern: &str,
        route: Route,
    ) -> Result<(), RouteError> {
        let place = match self.patterns.get(pattern) {
            Some(place) => *place,
            None => {
                if let Err(source) = self.paths.insert(pattern, self.places.len()) {
                    self.rebuild_paths();
                    return Err(RouteError::Pattern { pattern: pattern.to_owned(), source });
                }
                self.patterns.insert(pattern.to_owned(), self.places.len());
                self.places.push(Place::new());
                self.places.len() - 1
            }
        };
        let place = &mut self.places[place];
        if place.iter().any(|(taken, _)| *taken == method) {
            return Err(RouteError::Taken(pattern.to_owned()));
        }
        place.push((method, Arc::new(route)));
        Ok(())
    }

    /// A pattern that was refused half-way leaves nothing behind: the others are added anew, as
    /// they were before.
    fn rebuild_paths(&mut self) {
        let mut patterns: Vec<_> = self.patterns.iter().collect();
        patterns.sort_by_key(|(_, place)| **place);
        self.paths = matchit::Router::new();
        for (pattern, place) in patterns {
            let _ = self.paths.insert(pattern, *place);
        }
    }

    fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(found) = self.paths.at(path) else { return Found::Nothing };
        let place = &self.places[*found.value];
        let Some(route) = pick(place, method) else { return Found::OtherMethods(allow(place)) };
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let params = found.params.iter().map(|(name, value)| (name.to_owned(), decode(value)));
        Found::Route { route: route.clone(), params: params.collect() }
    }
}

/// The route for a method: its own, that for GET if it is HEAD, or that for any.
fn pick<'a>(place: &'a Place, method: &Method) -> Option<&'a Arc<Route>> {
    let of = |method: Option<&Method>| {
        place.iter().find(|(own, _)| own.as_ref() == method).map(|(_, route)| route)
    };
    let get = || if method == Method::HEAD { of(Some(&Method::GET)) } else { None };
    of(Some(method)).or_else(get).or_else(|| of(None))
}

/// The methods that a pattern has routes for, with commas between them.
fn allow(place: &Place) -> String {
    let mut methods: BTreeSet<_> =
        place.iter().filter_map(|(method, _)| Some(method.as_ref()?.as_str())).collect();
    if methods.contains("GET") {
        methods.insert("HEAD");
    }
    methods.insert("OPTIONS");
    methods.into_iter().collect::<Vec<_>>().join(", ")
}

fn parse_method(name: &str) -> Result<Method, RouteError> {
    // One in lower case would be another method, which nobody ever asks by.
    Method::from_bytes(name.as_bytes())
        .ok()
        .filter(|_| !name.bytes().any(|byte| byte.is_ascii_lowercase()))
        .ok_or_else(|| RouteError::Method(name.to_owned()))
}

impl Found {
    /// The route, if there is one.
    pub(crate) fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Found::Route { route, .. } => Some(route),
            Found::OtherMethods(_) | Found::Nothing => None,
        }
    }

    /// The answer to a request that has no route.
    pub(crate) fn answer(&self, method: &Method) -> Option<Response> {
        let allow = match self {
            Found::Route { .. } => return None,
            Found::Nothing => return Some((StatusCode::NOT_FOUND, "not found\n").into_response()),
            Found::OtherMethods(allow) => HeaderValue::from_str(allow).ok()?,
        };
        let mut response = if method == Method::OPTIONS {
            StatusCode::NO_CONTENT.into_response()
        } else {
            (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n").into_response()
        };
        response.headers_mut().insert(header::ALLOW, allow);
        Some(response)
    }
}

#[cfg(test)]
mod tests;

use axum::http::header::ALLOW;

use super::*;

/// A route that is known by its number.
fn numbered(user_data: usize) -> Route {
    Route { user_data, ..Route::default() }
}

fn routes(routes: &[(Option<&str>, &str)]) -> Routes {
    let table = Routes::default();
    for (number, (method, pattern)) in routes.iter().enumerate() {
        table.add(*method, pattern, numbered(number)).unwrap();
    }
    table
}

fn number(routes: &Routes, method: &str, path: &str) -> Option<usize> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    routes.find(&method, path).route().map(|route| route.user_data)
}

#[test]
fn request_goes_to_the_route_of_its_method_and_path() {
    let routes = routes(&[
        (Some("GET"), "/"),
        (Some("GET"), "/chat/{room}"),
        (Some("POST"), "/chat/{room}"),
        (Some("GET"), "/chat/lobby"),
        (None, "/any"),
        (Some("GET"), "/files/{*path}"),
    ]);
    for (method, path, expected) in [
        ("GET", "/", Some(0)),
        ("GET", "/chat/1", Some(1)),
        ("POST", "/chat/1", Some(2)),
        ("GET", "/chat/lobby", Some(3)),
        ("POST", "/chat/lobby", None),
        ("DELETE", "/any", Some(4)),
        ("GET", "/files/a/b", Some(5)),
        ("GET", "/files/", None),
        ("GET", "/chat", None),
        ("GET", "/chat/1/", None),
        ("GET", "*", None),
    ] {
        assert_eq!(number(&routes, method, path), expected, "{method} {path}");
    }
}

#[test]
fn head_goes_to_the_route_for_get_unless_it_has_one_of_its_own() {
    let routes =
        routes(&[(Some("GET"), "/a"), (None, "/a"), (Some("GET"), "/b"), (Some("HEAD"), "/b")]);
    assert_eq!(number(&routes, "HEAD", "/a"), Some(0));
    assert_eq!(number(&routes, "HEAD", "/b"), Some(3));
    assert_eq!(number(&routes, "PUT", "/a"), Some(1));
}

#[test]
fn captured_values_are_decoded() {
    let routes = routes(&[(Some("GET"), "/a/{one}/{*rest}")]);
    let Found::Route { params, .. } = routes.find(&Method::GET, "/a/%C3%A9%2F%20/b%2e/c%FF") else {
        panic!("it has a route");
    };
    let params: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(params, [("one", "é/ "), ("rest", "b./c\u{fffd}")]);
}

#[test]
fn request_without_a_route_is_told_why() {
    let routes = routes(&[(Some("GET"), "/a"), (Some("DELETE"), "/a"), (Some("POST"), "/b")]);
    let answer = |method: Method, path| {
        let response = routes.find(&method, path).answer(&method).unwrap();
        let allow = response.headers().get(ALLOW).map(|allow| allow.to_str().unwrap().to_owned());
        (response.status().as_u16(), allow)
    };
    assert_eq!(answer(Method::GET, "/none"), (404, None));
    assert_eq!(answer(Method::OPTIONS, "/none"), (404, None));
    let all = Some("DELETE, GET, HEAD, OPTIONS".to_owned());
    assert_eq!(answer(Method::POST, "/a"), (405, all.clone()));
    assert_eq!(answer(Method::OPTIONS, "/a"), (204, all));
    assert_eq!(answer(Method::GET, "/b"), (405, Some("OPTIONS, POST".to_owned())));
    assert!(routes.find(&Method::GET, "/a").answer(&Method::GET).is_none());
}

#[test]
fn route_that_cannot_be_is_refused_and_leaves_nothing_behind() {
    let routes = routes(&[(Some("GET"), "/a/{x}"), (None, "/b")]);
    let refused =
        |method, pattern| routes.add(method, pattern, numbered(9)).expect_err(pattern).to_string();
    assert!(refused(Some("GET"), "/a/{y}").contains("conflict"));
    assert!(refused(Some("GET"), "/c/{").contains("/c/{"));
    assert!(refused(Some("GET"), "/c/{*rest}/more").contains("Catch-all"));
    assert!(refused(Some("GET"), "/users/:id").contains("{name}"));
    assert!(refused(Some("GET"), "/*").contains("{*name}"));
    assert!(refused(Some("GET"), "/c/{x}/{x}").contains("twice"));
    assert!(refused(Some("GET"), "/c/{x}/{*x}").contains("twice"));
    assert!(refused(Some("GET"), "c").contains("slash"));
    assert!(refused(Some("GET"), "").contains("slash"));
    assert!(refused(Some("get"), "/c").contains("upper case"));
    assert!(refused(Some("G T"), "/c").contains("no method"));
    assert!(refused(Some(""), "/c").contains("no method"));
    assert!(refused(Some("GET"), "/a/{x}").contains("already"));
    assert!(refused(None, "/b").contains("already"));
    assert_eq!(number(&routes, "GET", "/a/1"), Some(0));
    assert_eq!(number(&routes, "GET", "/b"), Some(1));
    assert_eq!(number(&routes, "GET", "/c"), None);
    routes.add(Some("GET"), "/c", numbered(2)).unwrap();
    assert_eq!(number(&routes, "GET", "/c"), Some(2));
}

#[test]
fn limit_on_bodies_is_that_of_the_route() {
    let routes = routes(&[(Some("GET"), "/a")]);
    let settings = Settings { max_body_bytes: Some(7), ..Settings::default() };
    routes.add(Some("POST"), "/a", Route { settings, ..Route::default() }).unwrap();
    assert_eq!(routes.max_body_bytes(&Method::POST, "/a"), Some(7));
    assert_eq!(routes.max_body_bytes(&Method::GET, "/a"), None);
    assert_eq!(routes.max_body_bytes(&Method::PUT, "/a"), None);
    assert_eq!(routes.max_body_bytes(&Method::POST, "/none"), None);
}

use super::{Action, Answer, Authorizer, Credentials, Identity, Refusal};
use crate::hub::Interest;

/// An [`Authorizer`] made of a function that says who a client is and what it is granted.
///
/// What the [grants](Identity::grants) do not have is refused. The function must not block; one that
/// has to ask somebody else is an [`Authorizer`] of its own.
///
/// ```
/// use lithe::access::{Credentials, Grants, Identity, Refusal, RefusalKind, from_fn};
///
/// let authorizer = from_fn(|credentials: Credentials<'_>| {
///     let mut identity = Identity::default();
///     identity.grants.subscribe = vec!["news.**".parse().expect("a pattern")];
///     match credentials.token {
///         None => {}
///         Some("open sesame") => {
///             identity.subject = Some("ali baba".into());
///             identity.grants.publish = vec!["news.cave".parse().expect("a channel")];
///         }
///         // A token that is not valid is never taken for none.
///         Some(_) => return Err(Refusal::new(RefusalKind::Invalid, "who is there?")),
///     }
///     Ok(identity)
/// });
/// ```
pub fn from_fn<F>(authenticate: F) -> FromFn<F>
where
    F: Fn(Credentials<'_>) -> Result<Identity, Refusal> + Send + Sync + 'static,
{
    FromFn(authenticate)
}

/// What [`from_fn`] makes.
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> Authorizer for FromFn<F>
where
    F: Fn(Credentials<'_>) -> Result<Identity, Refusal> + Send + Sync + 'static,
{
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        Box::pin(std::future::ready((self.0)(credentials)))
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(identity.grants.allow(action, interest)))
    }
}

//! Tokens for callers that talk to a registry themselves.

use reqwest::{Method, StatusCode};

use super::Client;
use crate::auth::{Access, TokenAnswer};
use crate::exchange::{Call, Target};
use crate::{Error, RepositoryName, Result};

impl Client {
    /// A token of the registry's token server: for pulling or, with `push`, for pushing too, and for pulling from `others`, repositories of the
    /// same registry.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the registry has no token server, [`Error::Unauthorized`] where that refuses.
    pub async fn token(
        &self,
        repository: &RepositoryName,
        push: bool,
        others: &[RepositoryName],
    ) -> Result<TokenAnswer> {
        let access = if push { Access::push(repository) } else { Access::pull(repository) };
        let access = others.iter().fold(access, |access, other| access.and_pull(other));
        let target = Target::Registry(String::new());
        let call = Call::new(Method::GET, target, access, repository.registry().to_owned());
        let response = self.exchange.send_bare(&call).await?;
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::OK) {
            return Err(self.exchange.error(&call, response).await);
        }
        match self.exchange.ask_token(&call, &response).await {
            // The token server's refusal lacks what only we know.
            Err(Error::Unauthorized { reason, .. }) => Err(self.exchange.unauthorized(&call, reason).await),
            other => other,
        }
    }
}

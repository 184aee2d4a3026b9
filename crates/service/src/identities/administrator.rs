//! The first administrator: who makes all others.
//!
//! The leader of the home Region makes it out of the configuration as long as the account has no user. From then on it is a user
//! like any other, and the configuration means nothing any more.

use meridian_crypto::{SecretBytes, SecretPlace};
use meridian_identity::SecretAccessKey;
use meridian_model::entities::id_prefix;
use meridian_model::{AccessKeyId, AccountId, EntityName, EntityPath, PolicyArn};
use meridian_policy::managed;
use meridian_state::identities::Tags;
use meridian_state::identities::change::{NewAccessKey, NewUser};
use meridian_state::{IdentityChange, Op};

use super::changes::unique_id;
use crate::call::Service;
use crate::writes::Rejected;

/// The first administrator of a cluster, as the configuration has it.
#[derive(Clone, Debug)]
pub struct FirstAdministrator {
    /// The account.
    pub account: AccountId,
    /// The name of the user.
    pub user: EntityName,
    /// The access key of the user.
    pub access_key_id: AccessKeyId,
    /// Its secret.
    pub secret: SecretAccessKey,
}

impl Service {
    /// Makes the first administrator, in the home Region, if the account has no user.
    pub(crate) async fn ensure_administrator(&self) -> Result<(), Rejected> {
        let Some(first) = self.first_administrator() else { return Ok(()) };
        let state = self.state();
        let identities = state.identities();
        if !identities.is_home(state.region()) || identities.users(first.account, None).next().is_some() {
            return Ok(());
        }
        let (account, user) = (first.account, unique_id(id_prefix::USER)?);
        let place = SecretPlace::AccessKey { account, user: Some(user.clone()), id: first.access_key_id.clone() };
        let secret = SecretBytes::copy_from(first.secret.expose().as_bytes());
        let sealed = self.ring()?.seal_secret(&state, &place, &secret)?;
        let policy = format!("arn:{}:iam::aws:policy/{}", state.partition(), managed::ADMINISTRATOR_ACCESS.name);
        let policy: PolicyArn = policy.parse().expect("the policies of the provider have ARNs");
        tracing::info!(%account, user = %first.user, access_key = %first.access_key_id, "making the first administrator");
        let change = IdentityChange::CreateAdministrator {
            user: NewUser {
                account,
                name: first.user.clone(),
                path: EntityPath::default(),
                id: user.clone(),
                tags: Tags::new(),
                boundary: None,
            },
            policy,
            key: NewAccessKey { id: first.access_key_id.clone(), account, user: Some(user), sealed },
        };
        self.commit(Op::Identity(Box::new(change))).await.map(drop)
    }
}

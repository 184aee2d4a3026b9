//! What the links to other Regions need of the service: opened and sealed material, and answers to questions.

use async_trait::async_trait;
use bytes::Bytes;
use meridian_crypto::{KeyMaterial, MaterialBinding, SealedMaterial, SealedSecret, SecretBytes};
use meridian_model::{Region, ServiceError};
use meridian_replication::{AskHandler, CannotAnswer, KeeperError, MaterialKeeper};
use meridian_state::RegionState;
use meridian_state::identities::messages::SecretReference;

use crate::call::{Service, read_deadline};

impl MaterialKeeper for Service {
    fn open(&self, state: &RegionState, binding: &MaterialBinding) -> Result<SecretBytes, KeeperError> {
        let ring = self.ring().map_err(|_| KeeperError::Sealed)?;
        let row = state.material(binding.key_id, binding.material_id).ok_or(KeeperError::Missing)?;
        let material = ring.open_material(state, binding, &row.sealed).map_err(refused)?;
        Ok(material.encode())
    }

    fn is_prepared(&self, state: &RegionState) -> bool {
        self.ring().is_err() || state.newest_domain_key().is_some()
    }

    fn seal(
        &self,
        state: &RegionState,
        binding: &MaterialBinding,
        material: &SecretBytes,
    ) -> Result<SealedMaterial, KeeperError> {
        let ring = self.ring().map_err(|_| KeeperError::Sealed)?;
        state.newest_domain_key().ok_or(KeeperError::Sealed)?; // the leader is about to add the first one
        let material = KeyMaterial::decode(material).map_err(|error| KeeperError::Refused(Box::new(error)))?;
        ring.seal_material(state, binding, &material).map_err(refused)
    }

    fn open_secret(&self, state: &RegionState, reference: &SecretReference) -> Result<SecretBytes, KeeperError> {
        let ring = self.ring().map_err(|_| KeeperError::Sealed)?;
        let sealed = reference.sealed_in(state).ok_or(KeeperError::Missing)?;
        ring.open_secret(state, &reference.place(), sealed).map_err(refused)
    }

    fn seal_secret(
        &self,
        state: &RegionState,
        reference: &SecretReference,
        secret: &SecretBytes,
    ) -> Result<SealedSecret, KeeperError> {
        let ring = self.ring().map_err(|_| KeeperError::Sealed)?;
        state.newest_domain_key().ok_or(KeeperError::Sealed)?; // the leader is about to add the first one
        ring.seal_secret(state, &reference.place(), secret).map_err(refused)
    }
}

fn refused(error: ServiceError) -> KeeperError {
    KeeperError::Refused(Box::new(error))
}

#[async_trait]
impl AskHandler for Service {
    async fn answer(&self, _from: &Region, question: Bytes) -> Result<Bytes, CannotAnswer> {
        // The answer is advice: what is asked about is checked again when the message is applied.
        self.group().read_barrier(read_deadline()).await.map_err(|_| CannotAnswer)?;
        Ok(self.answer_question(&question))
    }
}

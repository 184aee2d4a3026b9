//! Roles that are linked to a service: made for it, assumed by it alone, and not to be changed.
//!
//! AWS KMS has two (AWS KMS Developer Guide, "Using service-linked roles for AWS KMS"). Of deletions that other services of AWS
//! could refuse there is none here: a deletion is done when it is answered.

use std::collections::BTreeSet;

use meridian_identity::query::Members;
use meridian_model::entities::id_prefix;
use meridian_model::{EntityKind, EntityName, EntityPath, ServiceError};
use meridian_state::IdentityChange;
use meridian_state::identities::{Tags, change, refusals};

use super::authority::Authority;
use super::changes::{Plan, Planner, SESSION_SECONDS_DEFAULT, show_role, unique_id};
use super::facts::Facts;
use super::names::name;
use crate::key_ring::log_internal;

/// A service that has a role of its own.
struct LinkedService {
    service: &'static str,
    role: &'static str,
}

const LINKED_SERVICES: [LinkedService; 2] = [
    LinkedService { service: "cks.kms.amazonaws.com", role: "AWSServiceRoleForKeyManagementServiceCustomKeyStores" },
    LinkedService { service: "mrk.kms.amazonaws.com", role: "AWSServiceRoleForKeyManagementServiceMultiRegionKeys" },
];

/// `CreateServiceLinkedRole`
pub(super) fn create(
    planner: &Planner<'_>,
    service: &str,
    description: Option<String>,
    suffix: Option<&str>,
) -> Result<Plan, ServiceError> {
    let Planner { authority, action } = planner;
    let known = LINKED_SERVICES.iter().find(|known| known.service == service);
    let (path, role) = (path(service)?, known.map_or("*", |known| known.role));
    let arn = format!("arn:{}:iam::{}:role{path}{role}", authority.state.partition(), authority.account());
    authority.allow(action, &arn, &Facts::default().with("iam:awsservicename", service))?;
    let known = known
        .ok_or_else(|| refusals::invalid_input(&format!("Cannot find Service Linked Role template for {service}")))?;
    if suffix.is_some() {
        return Err(refusals::invalid_input(&format!("Custom suffix is not allowed for {service}")));
    }
    let (account, role) = (authority.account(), name(known.role)?);
    if authority.state.identities().role(account, &role).is_some() {
        let message =
            format!("Service role name {role} has been taken in this account, please try a different suffix.");
        return Err(refusals::invalid_input(&message));
    }
    let trust = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\"{service}\"}},\
         \"Action\":\"sts:AssumeRole\"}}]}}"
    );
    let new = change::NewRole {
        account,
        name: role,
        path,
        id: unique_id(id_prefix::ROLE)?,
        tags: Tags::new(),
        boundary: None,
        trust: trust.into(),
        description: description.unwrap_or_default(),
        session_seconds_max: SESSION_SECONDS_DEFAULT,
        linked_service: Some(service.to_owned()),
        attached: BTreeSet::new(), // what the service does here needs no policy
    };
    Ok(Plan::shown(IdentityChange::CreateRole(new), "Role", show_role))
}

/// `DeleteServiceLinkedRole`
pub(super) fn delete(planner: &Planner<'_>, named: &str) -> Result<Plan, ServiceError> {
    let entity = planner.on_role(named)?;
    let (account, role) = (entity.account, entity.name);
    let found = planner.authority.state.identities().role(account, &role);
    let found = found.ok_or_else(|| refusals::no_such(EntityKind::Role, &role))?;
    let service = found.linked_service.clone().unwrap_or_default();
    let number: [u8; 16] = meridian_crypto::random::random_bytes().map_err(log_internal("drawing the id of a task"))?;
    let task = format!("{TASK_PREFIX}{service}/{role}/{}", uuid::Builder::from_random_bytes(number).into_uuid());
    let change = IdentityChange::DeleteServiceLinkedRole { account, role };
    Ok(Plan { change, reply: Box::new(move |_, _| Some(Members::new().text("DeletionTaskId", task))) })
}

/// `GetServiceLinkedRoleDeletionStatus`: a deletion has succeeded when it is answered, so that every task is done whose role is
/// not there any more.
pub(super) fn deletion_status(authority: &Authority<'_>, action: &str, task: &str) -> Result<Members, ServiceError> {
    let unknown = || refusals::invalid_input(&format!("The task {task} is not known."));
    let parts = task.strip_prefix(TASK_PREFIX).map(|rest| rest.split('/').collect::<Vec<_>>());
    let Some([service, role, _]) = parts.as_deref() else { return Err(unknown()) };
    let role: EntityName = role.parse().map_err(|_| unknown())?;
    let arn = EntityKind::Role.arn(authority.state.partition(), authority.account(), &path(service)?, &role);
    authority.allow(action, &arn, &Facts::default())?;
    match authority.state.identities().role(authority.account(), &role) {
        Some(_) => Err(unknown()),
        None => Ok(Members::new().text("Status", "SUCCEEDED")),
    }
}

fn path(service: &str) -> Result<EntityPath, ServiceError> {
    let text = format!("/aws-service-role/{service}/");
    text.parse().map_err(|_| refusals::invalid_input(&format!("The service name {service} is not valid.")))
}

const TASK_PREFIX: &str = "task/aws-service-role/";

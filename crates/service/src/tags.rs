//! Tags of keys.

use meridian_model::shapes::{
    ListResourceTagsRequest, ListResourceTagsResponse, Tag, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse,
};
use meridian_model::{ErrorCode, Response, ServiceError};
use meridian_policy::action;
use meridian_state::Op;

use crate::access::{Access, Forms};
use crate::keys::tag_map;
use crate::pages;
use crate::writes::Plan;

/// `TagResource`
pub(crate) fn tag(access: &mut Access<'_>, request: &TagResourceRequest) -> Result<Plan, ServiceError> {
    if request.tags.is_empty() {
        return Err(ServiceError::new(ErrorCode::Tag, "At least one tag must be given."));
    }
    let tags = tag_map(&request.tags)?;
    let (key, _) = access.key::<action::TagResource>(&request.key_id, Forms::Key)?;
    Ok(Plan::new(Op::TagResource { key_id: key.key_id, tags }, |_, _| TagResourceResponse {}))
}

/// `UntagResource`
pub(crate) fn untag(access: &mut Access<'_>, request: &UntagResourceRequest) -> Result<Plan, ServiceError> {
    if request.tag_keys.is_empty() {
        return Err(ServiceError::new(ErrorCode::Tag, "At least one tag key must be given."));
    }
    let (key, _) = access.key::<action::UntagResource>(&request.key_id, Forms::Key)?;
    let op = Op::UntagResource { key_id: key.key_id, tag_keys: request.tag_keys.iter().cloned().collect() };
    Ok(Plan::new(op, |_, _| UntagResourceResponse {}))
}

/// `ListResourceTags`
pub(crate) fn list(access: &mut Access<'_>, request: &ListResourceTagsRequest) -> Result<Response, ServiceError> {
    let after: Option<String> = pages::after(request.marker.as_deref())?;
    let (key, _) = access.key::<action::ListResourceTags>(&request.key_id, Forms::Key)?;
    let tags = access.state.tags(key.key_id).into_iter().flatten();
    let rest = tags.filter(|(tag_key, _)| after.as_ref().is_none_or(|after| *tag_key > after));
    let page = pages::page(rest, pages::limit(request.limit, 50, 50), |(tag_key, _)| (*tag_key).clone());
    let truncated = page.next_marker.is_some();
    let entry =
        |(tag_key, tag_value): (&String, &String)| Tag { tag_key: tag_key.clone(), tag_value: tag_value.clone() };
    let tags = page.items.into_iter().map(entry).collect();
    Ok(ListResourceTagsResponse { tags, next_marker: page.next_marker, truncated }.into())
}

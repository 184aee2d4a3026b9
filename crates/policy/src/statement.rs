//! Statements: what one says, compiled, and whether it applies to a request.

use crate::action::ActionSet;
use crate::condition::Condition;
use crate::context::{ConditionContext, Lookup};
use crate::document::PolicyKind;
use crate::pattern::Glob;
use crate::principal::Principal;
use crate::principal_element::{Principals, Via};

/// What a statement does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It allows, unless another statement denies.
    Allow,
    /// It denies, whatever others say.
    Deny,
}

/// One statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sid: Option<Box<str>>,
    pub(crate) effect: Effect,
    /// Policies of identities have none: they apply to whom they are attached to.
    pub(crate) principals: Option<Principals>,
    /// In lower case.
    pub(crate) actions: Targets,
    /// Those of this service among them.
    pub(crate) actions_of_service: ActionSet,
    pub(crate) resources: Targets,
    pub(crate) conditions: Box<[Condition]>,
}

/// The actions or resources that a statement is about.
#[derive(Clone, Debug)]
pub(crate) enum Targets {
    Only(Box<[Glob]>),
    Except(Box<[Glob]>),
    /// Not said: the statement has no effect.
    Missing,
}

impl Targets {
    pub(crate) fn include(&self, text: &str, lookup: &Lookup<'_>) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(text, lookup));
        match self {
            Self::Only(globs) => any(globs),
            Self::Except(globs) => !any(globs),
            Self::Missing => false,
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// A request, as statements see it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a Principal<'a>,
    /// Whether a permissions boundary binds the principal.
    pub(crate) has_boundary: bool,
    /// In lower case.
    pub(crate) action: &'a str,
    /// Which of the actions of this service it is, if it is one.
    pub(crate) number: Option<u8>,
    pub(crate) resource: &'a str,
    pub(crate) context: &'a dyn ConditionContext,
}

/// Why a statement does not apply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It lacks an `Action` or a `Resource` and so never applies.
    Incomplete,
    /// It is about other actions.
    Action,
    /// It is about other resources.
    Resource,
    /// It is about other principals.
    Principal,
    /// This condition does not hold.
    Condition {
        /// The operator as the policy writes it.
        operator: String,
        /// The condition key as the policy means it.
        key: String,
    },
}

impl Statement {
    /// By which of its names the statement means the principal of a request; `Err` with whatever keeps it from applying.
    pub(crate) fn check(&self, asked: &Asked<'_>, kind: PolicyKind) -> Result<Via, Failed<'_>> {
        if self.actions.is_missing() || self.resources.is_missing() {
            return Err(Failed::Incomplete);
        }
        let lookup = Lookup { context: asked.context, by_key_policy: kind == PolicyKind::Key };
        let is_about = match asked.number {
            Some(number) => self.actions_of_service.has(number),
            None => self.actions.include(asked.action, &lookup),
        };
        if !is_about {
            return Err(Failed::Action);
        }
        if !self.resources.include(asked.resource, &lookup) {
            return Err(Failed::Resource);
        }
        let via = match &self.principals {
            None => Via::Itself,
            Some(principals) => {
                let via = principals.via(asked.principal, self.effect == Effect::Deny, asked.has_boundary);
                via.ok_or(Failed::Principal)?
            }
        };
        match self.conditions.iter().find(|condition| !condition.holds(&lookup)) {
            Some(condition) => Err(Failed::Condition(condition)),
            None => Ok(via),
        }
    }
}

/// A [`Mismatch`] that costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failed<'a> {
    Incomplete,
    Action,
    Resource,
    Principal,
    Condition(&'a Condition),
}

impl From<Failed<'_>> for Mismatch {
    fn from(failed: Failed<'_>) -> Self {
        match failed {
            Failed::Incomplete => Self::Incomplete,
            Failed::Action => Self::Action,
            Failed::Resource => Self::Resource,
            Failed::Principal => Self::Principal,
            Failed::Condition(condition) => {
                Self::Condition { operator: condition.operator.to_string(), key: condition.key.to_string() }
            }
        }
    }
}

//! Values just inside and just outside of the constraints of every member, made from the declarations of the shapes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::wire::limits::{Items, Range, Size, Text};
use crate::wire::member::Wire;
use crate::wire::report::Constraint;
use crate::{Blob, SecretBlob, SecretString, Timestamp, WireEnum};

/// A value that breaks a constraint.
#[derive(Clone)]
pub(crate) struct Outside {
    /// Where the refusal places it, relative to the member: empty, or `.1.member.tagKey`.
    pub(crate) path: String,
    pub(crate) value: Value,
    pub(crate) constraint: String,
}

/// A type of members whose edges can be tried.
pub(crate) trait Samples: Wire {
    fn inside(limits: &Self::Limits) -> Vec<Value>;
    fn outside(limits: &Self::Limits) -> Vec<Outside>;
}

/// One member of a shape.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) is_required: bool,
    pub(crate) inside: Vec<Value>,
    pub(crate) outside: Vec<Outside>,
}

impl Member {
    pub(crate) fn new<T: Samples>(need: &str, name: &'static str, limits: &T::Limits) -> Self {
        Self { name, is_required: need == "required", inside: T::inside(limits), outside: T::outside(limits) }
    }

    /// The name, as refusals have it.
    pub(crate) fn path(&self) -> String {
        self.name[..1].to_lowercase() + &self.name[1..]
    }
}

/// A structure with the required members only, one with all, and one per further value of a member.
pub(crate) fn structures(members: &[Member]) -> Vec<Value> {
    let with = |chosen: &dyn Fn(&Member) -> Option<Value>| {
        let entries = members.iter().filter_map(|member| chosen(member).map(|value| (member.name.to_owned(), value)));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    let mut values = vec![
        with(&|member| member.is_required.then(|| member.inside[0].clone())),
        with(&|member| Some(member.inside[0].clone())),
    ];
    for changed in members {
        for value in &changed.inside[1..] {
            values.push(with(&|member| {
                Some(if member.name == changed.name { value.clone() } else { member.inside[0].clone() })
            }));
        }
    }
    values
}

/// Structures with one bad or one missing member.
pub(crate) fn broken_structures(members: &[Member]) -> Vec<Outside> {
    let full = structures(members).swap_remove(1);
    let mut broken = Vec::new();
    for member in members {
        for outside in &member.outside {
            let mut value = full.clone();
            value[member.name] = outside.value.clone();
            let path = format!(".{}{}", member.path(), outside.path);
            broken.push(Outside { path, value, constraint: outside.constraint.clone() });
        }
        if member.is_required {
            let mut value = full.clone();
            value[member.name] = Value::Null;
            let path = format!(".{}", member.path());
            broken.push(Outside { path, value, constraint: Constraint::NotNull.to_string() });
        }
    }
    broken
}

fn outside(value: impl Into<Value>, constraint: Constraint) -> Outside {
    Outside { path: String::new(), value: value.into(), constraint: constraint.to_string() }
}

/// A text of `length` characters that matches the pattern; `None` if no match is that short.
fn matching(text: &Text, length: usize) -> Option<String> {
    let regex = text.pattern.map(|pattern| pattern.regex);
    let (start, filler, end) = match regex {
        Some(r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$") => ("a.b.", 'c', "d"),
        Some("^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$") => ("arn:aws:s3::123456789012:", 'x', "x"),
        Some(r"^([a-z]+-){2,3}\d+$") => ("us-east-", '1', "2"),
        Some("cluster-[2-7a-zA-Z]{11,16}") => ("cluster-", 'a', ""),
        Some("^https://[a-zA-Z0-9.-]+$") => ("https://", 'a', "b"),
        Some(r"^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$") => ("/a", 'a', "/kms/xks/v1"),
        Some(r"^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$") => {
            ("com.amazonaws.vpce.us-east-1.vpce-svc-0", 'a', "")
        }
        Some("[0-9]{12}") => ("", '1', ""),
        Some("^[A-Z2-7]+$") => ("", 'A', ""),
        _ => ("", 'a', ""),
    };
    let fillers = length.checked_sub(start.len() + end.len())?;
    let text = format!("{start}{}{end}", filler.to_string().repeat(fillers));
    Some(text)
}

/// A length within the limits whose texts can match the pattern.
fn usual_length(text: &Text) -> usize {
    (text.min.max(1)..=text.max)
        .find(|length| {
            matching(text, *length).is_some_and(|sample| text.pattern.is_none_or(|pattern| (pattern.matches)(&sample)))
        })
        .expect("every pattern matches some text within the limits")
}

fn text_inside(text: &Text) -> Vec<Value> {
    let lengths = [usual_length(text), text.min, text.max.min(200_000)];
    let texts = lengths.into_iter().filter_map(|length| matching(text, length));
    texts.filter(|sample| text.pattern.is_none_or(|pattern| (pattern.matches)(sample))).map(Value::from).collect()
}

fn text_outside(text: &Text) -> Vec<Outside> {
    let mut values = Vec::new();
    if text.max < usize::MAX {
        values.extend(matching(text, text.max + 1).map(|long| outside(long, Constraint::LengthMax(text.max))));
    }
    if text.min > 0 {
        values.push(outside("a".repeat(text.min - 1), Constraint::LengthMin(text.min)));
    }
    if let Some(pattern) = text.pattern {
        values.push(outside("\u{2603}".repeat(text.min.max(1)), Constraint::Pattern(pattern.regex)));
    }
    values
}

impl Samples for String {
    fn inside(limits: &Text) -> Vec<Value> {
        text_inside(limits)
    }

    fn outside(limits: &Text) -> Vec<Outside> {
        text_outside(limits)
    }
}

impl Samples for SecretString {
    fn inside(limits: &Text) -> Vec<Value> {
        text_inside(limits)
    }

    fn outside(limits: &Text) -> Vec<Outside> {
        text_outside(limits)
    }
}

impl Samples for u32 {
    fn inside(limits: &Range) -> Vec<Value> {
        vec![limits.min.into(), limits.max.into()]
    }

    fn outside(limits: &Range) -> Vec<Outside> {
        vec![
            outside(i64::from(limits.min) - 1, Constraint::ValueMin(limits.min)),
            outside(limits.max + 1, Constraint::ValueMax(limits.max)),
        ]
    }
}

impl Samples for bool {
    fn inside((): &()) -> Vec<Value> {
        vec![true.into(), false.into()]
    }

    fn outside((): &()) -> Vec<Outside> {
        Vec::new()
    }
}

impl Samples for Timestamp {
    fn inside((): &()) -> Vec<Value> {
        vec![json!(1_502_910_355.475), json!(0), json!(253_402_300_799_u64)]
    }

    fn outside((): &()) -> Vec<Outside> {
        Vec::new()
    }
}

fn blob(length: usize) -> Value {
    Blob::from(vec![0x5a; length]).base64().to_string().into()
}

fn blob_outside(limits: Size) -> Vec<Outside> {
    vec![
        outside(blob(limits.max + 1), Constraint::LengthMax(limits.max)),
        outside(blob(limits.min - 1), Constraint::LengthMin(limits.min)),
    ]
}

impl Samples for Blob {
    fn inside(limits: &Size) -> Vec<Value> {
        vec![blob(limits.min), blob(limits.max)]
    }

    fn outside(limits: &Size) -> Vec<Outside> {
        blob_outside(*limits)
    }
}

impl Samples for SecretBlob {
    fn inside(limits: &Size) -> Vec<Value> {
        vec![blob(limits.min), blob(limits.max)]
    }

    fn outside(limits: &Size) -> Vec<Outside> {
        blob_outside(*limits)
    }
}

impl<T: WireEnum> Samples for T {
    fn inside((): &()) -> Vec<Value> {
        T::VALUES.iter().map(|value| (*value).into()).collect()
    }

    fn outside((): &()) -> Vec<Outside> {
        vec![outside("NO_SUCH_VALUE", Constraint::EnumSet(T::VALUES)), outside("", Constraint::EnumSet(T::VALUES))]
    }
}

impl<T: Samples> Samples for Vec<T>
where
    Self: Wire<Limits = Items<T::Limits>>,
{
    fn inside(limits: &Items<T::Limits>) -> Vec<Value> {
        let each = T::inside(&limits.each);
        let repeated = |count: usize| Value::Array(each.iter().cycle().take(count).cloned().collect());
        vec![repeated(limits.size.min.max(1)), repeated(limits.size.min), repeated(limits.size.max.min(25))]
    }

    fn outside(limits: &Items<T::Limits>) -> Vec<Outside> {
        let good = &T::inside(&limits.each)[0];
        let size = limits.size;
        let mut values: Vec<Outside> = T::outside(&limits.each)
            .into_iter()
            .map(|Outside { path, value, constraint }| {
                let path = if path.is_empty() { path } else { format!(".1.member{path}") };
                Outside { path, value: json!([value]), constraint }
            })
            .collect();
        if size.max < usize::MAX {
            values.push(outside(vec![good.clone(); size.max + 1], Constraint::LengthMax(size.max)));
        }
        if size.min > 0 {
            values.push(outside(vec![good.clone(); size.min - 1], Constraint::LengthMin(size.min)));
        }
        values
    }
}

impl Samples for BTreeMap<String, String> {
    fn inside((): &()) -> Vec<Value> {
        vec![json!({"a": "1"}), json!({}), json!({"": "", "ä\"\\\u{1}": "\u{2603}", "b": "x".repeat(1000)})]
    }

    fn outside((): &()) -> Vec<Outside> {
        let constraint = Constraint::NotNull.to_string();
        vec![Outside { path: ".a.member".to_owned(), value: json!({"a": null}), constraint }]
    }
}

//! Variables that have one constant value where they are used.
//!
//! Only `set` is followed: what `map`, captures or request data give is not known before a request.

use std::collections::HashMap;

use crate::tree::Directive;

/// A block with the `set` directives that stand in it.
#[derive(Debug, Default)]
pub(crate) struct Sets<'c> {
    /// By name without `$`; `None` where an `if` of the block decides.
    values: HashMap<&'c str, Option<&'c str>>,
}

impl<'c> Sets<'c> {
    pub fn add(&mut self, directive: &'c Directive, conditional: bool) {
        if let [name, value] = directive.args.as_slice() {
            let name = name.text.strip_prefix('$').unwrap_or(&name.text);
            self.values.insert(name, (!conditional).then_some(&value.text));
        }
    }

    /// `None` when the block does not set the variable, `Some(None)` when it may or may not.
    fn value(&self, name: &str) -> Option<Option<&'c str>> {
        self.values.get(name).copied()
    }
}

/// A text with its variables replaced as far as that was possible from the left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub text: String,
    /// The variable that has no constant value and ended the text; `None` when all was replaced.
    pub stopped_by: Option<String>,
    /// How many more variables may be replaced.
    left: u32,
}

/// How many variables of one text are replaced: values that are built from each other have no end.
const MOST_REPLACED: u32 = 32;

/// Replaces variables, `blocks` being the innermost block first and those around it after.
pub(crate) fn expand(text: &str, blocks: &[&Sets]) -> Expanded {
    let mut expanded =
        Expanded { text: String::with_capacity(text.len()), stopped_by: None, left: MOST_REPLACED };
    expand_into(&mut expanded, text, blocks);
    expanded
}

fn expand_into(expanded: &mut Expanded, text: &str, blocks: &[&Sets]) {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let (name, next) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(
                after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len()),
            ),
        };
        let value = blocks.iter().find_map(|sets| sets.value(name)).flatten();
        match value {
            Some(value) if expanded.left > 0 => {
                expanded.left -= 1;
                expand_into(expanded, value, blocks);
            }
            _ => expanded.stopped_by = Some(name.to_owned()),
        }
        if expanded.stopped_by.is_some() {
            return;
        }
        rest = next;
    }
    expanded.text.push_str(rest);
}

/// Whether a variable can only begin the URI of a pass, so that the address before it is complete.
pub(crate) fn begins_uri(name: &str) -> bool {
    matches!(name, "request_uri" | "uri" | "document_uri" | "is_args" | "args")
}

//! What every transition table shares. A table is a list of (from, action, to); everything else
//! about a machine is read off it: what is legal, what clients are told, the diagram in the README.

use super::refusal::{IllegalTransition, SupportedAction};

/// A state or an action of a machine.
pub(crate) trait Named: Copy + Eq + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The name that the database, the API and people use.
    fn name(self) -> &'static str;

    /// Reads the name.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }
}

/// A transition table: (from, action, to).
pub(crate) type Table<S, A> = [(S, A, S)];

/// The state after the action; `None` when the action is illegal in this state.
pub(crate) fn after<S: Named, A: Named>(table: &Table<S, A>, from: S, action: A) -> Option<S> {
    table
        .iter()
        .find(|(state, by, _)| *state == from && *by == action)
        .map(|(_, _, to)| *to)
}

/// The state after the action, or the refusal that clients get.
pub(crate) fn step<S: Named, A: Named>(
    aggregate: &'static str,
    table: &Table<S, A>,
    from: S,
    action: A,
    supported: impl FnOnce() -> Vec<SupportedAction>,
) -> Result<S, IllegalTransition> {
    after(table, from, action)
        .ok_or_else(|| refuse(aggregate, from.name(), action.name(), &supported(), ""))
}

/// The refusal of an action. `why` says more than that the state does not allow it; may be empty.
pub(crate) fn refuse(
    aggregate: &'static str,
    state: &str,
    action: &'static str,
    supported: &[SupportedAction],
    why: &str,
) -> IllegalTransition {
    IllegalTransition {
        aggregate,
        state: state.to_owned(),
        action,
        supported_actions: supported
            .iter()
            .filter(|one| one.refused_because.is_none())
            .map(|one| one.action)
            .collect(),
        why: why.to_owned(),
    }
}

/// The table as a Mermaid diagram, for the README.
#[cfg(test)]
pub(crate) fn diagram<S: Named, A: Named>(start: S, table: &Table<S, A>) -> String {
    use std::fmt::Write as _;

    let mut text = format!("stateDiagram-v2\n    [*] --> {}\n", start.name());
    let mut drawn: Vec<(S, S)> = Vec::new();
    for (from, _, to) in table {
        if drawn.contains(&(*from, *to)) {
            continue;
        }
        drawn.push((*from, *to));
        let actions: Vec<&str> = table
            .iter()
            .filter(|(one, _, other)| one == from && other == to)
            .map(|(_, action, _)| action.name())
            .collect();
        writeln!(
            text,
            "    {} --> {}: {}",
            from.name(),
            to.name(),
            actions.join(", ")
        )
        .unwrap();
    }
    text
}

/// The list of a SQL CHECK: `'OPEN', 'CLOSED'`.
#[cfg(test)]
pub(crate) fn sql_list<S: Named>() -> String {
    let names: Vec<String> = S::ALL
        .iter()
        .map(|one| format!("'{}'", one.name()))
        .collect();
    names.join(", ")
}

/// Checks what must hold of every table.
#[cfg(test)]
pub(crate) fn check_table<S: Named + std::fmt::Debug, A: Named + std::fmt::Debug>(
    start: S,
    table: &Table<S, A>,
) {
    for state in S::ALL {
        assert_eq!(S::parse(state.name()), Some(*state));
        let reached =
            *state == start || table.iter().any(|(from, _, to)| to == state && from != to);
        assert!(reached, "{state:?} cannot be reached");
        for action in A::ALL {
            let rows = table
                .iter()
                .filter(|(from, by, _)| from == state && by == action)
                .count();
            assert!(rows <= 1, "{state:?} {action:?} stands {rows} times");
            assert_eq!(after(table, *state, *action).is_some(), rows == 1);
        }
    }
    for action in A::ALL {
        assert!(
            table.iter().any(|(_, by, _)| by == action),
            "{action:?} is never legal"
        );
    }
    let readme = include_str!("../../README.md");
    let diagram = diagram(start, table);
    assert!(
        readme.contains(&diagram),
        "README.md lacks this diagram:\n{diagram}"
    );
}

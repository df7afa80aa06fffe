//! A generation as a whole: the sum of its partitions, and what somebody should look at first.

use super::{Line, Standing};

/// How a generation fares.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    /// Its partitions, in their order; at least one.
    pub lines: &'a [Line],
    first: &'a Line,
}

/// Each generation of what was looked at, in its order.
pub fn summaries(lines: &[Line]) -> impl Iterator<Item = Summary<'_>> {
    let is_same = |a: &Line, b: &Line| {
        a.role == b.role && (&a.projection, a.generation) == (&b.projection, b.generation)
    };
    lines.chunk_by(is_same).filter_map(|lines| {
        let first = lines.first()?;
        Some(Summary { lines, first })
    })
}

impl<'a> Summary<'a> {
    /// What all of its partitions have in common: name, generation, role, version.
    pub fn first(&self) -> &'a Line {
        self.first
    }

    /// Events in the rows.
    pub fn events(&self) -> i64 {
        self.lines.iter().map(|line| line.offset).sum()
    }

    /// Events that are not in the rows.
    pub fn lag_events(&self) -> i64 {
        self.lines.iter().map(|line| line.lag_events).sum()
    }

    /// The age of the oldest of them, in seconds.
    pub fn lag_seconds(&self) -> f64 {
        self.lines.iter().map(|line| line.lag_seconds).fold(0.0, f64::max)
    }

    /// Events a second.
    pub fn per_second(&self) -> f64 {
        self.lines.iter().map(|line| line.per_second).sum()
    }

    /// What somebody should look at first.
    pub fn standing(&self) -> &'a Standing {
        let standings = self.lines.iter().map(|line| &line.standing);
        standings
            .min_by_key(|standing| standing.rank())
            .unwrap_or(&self.first.standing)
    }

    /// What its partitions do, in words, those first that somebody should look at.
    pub fn detail(&self) -> String {
        let mut kinds: Vec<(&Standing, usize)> = Vec::new();
        for line in self.lines {
            match kinds
                .iter_mut()
                .find(|(kind, _)| kind.as_str() == line.standing.as_str())
            {
                Some((_, count)) => *count += 1,
                None => kinds.push((&line.standing, 1)),
            }
        }
        kinds.sort_by_key(|(kind, _)| kind.rank());
        let told = kinds.into_iter().map(|(kind, count)| match count {
            _ if count == self.lines.len() => kind.to_string(),
            1 => format!("1 partition {kind}"),
            _ => format!("{count} partitions {}", kind.as_str()),
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

use std::fmt;

const COUNTER_BITS: u32 = 32;

/// The fencing number of one acquisition of one name: larger than that of every acquisition
/// before, also before Redis lost its data. Generation (from the database) above, counter (from
/// Redis) below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(i64);

impl Token {
    /// Puts a token together; `None` if a part does not fit (generation 31 bits, counter 32).
    pub fn new(generation: i64, counter: i64) -> Option<Self> {
        let generation = i64::from(i32::try_from(generation).ok().filter(|part| *part >= 0)?);
        let counter = i64::from(u32::try_from(counter).ok()?);
        Some(Self((generation << COUNTER_BITS) | counter))
    }

    /// The number to store and compare in the database; never negative.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Which life of the counter it is from.
    pub const fn generation(self) -> i64 {
        self.0 >> COUNTER_BITS
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_generation_wins_over_any_counter() {
        let last = Token::new(1, i64::from(u32::MAX)).unwrap();
        let first = Token::new(2, 1).unwrap();
        assert!(last < first && last.get() < first.get());
        assert_eq!((last.generation(), first.generation()), (1, 2));
        assert!(
            Token::new(i64::from(i32::MAX), i64::from(u32::MAX))
                .unwrap()
                .get()
                > 0
        );
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        for (generation, counter) in [(-1, 1), (1 << 31, 1), (1, -1), (1, 1 << 32)] {
            assert_eq!(
                Token::new(generation, counter),
                None,
                "{generation} {counter}"
            );
        }
    }
}

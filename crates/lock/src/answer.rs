//! What the scripts answer.

use redis::{Value, from_redis_value};

use crate::Token;
use crate::leases::Released;
use crate::unavailable::Unavailable;

/// The answer of the acquire script; names by their place in the list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing was taken: these need a generation after the one seen (empty for none).
    Stale(Vec<(usize, String)>),
    /// Nothing was taken: others hold these.
    Busy(Vec<usize>),
    /// These were taken.
    Taken(Vec<(usize, Token)>),
}

/// Understands a reply; anything strange is no lease.
pub(crate) fn read(answer: &Value) -> Result<Answer, Unavailable> {
    let unexpected = || Unavailable::Command(format!("unexpected answer {answer:?}"));
    let words: Vec<String> = from_redis_value(answer.clone()).map_err(|_| unexpected())?;
    let (kind, rest) = words.split_first().ok_or_else(unexpected)?;
    // Lua counts from 1.
    let place = |word: &String| {
        word.parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1))
    };
    let number = |word: &String| word.parse::<i64>().ok();
    let parsed = match kind.as_str() {
        "stale" => rest
            .chunks(2)
            .map(|one| Some((place(one.first()?)?, one.get(1)?.clone())))
            .collect::<Option<Vec<_>>>()
            .map(Answer::Stale),
        "busy" => rest
            .iter()
            .map(place)
            .collect::<Option<Vec<_>>>()
            .map(Answer::Busy),
        "taken" => rest
            .chunks(3)
            .map(|one| {
                let token = Token::new(number(one.get(1)?)?, number(one.get(2)?)?)?;
                Some((place(one.first()?)?, token))
            })
            .collect::<Option<Vec<_>>>()
            .map(Answer::Taken),
        _ => None,
    };
    parsed.ok_or_else(unexpected)
}

/// Understands the reply of the release script.
pub(crate) fn read_released(answer: &Value, names: &[String]) -> Result<Released, Unavailable> {
    let unexpected = || Unavailable::Command(format!("unexpected answer {answer:?}"));
    let numbers: Vec<usize> = from_redis_value(answer.clone()).map_err(|_| unexpected())?;
    let (released, places) = numbers.split_first().ok_or_else(unexpected)?;
    let waited_for = places
        .iter()
        .map(|place| names.get(place.checked_sub(1)?).cloned())
        .collect::<Option<Vec<_>>>();
    Ok(Released {
        released: *released,
        waited_for: waited_for.ok_or_else(unexpected)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> Value {
        let text = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
        Value::Array(words.iter().map(text).collect())
    }

    #[test]
    fn answers_of_the_script_are_understood() {
        let token = Token::new(3, 9).unwrap();
        assert_eq!(
            read(&answer(&["taken", "2", "3", "9"])),
            Ok(Answer::Taken(vec![(1, token)]))
        );
        assert_eq!(
            read(&answer(&["busy", "1", "4"])),
            Ok(Answer::Busy(vec![0, 3]))
        );
        let stale = Answer::Stale(vec![(0, String::new()), (1, "7".to_owned())]);
        assert_eq!(read(&answer(&["stale", "1", "", "2", "7"])), Ok(stale));
    }

    #[test]
    fn a_strange_answer_is_no_lease() {
        for words in [
            &[][..],
            &["other"],
            &["taken", "1"],
            &["taken", "0", "1", "1"],
            &["busy", "x"],
        ] {
            assert!(read(&answer(words)).is_err(), "{words:?}");
        }
    }

    #[test]
    fn names_that_are_waited_for_come_by_number() {
        let names = ["a", "b"].map(str::to_owned);
        let reply =
            |numbers: &[i64]| Value::Array(numbers.iter().copied().map(Value::Int).collect());
        let released = read_released(&reply(&[2, 2]), &names).unwrap();
        assert_eq!(released.released, 2);
        assert_eq!(released.waited_for, ["b"]);
        for strange in [&[][..], &[1, 0], &[1, 3]] {
            assert!(
                read_released(&reply(strange), &names).is_err(),
                "{strange:?}"
            );
        }
    }
}

//! Rounding of amounts to whole minor units. Calculations run in 128 bits, so nothing is lost
//! before the one rounding at the end.

/// What happens to a fraction of exactly one half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Away from zero: 2.5 becomes 3, -2.5 becomes -3 (commercial rounding).
    HalfUp,
    /// To the even neighbour: 2.5 becomes 2, 3.5 becomes 4 (bankers' rounding).
    HalfEven,
}

/// The result does not fit into 64 bits, or the divisor is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("amount does not fit")]
pub struct Overflow;

/// `amount * ppm / 1 000 000`, rounded once. Used for tax rates and percentages (`82_500` is 8.25 %).
pub fn ppm(amount: i64, ppm: i64, rounding: Rounding) -> Result<i64, Overflow> {
    mul_div(amount, ppm, 1_000_000, rounding)
}

/// `a * b / c`, rounded once, such as price * quantity / base units per price.
pub fn mul_div(a: i64, b: i64, c: i64, rounding: Rounding) -> Result<i64, Overflow> {
    // A product of two 64-bit numbers fits into 127 bits.
    let product = i128::from(a) * i128::from(b);
    let divisor = i128::from(c).abs();
    if divisor == 0 {
        return Err(Overflow);
    }
    let negative = (product < 0) != (c < 0);
    let magnitude = product.abs();
    let (whole, rest) = (magnitude / divisor, magnitude % divisor);
    let up = match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => match rounding {
            Rounding::HalfUp => true,
            Rounding::HalfEven => whole % 2 != 0,
        },
    };
    let rounded = whole + i128::from(up);
    i64::try_from(if negative { -rounded } else { rounded }).map_err(|_| Overflow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves() {
        use Rounding::{HalfEven, HalfUp};
        for (amount, up, even) in [(5, 3, 2), (7, 4, 4), (-5, -3, -2), (-7, -4, -4), (4, 2, 2)] {
            assert_eq!(mul_div(amount, 1, 2, HalfUp), Ok(up), "{amount}/2");
            assert_eq!(mul_div(amount, 1, 2, HalfEven), Ok(even), "{amount}/2");
            assert_eq!(mul_div(amount, -1, -2, HalfUp), Ok(up), "{amount}/2");
        }
    }

    #[test]
    fn tax() {
        // 8.25 % of 19.99 is 1.649175.
        assert_eq!(ppm(1_999, 82_500, Rounding::HalfUp), Ok(165));
        assert_eq!(ppm(i64::MAX, 1_000_000, Rounding::HalfEven), Ok(i64::MAX));
        assert_eq!(ppm(i64::MAX, 1_000_001, Rounding::HalfEven), Err(Overflow));
        assert_eq!(mul_div(1, 1, 0, Rounding::HalfUp), Err(Overflow));
        assert_eq!(mul_div(i64::MIN, 1, -1, Rounding::HalfUp), Err(Overflow));
        assert_eq!(mul_div(i64::MIN, 1, 1, Rounding::HalfUp), Ok(i64::MIN));
    }

    proptest! {
        #[test]
        fn is_within_half_a_unit(a in any::<i64>(), b in any::<i64>(), c in any::<i64>()) {
            for rounding in [Rounding::HalfUp, Rounding::HalfEven] {
                if let Ok(result) = mul_div(a, b, c, rounding) {
                    let error = i128::from(result) * i128::from(c) - i128::from(a) * i128::from(b);
                    prop_assert!(error.abs() * 2 <= i128::from(c).abs());
                }
            }
        }

        #[test]
        fn is_symmetrical(a in -1_000_000_i64..1_000_000, rate in 0_i64..2_000_000) {
            for rounding in [Rounding::HalfUp, Rounding::HalfEven] {
                let mirrored = ppm(-a, rate, rounding).map(|result| -result);
                prop_assert_eq!(ppm(a, rate, rounding), mirrored);
            }
        }
    }
}

//! Exact splitting of amounts: the parts always add up to the whole.

/// The part of `total` that falls on units `[from, to)` of `q` units: `floor(total * to / q) -
/// floor(total * from / q)`.
///
/// Any partition of `[0, q)` adds up to `total` exactly, in any order and without remembering what
/// was taken before, so partial shipments and returns refund exactly what was paid. Bounds outside
/// `[0, q]` count as the nearest end, an empty or reversed range as zero, so a part never exceeds
/// the whole.
pub fn units(total: i64, q: i64, from: i64, to: i64) -> i64 {
    if q <= 0 {
        return 0;
    }
    let (from, to) = (from.clamp(0, q), to.clamp(0, q));
    if from >= to {
        return 0;
    }
    // With 0 <= n <= q the result lies between 0 and total, so it fits.
    let upto = |n: i64| (i128::from(total) * i128::from(n)).div_euclid(i128::from(q));
    i64::try_from(upto(to) - upto(from)).unwrap_or_default()
}

/// Splits `total` over `weights` in proportion (largest remainder, ties to the lower index).
///
/// The parts add up to `total` exactly, and each is its exact share rounded down or up. Weights
/// that are negative count as zero; when none is positive, all count the same. A negative total
/// gives the negatives of the parts of the positive one. No weights give no parts.
pub fn largest_remainder(total: i64, weights: &[i64]) -> Vec<i64> {
    let mut weights: Vec<i128> = weights.iter().map(|w| i128::from((*w).max(0))).collect();
    let mut sum: i128 = weights.iter().sum();
    if sum == 0 {
        weights.fill(1);
        sum = weights.iter().sum();
    }
    if weights.is_empty() {
        return Vec::new();
    }
    let magnitude = i128::from(total).abs();
    let mut parts: Vec<i128> = weights.iter().map(|w| magnitude * w / sum).collect();
    // Fewer units are left than there are weights, because each share lost less than one.
    let left = magnitude - parts.iter().sum::<i128>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    // The sort is stable, so equal remainders stay in the order of their index; every index is one
    // of a weight, so indexing cannot fail.
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(magnitude * weights[i] % sum));
    for &i in by_remainder
        .iter()
        .take(usize::try_from(left).unwrap_or_default())
    {
        parts[i] += 1;
    }
    let sign = if total < 0 { -1 } else { 1 };
    // Each part lies between 0 and total, so it fits.
    parts
        .into_iter()
        .map(|part| i64::try_from(part * sign).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_units_of_ten_dollars() {
        assert_eq!(
            [(0, 1), (1, 2), (2, 3)].map(|(a, b)| units(1_000, 3, a, b)),
            [333, 333, 334]
        );
    }

    #[test]
    fn ranges_outside_the_line_take_nothing_twice() {
        assert_eq!(units(1_000, 3, 2, 9), 334);
        assert_eq!(units(1_000, 3, 3, 9), 0);
        assert_eq!(units(1_000, 3, 2, 1), 0);
        assert_eq!(units(1_000, 0, 0, 1), 0);
    }

    #[test]
    fn remainders_go_to_the_largest_then_the_first() {
        assert_eq!(largest_remainder(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(largest_remainder(100, &[1, 2, 4]), [14, 29, 57]);
        assert_eq!(largest_remainder(10, &[0, 5, 0]), [0, 10, 0]);
        assert_eq!(largest_remainder(-100, &[1, 1, 1]), [-34, -33, -33]);
    }

    #[test]
    fn without_weight_all_get_the_same() {
        assert_eq!(largest_remainder(5, &[0, 0]), [3, 2]);
        assert_eq!(largest_remainder(5, &[0, -7]), [3, 2]);
        assert_eq!(largest_remainder(5, &[]), Vec::<i64>::new());
    }

    /// Amounts of a line as people see them, in currencies with 0, 2 and 3 decimals, and the extremes.
    fn amount() -> impl Strategy<Value = i64> {
        prop_oneof![
            0_i64..100_000,                         // JPY
            (0_i64..100_000).prop_map(|n| n * 100), // USD, whole dollars
            0_i64..10_000_000,                      // USD
            0_i64..100_000_000,                     // KWD
            any::<i64>(),
        ]
    }

    proptest! {
        #[test]
        fn any_partition_adds_up(
            total in amount(),
            q in 1_i64..=1_000_000_000,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let size = usize::try_from(q).unwrap_or(usize::MAX);
            let mut bounds: Vec<i64> =
                cuts.iter().map(|cut| i64::try_from(cut.index(size)).unwrap_or(0)).collect();
            bounds.extend([0, q]);
            bounds.sort_unstable();
            let parts: Vec<i64> =
                bounds.windows(2).map(|w| units(total, q, w[0], w[1])).collect();
            prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(total));
            if total >= 0 {
                prop_assert!(parts.iter().all(|part| (0..=total).contains(part)));
            }
        }

        #[test]
        fn units_of_a_line_differ_by_one_minor_unit_at_most(total in 0_i64..10_000_000, q in 1_i64..500) {
            let parts: Vec<i64> = (0..q).map(|n| units(total, q, n, n + 1)).collect();
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            prop_assert!(parts.iter().all(|part| (total / q..=total / q + 1).contains(part)));
        }

        #[test]
        fn shares_add_up_and_are_fair(
            total in any::<i64>(),
            weights in prop::collection::vec(0_i64..=i64::MAX, 1..12),
        ) {
            let parts = largest_remainder(total, &weights);
            prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(total));
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            prop_assume!(sum > 0);
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = i128::from(total).abs() * i128::from(*weight) / sum;
                let part = i128::from(*part).abs();
                prop_assert!(part == exact || part == exact + 1);
            }
        }
    }
}

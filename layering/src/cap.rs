//! Caps the number of layers of an order of paths: one path a layer while there are layers, the rest together.
//!
//! The rule of dockerTools' buildLayeredImage since 2018: what comes first is shared most, and shared best alone.

use std::num::NonZeroUsize;

/// The first `limit - 1` items alone, all others together, in their order; no layer is empty.
pub(crate) fn cap<T: Clone>(order: &[T], limit: NonZeroUsize) -> Vec<Vec<T>> {
    let (alone, together) = order.split_at(order.len().min(limit.get() - 1));
    let mut layers: Vec<Vec<T>> = alone.iter().map(|item| vec![item.clone()]).collect();
    if !together.is_empty() {
        layers.push(together.to_vec());
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(items: usize, limit: usize, expected: &[&[usize]]) {
        let order: Vec<usize> = (0..items).collect();
        assert_eq!(cap(&order, NonZeroUsize::new(limit).unwrap()), expected, "{items} items, limit {limit}");
    }

    #[test]
    fn around_the_limit() {
        check(0, 1, &[]);
        check(0, 3, &[]);
        check(1, 1, &[&[0]]);
        check(3, 1, &[&[0, 1, 2]]);
        check(2, 3, &[&[0], &[1]]);
        check(3, 3, &[&[0], &[1], &[2]]);
        check(4, 3, &[&[0], &[1], &[2, 3]]);
        check(4, usize::MAX, &[&[0], &[1], &[2], &[3]]);
    }
}

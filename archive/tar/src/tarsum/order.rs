//! Sorts as Go's `sort.Sort` (Go 1.19 and later) does, also where the comparison is not an order.
//!
//! Any sorting algorithm gives the same result for a real order. For one that contradicts itself the result depends on
//! which items are compared when, so this follows Go's choice step by step: pattern-defeating quicksort (Orson Peters,
//! arXiv 2106.05123) with Go's pivots, limits and random numbers.

/// Sorts up to this many items by insertion.
const SMALL: usize = 12;
/// From this many items on, a pivot is a median of nine and not of three, and nearly sorted items are repaired.
const LARGE: usize = 50;
/// Pairs in the wrong order that are repaired before items count as unsorted.
const REPAIRS: usize = 5;

/// Sorts items as Go does with this comparison ("must stand before").
pub(super) fn sort_as_go<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let (end, bad_pivots) = (items.len(), usize::BITS - items.len().leading_zeros());
    Sorter { items, less }.quicksort(0, end, bad_pivots);
}

/// What a choice of a pivot shows about the items.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Ascending,
    Descending,
    None,
}

struct Sorter<'a, T, F> {
    items: &'a mut [T],
    less: F,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    /// Sorts a range; after so many bad pivots, by heap.
    fn quicksort(&mut self, mut start: usize, mut end: usize, mut bad_pivots: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let length = end - start;
            if length <= SMALL {
                return (start..end).for_each(|next| self.sink(next, start));
            }
            if bad_pivots == 0 {
                return self.heapsort(start, end);
            }
            if !balanced {
                self.scatter(start, end);
                bad_pivots -= 1;
            }
            let (mut pivot, mut pattern) = self.choose_pivot(start, end);
            if pattern == Pattern::Descending {
                self.items[start..end].reverse();
                pivot = start + (end - 1 - pivot);
                pattern = Pattern::Ascending;
            }
            if balanced && partitioned && pattern == Pattern::Ascending && self.repair(start, end) {
                return;
            }
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.partition_equal(start, end, pivot);
                continue;
            }
            let middle;
            (middle, partitioned) = self.partition(start, end, pivot);
            let (left, right) = (middle - start, end - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.quicksort(start, middle, bad_pivots);
                start = middle + 1;
            } else {
                self.quicksort(middle + 1, end, bad_pivots);
                end = middle;
            }
        }
    }

    fn less(&self, a: usize, b: usize) -> bool {
        (self.less)(&self.items[a], &self.items[b])
    }

    /// Moves an item towards the front, at most to `first`.
    fn sink(&mut self, mut at: usize, first: usize) {
        while at > first && self.less(at, at - 1) {
            self.items.swap(at, at - 1);
            at -= 1;
        }
    }

    fn heapsort(&mut self, start: usize, end: usize) {
        let length = end - start;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift_down(start, root, length);
        }
        for last in (0..length).rev() {
            self.items.swap(start, start + last);
            self.sift_down(start, 0, last);
        }
    }

    /// Restores a heap of `length` items that begins at `start`, in which only the item at `root` may be too small.
    fn sift_down(&mut self, start: usize, mut root: usize, length: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(start + child, start + child + 1) {
                child += 1;
            }
            if !self.less(start + root, start + child) {
                return;
            }
            self.items.swap(start + root, start + child);
            root = child;
        }
    }

    /// Swaps three items about the middle with others, chosen by a generator (xorshift) that starts from the length.
    fn scatter(&mut self, start: usize, end: usize) {
        let length = end - start;
        let mask = (1u64 << (usize::BITS - length.leading_zeros())) - 1;
        let mut random = length as u64;
        let middle = start + length / 4 * 2;
        for at in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let other = (random & mask) as usize;
            self.items.swap(at, start + if other < length { other } else { other - length });
        }
    }

    /// The median of the items at the quarters, each of them the median of itself and its neighbours if there are many.
    fn choose_pivot(&self, start: usize, end: usize) -> (usize, Pattern) {
        let length = end - start;
        let quarters = [1, 2, 3].map(|quarter| start + length / 4 * quarter);
        let mut swaps = 0;
        let [a, b, c] =
            if length >= LARGE { quarters.map(|at| self.median(at - 1, at, at + 1, &mut swaps)) } else { quarters };
        let pivot = self.median(a, b, c, &mut swaps);
        // Twelve is as many as four medians can take.
        let pattern = match swaps {
            0 => Pattern::Ascending,
            12 => Pattern::Descending,
            _ => Pattern::None,
        };
        (pivot, pattern)
    }

    fn median(&self, mut a: usize, mut b: usize, mut c: usize, swaps: &mut u32) -> usize {
        let mut order = |low: &mut usize, high: &mut usize| {
            if self.less(*high, *low) {
                *swaps += 1;
                std::mem::swap(low, high);
            }
        };
        order(&mut a, &mut b);
        order(&mut b, &mut c);
        order(&mut a, &mut b);
        b
    }

    /// Puts a few items right; whether the range is sorted then. Go moves the smaller one of a pair as far to the front
    /// as it goes, even out of the range.
    fn repair(&mut self, start: usize, end: usize) -> bool {
        let mut at = start + 1;
        for _ in 0..REPAIRS {
            while at < end && !self.less(at, at - 1) {
                at += 1;
            }
            if at == end {
                return true;
            }
            if end - start < LARGE {
                return false;
            }
            self.items.swap(at, at - 1);
            if at - start >= 2 {
                self.sink(at - 1, 0);
            }
            if end - at >= 2 {
                let mut rising = at + 1;
                while rising < end && self.less(rising, rising - 1) {
                    self.items.swap(rising, rising - 1);
                    rising += 1;
                }
            }
        }
        false
    }

    /// Moves what is less than the pivot before it and the rest behind; where the pivot is then, and whether nothing
    /// had to be moved.
    fn partition(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        let (behind, untouched) = self.divide(start, end, pivot, |this, at| this.less(at, start));
        self.items.swap(behind - 1, start);
        (behind - 1, untouched)
    }

    /// Moves what equals the pivot to the front, where nothing is less; where the rest begins.
    fn partition_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.divide(start, end, pivot, |this, at| !this.less(start, at)).0
    }

    /// Moves the pivot to the start, and behind it what belongs in front before the rest; where the rest begins, and
    /// whether nothing had to be moved.
    fn divide(
        &mut self,
        start: usize,
        end: usize,
        pivot: usize,
        is_front: impl Fn(&Self, usize) -> bool,
    ) -> (usize, bool) {
        self.items.swap(start, pivot);
        let (mut low, mut high, mut untouched) = (start + 1, end - 1, true);
        loop {
            while low <= high && is_front(self, low) {
                low += 1;
            }
            while low <= high && !is_front(self, high) {
                high -= 1;
            }
            if low > high {
                return (low, untouched);
            }
            self.items.swap(low, high);
            untouched = false;
            low += 1;
            high -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rising, falling, sawteeth, few values, and a mix without pattern.
    fn patterns(length: u64) -> [Vec<u64>; 6] {
        let make = |value: fn(u64, u64) -> u64| (0..length).map(|i| value(i, length)).collect();
        [
            make(|i, _| i),
            make(|i, n| n - i),
            make(|i, _| i % 17),
            make(|i, n| i.min(n - i)),
            make(|i, _| i * i % 3),
            make(|i, _| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40),
        ]
    }

    #[test]
    fn an_order_is_sorted() {
        for length in [0, 1, 2, 12, 13, 49, 50, 51, 100, 1000, 5000] {
            for items in patterns(length) {
                let mut expected = items.clone();
                expected.sort_unstable();
                let mut sorted = items.clone();
                sort_as_go(&mut sorted, |a, b| a < b);
                assert_eq!(sorted, expected);
                let mut sorted = items;
                Sorter { items: &mut sorted, less: |a: &u64, b: &u64| a < b }.quicksort(0, length as usize, 0);
                assert_eq!(sorted, expected);
            }
        }
    }

    #[test]
    fn a_contradiction_ends() {
        for length in [13, 100, 3000] {
            let contradictions: [fn(&u64, &u64) -> bool; 3] = [|_, _| true, |_, _| false, |a, b| (a * 7 + b) % 3 == 0];
            for less in contradictions {
                let mut items: Vec<u64> = (0..length).collect();
                sort_as_go(&mut items, less);
                items.sort_unstable();
                assert!(items.into_iter().eq(0..length));
            }
        }
    }
}
